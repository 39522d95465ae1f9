"""Image tokens stand for the pixels that the grid says: pixels are changed, tokens are watched."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from headscope.models.base import BaseVLM
from headscope.models.proofs.picture_proof import noise_picture
from headscope.models.proofs.proof_steps import HELD, NOT_APPLICABLE, REFUSED, Step
from headscope.models.types import Encoded, Prompt

_SHOWN = "pixels changed inside a cell change the image tokens mapped to it and no others; cells tried"
# How many cells are tried, spread over the grid.
_CELLS = 6
# Part of a cell's side that is changed, around its centre, and how far around a token's box resampling may
# reach, in parts of that box's side.
_CORE, _REACH = 0.4, 0.25
# The noise of the picture (standard deviation, of 256), and what changed pixels become: one colour, far from
# the noise. Other noise would average out where a picture is made much smaller, and leave its neighbours'
# faint share of the change as large as the patch's own.
_NOISE, _COLOUR = 30.0, (255, 0, 128)
# Shares of the largest change: a token that stands for the changed pixels changes by more than the first; one
# that stands elsewhere by no more than the second, since resampling reaches into neighbouring patches.
_CLEARLY, _FAINTLY = 1e-3, 0.1
_VISION = re.compile(r"(^|\.)(vision|visual|image_tower|image_encoder|vit)")


def prove_spans(vlm: BaseVLM, size: tuple[int, int] = (336, 280)) -> Step:
    """The step ``spans``, with attention of the vision part silenced so that nothing mixes its positions.

    Then each patch keeps to itself from the patch embedding through merging or pooling up to the decoder's
    image tokens: what changes there when pixels of one cell change is what stands for these pixels.

    Args:
        vlm: a :class:`headscope.models.vlm.VLM`.
        size: (width, height) of the picture that is used.
    """
    picture = noise_picture(size, _NOISE)
    prompt = Prompt(picture, "What is in the picture?")
    with torch.no_grad():
        plain = vlm.encode([prompt])
        grid = plain.grids[0]
        if grid.boxes is None:
            return Step("spans", _SHOWN, float("nan"), NOT_APPLICABLE, grid.reason)
        before = _tokens(vlm, plain)
        placed = torch.nonzero(_inside(grid.boxes, size)).flatten()
        chosen = placed[torch.linspace(0, len(placed) - 1, min(_CELLS, len(placed))).long()]
        for token in chosen.tolist():
            core = _core(grid.boxes[token], size)
            after = _tokens(vlm, vlm.encode([Prompt(_painted(picture, core), prompt.question)]))
            moved = (before - after).abs().amax(dim=1).double().cpu()
            wrong = _wrong(grid.boxes, core, moved / moved.max().clamp_min(1e-30))
            if wrong:
                return Step("spans", _SHOWN, float("nan"), REFUSED, f"pixels {core} changed: {wrong}")
    return Step("spans", _SHOWN, float(len(chosen)), HELD)


def _inside(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """(image token,) bool: which stand for a place in the picture, and not for padding beyond it."""
    x0, y0, x1, y1 = boxes.unbind(dim=1)
    shown = (x0 < size[0]) & (y0 < size[1]) & (x1 > 0) & (y1 > 0)
    return boxes.isfinite().all(dim=1) & shown


def _core(box: Tensor, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The inner pixels of a cell, at least one, inside the picture."""
    x0, y0, x1, y1 = box.tolist()
    x0, x1, y0, y1 = max(x0, 0.0), min(x1, size[0]), max(y0, 0.0), min(y1, size[1])
    margin = (1 - _CORE) / 2
    left, top = x0 + margin * (x1 - x0), y0 + margin * (y1 - y0)
    right, bottom = x1 - margin * (x1 - x0), y1 - margin * (y1 - y0)
    return int(left), int(top), max(int(right), int(left) + 1), max(int(bottom), int(top) + 1)


def _painted(picture: Image.Image, core: tuple[int, int, int, int]) -> Image.Image:
    new = picture.copy()
    new.paste(_COLOUR, core)
    return new


def _wrong(boxes: Tensor, core: tuple[int, int, int, int], moved: Tensor) -> str:
    """What does not fit between how far tokens moved and which of them stand for the changed pixels.

    Args:
        boxes: (image token, 4) pixels that each stands for.
        core: pixels that were changed.
        moved: (image token,) how far each moved, as a share of the farthest.

    Returns:
        The first misfit in words; empty if all fits.
    """
    x0, y0, x1, y1 = boxes.unbind(dim=1)
    reach_x, reach_y = _REACH * (x1 - x0), _REACH * (y1 - y0)
    may = (x0 - reach_x < core[2]) & (x1 + reach_x > core[0])
    may &= (y0 - reach_y < core[3]) & (y1 + reach_y > core[1])
    wide = torch.minimum(x1, torch.tensor(core[2])) - torch.maximum(x0, torch.tensor(core[0]))
    high = torch.minimum(y1, torch.tensor(core[3])) - torch.maximum(y0, torch.tensor(core[1]))
    must = (wide >= 1) & (high >= 1)
    missing = torch.nonzero(must & ~(moved > _CLEARLY)).flatten()
    extra = torch.nonzero(~may & ~(moved <= _FAINTLY)).flatten()
    if len(missing):
        return f"image token {int(missing[0])} stands for them and did not change"
    if len(extra):
        return f"image token {int(extra[0])} stands elsewhere and changed"
    return ""


class _Enough(Exception):
    """The decoder's first layer is reached: nothing behind it is needed."""


def _tokens(vlm: BaseVLM, encoded: Encoded) -> Tensor:
    """(image token, width): what the decoder's first layer gets at the image positions, vision silenced."""
    seen: list[Tensor] = []

    def first(_module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        seen.append(args[0] if args else kwargs["hidden_states"])
        raise _Enough

    layer = _layer(vlm)
    with ExitStack() as stack, silenced(vlm.model), suppress(_Enough):
        stack.callback(layer.register_forward_pre_hook(first, with_kwargs=True).remove)
        vlm.model(**encoded.inputs, use_cache=False)
    states = seen[0]
    if states.shape[:2] != encoded.image.shape:
        raise ValueError(f"the decoder reads {tuple(states.shape[:2])}, not the prompt's positions")
    return states[encoded.image.to(states.device)]


def _layer(vlm: BaseVLM) -> nn.Module:
    """The decoder's first layer."""
    path = next(site.path for site in vlm.geometry.sites if site.tower == "decoder")
    match = re.match(r"(.*?\.\d+)(\.|$)", path)
    listed = vlm.model.get_submodule(match[1].rpartition(".")[0]) if match else vlm.model
    return next(iter(listed.children()))


@contextmanager
def silenced(model: nn.Module) -> Iterator[None]:
    """Within, each position of the vision part keeps to itself.

    Its attention modules give zeros, and its convolutions see no more than the positions that they turn into
    one: a 3 x 3 kernel of stride 1 its own alone, of stride 2 a square of 2 x 2.
    """

    def zeros(_module: nn.Module, _args: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (torch.zeros_like(output[0]), *output[1:])
        return torch.zeros_like(output)

    with ExitStack() as stack:
        for name, module in model.named_modules():
            if _VISION.search(name) and type(module).__name__.endswith(("Attention", "ShortConv")):
                stack.callback(module.register_forward_hook(zeros).remove)
            if _VISION.search(name) and isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
                stack.enter_context(_own_taps(module))
        yield


@contextmanager
def _own_taps(convolution: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> Iterator[None]:
    """Within, the kernel's taps beyond the positions that an output stands for are zero."""
    kept, reaches = torch.ones(convolution.kernel_size), False
    for axis, (width, stride) in enumerate(zip(convolution.kernel_size, convolution.stride, strict=True)):
        padding = convolution.padding if isinstance(convolution.padding, tuple) else None
        first = (width - stride) // 2 if padding is None else int(padding[axis])
        own = torch.arange(width).sub(first)
        outside = (own < 0) | (own >= stride)
        reaches |= bool(outside.any()) and not bool(outside.all())
        kept.index_fill_(axis, torch.nonzero(outside).flatten(), 0.0)
    if not reaches or max(convolution.dilation) > 1 or not kept.any():
        yield
        return
    weight = convolution.weight
    convolution.weight = nn.Parameter(weight.detach() * kept.to(weight), requires_grad=False)
    try:
        yield
    finally:
        convolution.weight = weight
