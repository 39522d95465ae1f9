"""Maps of families that stretch a picture to a multiple of the patch and keep its shape."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from headscope.models.grids.layouts import Settings, Size, cells
from headscope.models.types import ImageGrid


def merged(processor: Any, size: Size, inputs: dict[str, Tensor], item: int) -> ImageGrid:
    """Qwen2-VL and its kin: ``image_grid_thw`` patches, ``merge_size`` x ``merge_size`` to a token."""
    merge = int(Settings(processor).merge_size)
    _, rows, columns = (int(n) for n in inputs["image_grid_thw"][item])
    shape = (rows // merge, columns // merge)
    return ImageGrid(cells(size, *shape), shape)


def pixtral(processor: Any, size: Size, inputs: dict[str, Tensor], item: int) -> ImageGrid:
    """Pixtral: one token a (merged) patch; breaks and ends of lines are text tokens, not image tokens."""
    merge = int(getattr(processor, "spatial_merge_size", 1) or 1)
    patch = int(processor.patch_size) * merge
    height, width = (int(n) for n in inputs["image_sizes"][item])
    shape = (height // patch, width // patch)
    return ImageGrid(cells(size, *shape), shape)


def gemma4(processor: Any, size: Size, inputs: dict[str, Tensor], item: int) -> ImageGrid:
    """Gemma 4: ``pooling_kernel_size`` x ``pooling_kernel_size`` patches pooled to a token, by position."""
    pooled = int(Settings(processor).pooling_kernel_size)
    columns, rows = (int(n) + 1 for n in inputs["image_position_ids"][item].amax(dim=0))
    shape = (rows // pooled, columns // pooled)
    return ImageGrid(cells(size, *shape), shape)
