"""Which image tokens a spot in the original picture reaches: by experiment, with nothing known of the map.

The vision tower's attention is silenced (all its weights zero), so that each patch goes its own way through
the tower; then a spot is painted, the picture goes through processor, tower, merging, pooling and projector,
and the positions whose input to the first decoder layer has changed are the tokens that show the spot.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from headscope.models.types import Prompt
from headscope.models.vlm import VLM


class _Reached(Exception):
    """The first decoder layer was reached; the rest of the forward is of no interest."""


def decoder_prefix(vlm: VLM) -> str:
    """Path of the module that holds the decoder's layers."""
    return vlm.geometry.sites[0].path.rsplit(".layers.", 1)[0]


# Families that have no tower: each patch is projected by itself.
TOWERLESS = ("gemma4_unified", "inkling_mm_model")


def silenced(vlm: VLM) -> VLM:
    """A copy whose vision attention adds nothing."""
    twin = copy.deepcopy(vlm)
    prefix = decoder_prefix(vlm)
    count = 0
    for path, module in twin.model.named_modules():
        # A projector's attention does no more than pool the patches of one token.
        tower = not path.startswith(prefix) and "projector" not in path
        if tower and "Attention" in type(module).__name__:
            count += 1
            for weight in module.parameters():
                weight.zero_()
    assert count or vlm.family in TOWERLESS, "the family's vision attention was not found"
    return twin


def first_layer_input(vlm: VLM, prompts: list[Prompt]) -> tuple[Any, Tensor]:
    """The encoded batch and what enters the first decoder layer: (item, position, width)."""
    encoded = vlm.encode(prompts)
    layer = vlm.model.get_submodule(decoder_prefix(vlm) + ".layers.0")
    held: list[Tensor] = []

    def stop(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        held.append(args[0] if args else kwargs["hidden_states"])
        raise _Reached

    handle = layer.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        with torch.no_grad():
            vlm.model(**encoded.inputs, use_cache=False)
    except _Reached:
        pass
    finally:
        handle.remove()
    return encoded, held[0]


def changed(
    vlm: VLM, size: tuple[int, int], spot: tuple[int, int, int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """(position,) bool of what a white spot changes, the image positions, and the claimed boxes.

    Args:
        vlm: as :func:`silenced` returns it.
        size: (width, height) of a black picture.
        spot: x0, y0, x1, y1 of the spot.
    """
    blank = Image.new("RGB", size)
    painted = blank.copy()
    painted.paste((255, 255, 255), spot)
    question = "Where is the dog?"
    encoded, before = first_layer_input(vlm, [Prompt(blank, question)])
    _, after = first_layer_input(vlm, [Prompt(painted, question)])
    assert before.shape == after.shape
    boxes = encoded.grids[0].boxes
    assert boxes is not None, encoded.grids[0].reason
    # A position may hold several streams.
    return (before != after).flatten(2).any(dim=-1)[0], encoded.image[0], boxes
