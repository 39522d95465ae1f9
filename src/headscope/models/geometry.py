"""Sites (one attention layer each), heads, and their one flat order."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import TYPE_CHECKING, NamedTuple

from headscope import notebook
from headscope.errors import GeometryError

if TYPE_CHECKING:
    from torch import nn  # who names heads, or reads results that do, needs no torch


class Head(NamedTuple):
    """One attention head; ``layer`` and ``head`` count from 0.

    ``layer`` is the place in the list of layers that holds the site. Cross-attention mostly stands in the
    decoder's own layers; Idefics keeps it in a list of its own, so that there L1H0.cross is in the second
    cross-attention layer, which acts before decoder layer 1 * cross_layer_interval. ``site`` keeps the two
    apart.

    Example:
        >>> import headscope as hs
        >>> str(hs.Head(3, 5)), str(hs.Head(1, 0, site="cross"))
        ('L3H5', 'L1H0.cross')
        >>> hs.Head(3, 5), hs.Head(1, 0, site="cross")
        (Head(3, 5), Head(1, 0, site='cross'))
    """

    layer: int
    head: int
    tower: str = "decoder"
    site: str = "self"

    def __str__(self) -> str:
        prefix = "" if self.tower == "decoder" else f"{self.tower}."
        suffix = "" if self.site == "self" else f".{self.site}"
        return f"{prefix}L{self.layer}H{self.head}{suffix}"

    def __repr__(self) -> str:
        tower = "" if self.tower == "decoder" else f", tower={self.tower!r}"
        site = "" if self.site == "self" else f", site={self.site!r}"
        return f"Head({self.layer}, {self.head}{tower}{site})"

    def _repr_html_(self) -> str:
        return f"<code>{notebook.text(self)}</code>"


_LABEL = re.compile(r"(?:(?P<tower>\w+)\.)?L(?P<layer>\d+)H(?P<head>\d+)(?:\.(?P<site>\w+))?")


def parse_head(label: str) -> Head:
    """The head that a label such as ``L3H5`` or ``vision.L0H2`` names.

    Raises:
        GeometryError: the label has another form.

    Example:
        >>> parse_head("L3H5") == Head(3, 5)
        True
    """
    match = _LABEL.fullmatch(label.strip())
    if match is None:
        raise GeometryError(f"asked for head {label!r}; expected the form L<layer>H<head>, as in L3H5")
    tower, site = match["tower"] or "decoder", match["site"] or "self"
    return Head(int(match["layer"]), int(match["head"]), tower, site)


def names_heads(text: str) -> bool:
    """Whether a text is labels of heads rather than the name of a function.

    Example:
        >>> names_heads("L3H5,L4H0"), names_heads("counting")
        (True, False)
    """
    return all(_LABEL.fullmatch(part.strip()) for part in text.split(","))


HeadLike = Head | str | tuple[int, int] | tuple[int, int, str] | tuple[int, int, str, str]
"""A head as callers name it: ``Head(3, 5)``, ``"L3H5"`` or ``(3, 5)``."""
Heads = HeadLike | Iterable[HeadLike]
"""Heads as callers name them: one, several, or a text such as ``"L3H5,L4H0"``."""


def head_of(given: object) -> Head:
    """The head that a caller names.

    Raises:
        GeometryError: it is no head, label or pair of layer and head.

    Example:
        >>> head_of((3, 5)) == head_of("L3H5") == Head(3, 5)
        True
    """
    if isinstance(given, Head):
        return given
    if isinstance(given, str):
        return parse_head(given)
    parts = tuple(given) if isinstance(given, Iterable) else ()
    if not 2 <= len(parts) <= 4 or not all(_is_number(p) for p in parts[:2]):
        raise GeometryError(f'asked for head {given!r}; expected hs.Head(3, 5), "L3H5" or (3, 5)')
    return Head(int(parts[0]), int(parts[1]), *map(str, parts[2:]))


def heads_of(given: Heads) -> tuple[Head, ...]:
    """The heads that a caller names, in the order given.

    Raises:
        GeometryError: something in it is no head.

    Example:
        >>> heads_of("L3H5, L4H0") == heads_of([(3, 5), "L4H0"])
        True
        >>> heads_of(Head(3, 5)) == heads_of((3, 5)) == (Head(3, 5),)
        True
    """
    if isinstance(given, str):
        return tuple(parse_head(label) for label in given.split(","))
    if isinstance(given, Head) or (isinstance(given, tuple) and given and _is_number(given[0])):
        return (head_of(given),)
    if not isinstance(given, Iterable):
        raise GeometryError(f'asked for heads {given!r}; expected such as [hs.Head(3, 5)] or "L3H5,L4H0"')
    return tuple(head_of(head) for head in given)


def _is_number(value: object) -> bool:
    """Whether a whole number of Python or numpy, not true or false."""
    return isinstance(value, Integral) and not isinstance(value, bool)


@dataclass(frozen=True, eq=False)
class Site:
    """One attention layer: its heads lie side by side in the input of ``projection``.

    The input of ``projection`` is (..., n_heads * head_dim); head h owns columns h * head_dim up to
    (h + 1) * head_dim. ``attention`` is the module around it, ``path`` its name inside the model.
    """

    tower: str
    layer: int
    site: str
    n_heads: int
    head_dim: int
    projection: nn.Module
    attention: nn.Module
    path: str = ""

    @property
    def width(self) -> int:
        """Width of the projection's input, heads side by side."""
        return self.n_heads * self.head_dim

    @property
    def heads(self) -> tuple[Head, ...]:
        """The heads of this site in the order of their blocks."""
        return tuple(Head(self.layer, h, self.tower, self.site) for h in range(self.n_heads))

    def block(self, head: int) -> slice:
        """Columns of the projection's input that belong to a head of this site."""
        return slice(head * self.head_dim, (head + 1) * self.head_dim)


def has_plain_matrix(projection: nn.Module) -> bool:
    """Whether all that a projection does is to multiply with its ``weight``, and add its ``bias``.

    Not so of quantised projections and of those that an adapter wraps, whatever their class is called.
    """
    from torch import Tensor, nn
    from transformers.pytorch_utils import Conv1D

    if type(projection) not in (nn.Linear, Conv1D):
        return False
    own = vars(projection).get("_old_forward", vars(projection).get("forward"))  # under accelerate's hook
    if own is not None and getattr(own, "__func__", None) is not type(projection).forward:
        return False
    weight = projection.weight.data  # a packed form of numbers is a class of its own
    return type(weight) is Tensor and weight.is_floating_point() and weight.element_size() > 1


class LeftOut(NamedTuple):
    """A decoder layer without attention heads: its number, what mixes its positions, why it is left out."""

    layer: int
    kind: str
    reason: str


@dataclass(frozen=True, eq=False)
class Geometry:
    """All sites and, in the flat order of every array in headscope, all heads: by site, then by head.

    ``left_out`` lists the layers that hold no attention heads.
    """

    sites: tuple[Site, ...]
    left_out: tuple[LeftOut, ...] = ()

    @cached_property
    def heads(self) -> tuple[Head, ...]:
        """Every head; position in this tuple is the head's flat index."""
        return tuple(h for site in self.sites for h in site.heads)

    @cached_property
    def _index(self) -> dict[Head, int]:
        return {head: i for i, head in enumerate(self.heads)}

    @cached_property
    def _sites(self) -> dict[tuple[str, int, str], Site]:
        return {(s.tower, s.layer, s.site): s for s in self.sites}

    @property
    def max_width(self) -> int:
        """Greatest head width; arrays over all heads are padded to it."""
        return max(site.head_dim for site in self.sites)

    @property
    def n_layers(self) -> int:
        """How many distinct layers hold heads."""
        return len({(s.tower, s.layer) for s in self.sites})

    def index(self, head: HeadLike) -> int:
        """Flat index of a head, by its label too.

        Raises:
            GeometryError: the model has no such head.
        """
        head = head_of(head)
        try:
            return self._index[head]
        except KeyError:
            raise GeometryError(f"asked for head {head}; {self.summary()}") from None

    def site_of(self, head: HeadLike) -> Site:
        """The site that holds a head.

        Raises:
            GeometryError: the model has no such head.
        """
        head = head_of(head)
        self.index(head)
        return self._sites[(head.tower, head.layer, head.site)]

    def slice_of(self, site: Site) -> slice:
        """Flat indices of the heads of a site."""
        start = self._index[Head(site.layer, 0, site.tower, site.site)]
        return slice(start, start + site.n_heads)

    def per_layer(self) -> dict[tuple[str, int, str], tuple[Head, ...]]:
        """(tower, layer, site) -> its heads: the strata of layer-matched controls."""
        return {key: site.heads for key, site in self._sites.items()}

    def summary(self) -> str:
        """What there is, in a few words."""
        counts = sorted({(s.n_heads, s.head_dim) for s in self.sites})
        shapes = ", ".join(f"{n} heads of width {w}" for n, w in counts)
        layers = sorted({s.layer for s in self.sites})
        without = f"; {len(self.left_out)} layers hold none" if self.left_out else ""
        return (
            f"found {len(self.heads)} heads in layers {layers[0]} to {layers[-1]} ({shapes} a layer){without}"
        )
