"""The kinds of image input that families take, one maker each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from family_survey.inputs import Scene, counts, image_token, with_text

BLIND = "text"
"""The kind of input without a picture."""
# What releases have called the pixels beside ``pixel_values``.
_PIXELS = ("pixel_values_images", "image_patches")


def _types(scene: Scene) -> str:
    return next((n for n in ("mm_token_type_ids", "token_type_ids") if scene.takes(n)), "")


def one(value: object) -> int:
    """A size that a configuration states as a number or as a pair."""
    return int(value[0]) if isinstance(value, (list, tuple)) else int(value)  # type: ignore[call-overload]


def side_of(scene: Scene) -> int:
    """Height and width of a picture."""
    return one(getattr(scene.vision, "image_size", None) or 16)


def _features(scene: Scene, pixels: dict[str, Tensor]) -> object:
    owner: Any = next((m for m in scene.model.modules() if hasattr(m, "get_image_features")), None)
    if owner is None:
        raise ValueError(f"{type(scene.model).__name__} has no get_image_features")
    return owner.get_image_features(**_named(owner.get_image_features, pixels))


def _named(function: Callable[..., object], pixels: dict[str, Tensor]) -> dict[str, Tensor]:
    """Pixels under the name that a function has for them, where that is not ``pixel_values``."""
    taken = inspect.signature(function).parameters
    other = [name for name in _PIXELS if name in taken]
    if "pixel_values" in taken or not other:
        return pixels
    return {other[0] if name == "pixel_values" else name: value for name, value in pixels.items()}


def prompt(scene: Scene, pixels: dict[str, Tensor], sizes: list[int] | None = None) -> dict[str, Tensor]:
    """Words with as many image tokens as the model makes of the pixels, and the pixels."""
    token = image_token(scene.config)
    start, end = (_marker(scene, which) for which in ("start", "end"))
    numbers = counts(scene, _features(scene, pixels), sizes)
    pieces = [[*start, *[token] * n, *end] for n in numbers]
    return {**with_text(scene, pieces, token, _types(scene)), **_named(scene.model.forward, pixels)}


def hybrid(scene: Scene) -> dict[str, Tensor]:
    """A picture in low and in high resolution."""
    side, high = side_of(scene), int(scene.config.high_res_vision_config.image_size)
    pixels = {
        "pixel_values": scene.noise(3, side, side),
        "high_res_pixel_values": scene.noise(3, high, high),
    }
    return prompt(scene, pixels)


def docling(scene: Scene) -> dict[str, Tensor]:
    """Two tiles an item, with a mask over tiles."""
    side = side_of(scene)
    pixels = {
        "pixel_values": scene.noise(2, 3, side, side),
        "pixel_attention_mask": torch.ones(scene.items, 2, dtype=torch.bool),
    }
    return prompt(scene, pixels)


def one_tile(scene: Scene) -> dict[str, Tensor]:
    """One tile an item: pixel_values (item, tile, channel, row, column)."""
    side = side_of(scene)
    return prompt(scene, {"pixel_values": scene.noise(1, 3, side, side)})


def square(scene: Scene) -> dict[str, Tensor]:
    """One square picture an item: pixel_values (item, channel, row, column)."""
    side = side_of(scene)
    return prompt(scene, {"pixel_values": scene.noise(3, side, side)})


def _marker(scene: Scene, which: str) -> list[int]:
    for name in (f"vision_{which}_token_id", f"image_{which}_token_id"):
        value = getattr(scene.config, name, None)
        if value is not None:
            return [int(value)]
    return []


def tiles(scene: Scene) -> dict[str, Tensor]:
    """Two tiles an item: pixel_values (item, tile, channel, row, column)."""
    side = side_of(scene)
    pixels = {"pixel_values": scene.noise(2, 3, side, side)}
    return prompt(scene, pixels)


def anyres(scene: Scene) -> dict[str, Tensor]:
    """An overview and two tiles of a tall picture: pixel_values (item, tile, channel, row, column)."""
    side = side_of(scene)
    pixels = {
        "pixel_values": scene.noise(3, 3, side, side),
        "image_sizes": torch.tensor([[2 * side, side]] * scene.items),
    }
    return prompt(scene, pixels)


def pixtral(scene: Scene) -> dict[str, Tensor]:
    """Pictures with their sizes: pixel_values (item, channel, row, column), image_sizes (item, 2)."""
    side = side_of(scene)
    pixels = {
        "pixel_values": scene.noise(3, side, side),
        "image_sizes": torch.tensor([[side, side]] * scene.items),
    }
    return prompt(scene, pixels)


def mllama(scene: Scene) -> dict[str, Tensor]:
    """One tile an item, seen by the cross-attention layers: pixel_values (item, picture, tile, ...)."""
    side, tiles_ = side_of(scene), int(scene.vision.max_num_tiles)
    token = image_token(scene.config)
    made = with_text(scene, [[token]] * scene.items)
    length = made["input_ids"].shape[1]
    ratios = torch.full((scene.items, 1), 2)  # the second supported ratio, 1 x 2 tiles
    mask = torch.zeros(scene.items, 1, tiles_, dtype=torch.long)
    mask[..., :2] = 1
    cross = torch.zeros(scene.items, length, 1, tiles_, dtype=torch.long)
    cross[..., :2] = made["attention_mask"][:, :, None, None]
    return {
        **made,
        "pixel_values": scene.noise(1, tiles_, 3, side, side),
        "aspect_ratio_ids": ratios,
        "aspect_ratio_mask": mask,
        "cross_attention_mask": cross,
    }
