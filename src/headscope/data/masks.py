"""Masks of pictures: COCO's run lengths and polygons, the boxes around them, and points within them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from headscope.data.fields import RecordError
from headscope.data.pictures import MAX_PIXELS, show
from headscope.records import JsonObject

Box = tuple[float, float, float, float]


def encoded(mask: np.ndarray) -> JsonObject:
    """(height, width) of true and false as COCO's uncompressed run lengths, column by column from false.

    Example:
        >>> encoded(np.array([[False, True], [False, True]]))
        {'size': [2, 2], 'counts': [2, 2]}
    """
    flat = np.asarray(mask, dtype=bool).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat.size and flat[0] else counts}


def decoded(value: object, field: str) -> np.ndarray:
    """The mask of COCO's run lengths, compressed (text) or not.

    Raises:
        RecordError: it is none, or its runs do not fill its size.

    Example:
        >>> decoded({"size": [2, 2], "counts": [2, 2]}, "mask").tolist()
        [[False, True], [False, True]]
    """
    size = value.get("size") if isinstance(value, dict) else None
    runs = value.get("counts") if isinstance(value, dict) else None
    if not isinstance(size, list | tuple) or len(size) != 2 or not all(_whole(v) for v in size):
        raise RecordError(field, "wrong value", show(value), "run lengths: size and counts")
    high, wide = int(size[0]), int(size[1])
    if high * wide > MAX_PIXELS:
        raise RecordError(field, "enormous mask", f"{high} x {wide}", f"at most {MAX_PIXELS} pixels")
    given = _uncompressed(runs) if isinstance(runs, str | bytes) else runs
    counts = [v for v in given if _whole(v)] if isinstance(given, list | tuple) else []
    if not isinstance(given, list | tuple) or len(counts) != len(given) or sum(counts) != high * wide:
        raise RecordError(field, "wrong value", show(runs), f"runs that add up to {high * wide}")
    marks = np.arange(len(counts)) % 2 == 1
    return np.repeat(marks, np.array(counts, dtype=np.int64)).reshape((high, wide), order="F")


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 2**40


def _uncompressed(text: str | bytes) -> list[int]:
    """COCO's compressed counts: five bits a character, from the third run on as differences."""
    raw = text.encode("ascii", "replace") if isinstance(text, str) else text
    counts: list[int] = []
    place = 0
    while place < len(raw):
        value, shift, more = 0, 0, True
        while more and place < len(raw):
            char = raw[place] - 48
            place += 1
            value |= (char & 0x1F) << shift
            more, shift = bool(char & 0x20), shift + 5
            if not more and char & 0x10:
                value |= -1 << shift
            if shift > 60:
                return [-1]
        counts.append(value + counts[-2] if len(counts) > 2 else value)
    return counts


def box_of_mask(mask: np.ndarray) -> Box | None:
    """(x0, y0, x1, y1) around what is true, x1 and y1 exclusive; None where nothing is."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def box_of_segmentation(value: object, field: str) -> Box:
    """(x0, y0, x1, y1) around COCO's ``segmentation``: polygons ([x, y, x, y ...] each) or run lengths.

    Raises:
        RecordError: it is neither, or empty.

    Example:
        >>> box_of_segmentation([[1, 2, 9, 2, 9, 7.5]], "segmentation")
        (1.0, 2.0, 9.0, 7.5)
    """
    if isinstance(value, dict):
        found = box_of_mask(decoded(value, field))
        if found is None:
            raise RecordError(field, "empty mask", show(value), "a mask of something")
        return found
    flat = list(value) if isinstance(value, list | tuple) else []
    if flat and not isinstance(flat[0], list | tuple):
        flat = [flat]
    points = [p for part in flat for p in points_of(part, field)]
    if len(points) < 2:
        raise RecordError(field, "wrong value", show(value), "polygons or run lengths")
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def points_of(value: object, field: str) -> list[tuple[float, float]]:
    """Points of a polygon: [[x, y], ...] or [x, y, x, y, ...].

    Raises:
        RecordError: it is neither, or a number is not finite.
    """
    parts = list(value) if isinstance(value, list | tuple) else []
    if parts and all(isinstance(p, list | tuple) and len(p) == 2 for p in parts):
        parts = [v for p in parts for v in p]
    numbers = [
        float(v) for v in parts if isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 1e12
    ]
    if len(numbers) != len(parts) or len(parts) % 2 or not parts:
        raise RecordError(field, "wrong value", show(value), "points: x and y of each")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def inside(x: float, y: float, polygon: Sequence[tuple[float, float]]) -> bool:
    """Whether a point lies within a polygon, by how often a ray from it crosses its sides.

    Example:
        >>> inside(1, 1, [(0, 0), (4, 0), (0, 4)]), inside(3, 3, [(0, 0), (4, 0), (0, 4)])
        (True, False)
    """
    within = False
    for (xi, yi), (xj, yj) in pairwise([*polygon, polygon[0]]):
        if (yi > y) != (yj > y) and x < (xj - xi) * (y - yi) / (yj - yi) + xi:
            within = not within
    return within
