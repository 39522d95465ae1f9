"""Fields of other people's records, proved to be what they should be before anything is made of them."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TypeAlias, TypeVar

from headscope.data.box_forms import Box, parts_of, to_pixels
from headscope.data.checks import Finding
from headscope.data.pictures import show

T = TypeVar("T")
Cell: TypeAlias = (
    "bool | int | float | str | bytes | Decimal | dt.date | dt.time | dt.timedelta | uuid.UUID"
    " | Sequence[Cell] | Mapping[str, Cell] | None"
)
"""What a field of a file may hold: JSON's values, and those that Parquet and Arrow tables have beside."""
ForeignRecord = dict[str, Cell]
"""One record of somebody else's file, by field; nothing is known about it before :func:`take` proved it."""


class RecordError(Exception):
    """A record that cannot become a case; the engine adds file and line and goes on with the next."""

    def __init__(self, field: str, what: str, found: str, expected: str) -> None:
        super().__init__(f"{field}: {what}, found {found}, expected {expected}")
        self.finding = Finding(field, what, found, expected)


def take(record: object, key: str, kind: type[T], at: str = "") -> T:
    """A field of a record, proved to be of a type.

    Raises:
        RecordError: it is missing, or of another type (true is no number, NaN neither).

    Example:
        >>> take({"label": 1}, "label", int)
        1
    """
    name = f"{at}{key}"
    if not isinstance(record, dict):
        raise RecordError(at.rstrip(".") or "record", "wrong value", show(record), "an object")
    if key not in record:
        raise RecordError(name, "missing", "nothing", _NAMES.get(kind, kind.__name__))
    value = record[key]
    if kind is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise RecordError(name, "wrong value", show(value), _NAMES.get(kind, kind.__name__))
    if isinstance(value, float) and not math.isfinite(value):
        raise RecordError(name, "not finite", str(value), "a finite number")
    return value


_NAMES: dict[type, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "an object",
    bool: "true or false",
}


def text_of(record: object, key: str, at: str = "") -> str:
    """A field that is text, a number or true/false, as text that is not empty.

    Raises:
        RecordError: anything else.
    """
    if isinstance(record, dict) and key in record:
        return plain_text(record[key], f"{at}{key}")
    return take(record, key, str, at)  # which says what is missing


def plain_text(value: object, field: str) -> str:
    """Text, a number, true/false, a date, or a list of one of these, as text that is not empty.

    Raises:
        RecordError: anything else.

    Example:
        >>> plain_text(3.0, "answer"), plain_text(True, "answer"), plain_text(["No"], "answer")
        ('3', 'true', 'No')
    """
    if isinstance(value, list | tuple) and len(value) == 1 and not isinstance(value[0], list | tuple):
        value = value[0]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal) and value.is_finite() and abs(value) < 10**18:
        value = int(value) if value == value.to_integral_value() else str(value.normalize())
    if isinstance(value, float) and math.isfinite(value) and abs(value) < 2**53:
        value = int(value) if value.is_integer() else repr(value)
    if isinstance(value, int) and abs(value) < 10**18:
        return str(value)
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if not isinstance(value, str):
        what = "not finite" if isinstance(value, float | Decimal) else "wrong value"
        raise RecordError(field, what, show(value) if what == "wrong value" else str(value)[:40], "text")
    if not value.strip():
        raise RecordError(field, "empty", show(value), "text")
    return value.strip()


def texts_of(record: object, key: str) -> tuple[str, ...]:
    """A field that is a list of texts, none empty.

    Raises:
        RecordError: anything else.
    """
    values = take(record, key, list)
    for i, value in enumerate(values):
        if not isinstance(value, str) or not value.strip():
            raise RecordError(f"{key}[{i}]", "wrong value", show(value), "text")
    return tuple(v.strip() for v in values)


def box_from_xywh(values: object, field: str, size: tuple[int, int] | None = None) -> tuple[Box, bool]:
    """(x, y, width, height) as (x0, y0, x1, y1), cut to the picture; and whether it was cut.

    Raises:
        RecordError: not four finite numbers, or nothing of it lies in the picture.

    Example:
        >>> box_from_xywh([5, 5, 10, 20], "bbox", (12, 40))
        ((5.0, 5.0, 12.0, 25.0), True)
    """
    return box_of(values, field, "xywh", size)


def box_of(values: object, field: str, form: str, size: tuple[int, int] | None = None) -> tuple[Box, bool]:
    """Four numbers in a form of :data:`headscope.data.box_forms.FORMS` as a box; and whether it was cut.

    Raises:
        RecordError: not four finite numbers, nothing of it lies in the picture, or it is within one pixel.
    """
    numbers = four_numbers(values, field)
    if size is None and parts_of(form)[1]:
        raise RecordError(field, "no size", "a picture that is not there", f"its size, for boxes as {form}")
    box = to_pixels(numbers, form, size)
    shown = f"({', '.join(f'{v:g}' for v in numbers)})"
    if not all(map(math.isfinite, box)) or box[2] <= box[0] or box[3] <= box[1]:
        expected = (
            "a width and a height over 0" if form.startswith(("xywh", "cxcywh")) else "x0 < x1, y0 < y1"
        )
        raise RecordError(field, "empty box", shown, expected)
    if min(box) >= 0 and max(box) <= 1 and (size is None or min(size) > 2):
        raise RecordError(
            field, "box within one pixel", shown, f"pixels; shares of 0 to 1 by --boxes {form[:4]}01"
        )
    if size is None:
        return box, False
    cut = (max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(size[0])), min(box[3], float(size[1])))
    if cut[2] <= cut[0] or cut[3] <= cut[1]:
        raise RecordError(field, "box outside the picture", shown, f"within {size[0]} x {size[1]} pixels")
    return cut, cut != box


def four_numbers(values: object, field: str) -> list[float]:
    """A list of four finite numbers.

    Raises:
        RecordError: anything else.
    """
    if not isinstance(values, list | tuple) or len(values) != 4:
        raise RecordError(field, "wrong value", show(values), "four numbers")
    return [take({"n": v}, "n", float, f"{field}.") for v in values]


def size_of(record: object, at: str = "") -> tuple[int, int]:
    """The fields ``width`` and ``height``, in pixels.

    Raises:
        RecordError: missing, or below 1.
    """
    sizes = (take(record, "width", int, at), take(record, "height", int, at))
    for key, value in zip(("width", "height"), sizes, strict=True):
        if not 1 <= value <= 2**20:
            raise RecordError(f"{at}{key}", "no size", show(value), "pixels, at least 1")
    return sizes
