"""Maps of families that look at the whole picture once, at a fixed resolution."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from headscope.models.grids.layouts import (
    ImageSettings,
    Rect,
    Size,
    back,
    crop_start,
    nowhere,
    resized,
    side,
    view,
    whole,
)
from headscope.models.types import ImageGrid


def llava(processor: Any, size: Size, inputs: dict[str, Tensor], _item: int) -> ImageGrid:
    """LLaVA: patches of one picture, carried back through crop, resize and padding."""
    patch = int(processor.patch_size)
    rows, columns = (int(n) // patch for n in inputs["pixel_values"].shape[-2:])
    boxes = view(_seen(ImageSettings(processor), size, columns * patch, rows * patch), rows, columns)
    # Class tokens and the like stand before the patches and for no place; strategy "default" drops the first
    # token.
    extra = int(getattr(processor, "num_additional_image_tokens", 0) or 0)
    boxes = torch.cat([nowhere(extra), boxes])
    if processor.vision_feature_select_strategy == "default":
        boxes = boxes[1:]
    return ImageGrid(boxes, (rows, columns))


def square(processor: Any, size: Size, inputs: dict[str, Tensor], item: int) -> ImageGrid:
    """One stretched picture, a square grid of ``image_seq_length`` tokens (pooled or not): PaliGemma."""
    del inputs, item
    return square_of(size, int(processor.image_seq_length))


def padded(processor: Any, size: Size, inputs: dict[str, Tensor], _item: int) -> ImageGrid:
    """DeepSeek-VL and Janus: one picture in the middle of a square, a square grid of tokens."""
    n = side(int(processor.num_image_tokens))
    edge = int(inputs["pixel_values"].shape[-1])
    least = int(ImageSettings(processor).min_size)
    wide, high = (max(round(length * edge / max(size)), least) for length in size)
    rect = Rect(0.0, 0.0, float(edge), float(edge))
    rect = back(rect, (wide / size[0], high / size[1]), ((edge - wide) // 2, (edge - high) // 2))
    return ImageGrid(view(rect, n, n), (n, n))


def square_of(size: Size, count: int) -> ImageGrid:
    """A whole picture as a square grid of so many tokens."""
    n = side(count)
    if not n:
        return ImageGrid(None, None, f"{count} tokens a picture form no square grid")
    return ImageGrid(view(whole(size), n, n), (n, n))


def _seen(images: Any, size: Size, columns: int, rows: int) -> Rect:
    """What part of the original the model's ``columns`` x ``rows`` pixels show."""
    width, height = size
    pad_x = pad_y = 0
    if getattr(images, "do_pad", False):  # to a square, the picture in its middle
        longest = max(width, height)
        pad_x, pad_y = (longest - width) // 2, (longest - height) // 2
        width = height = longest
    wide, high = resized(images, (width, height))
    rect = Rect(0.0, 0.0, float(columns), float(rows))
    if getattr(images, "do_center_crop", False):
        crop = images.crop_size
        left, top = crop_start(wide, int(crop["width"])), crop_start(high, int(crop["height"]))
        rect = Rect(left, top, left + columns, top + rows)
    rect = back(rect, (wide / width, high / height), (0.0, 0.0))
    return Rect(rect.x0 - pad_x, rect.y0 - pad_y, rect.x1 - pad_x, rect.y1 - pad_y)
