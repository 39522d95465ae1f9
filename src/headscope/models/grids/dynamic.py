"""Maps of families that stretch a picture to a multiple of the patch and keep its shape."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from headscope.models.grids.layouts import ImageSettings, Size, cells
from headscope.models.types import ImageGrid


def merged(processor: Any, size: Size, inputs: dict[str, Tensor], item: int) -> ImageGrid:
    """Qwen2-VL and its kin: ``image_grid_thw`` patches, ``merge_size`` x ``merge_size`` to a token."""
    merge = int(ImageSettings(processor).merge_size)
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
    pooled = int(ImageSettings(processor).pooling_kernel_size)
    columns, rows = (int(n) + 1 for n in inputs["image_position_ids"][item].amax(dim=0))
    shape = (rows // pooled, columns // pooled)
    return ImageGrid(cells(size, *shape), shape)


def gemma4_unified(processor: Any, size: Size, inputs: dict[str, Tensor], item: int) -> ImageGrid:
    """Gemma 4 unified: a token for each position; what was pooled was so before."""
    del processor
    columns, rows = (int(n) + 1 for n in inputs["image_position_ids"][item].amax(dim=0))
    return ImageGrid(cells(size, rows, columns), (rows, columns))


def nemotron(processor: Any, size: Size, inputs: dict[str, Tensor], item: int) -> ImageGrid:
    """Nemotron: ``image_grid_hw`` patches, shuffled to a token by the inverse of ``downsample_ratio``."""
    merge = round(1 / float(processor.image_processor.downsample_ratio))
    rows, columns = (int(n) // merge for n in inputs["image_grid_hw"][item])
    return ImageGrid(cells(size, rows, columns), (rows, columns))


def kimi(processor: Any, size: Size, inputs: dict[str, Tensor], item: int) -> ImageGrid:
    """Kimi K2.5: the picture in its own shape, padded on the right and below, patches merged."""
    from transformers.models.kimi_k25.image_processing_kimi_k25 import navit_resize

    images = processor.image_processor
    patch, merge = int(images.patch_size), int(images.merge_size)
    (high, wide), _ = navit_resize(
        size[1], size[0], patch, merge, int(images.max_patches), int(images.size["max_height"])
    )
    _, rows, columns = (int(n) // merge for n in inputs["image_grid_thw"][item])
    token = patch * merge
    padded = (columns * token * size[0] / wide, rows * token * size[1] / high)
    return ImageGrid(cells(padded, rows, columns), (rows, columns))


def inkling(processor: Any, size: Size, inputs: dict[str, Tensor], _item: int) -> ImageGrid:
    """Inkling: patches of the picture as it is (or scaled), and a column of padding on the right."""
    del inputs
    images = processor.image_processor
    edge, longest = int(images.size["height"]), max(size)
    width, height = size
    if images.rescale_image_frac is not None:
        target = longest * float(images.rescale_image_frac)
        if (cap := images.rescale_image_max_upscaled_long_edge) is not None:
            target = min(target, max(int(cap), longest))
        width, height = (math.floor(length * target / longest + 0.5) for length in size)
    rows, columns = math.ceil(height / edge), width // edge + 1
    padded = (columns * edge * size[0] / width, rows * edge * size[1] / height)
    return ImageGrid(cells(padded, rows, columns), (rows, columns))


def inkling2(processor: Any, size: Size, inputs: dict[str, Tensor], item: int) -> ImageGrid:
    """Inkling 2: patches of the picture as it is, padded on the right and below."""
    edge = processor.image_processor.size
    _, rows, columns = (int(n) for n in inputs["image_grid_thw"][item])
    return ImageGrid(
        cells((columns * int(edge["width"]), rows * int(edge["height"])), rows, columns), (rows, columns)
    )
