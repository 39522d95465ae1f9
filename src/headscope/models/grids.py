"""Which rectangle of the original picture each image token stands for, family by family."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from headscope.models.types import ImageGrid

Size = tuple[int, int]  # width, height


def image_grids(processor: Any, family: str, sizes: list[Size], inputs: dict[str, Tensor]) -> list[ImageGrid]:
    """One image grid an item.

    Args:
        processor: the model's processor.
        family: ``model_type`` of its configuration.
        sizes: (width, height) of each item's picture, pixels.
        inputs: what the processor made of them.
    """
    images = processor.image_processor
    if family == "llava":
        height, width = (int(n) for n in inputs["pixel_values"].shape[-2:])
        patch = int(processor.patch_size)
        known = {size: _llava(processor, size, height // patch, width // patch, patch) for size in set(sizes)}
        return [known[size] for size in sizes]
    if family in ("qwen2_vl", "qwen2_5_vl"):
        merge = int(images.merge_size)
        thw = inputs["image_grid_thw"].tolist()
        return [
            ImageGrid(cells(size, h // merge, w // merge), (h // merge, w // merge))
            for size, (_, h, w) in zip(sizes, thw, strict=True)
        ]
    reason = f"no map from image tokens to pixels is known for family {family!r}"
    return [ImageGrid(None, None, reason)] * len(sizes)


def cells(size: tuple[float, float], rows: int, columns: int) -> Tensor:
    """Rectangles x0, y0, x1, y1 of an even grid over a picture, row by row: (rows * columns, 4).

    Example:
        >>> cells((4, 2), 1, 2).tolist()
        [[0.0, 0.0, 2.0, 2.0], [2.0, 0.0, 4.0, 2.0]]
    """
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    corners = torch.stack([x, y, x + 1, y + 1], dim=-1).reshape(-1, 4).to(torch.float32)
    step = torch.tensor([size[0] / columns, size[1] / rows] * 2, dtype=torch.float32)
    return corners * step


def _llava(processor: Any, size: Size, rows: int, columns: int, patch: int) -> ImageGrid:
    """The grid of patches, carried back through crop, resize and padding to the original picture."""
    images = processor.image_processor
    boxes = cells((columns * patch, rows * patch), rows, columns)
    width, height = size
    pad_x = pad_y = 0
    if getattr(images, "do_pad", False):  # to a square, the picture in its middle
        side = max(width, height)
        pad_x, pad_y = (side - width) // 2, (side - height) // 2
        width = height = side
    resized = _resized(images, (width, height))
    if getattr(images, "do_center_crop", False):
        crop = images.crop_size
        left, top = _crop_start(resized[0], crop["width"]), _crop_start(resized[1], crop["height"])
        boxes = boxes + torch.tensor([left, top] * 2, dtype=torch.float32)
    scale = torch.tensor([width / resized[0], height / resized[1]] * 2, dtype=torch.float32)
    boxes = boxes * scale - torch.tensor([pad_x, pad_y] * 2, dtype=torch.float32)
    # Class tokens and the like stand before the patches and for no place; strategy "default" drops the first
    # token.
    extra = int(getattr(processor, "num_additional_image_tokens", 0) or 0)
    boxes = torch.cat([torch.full((extra, 4), math.nan), boxes])
    if processor.vision_feature_select_strategy == "default":
        boxes = boxes[1:]
    return ImageGrid(boxes, (rows, columns))


def _resized(images: Any, size: Size) -> Size:
    """Size after the image processor's resize."""
    target = images.size
    if not images.do_resize:
        return size
    if target.get("height") and target.get("width"):
        return int(target["width"]), int(target["height"])
    short = int(target["shortest_edge"])
    width, height = size
    if width <= height:
        return short, int(short * height / width)
    return int(short * width / height), short


def _crop_start(length: int, crop: int) -> int:
    """Where a centred crop starts; negative where the picture is smaller and is padded instead."""
    return (length - crop) // 2 if length >= crop else -math.ceil((crop - length) / 2)
