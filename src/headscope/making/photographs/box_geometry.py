"""What boxes alone decide about places, with margins: what is not clear is None, never a guess."""

from __future__ import annotations

import math
from dataclasses import dataclass

Box = tuple[float, float, float, float]
COLUMNS = ("left", "middle", "right")
ROWS = ("top", "middle", "bottom")


@dataclass(frozen=True)
class Margins:
    """How clear a place has to be before a question is asked about it; shares are of 1.

    Attributes:
        side: fewest pixels of a box's width and height.
        area: least share of the picture that a box fills.
        overlap: most that two boxes may share of the narrower one, along the axis that is asked about.
        lean: how many times farther apart two centres are along that axis than across it, at least.
        border: least distance of a centre from the line between two parts, as a share of the picture.
        inside: least share of a box, along the axis, on its own side of the middle line.
        larger: least ratio of the areas of two boxes.
        nearer: least ratio of two distances.
        count: most things to be counted on one side.
    """

    side: float = 16.0
    area: float = 0.004
    overlap: float = 0.25
    lean: float = 1.0
    border: float = 0.06
    inside: float = 0.85
    larger: float = 2.0
    nearer: float = 1.6
    count: int = 6


DEFAULT_MARGINS = Margins()


def box_area(box: Box) -> float:
    """Pixels within a box."""
    return (box[2] - box[0]) * (box[3] - box[1])


def centre(box: Box) -> tuple[float, float]:
    """The middle of a box, (x, y) in pixels."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def is_visible(box: Box, size: tuple[int, int], margins: Margins = DEFAULT_MARGINS) -> bool:
    """Whether a box is large enough to be asked about."""
    low = min(box[2] - box[0], box[3] - box[1])
    return low >= margins.side and box_area(box) >= margins.area * size[0] * size[1]


def side_of(a: Box, b: Box, margins: Margins = DEFAULT_MARGINS) -> str | None:
    """Where ``a`` lies, seen from ``b``, in the picture: ``left``, ``right``, or None where it is not clear.

    Example:
        >>> side_of((0, 40, 10, 60), (50, 40, 70, 60)), side_of((0, 0, 10, 10), (2, 50, 12, 60))
        ('left', None)
    """
    return _order(a, b, 0, ("left", "right"), margins)


def height_of(a: Box, b: Box, margins: Margins = DEFAULT_MARGINS) -> str | None:
    """Where ``a`` lies, seen from ``b``, in the picture: ``above``, ``below``, or None."""
    return _order(a, b, 1, ("above", "below"), margins)


def _order(a: Box, b: Box, axis: int, names: tuple[str, str], margins: Margins) -> str | None:
    along = centre(a)[axis] - centre(b)[axis]
    across = centre(a)[1 - axis] - centre(b)[1 - axis]
    shared = min(a[axis + 2], b[axis + 2]) - max(a[axis], b[axis])
    narrower = min(a[axis + 2] - a[axis], b[axis + 2] - b[axis])
    if along == 0 or abs(along) < margins.lean * abs(across) or shared > margins.overlap * narrower:
        return None
    return names[0] if along < 0 else names[1]


def column_of(box: Box, width: int, margins: Margins = DEFAULT_MARGINS) -> str | None:
    """The third of the picture that a box lies in: ``left``, ``middle``, ``right``, or None."""
    return _third(box[0], box[2], width, COLUMNS, margins)


def row_of(box: Box, height: int, margins: Margins = DEFAULT_MARGINS) -> str | None:
    """The third of the picture that a box lies in: ``top``, ``middle``, ``bottom``, or None."""
    return _third(box[1], box[3], height, ROWS, margins)


def _third(low: float, high: float, length: int, names: tuple[str, ...], margins: Margins) -> str | None:
    middle = (low + high) / 2 / length
    if (high - low) / length > 0.5 or min(abs(middle - 1 / 3), abs(middle - 2 / 3)) < margins.border:
        return None
    return names[min(2, int(middle * 3))]


def half_of(box: Box, width: int, margins: Margins = DEFAULT_MARGINS) -> str | None:
    """The half of the picture that a box lies in, nearly all of it: ``left``, ``right``, or None."""
    share = (min(box[2], width / 2) - box[0]) / (box[2] - box[0])
    if abs(centre(box)[0] / width - 0.5) < margins.border:
        return None
    if share >= margins.inside:
        return "left"
    return "right" if 1 - max(share, 0.0) >= margins.inside else None


def gap(a: Box, b: Box) -> float:
    """Pixels between the edges of two boxes; 0 where they touch."""
    dx = max(a[0] - b[2], b[0] - a[2], 0.0)
    dy = max(a[1] - b[3], b[1] - a[3], 0.0)
    return math.hypot(dx, dy)


def is_nearer(x: Box, y: Box, z: Box, margins: Margins = DEFAULT_MARGINS) -> bool | None:
    """Whether ``x`` is nearer to ``z`` than ``y`` is: by centres and by edges alike, or None."""
    far, close = math.dist(centre(y), centre(z)), math.dist(centre(x), centre(z))
    edge_far, edge_close = gap(y, z), gap(x, z)
    if far >= margins.nearer * close and edge_far > margins.nearer * edge_close:
        return True
    if close >= margins.nearer * far and edge_close > margins.nearer * edge_far:
        return False
    return None


def is_larger(a: Box, b: Box, margins: Margins = DEFAULT_MARGINS) -> bool | None:
    """Whether ``a`` fills more of the picture than ``b``, or None where the two are close."""
    ratio = box_area(a) / box_area(b)
    if ratio >= margins.larger:
        return True
    return False if ratio <= 1 / margins.larger else None
