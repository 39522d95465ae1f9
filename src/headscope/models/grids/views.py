"""Maps of families that look at a picture several times, each with a cut of its own: tiles, slices, windows,
crops, and the whole. Their image processors exist only with torchvision and are asked what they decide."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from headscope.models.grids.layouts import (
    Rect,
    Size,
    back,
    nowhere,
    tiles,
    view,
    whole,
    with_line_ends,
)
from headscope.models.types import ImageGrid


def cohere2(processor: Any, size: Size, inputs: dict[str, Tensor], _item: int) -> ImageGrid:
    """Cohere 2 Vision: tiles of the stretched picture row by row, then the whole if there are several."""
    del inputs
    from transformers.models.cohere2_vision.image_processing_cohere2_vision import get_optimal_tiled_canvas

    images = processor.image_processor
    n = int(processor.patch_size)  # tokens along a tile, whatever its name says
    rows = columns = 1
    if images.crop_to_patches:
        tile = (int(images.size["height"]), int(images.size["width"]))
        columns, rows = get_optimal_tiled_canvas(
            size[::-1], tile, int(images.min_patches), int(images.max_patches)
        )
    return _tiled(size, rows, columns, (n, n))


def perception(processor: Any, size: Size, inputs: dict[str, Tensor], _item: int) -> ImageGrid:
    """Perception LM: the whole picture, then tiles of the stretched picture row by row."""
    images = processor.image_processor
    n = int(inputs["pixel_values"].shape[-1]) // int(processor.patch_size) // int(processor.pooling_ratio)
    boxes = [view(whole(size), n, n)]
    if images.vision_input_type != "thumb+tile":
        return ImageGrid(boxes[0], (n, n))
    asked = {"img_width": size[0], "img_height": size[1], "tile_size": int(images.tile_size)}
    columns, rows = images._fit_image_to_canvas(**asked) or images._find_closest_aspect_ratio(**asked)
    boxes += [view(rect, n, n) for rect in tiles(whole(size), rows, columns)]
    return ImageGrid(torch.cat(boxes))


def llama4(processor: Any, size: Size, inputs: dict[str, Tensor], _item: int) -> ImageGrid:
    """Llama 4: tiles of the picture padded on the right and below, then the whole, stretched."""
    from transformers.models.llama4 import image_processing_llama4 as cut

    images = processor.image_processor
    edge = int(images.size["height"])
    n = edge // int(processor.patch_size) // math.isqrt(int(processor.downsample_ratio))
    possible = torch.tensor(cut.find_supported_resolutions(int(images.max_patches), images.size))
    most = bool(images.resize_to_max_canvas)
    shape = size[::-1]
    canvas = [int(v) for v in cut.get_best_fit(shape, possible, resize_to_max_canvas=most)]
    room = canvas if most else [min(max(s, edge), c) for s, c in zip(shape, canvas, strict=True)]
    high, wide = (max(v, 1) for v in cut.get_max_res_without_distortion(shape, (room[0], room[1])))
    scale = (wide / size[0], high / size[1])
    padded = Rect(0.0, 0.0, canvas[1] / scale[0], canvas[0] / scale[1])
    parts = tiles(padded, canvas[0] // edge, canvas[1] // edge)
    if len(parts) == 1:
        return ImageGrid(view(padded, n, n), (n, n))
    return ImageGrid(torch.cat([view(rect, n, n) for rect in (*parts, whole(size))]))


def lfm2(processor: Any, size: Size, inputs: dict[str, Tensor], _item: int) -> ImageGrid:
    """LFM2-VL: a small picture in its own shape; of a large one tiles row by row, then the whole."""
    del inputs
    images = processor.image_processor
    width, height = size
    token = int(images.encoder_patch_size) * int(images.downsample_factor)
    common = {
        name: int(getattr(images, name))
        for name in ("max_image_tokens", "encoder_patch_size", "downsample_factor")
    }
    least = int(images.min_image_tokens)
    wide, high = images.smart_resize(height, width, min_image_tokens=least, **common)
    shape = (high // token, wide // token)
    tolerance = float(images.max_pixels_tolerance)
    large = images._is_image_too_large(height, width, max_pixels_tolerance=tolerance, **common)
    limits = (int(images.min_tiles), int(images.max_tiles), int(images.tile_size))
    if not images.do_image_splitting or limits[:2] == (1, 1) or not large:
        return ImageGrid(view(whole(size), *shape), shape)
    columns, rows = images._get_grid_layout(height, width, *limits)[:2]
    n = math.ceil(limits[2] // int(images.encoder_patch_size) / int(images.downsample_factor))
    boxes = [view(rect, n, n) for rect in tiles(whole(size), rows, columns)]
    if images.use_thumbnail and rows * columns > 1:
        boxes.append(view(whole(size), *shape))
    return ImageGrid(torch.cat(boxes))


def minicpm(processor: Any, size: Size, inputs: dict[str, Tensor], _item: int) -> ImageGrid:
    """MiniCPM-OCR: the whole picture, then its slices row by row."""
    del inputs
    images = processor.image_processor
    if images.small_image_upsize == "adaptive":
        return ImageGrid(None, None, "its slices' sizes depend on what they show (small_image_upsize)")
    token = int(images.patch_size) * math.isqrt(int(processor.image_token_divisor))
    common = (int(images.scale_resolution), int(images.patch_size), images.downsample_mode)
    cut = images.get_sliced_grid(size[::-1], int(images.max_slice_nums), common[0])
    cut = cut if images.slice_mode else None
    always = cut is None and images.small_image_upsize == "always"
    high, wide = images.find_best_resize(size[::-1], *common, allow_upscale=always)
    shape = (high // token, wide // token)
    if cut is None:
        return ImageGrid(view(whole(size), *shape), shape)
    high, wide = images.get_refine_size(size[::-1], cut, *common, allow_upscale=True)
    part = (high // cut[0] // token, wide // cut[1] // token)
    boxes = [view(rect, *part) for rect in tiles(whole(size), *cut)]
    return ImageGrid(torch.cat([view(whole(size), *shape), *boxes]))


def step(processor: Any, size: Size, inputs: dict[str, Tensor], _item: int) -> ImageGrid:
    """Step 3.7: windows row by row, then the whole; a very thin picture is padded to a square first."""
    del inputs
    images = processor.image_processor
    planned = images._plan_patches(*size, int(images.size["height"]), int(images.patch_size))
    _, _, window, columns, rows, squared = planned
    seen = Rect(0.0, 0.0, *[float(max(size))] * 2) if squared else whole(size)
    n, m = (math.isqrt(int(getattr(processor, f"num_{x}_feature_size"))) for x in ("image", "patch"))
    boxes = [view(rect, m, m) for rect in tiles(seen, rows, columns)] if window else []
    return ImageGrid(torch.cat([*boxes, view(seen, n, n)]), None if boxes else (n, n))


def unlimited(processor: Any, size: Size, inputs: dict[str, Tensor], _item: int) -> ImageGrid:
    """Unlimited OCR: tiles joined to one grid, then the whole padded to a square; lines end in a newline."""
    del inputs
    from transformers.models.unlimited_ocr.image_processing_unlimited_ocr import get_optimal_tiled_canvas

    images = processor.image_processor
    edge, tile = max(int(images.size["height"]), int(images.size["width"])), int(images.tile_size)
    n, m = (math.ceil(s // int(processor.patch_size) / int(processor.downsample_ratio)) for s in (edge, tile))
    boxes = []
    if images.crop_to_patches and max(size) > tile:
        limits = (int(images.min_patches), int(images.max_patches))
        columns, rows = get_optimal_tiled_canvas(size[::-1], (tile, tile), *limits)
        boxes = [with_line_ends(view(whole(size), rows * m, columns * m), rows * m)]
    rect = whole(size)
    if images.crop_to_patches or edge > int(images.maximum_pad_value):
        wide, high = (round(length * edge / max(size)) for length in size)
        square = Rect(0.0, 0.0, *[float(max(wide, high))] * 2)
        offset = ((max(wide, high) - wide) // 2, (max(wide, high) - high) // 2)
        rect = back(square, (wide / size[0], high / size[1]), offset)
    return ImageGrid(torch.cat([*boxes, with_line_ends(view(rect, n, n), n), nowhere(1)]))


def molmo2(processor: Any, size: Size, inputs: dict[str, Tensor], _item: int) -> ImageGrid:
    """Molmo 2: the whole picture, then overlapping crops joined to one grid; patches pooled."""
    del inputs
    from transformers.models.molmo2.image_processing_molmo2 import compute_crop_geometry

    images = processor.image_processor
    patch, edge = int(images.patch_size), int(images.size["height"])
    pooled = [int(n) for n in images.pooling_size]
    *_, high, wide = compute_crop_geometry(
        size[1], size[0], int(images.max_crops), list(images.overlap_margins), edge, patch
    )
    shapes = ((edge // patch, edge // patch), (high // patch, wide // patch))
    return ImageGrid(torch.cat([_pooled(size, shape, pooled) for shape in shapes]))


def _pooled(size: Size, patches: tuple[int, int], pooled: list[int]) -> Tensor:
    """An even grid of patches over the whole picture, pooled; where it does not come out even, a window at
    the border reaches past it."""
    shape = [math.ceil(n / p) for n, p in zip(patches, pooled, strict=True)]
    before = [(m * p - n) // 2 for m, n, p in zip(shape, patches, pooled, strict=True)]
    (rows, columns), step = shape, (size[0] / patches[1], size[1] / patches[0])
    x0, y0 = -before[1] * step[0], -before[0] * step[1]
    x1, y1 = x0 + columns * pooled[1] * step[0], y0 + rows * pooled[0] * step[1]
    return view(Rect(x0, y0, x1, y1), rows, columns)


def _tiled(size: Size, rows: int, columns: int, shape: tuple[int, int]) -> ImageGrid:
    """Tiles of a picture, and the whole besides if there are several."""
    if rows * columns == 1:
        return ImageGrid(view(whole(size), *shape), shape)
    parts = [*tiles(whole(size), rows, columns), whole(size)]
    return ImageGrid(torch.cat([view(rect, *shape) for rect in parts]))
