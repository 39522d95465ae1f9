"""What every reader of labels gives: pictures with named boxes in pixels, and refusals with their reasons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from headscope.data.fields import RecordError
from headscope.data.pictures import show

Box = tuple[float, float, float, float]
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


class LabelledBox(NamedTuple):
    """One thing: its kind, and (x0, y0, x1, y1) in pixels."""

    kind: str
    box: Box


@dataclass
class LabelledPicture:
    """A picture's name, size and boxes.

    Attributes:
        notes: what was done to its labels or left out of them, in a few words each.
    """

    name: str
    size: tuple[int, int]
    boxes: list[LabelledBox] = field(default_factory=list)
    notes: tuple[str, ...] = ()


class RefusedLabels(NamedTuple):
    """A file or a picture whose labels cannot be used, with the reason."""

    file: str
    reason: str


def checked(box: Box, size: tuple[int, int], at: str) -> Box:
    """A box with an area, cut to its picture.

    Raises:
        RecordError: it has none, is not finite, or lies more than 2 pixels (2 % of the side) outside.
    """
    x0, y0, x1, y1 = box
    shown = f"({', '.join(f'{v:g}' for v in box)})"
    if not all(map(math.isfinite, box)) or x1 <= x0 or y1 <= y0:
        raise RecordError(at, "empty box", shown, "x0 < x1 and y0 < y1")
    for low, high, side in ((x0, x1, size[0]), (y0, y1, size[1])):
        slack = max(2.0, 0.02 * side)
        if low < -slack or high > side + slack:
            raise RecordError(at, "box outside the picture", shown, f"within {size[0]} x {size[1]} pixels")
    inside = max(x0, 0.0), max(y0, 0.0), min(x1, float(size[0])), min(y1, float(size[1]))
    if inside[2] <= inside[0] or inside[3] <= inside[1]:  # it lies beside the picture, by less than that
        raise RecordError(at, "box outside the picture", shown, f"within {size[0]} x {size[1]} pixels")
    return inside


def around(points: Sequence[tuple[float, float]], at: str) -> Box:
    """The box around points.

    Raises:
        RecordError: there are fewer than two.
    """
    if len(points) < 2:
        raise RecordError(at, "too few points", str(len(points)), "two or more")
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def turned(box: Box, degrees: float, about: tuple[float, float]) -> Box:
    """The box around a box that is turned clockwise about a point.

    Example:
        >>> [round(v, 6) for v in turned((0, 0, 4, 2), 90, (0, 0))]
        [-2.0, 0.0, 0.0, 4.0]
    """
    angle = math.radians(degrees)
    sine, cosine = math.sin(angle), math.cos(angle)
    corners = [(x, y) for x in (box[0], box[2]) for y in (box[1], box[3])]
    moved = [
        (
            about[0] + (x - about[0]) * cosine - (y - about[1]) * sine,
            about[1] + (x - about[0]) * sine + (y - about[1]) * cosine,
        )
        for x, y in corners
    ]
    return around(moved, "box")


def number(value: object, at: str) -> float:
    """A finite number, as such or as text.

    Raises:
        RecordError: it is none.
    """
    try:
        found = (
            float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
        )
    except (ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise RecordError(at, "wrong value", show(value), "a number")
    return found


def size_in(value_of_width: object, value_of_height: object, at: str) -> tuple[int, int]:
    """A picture's size from two numbers.

    Raises:
        RecordError: one of them is none, or below 1.
    """
    wide, high = number(value_of_width, f"{at}width"), number(value_of_height, f"{at}height")
    if min(wide, high) < 1 or max(wide, high) > 2**20:
        raise RecordError(f"{at}width", "no size", f"{wide:g} x {high:g}", "pixels, at least 1")
    return int(wide), int(high)
