"""The step ``grid``: where in the picture each image token looks, measured, against the map of its family.

Stripes of the picture are changed, all over its height and then all over its width, and every image token is
watched: it answers to the stripes that cross what it stands for. Nothing here knows how a family cuts
pictures. The vision part's attention is silenced meanwhile, so that a token answers to its own patches alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from headscope.acceptance.results import StepFinding
from headscope.models.proofs.picture_proof import noise_picture
from headscope.models.proofs.span_proof import silenced
from headscope.models.types import Encoded, Prompt
from headscope.models.vlm import VLM

SIZE = (320, 240)
"""Width and height of the picture, in pixels."""
# Into how many stripes each side is cut.
_STRIPES = 20
# What part of a token's side a stripe must cover to be seen, unless it lies wholly inside; how far off it may
# still be seen, since resizing mixes pixels: in parts of the token's side, and at least so many pixels.
_SEEN, _REACH, _PIXELS = 0.34, 0.3, 2.0
# Shares of a token's strongest answer: seen is more than the first, not seen no more than the second.
_CLEARLY, _FAINTLY = 0.02, 0.1
_SHOWN = "every image token answers to changes in its own rectangle of the picture, and to none elsewhere"


Stripe = tuple[int, int, int]  # axis (0: across), first and last pixel


class _Reached(Exception):
    """The decoder was reached; the rest of the forward is of no interest."""


@torch.no_grad()
def check_grid(vlm: VLM) -> StepFinding:
    """Measure where image tokens look, and compare it with the rectangles that the family's map gives."""
    picture = noise_picture(SIZE, 80.0)
    plain = vlm.encode([_prompt(picture)])
    grid = plain.grids[0]
    if grid.boxes is None:
        return StepFinding(_SHOWN, status="not applicable", reason=grid.reason)
    before = _tokens(vlm, plain)
    boxes = grid.boxes.double().numpy()
    stripes = [(axis, *_stripe(axis, number)) for axis in (0, 1) for number in range(_STRIPES)]
    moved = np.stack([_moved(vlm, picture, before, stripe) for stripe in stripes], axis=1)
    strongest = moved.max(axis=1, keepdims=True)
    placed = np.isfinite(boxes).all(axis=1)
    if not (strongest[placed] > 0).all():
        lost = int(np.nonzero(placed & (strongest[:, 0] <= 0))[0][0])
        return StepFinding(
            _SHOWN, status="failed", reason=f"image token {lost} answers to no change anywhere"
        )
    if (strongest[~placed] > _FAINTLY * np.median(strongest[placed])).any():
        return StepFinding(
            _SHOWN, status="failed", reason="a token that stands for no place answers to the picture"
        )
    wrong = _misfits(boxes[placed], moved[placed] / strongest[placed], stripes)
    figure = f"{int(placed.sum())} image tokens x {len(stripes)} stripes, {len(wrong)} misfits"
    if wrong:
        return StepFinding(_SHOWN, figure, "failed", wrong[0])
    return StepFinding(_SHOWN, figure)


def _prompt(picture: Image.Image) -> Prompt:
    return Prompt(picture, "What is in the picture?")


def _stripe(axis: int, number: int) -> tuple[int, int]:
    """First and last pixel (exclusive) of a stripe along an axis (0: across)."""
    step = SIZE[axis] // _STRIPES
    return number * step, (number + 1) * step


def _moved(vlm: VLM, picture: Image.Image, before: Tensor, stripe: Stripe) -> NDArray[np.float64]:
    """(image token,) how far each moves when a stripe of the picture is turned into its negative."""
    axis, start, end = stripe
    area = (start, 0, end, SIZE[1]) if axis == 0 else (0, start, SIZE[0], end)
    changed = picture.copy()
    part = picture.crop(area).point(lambda value: 255 - value if abs(2 * value - 255) > 60 else 255)
    changed.paste(part, area[:2])
    after = _tokens(vlm, vlm.encode([_prompt(changed)]))
    if after.shape != before.shape:
        raise ValueError("the number of image tokens depends on the picture's content")
    found: NDArray[np.float64] = (before - after).abs().amax(dim=1).double().cpu().numpy()
    return found


def _misfits(boxes: NDArray[np.float64], moved: NDArray[np.float64], stripes: Sequence[Stripe]) -> list[str]:
    """What does not fit between the map and the measurement, in words.

    Args:
        boxes: (token, 4) pixels that each is said to stand for.
        moved: (token, stripe) its answer to each, as a share of its strongest.
    """
    wrong = []
    for number, (axis, start, end) in enumerate(stripes):
        low, high = boxes[:, axis], boxes[:, axis + 2]
        inside = np.minimum(high, SIZE[axis]) - np.maximum(low, 0)
        covered = np.minimum(high, end) - np.maximum(low, start)
        reach = np.maximum(_REACH * (high - low), _PIXELS)
        must = covered >= np.maximum(np.minimum(_SEEN * inside, end - start), 1.0)
        near = (low - reach < end) & (high + reach > start)
        where = f"changes at {'xy'[axis]} = {start} to {end}"
        for token in np.nonzero(must & (moved[:, number] <= _CLEARLY))[0]:
            wrong.append(f"image token {token} ({_box(boxes[token])}) does not answer to {where}")
        for token in np.nonzero(~near & (moved[:, number] > _FAINTLY))[0]:
            wrong.append(f"image token {token} ({_box(boxes[token])}) answers to {where}")
    return wrong


def _box(box: NDArray[np.float64]) -> str:
    return "pixels " + ", ".join(f"{v:.0f}" for v in box)


def _tokens(vlm: VLM, encoded: Encoded) -> Tensor:
    """(image token, width): what the decoder's first layer gets at the image positions, vision silenced."""
    seen: list[Tensor] = []

    def stop(_module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        seen.append(args[0] if args else kwargs["hidden_states"])
        raise _Reached

    with ExitStack() as stack, silenced(vlm.model):
        stack.callback(_first_layer(vlm).register_forward_pre_hook(stop, with_kwargs=True).remove)
        with suppress(_Reached):
            vlm.model(**encoded.inputs, use_cache=False)
    states = seen[0]
    if states.shape[:2] != encoded.image.shape:
        raise ValueError(f"the decoder reads {tuple(states.shape[:2])}, not the prompt's positions")
    return states[encoded.image.to(states.device)].flatten(1)


def _first_layer(vlm: VLM) -> nn.Module:
    """The decoder's first layer, whichever layer the first heads are in."""
    path = next(s.path for s in vlm.geometry.sites if s.tower == "decoder")
    layer = re.match(r"(.*?)\.\d+(\.|$)", path)
    layers: nn.Module = vlm.model.get_submodule(layer[1]) if layer else vlm.model
    return next(iter(layers.children()))
