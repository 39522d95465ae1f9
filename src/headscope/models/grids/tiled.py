"""Maps of families that cut a picture into tiles and look at the whole besides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from headscope.models.grids.layouts import (
    ImageSettings,
    Rect,
    Size,
    Span,
    between,
    side,
    tiles,
    view,
    whole,
    with_line_ends,
)
from headscope.models.types import ImageGrid

_IDEFICS_LIMIT = 4096


def anyres(processor: Any, size: Size, inputs: dict[str, Tensor], _item: int) -> ImageGrid:
    """LLaVA-NeXT and LLaVA-OneVision: the whole picture, then the tiles as one grid without its padding.

    Each line of the second grid ends in a newline token. LLaVA-OneVision shrinks a large grid
    (``vision_aspect_ratio`` anyres_max_N).
    """
    height, width = (int(n) for n in inputs["pixel_values"].shape[-2:])
    images = ImageSettings(processor)
    edge = images.size.get("shortest_edge") or images.size.get("height")
    if (edge, edge) != (height, width):
        return ImageGrid(
            None, None, f"pictures of {edge} pixels cropped to {width} x {height} are not mapped"
        )
    if hasattr(processor, "num_image_tokens"):  # LLaVA-OneVision
        rows = columns = side(int(processor.num_image_tokens))
    else:
        rows, columns = height // int(processor.patch_size), width // int(processor.patch_size)
        extra = int(processor.num_additional_image_tokens or 0)
        if (processor.vision_feature_select_strategy == "default") != (extra == 1):
            return ImageGrid(None, None, "class tokens inside tiles are not mapped")
    # Patches that do not fill a tile leave its right and lower edge unseen (384 pixels hold 27 of 14).
    across, down = (Patches(edge, tokens, edge // tokens) for tokens in (columns, rows))
    seen = view(whole(size), rows, columns) * torch.tensor([across.share, down.share] * 2)
    canvas, drop, joined = _unpadded(images, size, (width, height), (columns, rows))
    shape = (joined[1] - 2 * drop[1], joined[0] - 2 * drop[0])
    shown = _shrunk(processor, shape, rows)
    xs = [canvas.x(span) for span in across.spans(drop[0], shape[1], shown[1])]
    ys = [canvas.y(span) for span in down.spans(drop[1], shape[0], shown[0])]
    return ImageGrid(torch.cat([seen, with_line_ends(between(xs, ys), shown[0])]))


class Patches(NamedTuple):
    """Patches along a side of joined tiles: ``tokens`` of ``size`` pixels in each tile of ``edge`` pixels."""

    edge: int
    tokens: int
    size: int

    @property
    def share(self) -> float:
        """Which part of a tile's side they fill."""
        return self.tokens * self.size / self.edge

    def at(self, token: float, end: bool) -> float:
        """The pixel where a token (and a fraction of one) begins, or where the one before it ends."""
        token = round(token, 6)
        before = math.ceil(token) - 1 if end else math.floor(token)
        tile, within = divmod(before, self.tokens)
        return tile * self.edge + (within + token - before) * self.size

    def spans(self, first: int, kept: int, shown: int) -> list[Span]:
        """First and last pixel of ``shown`` tokens made evenly of ``kept`` ones from ``first`` on."""
        step = kept / shown
        return [
            (self.at(first + i * step, False), self.at(first + (i + 1) * step, True)) for i in range(shown)
        ]


class Canvas(NamedTuple):
    """How a picture lies on the joined tiles: pixels of theirs per pixel of its own, and where it begins."""

    scale: tuple[float, float]
    offset: tuple[int, int]

    def x(self, span: Span) -> Span:
        """A span of the joined tiles across, in pixels of the picture."""
        return (span[0] - self.offset[0]) / self.scale[0], (span[1] - self.offset[0]) / self.scale[0]

    def y(self, span: Span) -> Span:
        """The same down."""
        return (span[0] - self.offset[1]) / self.scale[1], (span[1] - self.offset[1]) / self.scale[1]


def _unpadded(images: Any, size: Size, tile: Size, patches: Size) -> tuple[Canvas, Size, Size]:
    """How the picture lies on the joined tiles, how many lines of padding tokens are dropped on each side
    (across, down), and how many tokens there are in all (across, down)."""
    from transformers.image_processing_utils import select_best_resolution

    (width, height), (columns, rows) = size, patches
    high, wide = select_best_resolution((height, width), images.image_grid_pinpoints)
    rows, columns = rows * (high // tile[1]), columns * (wide // tile[0])
    scale_x, scale_y = wide / width, high / height
    if scale_x < scale_y:
        new_width, new_height = wide, min(math.ceil(height * scale_x), high)
    else:
        new_width, new_height = min(math.ceil(width * scale_y), wide), high
    drop_x = drop_y = 0
    if width / height > columns / rows:
        drop_y = (rows - int(round(height * (columns / width), 7))) // 2
    else:
        drop_x = (columns - int(round(width * (rows / height), 7))) // 2
    offset = ((wide - new_width) // 2, (high - new_height) // 2)
    canvas = Canvas((new_width / width, new_height / height), offset)
    return canvas, (drop_x, drop_y), (columns, rows)


def _shrunk(processor: Any, shape: tuple[int, int], rows: int) -> tuple[int, int]:
    """(rows, columns) after LLaVA-OneVision's interpolation of large grids."""
    limit = str(getattr(processor, "vision_aspect_ratio", "") or "").removeprefix("anyres_max_")
    if not limit.isdigit():
        return shape
    ratio = math.sqrt(shape[0] * shape[1] / (int(limit) * rows**2))
    return (int(shape[0] // ratio), int(shape[1] // ratio)) if ratio > 1.1 else shape


def internvl(processor: Any, size: Size, inputs: dict[str, Tensor], item: int) -> ImageGrid:
    """InternVL: tiles of the stretched picture row by row, then the whole picture if there are several."""
    del inputs, item
    return _canvas(ImageSettings(processor), size, int(processor.image_seq_length))


def aya(processor: Any, size: Size, inputs: dict[str, Tensor], item: int) -> ImageGrid:
    """Aya Vision: as InternVL; tile names are text tokens, not image tokens."""
    del inputs, item
    n = int(processor.img_size) // int(processor.patch_size)
    return _canvas(ImageSettings(processor), size, n * n)


def _canvas(images: Any, size: Size, count: int) -> ImageGrid:
    """Tiles as GotOcr2's image processor cuts them, ``count`` tokens each."""
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import get_optimal_tiled_canvas

    n = side(count)
    if not n:
        return ImageGrid(None, None, f"{count} tokens a tile form no square grid")
    rows = columns = 1
    if images.crop_to_patches and int(images.max_patches) > 1:
        tile = (int(images.size["height"]), int(images.size["width"]))
        columns, rows = get_optimal_tiled_canvas(
            (size[1], size[0]), tile, int(images.min_patches), int(images.max_patches)
        )
    return _tiled(size, rows, columns, n)


def _tiled(size: Size, rows: int, columns: int, n: int) -> ImageGrid:
    """Tiles of a picture, n x n tokens each, and the whole besides if there are several."""
    if rows * columns == 1:
        return ImageGrid(view(whole(size), n, n), (n, n))
    parts = [*tiles(whole(size), rows, columns), whole(size)]
    return ImageGrid(torch.cat([view(rect, n, n) for rect in parts]))


def idefics3(processor: Any, size: Size, inputs: dict[str, Tensor], _item: int) -> ImageGrid:
    """Idefics3 and SmolVLM: tiles row by row, then the whole picture; tags and lines are text tokens."""
    del inputs
    images = ImageSettings(processor)
    n = side(int(processor.image_seq_len))
    if not n:
        return ImageGrid(None, None, f"{processor.image_seq_len} tokens a tile form no square grid")
    if not images.do_image_splitting:
        return _tiled(size, 1, 1, n)
    edge = int(images.max_image_size["longest_edge"])
    width, height = _idefics_size(size, images)
    if width >= height:
        wide = math.ceil(width / edge) * edge
        high = math.ceil(int(wide / (width / height)) / edge) * edge
    else:
        high = math.ceil(height / edge) * edge
        wide = math.ceil(int(high * (width / height)) / edge) * edge
    return _tiled(size, high // edge, wide // edge, n)


def _idefics_size(size: Size, images: Any) -> Size:
    """(width, height) after the first resize, to a longest edge with an even shorter one."""
    width, height = size
    if not images.do_resize:
        return size
    if not images.size.get("longest_edge"):
        return int(images.size["width"]), int(images.size["height"])
    longest, ratio = int(images.size["longest_edge"]), width / height
    if width >= height:
        width, height = longest, int(longest / ratio)
        height += height % 2
    else:
        width, height = int(longest * ratio), longest
        width += width % 2
    width, height = max(width, 1), max(height, 1)
    ratio = width / height
    if width >= height and width > _IDEFICS_LIMIT:
        width, height = _IDEFICS_LIMIT, int(_IDEFICS_LIMIT / ratio)
    elif height > width and height > _IDEFICS_LIMIT:
        width, height = int(_IDEFICS_LIMIT * ratio), _IDEFICS_LIMIT
    return max(width, 1), max(height, 1)


def gemma3(processor: Any, size: Size, inputs: dict[str, Tensor], _item: int) -> ImageGrid:
    """Gemma 3: the whole picture, pooled to a square grid; with pan-and-scan its crops after it."""
    del inputs
    n = side(int(processor.image_seq_length))
    images = ImageSettings(processor)
    names = ("do_pan_and_scan", *(f"pan_and_scan_{x}" for x in _PAN))
    options = {name: getattr(images, name) for name in names}
    parts = [whole(size)]
    if options["do_pan_and_scan"]:
        parts += _pan_and_scan(images, size, {name: options[name] for name in names[1:]})
    boxes = torch.cat([view(rect, n, n) for rect in parts])
    return ImageGrid(boxes, (n, n) if len(parts) == 1 else None)


_PAN = ("min_crop_size", "max_num_crops", "min_ratio_to_activate")


def _pan_and_scan(images: Any, size: Size, options: Mapping[str, Any]) -> list[Rect]:
    """Crops in a row or in a column, all as large as the first but the last, which may be cut off."""
    width, height = size
    blank = np.broadcast_to(np.zeros(1, np.uint8), (3, height, width))
    # The PIL form's method, else torchvision's; both cut by the picture's shape alone.
    cut = getattr(images, "pan_and_scan", None) or images.pan_and_scan_batched
    crops = [c.shape[1:] for c in cut(blank, **options)]
    if not crops:
        return []
    high, wide = crops[0]
    across = wide < width
    starts = [(i * wide, 0) if across else (0, i * high) for i in range(len(crops))]
    return [Rect(x, y, x + w, y + h) for (x, y), (h, w) in zip(starts, crops, strict=True)]
