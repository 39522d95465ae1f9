"""How boxes are written down: which numbers they are, in which unit, and whether a file's boxes are what it
says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

Box = tuple[float, float, float, float]
LAYOUTS = ("xyxy", "xywh", "cxcywh", "yxyx")
UNITS = {"": 1.0, "01": 1.0, "100": 100.0, "1000": 1000.0}
FORMS = tuple(layout + unit for layout in LAYOUTS for unit in UNITS)
_MANY = 20  # from so many boxes on, what none of them reaches says something
_MOSTLY = 0.2  # share of boxes that only another form puts into their pictures


def parts_of(form: str) -> tuple[str, str]:
    """(layout, unit) of a form.

    Raises:
        ValueError: an unknown form.

    Example:
        >>> parts_of("xywh1000")
        ('xywh', '1000')
    """
    layout = next((x for x in LAYOUTS if form.startswith(x) and form[len(x) :] in UNITS), None)
    if layout is None:
        raise ValueError(f"box form {form!r}, expected one of {', '.join(FORMS)}")
    return layout, form[len(layout) :]


def to_pixels(values: Sequence[float], form: str, size: tuple[int, int] | None) -> Box:
    """Four numbers as (x0, y0, x1, y1) in pixels, not cut to the picture.

    Args:
        form: one of :data:`FORMS`: which numbers they are (``xywh``: left, top, width, height; ``cxcywh``:
            the centre first), then the unit: nothing for pixels, ``01``, ``100`` (percent) or ``1000``.
        size: (width, height) of the picture; needed but for pixels.

    Raises:
        ValueError: an unknown form, or no size for shares of it.

    Example:
        >>> to_pixels([0.5, 0.5, 0.5, 0.5], "cxcywh01", (100, 40))
        (25.0, 10.0, 75.0, 30.0)
    """
    layout, unit = parts_of(form)
    if unit and size is None:
        raise ValueError(f"box form {form!r} needs the size of the picture")
    a, b, c, d = (float(v) for v in values)
    if layout == "yxyx":
        a, b, c, d = b, a, d, c
    wide, high = (size[0] / UNITS[unit], size[1] / UNITS[unit]) if unit and size else (1.0, 1.0)
    a, b, c, d = a * wide, b * high, c * wide, d * high
    if layout == "xywh":
        return a, b, a + c, b + d
    if layout == "cxcywh":
        return a - c / 2, b - d / 2, a + c / 2, b + d / 2
    return a, b, c, d


def within(box: Box, size: tuple[int, int]) -> bool:
    """Whether a box has an area and lies in its picture, but for rounding (2 pixels, or 2 % of the side)."""
    x0, y0, x1, y1 = box
    slack = max(2.0, 0.02 * size[0]), max(2.0, 0.02 * size[1])
    inside = x0 >= -slack[0] and y0 >= -slack[1] and x1 <= size[0] + slack[0] and y1 <= size[1] + slack[1]
    return inside and x1 > x0 and y1 > y0


_SAID = {
    "xyxy": "two corners (x0, y0, x1, y1), not a corner and a size",
    "xywh": "a corner and a size (x, y, width, height), not two corners",
    "01": "in shares of 0 to 1",
    "100": "in percent of the picture",
    "1000": "in thousandths of the picture",
}


@dataclass
class BoxSurvey:
    """A look at all boxes of a file, whose pictures' sizes are known.

    Example:
        >>> look = BoxSurvey("xywh")
        >>> look.add([0.1, 0.2, 0.3, 0.4], (640, 480))
        >>> look.doubt()
        ('in shares of 0 to 1', 'xywh01')
    """

    form: str
    boxes: int = 0
    in_shares: int = 0
    most: float = 0.0
    shortest: int = 10**9  # of all pictures, the shortest and the shortest long side
    longer: int = 10**9
    far: bool = False  # a number lies well outside its picture
    fitting: Counter[str] = field(default_factory=Counter)  # other forms, of boxes that leave their picture

    def add(self, values: Sequence[float], size: tuple[int, int]) -> None:
        """One box of the file as it stands there."""
        if min(values) < 0 or min(size) < 4 or not all(v < 1e12 for v in values):
            return
        layout, unit = parts_of(self.form)
        if unit:  # then only the layout can be doubted
            scale = [side / UNITS[unit] for side in (size if layout != "yxyx" else size[::-1])]
            values = [v * s for v, s in zip(values, (*scale, *scale), strict=True)]
        self.boxes += 1
        self.most = max(self.most, *values)
        self.shortest, self.longer = min(self.shortest, *size), min(self.longer, max(size))
        if max(values) <= 1:
            self.in_shares += 1
        elif not within(to_pixels(values, layout, size), size):
            self.far |= max(v / side for v, side in zip(values, (*size, *size), strict=True)) > 1.2
            others = ("xyxy", "xywh") if unit else ("xyxy", "xywh", "xyxy1000", "xywh1000")
            self.fitting.update(f for f in others if within(to_pixels(values, f, size), size))

    def doubt(self) -> tuple[str, str] | None:
        """(what the boxes seem to be, the form to name) where they are hardly what they are taken for."""
        layout, named = parts_of(self.form)
        if not self.boxes or layout not in ("xyxy", "xywh"):
            return None
        unit = "" if named else self._unit()
        if unit:
            return _SAID[unit], f"{layout}{unit}"
        fitting = {
            f: n
            for f, n in self.fitting.items()
            if n >= (1 if f == "xyxy" else 3) and (self.far or not f.endswith("1000"))
        }
        form, fits = max(fitting.items(), key=lambda x: (x[1], -len(x[0])), default=("", 0))
        if fits <= _MOSTLY * (self.boxes - self.in_shares):
            return None
        return _SAID["1000" if form.endswith("1000") else form], form + named

    def _unit(self) -> str:
        if 2 * self.in_shares >= self.boxes:
            return "01"
        if self.boxes >= _MANY and 80 <= self.most <= 100 and self.shortest >= 200:
            return "100"
        if self.boxes >= _MANY and 900 <= self.most <= 1000 and self.longer >= 1200:
            return "1000"
        return ""
