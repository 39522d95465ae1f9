"""What takes the place of a muted head's z: its mean over a reference, or its z on another prompt of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headscope.edits.means import head_means
from headscope.edits.patching import WithPrompt
from headscope.edits.resampling import Donor, Resample, donors_of
from headscope.errors import EditError
from headscope.models.geometry import Head
from headscope.models.library_messages import quiet
from headscope.models.types import AnyPicture, Encoded, Prompt
from headscope.models.vlm import VLM

if TYPE_CHECKING:
    import xarray as xr

MODES = ("mean", "resample")
_CAPTURED = {"last": "prompt_last", "answer": "answer_mean"}  # scope -> readout that is of its positions

Asked = tuple[AnyPicture, str] | WithPrompt
"""One prompt of a reference: (picture, question), or what ``hs.read`` returned."""


@dataclass(frozen=True, eq=False)
class FromReference:
    """A mute that takes z from a reference: what ``mute("mean", reference=...)`` makes.

    Attributes:
        mode: ``mean`` or ``resample``.
        captured: what ``hs.capture`` returned; None where ``prompts`` are given.
        prompts: read where the edit begins, under the edits that hold then.
        seed: of the draw of ``resample``.
    """

    mode: str
    captured: xr.Dataset | None
    prompts: tuple[Asked, ...]
    seed: int

    def mean(self, vlm: VLM, heads: tuple[Head, ...], scope: str) -> NDArray[np.float64]:
        """(head, width) mean of z over the positions of the scope, in the reference.

        Raises:
            EditError: a capture that does not hold the scope's positions, or is of another model; scope
                ``answer`` without a capture.
        """
        if self.captured is not None:
            return np.asarray(self._z(self.captured, vlm, scope).mean(axis=0), dtype=np.float64)
        if scope == "answer":
            raise EditError(
                "mute('mean'): asked for scope 'answer', whose tokens prompts do not hold; give a capture: "
                "reference=hs.capture(vlm, prompts, readouts='answer_mean')"
            )
        return head_means(vlm, self._encoded(vlm), scope, heads)

    def resample(self, vlm: VLM, heads: tuple[Head, ...], scope: str) -> Resample:
        """These heads with z of another prompt.

        Raises:
            EditError: scope ``answer``; a capture at another scope than ``last``, or of another model.
        """
        if scope == "answer":
            raise EditError(
                "mute('resample'): asked for scope 'answer'; there are all, image, question and last: tokens "
                "of the answer are the run's own"
            )
        if self.captured is None:
            return Resample(heads, donors_of(vlm, self._encoded(vlm), heads, self.seed), scope, self.seed)
        if scope != "last":
            raise EditError(
                f"mute('resample'): asked for scope {scope!r} with a capture, which holds z of single "
                "positions; say scope='last', or give the prompts as reference=[(picture, question), ...]"
            )
        return Resample(heads, _donors(vlm, heads, self._z(self.captured, vlm, scope)), scope, self.seed)

    def _z(self, captured: xr.Dataset, vlm: VLM, scope: str) -> NDArray[np.floating[Any]]:
        """(prompt, head, width) of the readout that is of the scope's positions."""
        asked = f"mute({self.mode!r}): asked for scope {scope!r} with a capture"
        made = captured.attrs.get("model")
        if made != vlm.revision:
            raise EditError(f"{asked} of model {made!r}; this one is {vlm.revision!r}: capture it anew")
        name = _CAPTURED.get(scope)
        if name is None:
            raise EditError(
                f"{asked}, which holds z of the last position, or of the answer; say scope='last' or "
                "'answer', or give the prompts as reference=[(picture, question), ...]"
            )
        if name not in captured:
            raise EditError(
                f"{asked}, for which it needs the readout {name}; it has {', '.join(map(str, captured))}: "
                f"say hs.capture(..., readouts={name!r})"
            )
        return np.asarray(captured[name].values)

    def _encoded(self, vlm: VLM) -> list[Encoded]:
        """The prompts one by one, so that none is padded."""
        with quiet():
            return [_encode(vlm, asked) for asked in self.prompts]


def reference_of(mode: str, reference: object, seed: int | None) -> FromReference:
    """A reference as callers give it, looked at before anything is read.

    Raises:
        EditError: an unknown mode, no reference, or one of another kind.
    """
    if mode not in MODES:
        raise EditError(
            f"mute: asked for {mode!r}; there are {' and '.join(map(repr, MODES))}, or a factor: mute(0.1)"
        )
    if seed is not None and mode == "mean":
        raise EditError("mute('mean'): asked for a seed, but nothing is drawn; leave it out")
    said = f"mute({mode!r}): expected reference=[(picture, question), ...] or what hs.capture returns"
    if hasattr(reference, "data_vars"):
        return FromReference(mode, reference, (), seed or 0)  # type: ignore[arg-type]
    given: tuple[Any, ...]
    if _is_asked(reference):
        given = (reference,)
    elif isinstance(reference, Iterable) and not isinstance(reference, str | bytes | np.ndarray):
        given = tuple(reference)
    else:
        raise EditError(f"{said}, found {type(reference).__name__}")
    if not given:
        raise EditError(f"{said}, found none")
    other = next((one for one in given if not _is_asked(one)), None)
    if other is not None:
        raise EditError(f"{said}, found {type(other).__name__} in it")
    return FromReference(mode, None, given, seed or 0)


def _is_asked(one: object) -> bool:
    if isinstance(one, tuple):
        return len(one) == 2 and isinstance(one[1], str)
    return isinstance(getattr(one, "prompt", None), Encoded)


def _encode(vlm: VLM, asked: Asked) -> Encoded:
    if isinstance(asked, tuple):
        return vlm.encode([Prompt(asked[0], asked[1])])
    assert asked.prompt is not None
    return asked.prompt


def _donors(vlm: VLM, heads: tuple[Head, ...], z: NDArray[np.floating[Any]]) -> list[Donor]:
    """Captured prompts as donors of their last position."""
    import torch

    found = []
    sites = list(dict.fromkeys(vlm.geometry.site_of(h) for h in heads))
    blank = torch.zeros(1, 1, dtype=torch.bool)
    for prompt in z:
        rows = {s: torch.tensor(prompt[vlm.geometry.slice_of(s), : s.head_dim].reshape(1, -1)) for s in sites}
        found.append(Donor(Encoded({"input_ids": blank.long()}, blank, blank, 1, []), rows))
    return found
