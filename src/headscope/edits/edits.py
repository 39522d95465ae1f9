"""Edits of heads: what is done (mute, scale, add), to which heads, at which positions, and for how long.

Every edit is ``z' = factor * z + offset`` on the blocks of z (input of the output projection) that belong to
the heads named, by one forward pre-hook per touched projection. No weight changes, so leaving is exact.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray

from headscope.edits.hooks import Plan, compile_edit, hooked, stack
from headscope.edits.patching import Patch, PatchSource
from headscope.errors import EditError
from headscope.models.geometry import Geometry, Head, HeadLike, Heads, head_of, heads_of
from headscope.models.types import SCOPES
from headscope.models.vlm import VLM, need_vlm
from headscope.storage import fingerprint

Blocks = Mapping[Any, NDArray[Any]] | NDArray[Any]
"""Head (or its label, or layer and head) -> (width,), or an array (head, width) over all heads."""


class OperationKey(TypedDict):
    """What tells two operations apart; arrays by their fingerprint."""

    kind: str
    factor: float
    blocks: str | None
    strength: float


class EditKey(TypedDict):
    """What tells two edits apart, whatever the order of their heads."""

    heads: list[str]
    what: OperationKey
    scope: str


@dataclass(frozen=True, eq=False)
class Operation:
    """What happens to each head's z: ``z' = factor * z + strength * blocks[head]``.

    Made by :func:`mute`, :func:`scale` and :func:`add`. ``blocks`` is a mapping head -> (width,), or an array
    (head, width) over all heads in ``geometry.heads`` order (columns beyond a head's own width are ignored).
    """

    kind: str
    factor: float = 1.0
    blocks: Blocks | None = None
    strength: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.blocks, Mapping):
            object.__setattr__(self, "blocks", {head_of(h): v for h, v in self.blocks.items()})
        for name in ("factor", "strength"):
            if not math.isfinite(getattr(self, name)):
                raise EditError(
                    f"{self.kind}: {name} must be a finite number, found {getattr(self, name)}; use 0 to mute"
                )

    def describe(self) -> OperationKey:
        """Plain values that tell two operations apart, for keys and tables."""
        blocks = None
        if isinstance(self.blocks, Mapping):
            blocks = fingerprint([[str(h), _digest(v)] for h, v in sorted(self.blocks.items())])
        elif self.blocks is not None:
            blocks = _digest(self.blocks)
        return {"kind": self.kind, "factor": self.factor, "blocks": blocks, "strength": self.strength}

    def block(self, geometry: Geometry, head: Head, width: int) -> NDArray[np.float32] | None:
        """What is added to this head's z, (width,); None if nothing is.

        Raises:
            EditError: the head has no entry, or one that is not finite or not (width,).
        """
        if self.blocks is None:
            return None
        if isinstance(self.blocks, Mapping):
            if head not in self.blocks:
                raise EditError(
                    f"{self.kind}: no vector given for head {head}; give one for every head edited"
                )
            vector = np.asarray(self.blocks[head], dtype=np.float32)
        else:
            table = np.asarray(self.blocks)
            if table.ndim != 2 or table.shape[0] != len(geometry.heads) or table.shape[1] < width:
                raise EditError(
                    f"{self.kind}: asked for an array (head, width), found shape {table.shape}; this model "
                    f"needs ({len(geometry.heads)}, {geometry.max_width})"
                )
            vector = table[geometry.index(head), :width].astype(np.float32)
        if vector.shape != (width,) or not np.isfinite(vector).all():
            raise EditError(
                f"{self.kind}: head {head} has width {width}, found a vector of shape {vector.shape}"
                + ("" if np.isfinite(vector).all() else " with values that are not finite")
            )
        return np.float32(self.strength) * vector


def _digest(values: Any) -> str:
    array = np.ascontiguousarray(np.nan_to_num(np.asarray(values, dtype=np.float32)))
    return f"{array.shape} {hashlib.sha256(array.tobytes()).hexdigest()[:16]}"


def mute(factor: float = 0.0, mean: Blocks | None = None) -> Operation:
    """Silence heads: z becomes ``factor * z`` (0 by default), or its mean over a reference set.

    ``mean`` is an array (head, width) in ``geometry.heads`` order or a mapping head -> (width,), as
    :func:`headscope.edits.means.head_means` gives it.

    Raises:
        EditError: the factor is NaN or infinite, or both a factor and a mean are given.

    Example:
        >>> import headscope as hs
        >>> hs.mute().factor, hs.mute(0.1).factor
        (0.0, 0.1)
    """
    if isinstance(mean, bool):
        raise EditError("mute(mean=...): give the means themselves, as head_means(vlm, batches) returns them")
    if mean is None:
        return Operation("mute", factor=float(factor))
    if factor != 0.0:
        raise EditError(f"mute: asked for factor {factor} and a mean; give one of them")
    return Operation("mute-mean", factor=0.0, blocks=mean)


def scale(s: float) -> Operation:
    """Multiply z by ``s``; above 1 turns heads up.

    Raises:
        EditError: ``s`` is NaN or infinite.

    Example:
        >>> import headscope as hs
        >>> hs.scale(1.5).factor
        1.5
    """
    return Operation("scale", factor=float(s))


def add(direction: Blocks, strength: float = 1.0) -> Operation:
    """Add ``strength * direction`` to z (steering); ``direction`` is head -> (width,), or (head, width).

    Raises:
        EditError: the strength is NaN or infinite; a vector of the wrong width is refused when the edit is
            applied.

    Example:
        >>> import headscope as hs, numpy as np
        >>> hs.add({hs.Head(3, 5): np.ones(24)}, strength=0.5).strength
        0.5
    """
    return Operation("add", blocks=direction, strength=float(strength))


@dataclass(frozen=True, eq=False)
class Edit:
    """A change to a set of heads at a scope of positions.

    Attributes:
        heads: heads touched; none is allowed and changes nothing.
        what: see :func:`mute`, :func:`scale`, :func:`add`.
        scope: ``all``; ``image`` tokens; ``question`` tokens; ``last`` prompt position; ``answer``: every
            position that predicts an answer token (the last prompt position and all later ones).

    Raises:
        EditError: duplicate heads or an unknown scope.

    Example:
        >>> import headscope as hs
        >>> vlm, cases = hs.load_model("embedded"), hs.draw_scenes("data", 1)
        >>> change = hs.Edit((hs.Head(3, 5), hs.Head(4, 0)), hs.scale(1.5), scope="all")
        >>> with change.applied(vlm):
        ...     answer = vlm.answer(cases.image(cases[0]), cases[0].question)
    """

    heads: tuple[Head, ...]
    what: Operation
    scope: str = "all"

    def __post_init__(self) -> None:
        heads = heads_of(self.heads)
        object.__setattr__(self, "heads", heads)
        twice = sorted({str(h) for h in heads if heads.count(h) > 1})
        if twice:
            raise EditError(f"edit: heads {', '.join(twice)} are named twice; name each head once")
        if self.scope not in SCOPES:
            raise EditError(f"edit: unknown scope {self.scope!r}; known are {', '.join(SCOPES)}")

    def describe(self) -> EditKey:
        """Plain values that tell this edit from any other."""
        return self._key

    @cached_property
    def _key(self) -> EditKey:
        heads = sorted(str(h) if h[2:] == ("decoder", "self") else repr(tuple(h)) for h in self.heads)
        return {"heads": heads, "what": self.what.describe(), "scope": self.scope}

    @contextmanager
    def applied(self, vlm: VLM) -> Iterator[None]:
        """Hold the edit on ``vlm`` (its forward and its generation) until the block is left.

        Raises:
            EditError: a head that this model does not have, or a vector of the wrong width.
        """
        plans = [
            Plan(site, factor, offset) for site, (factor, offset) in compile_edit(vlm.geometry, self).items()
        ]
        with hooked(vlm, plans, self.scope):
            yield


@dataclass(frozen=True, eq=False)
class BatchedEdit:
    """Another edit for each item of a batch: item i gets ``edits[i]`` (None: none), in one forward.

    All edits share one scope. This is how many random control draws ride in one forward. A forward over a
    multiple of the batch (scoring of choices) repeats each item, and its edit, that many times in a row.

    Attributes:
        edits: one per item.
        one_prompt: all items are one prompt, a batch of one (:mod:`headscope.engine.shared_prefix`).

    Raises:
        EditError: the edits differ in scope.
    """

    edits: tuple[Edit | None, ...]
    one_prompt: bool = False

    def __post_init__(self) -> None:
        scopes = {e.scope for e in self.edits if e is not None}
        if len(scopes) > 1:
            raise EditError(f"per_item: edits of one batch must share one scope, found {sorted(scopes)}")

    @property
    def scope(self) -> str:
        """The scope that all edits share."""
        return next((e.scope for e in self.edits if e is not None), "all")

    @contextmanager
    def applied(self, vlm: VLM) -> Iterator[None]:
        """Hold the edits on ``vlm`` until the block is left; each forward must have one row per edit.

        Raises:
            EditError: as :meth:`Edit.applied`, and where rows cannot be matched to items.
        """
        distinct: list[Edit | None] = []
        which = []
        for item in self.edits:
            found = next((i for i, known in enumerate(distinct) if known is item), None)
            which.append(len(distinct) if found is None else found)
            if found is None:
                distinct.append(item)
        compiled = [compile_edit(vlm.geometry, e) if e is not None else {} for e in distinct]
        plans = [
            Plan(site, *stack(compiled, site), which=torch.tensor(which), one_prompt=self.one_prompt)
            for site in dict.fromkeys(s for one in compiled for s in one)
        ]
        with hooked(vlm, plans, self.scope):
            yield


def per_item(head_sets: Sequence[Iterable[HeadLike]], what: Operation, scope: str = "all") -> BatchedEdit:
    """One head set per item of a batch, the same change for all.

    Example:
        >>> per_item([[Head(0, 1)], [Head(2, 3)]], mute()).scope
        'all'
    """
    made: dict[tuple[Head, ...], Edit] = {}
    keys = [heads_of(heads) for heads in head_sets]
    return BatchedEdit(tuple(made.setdefault(k, Edit(k, what, scope)) for k in keys))


@contextmanager
def edit(vlm: VLM, heads: Heads, what: Operation | PatchSource, scope: str = "all") -> Iterator[Edit | Patch]:
    """Change heads of ``vlm`` inside the block: ``with edit(vlm, heads, mute()): vlm.answer(image,
    question)``.

    ``heads``: heads, labels such as ``"L3H5,L4H0"``, or pairs of layer and head.

    Works on ``vlm.model``'s forward and on batched, cached generation; blocks may be nested (the outer edit
    acts first); leaving, also by an exception, restores the model bit for bit. Scopes other than ``all`` need
    ``vlm.reading(encoded)`` around the forward, since only then the spans of tokens are known. Another thread
    that runs the model meanwhile is refused.

    Args:
        what: ``mute()``, ``scale(s)``, ``add(...)``, or ``patch(source)``: z of another run.

    Raises:
        EditError: duplicate heads, heads the model does not have, an unknown scope, a vector of the wrong
            width.

    Example:
        >>> import headscope as hs
        >>> vlm, cases = hs.load_model("embedded"), hs.draw_scenes("data", 1)
        >>> picture, question = cases.image(cases[0]), "How many things are there?"
        >>> with hs.edit(vlm, vlm.geometry.heads, hs.mute()):
        ...     muted = vlm.answer(picture, question, choices=("two", "four"))
        >>> muted.logprobs == vlm.answer(picture, question, choices=("two", "four")).logprobs
        False
    """
    need_vlm(vlm, "edit")
    every = heads_of(heads)
    change = what.onto(vlm, every, scope) if isinstance(what, PatchSource) else Edit(every, what, scope)
    with change.applied(vlm):
        yield change
