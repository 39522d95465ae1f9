"""Edits of heads: what is done (mute, scale, add), to which heads, at which positions, and for how long.

Every edit is ``z' = factor * z + offset`` on the blocks of z (input of the output projection) that belong to
the heads named, by one forward pre-hook per touched projection. No weight changes, so leaving is exact.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypedDict, overload

import numpy as np
from numpy.typing import NDArray

from headscope.edits.hooks import Plan, compile_edit, hooked
from headscope.edits.patching import Patch, PatchSource
from headscope.edits.reference import FromReference, reference_of
from headscope.edits.resampling import Resample
from headscope.errors import EditError
from headscope.models.geometry import Geometry, Head, Heads, head_of, heads_of
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


@overload
def mute(factor: float = 0.0, mean: Blocks | None = None) -> Operation: ...
@overload
def mute(factor: str, *, reference: object, seed: int | None = None) -> FromReference: ...
def mute(
    factor: float | str = 0.0,
    mean: Blocks | None = None,
    *,
    reference: object = None,
    seed: int | None = None,
) -> Operation | FromReference:
    """Silence heads: z becomes ``factor * z`` (0 by default), its mean over a reference, or that of another
    prompt.

    Args:
        factor: a number; ``"mean"``: the mean of z over the scope's positions in the reference;
            ``"resample"``: z of a prompt drawn from the reference, position by position, which leaves a head
            in its usual range.
        mean: the means themselves, an array (head, width) in ``geometry.heads`` order or a mapping
            head -> (width,), as :func:`headscope.edits.means.head_means` gives them.
        reference: prompts, (picture, question) or what :func:`headscope.read` returned, which are read where
            the edit begins; or what :func:`headscope.capture` returned, for scope ``last`` (readout
            ``prompt_last``) and, the mean alone, ``answer`` (``answer_mean``). For ``resample`` at other
            scopes than ``last`` a prompt must have the layout of the one that is read: the same words, a
            picture of the same size. z of 32 prompts is kept, drawn if there are more.
        seed: of the draw of ``resample``, 0 by default.

    Raises:
        EditError: the factor is NaN, infinite or another word; what does not go together is given; a
            reference without prompts. When the edit begins, or a prompt is read: one that does not fit it.

    Example:
        >>> import headscope as hs
        >>> hs.mute().factor, hs.mute(0.1).factor
        (0.0, 0.1)
        >>> vlm, cases = hs.load_model("embedded"), hs.draw_scenes("data", 4)
        >>> asked = [(cases.image(c), "Where is the dog?") for c in cases]
        >>> with hs.edit(vlm, "L3H5,L4H0", hs.mute("mean", reference=asked)):
        ...     meant = hs.read(vlm, *asked[0])
        >>> with hs.edit(vlm, "L3H5,L4H0", hs.mute("resample", reference=asked)):
        ...     resampled = hs.read(vlm, *asked[0])
    """
    if isinstance(factor, str):
        if mean is not None:
            raise EditError(f"mute({factor!r}): asked for means too; give them alone, or a reference")
        return reference_of(factor, reference, seed)
    if reference is not None or seed is not None:
        raise EditError("mute: asked for a reference or seed; say what of: mute('mean', reference=...)")
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


@contextmanager
def edit(
    vlm: VLM, heads: Heads, what: Operation | FromReference | PatchSource, scope: str = "all"
) -> Iterator[Edit | Patch | Resample]:
    """Change heads of ``vlm`` inside the block: ``with edit(vlm, heads, mute()): vlm.answer(...)``.

    ``heads``: heads, labels such as ``"L3H5,L4H0"``, or pairs of layer and head.

    Works on ``vlm.model``'s forward and on batched, cached generation; blocks may be nested (the outer edit
    acts first); leaving, also by an exception, restores the model bit for bit. Scopes other than ``all`` need
    ``vlm.reading(encoded)`` around the forward, since only then the spans of tokens are known. Another thread
    that runs the model meanwhile is refused.

    Args:
        what: ``mute()``, ``mute("mean", reference=...)``, ``scale(s)``, ``add(...)``, or ``patch(source)``: z
            of another run.

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
    with (change := change_of(vlm, every, what, scope)).applied(vlm):
        yield change


def change_of(
    vlm: VLM, heads: tuple[Head, ...], what: Operation | FromReference | PatchSource, scope: str
) -> Edit | Patch | Resample:
    """What is held on the model; a run or reference that it takes z from is read.

    Raises:
        EditError: as :func:`edit`.
    """
    if isinstance(what, PatchSource):
        return what.onto(vlm, heads, scope)
    if isinstance(what, Operation):
        return Edit(heads, what, scope)
    if not isinstance(what, FromReference):
        raise EditError(
            f"edit: expected what hs.mute, hs.scale, hs.add or hs.patch make, found {type(what).__name__}"
        )
    known = Edit(heads, mute(), scope)  # heads and scope are refused before anything is read
    compile_edit(vlm.geometry, known)
    if what.mode == "resample":
        return what.resample(vlm, heads, scope)
    return Edit(heads, mute(mean=what.mean(vlm, heads, scope)), scope)
