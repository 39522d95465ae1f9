"""A model reads its picture: the negative of it moves the logits."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from headscope.models.proofs.proof_steps import REFUSED, Step, logits_of
from headscope.models.proofs.rounding import logit_difference

_SHOWN = "a changed picture changes the last logits; relative change"
# Least change that counts. The same input gives the same bits (step ``restored``), so any change is the
# picture's; this is above what a stray rounding could do in float32.
_LEAST = 1e-4
# Arguments that hold pixels under another name than ``pixel_values...``.
_OTHERS = ("high_res_pixel_values", "flattened_patches", "image_patches")


def noise_picture(size: tuple[int, int], deviation: float) -> Image.Image:
    """Grey noise around the middle grey; the same at every call, so that a proof gives the same twice.

    Args:
        size: (width, height) in pixels.
        deviation: standard deviation of the grey values, of 256.

    Example:
        >>> noise_picture((3, 2), 80.0).size
        (3, 2)
    """
    grey = np.random.default_rng(0).normal(128, deviation, size[::-1])
    return Image.fromarray(grey.clip(0, 255).astype(np.uint8)).convert("RGB")


def is_picture(name: str) -> bool:
    """Whether an argument of this name holds a picture's pixels."""
    return name.startswith("pixel_values") or name in _OTHERS


def negative(name: str, pixels: Tensor) -> Tensor:
    """A picture's negative, of the same shape, given the argument's name."""
    changed = pixels.clone()
    places = 2 if name == "flattened_patches" else 0  # rows and columns stand before the pixels
    changed[..., places:] *= -1
    return changed


def prove_picture(model: nn.Module, inputs: dict[str, Tensor]) -> Step:
    """The step ``picture``, refused where the model does not read its picture."""
    changed = {
        name: negative(name, value) if is_picture(name) and isinstance(value, Tensor) else value
        for name, value in inputs.items()
    }
    with torch.no_grad():
        figure = logit_difference(logits_of(model, inputs)[:, -1], logits_of(model, changed)[:, -1])
    if figure > _LEAST:
        return Step("picture", _SHOWN, figure)
    return Step("picture", _SHOWN, figure, REFUSED, "no change of a picture reaches the logits")
