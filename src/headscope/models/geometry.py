"""Where the attention heads are: sites (one attention layer each), heads, and their one flat order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from torch import nn

from headscope.errors import GeometryError

# Names under which transformers keeps the projection that takes the concatenated heads.
PROJECTIONS = ("o_proj", "out_proj", "dense", "wo", "c_proj", "proj", "o")
# Names of head counts and of head widths on an attention module or its configuration. The width of the
# value vectors comes first: where it differs from that of q and k, it is the one that z has.
_COUNTS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "heads")
_WIDTHS = ("v_head_dim", "head_dim", "attention_head_size", "d_kv", "key_value_proj_dim")
# Where a wrapper keeps its vision tower.
_VISION = ("vision_tower", "visual", "vision_model", "vision_encoder")


class Head(NamedTuple):
    """One attention head; ``layer`` and ``head`` count from 0.

    Example:
        >>> str(Head(3, 5))
        'L3H5'
    """

    layer: int
    head: int
    tower: str = "decoder"
    site: str = "self"

    def __str__(self) -> str:
        prefix = "" if self.tower == "decoder" else f"{self.tower}."
        suffix = "" if self.site == "self" else f".{self.site}"
        return f"{prefix}L{self.layer}H{self.head}{suffix}"


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


@dataclass(frozen=True, eq=False)
class Geometry:
    """All sites and, in the flat order of every array in headscope, all heads: by site, then by head."""

    sites: tuple[Site, ...]

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

    def index(self, head: Head) -> int:
        """Flat index of a head.

        Raises:
            GeometryError: the model has no such head.
        """
        try:
            return self._index[Head(*head)]
        except KeyError:
            raise GeometryError(f"asked for head {Head(*head)}; {self.summary()}") from None

    def site_of(self, head: Head) -> Site:
        """The site that holds a head.

        Raises:
            GeometryError: the model has no such head.
        """
        self.index(head)
        head = Head(*head)
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
        return f"found {len(self.heads)} heads in layers {layers[0]} to {layers[-1]} ({shapes} a layer)"


def find_geometry(model: nn.Module, towers: Sequence[str] = ("decoder",)) -> Geometry:
    """Locate the attention heads of a model from its module structure.

    A site is a module called ...Attention with one child, among the usual names, that takes all heads side by
    side. Head count and width come from that module or its configuration and have to multiply to the
    projection's own input width; nothing is divided out of the hidden size. What is found is still only a
    claim until :func:`headscope.models.proof.prove_geometry` has tested it.

    Raises:
        GeometryError: no attention layer was found, or one of them is ambiguous; the message says which.
    """
    sites: list[Site] = []
    for tower in towers:
        root, prefix = _tower(model, tower)
        found = [_site(module, path, tower, i) for i, (path, module) in enumerate(_attentions(root, prefix))]
        if not found:
            raise GeometryError(
                f"asked for the attention heads of the {tower} of {type(model).__name__}; found no attention "
                f"module with an output projection named one of {', '.join(PROJECTIONS)}; not supported"
            )
        sites += sorted(found, key=lambda s: (s.layer, s.site != "self"))
    keys = [(s.tower, s.layer, s.site) for s in sites]
    twice = next((k for k in keys if keys.count(k) > 1), None)
    if twice:
        paths = [s.path for s, k in zip(sites, keys, strict=True) if k == twice]
        raise GeometryError(
            f"{type(model).__name__}: layer {twice[1]} holds {' and '.join(paths)}; ambiguous"
        )
    return Geometry(tuple(sites))


def _tower(model: nn.Module, tower: str) -> tuple[nn.Module, str]:
    """The module that holds a tower's layers, and its path inside the model."""
    names = {id(module): name for name, module in model.named_modules()}
    if tower == "decoder":
        decoder: Any = getattr(model, "get_decoder", None)
        root = decoder() if decoder is not None else model
        return root, names.get(id(root), "")
    if tower == "vision":
        for name, module in model.named_modules():
            if name.rsplit(".", 1)[-1] in _VISION:
                return module, name
        raise GeometryError(f"asked for the vision tower of {type(model).__name__}; found none")
    raise GeometryError(f"asked for tower {tower!r}; there are: decoder, vision")


def _attentions(root: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """Attention modules below ``root`` that own an output projection, outermost dropped if nested."""
    for name, module in root.named_modules():
        if any(part in _VISION for part in name.split(".")):
            continue
        if "attention" in type(module).__name__.lower() and _projections(module):
            yield ".".join(p for p in (prefix, name) if p), module


def _projections(attention: nn.Module) -> dict[str, nn.Module]:
    return {n: c for n, c in attention.named_children() if n in PROJECTIONS and _in_features(c) is not None}


def _in_features(module: nn.Module) -> int | None:
    value = getattr(module, "in_features", None)
    return int(value) if value is not None else None


def _site(attention: nn.Module, path: str, tower: str, order: int) -> Site:
    projections = _projections(attention)
    if len(projections) > 1:
        raise GeometryError(
            f"{path}: {', '.join(projections)} could each be the output projection; ambiguous"
        )
    name, projection = next(iter(projections.items()))
    width = _in_features(projection) or 0
    counts, widths = _named(attention, _COUNTS), _named(attention, _WIDTHS)
    pairs = {(n, w) for n in counts.values() for w in widths.values() if n * w == width}
    if not widths:  # the module states its head count alone
        pairs = {(n, width // n) for n in counts.values() if width % n == 0}
    if len(pairs) != 1:
        found = "none fit" if not pairs else f"{sorted(pairs)} all fit"
        raise GeometryError(
            f"{path}.{name}: takes {width} inputs; head counts {counts or 'not stated'} and widths "
            f"{widths or 'not stated'}: {found}; the heads of this layer cannot be told apart, so the model "
            "is refused"
        )
    (n_heads, head_dim) = pairs.pop()
    layer = getattr(attention, "layer_idx", None)
    if layer is None:
        number = re.findall(r"\.(\d+)(?=\.|$)", path)
        layer = int(number[-1]) if number else order
    site = "cross" if "cross" in path.rsplit(".", 1)[-1].lower() else "self"
    return Site(tower, int(layer), site, n_heads, head_dim, projection, attention, path)


def _named(attention: nn.Module, names: Sequence[str]) -> dict[str, int]:
    """Whole numbers under any of these names: the module's own first, else its configuration's."""
    config: Any = getattr(attention, "config", None)
    for owner in (attention, config):
        found = {n: getattr(owner, n, None) for n in names} if owner is not None else {}
        numbers = {n: v for n, v in found.items() if isinstance(v, int) and not isinstance(v, bool) and v > 0}
        if numbers:
            return numbers
    return {}
