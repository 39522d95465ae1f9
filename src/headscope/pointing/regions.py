"""Rectangles in pictures: boxes in pixels, the pixels they cover, and free places for boxes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]
"""(x0, y0, x1, y1) in pixels, x to the right and y down, x1 and y1 exclusive."""
Size = tuple[int, int]
"""(width, height) in pixels, as ``PIL.Image.size``."""
Mask = NDArray[np.bool_]


def generator(*key: object) -> np.random.Generator:
    """A random generator that depends on nothing but ``key``, the same on every machine."""
    digest = hashlib.sha256("\x1f".join(map(str, key)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def cover(box: Box, size: Size, pad: float = 0.0) -> tuple[int, int, int, int]:
    """Whole pixels touched by a box grown by ``pad`` on each side, clipped to the picture, never empty.

    Example:
        >>> cover((1.5, 2.0, 3.2, 4.0), (10, 10))
        (1, 2, 4, 4)
    """
    width, height = size
    x0, x1 = _span(box[0] - pad, box[2] + pad, width)
    y0, y1 = _span(box[1] - pad, box[3] + pad, height)
    return x0, y0, x1, y1


def _span(low: float, high: float, end: int) -> tuple[int, int]:
    start = min(max(int(np.floor(low)), 0), end - 1)
    return start, max(min(int(np.ceil(high)), end), start + 1)


def mask_of(boxes: Sequence[Box], size: Size, pad: float = 0.0) -> Mask:
    """Pixels inside any of the boxes: bool (row, column)."""
    mask = np.zeros((size[1], size[0]), dtype=bool)
    for box in boxes:
        x0, y0, x1, y1 = cover(box, size, pad)
        mask[y0:y1, x0:x1] = True
    return mask


def area(box: Box) -> float:
    """Area in square pixels; zero for a box turned inside out."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def overlap(a: Box, b: Box) -> float:
    """Area that two boxes share, in square pixels."""
    return area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))


def iou(a: Box, b: Box) -> float:
    """Shared area over joint area, 0 to 1."""
    shared = overlap(a, b)
    joint = area(a) + area(b) - shared
    return shared / joint if joint > 0 else 0.0


def union(boxes: Sequence[Box]) -> Box:
    """The smallest box around all of them."""
    return (
        min(b[0] for b in boxes),
        min(b[1] for b in boxes),
        max(b[2] for b in boxes),
        max(b[3] for b in boxes),
    )


def place_elsewhere(
    width: float, height: float, size: Size, avoid: Sequence[Box], rng: np.random.Generator, tries: int = 200
) -> Box:
    """A box of this size inside the picture at a random place that shares no pixel with ``avoid``.

    Where ``tries`` random places all overlap something, the one with the least shared area is taken; a box
    wider or taller than the picture is cut to it.
    """
    width, height = min(width, size[0]), min(height, size[1])
    best, least = (0.0, 0.0, width, height), float("inf")
    for x, y in rng.random((tries, 2)):
        # Whole-pixel corners: a ring and a mask then cover what the box covers.
        x0, y0 = np.floor(x * (size[0] - width + 1)), np.floor(y * (size[1] - height + 1))
        x0, y0 = min(float(x0), size[0] - width), min(float(y0), size[1] - height)
        box = (x0, y0, x0 + width, y0 + height)
        shared = sum(overlap(box, other) for other in avoid)
        if shared < least:
            best, least = box, shared
        if shared == 0:
            break
    return best
