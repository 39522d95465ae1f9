"""Rectangles of evenly cut views, and their way back through resize, padding and crop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

Size = tuple[int, int]  # width, height
Span = tuple[float, float]  # from, to


class Rect(NamedTuple):
    """A rectangle in pixels of the original picture; may reach past its border where the model pads."""

    x0: float
    y0: float
    x1: float
    y1: float


def whole(size: Size) -> Rect:
    """The rectangle of a whole picture."""
    return Rect(0.0, 0.0, float(size[0]), float(size[1]))


def view(rect: Rect, rows: int, columns: int) -> Tensor:
    """Rectangles x0, y0, x1, y1 of an even grid over a rectangle, row by row: (rows * columns, 4).

    Example:
        >>> view(Rect(2, 0, 6, 2), 1, 2).tolist()
        [[2.0, 0.0, 4.0, 2.0], [4.0, 0.0, 6.0, 2.0]]
    """
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    corners = torch.stack([x, y, x + 1, y + 1], dim=-1).reshape(-1, 4).to(torch.float64)
    width, height = rect.x1 - rect.x0, rect.y1 - rect.y0
    step = torch.tensor([width / columns, height / rows] * 2, dtype=torch.float64)
    return (corners * step + torch.tensor([rect.x0, rect.y0] * 2, dtype=torch.float64)).to(torch.float32)


def between(xs: Sequence[Span], ys: Sequence[Span]) -> Tensor:
    """Rectangles x0, y0, x1, y1 of a grid whose columns and rows lie anywhere, row by row: (tokens, 4).

    Example:
        >>> between([(0, 2), (3, 5)], [(0, 1)]).tolist()
        [[0.0, 0.0, 2.0, 1.0], [3.0, 0.0, 5.0, 1.0]]
    """
    boxes = [(x0, y0, x1, y1) for y0, y1 in ys for x0, x1 in xs]
    return torch.tensor(boxes, dtype=torch.float64).to(torch.float32)


def cells(size: tuple[float, float], rows: int, columns: int) -> Tensor:
    """Rectangles of an even grid over a picture of (width, height), row by row: (rows * columns, 4).

    Example:
        >>> cells((4, 2), 1, 2).tolist()
        [[0.0, 0.0, 2.0, 2.0], [2.0, 0.0, 4.0, 2.0]]
    """
    return view(Rect(0.0, 0.0, *map(float, size)), rows, columns)


def nowhere(count: int) -> Tensor:
    """Boxes of tokens that stand for no place (class tokens, ends of lines): (count, 4) of NaN."""
    return torch.full((count, 4), math.nan)


def with_line_ends(boxes: Tensor, rows: int) -> Tensor:
    """Boxes row by row, each row followed by one token that stands for no place."""
    grid = boxes.reshape(rows, -1, 4)
    return torch.cat([grid, nowhere(rows).reshape(rows, 1, 4)], dim=1).reshape(-1, 4)


def tiles(rect: Rect, rows: int, columns: int) -> list[Rect]:
    """A rectangle cut into rows x columns tiles, row by row."""
    return [Rect(*box) for box in view(rect, rows, columns).tolist()]


def back(rect: Rect, scale: tuple[float, float], offset: tuple[float, float]) -> Rect:
    """A rectangle of a resized and padded canvas, in pixels of the original picture.

    Args:
        scale: canvas pixels per original pixel, across and down.
        offset: where the picture's left upper corner lies on the canvas.
    """
    (sx, sy), (dx, dy) = scale, offset
    return Rect((rect.x0 - dx) / sx, (rect.y0 - dy) / sy, (rect.x1 - dx) / sx, (rect.y1 - dy) / sy)


def resized(images: Any, size: Size) -> Size:
    """(width, height) after an image processor's own resize.

    Knows the forms height and width (stretched), and shortest edge (aspect kept).
    """
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


def crop_start(length: int, crop: int) -> int:
    """Where a centred crop starts; negative where the picture is smaller and is padded instead."""
    return (length - crop) // 2 if length >= crop else -math.ceil((crop - length) / 2)


def side(count: int) -> int:
    """Rows (and columns) of a square grid of so many tokens; 0 if they form none."""
    root = math.isqrt(count)
    return root if root * root == count else 0


class ImageSettings:
    """A processor's image settings as they are used.

    The processor's own come before the image processor's: InternVL cuts pictures into tiles although its
    published image settings say that it does not.
    """

    def __init__(self, processor: Any) -> None:
        self._images = processor.image_processor
        older = getattr(getattr(processor, "valid_processor_kwargs", None), "_defaults", {})
        self._own = {**(getattr(processor, "images_kwargs", None) or {}), **older.get("images_kwargs", {})}

    def __getattr__(self, name: str) -> Any:
        return self._own[name] if name in self._own else getattr(self._images, name)
