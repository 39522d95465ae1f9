"""What every importer is made of: rows, drafts of cases, refusals, and the description of a source."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from headscope.benchmarks.scoring import ACCURACY, Rule
from headscope.data.box_forms import FORMS, Survey, parts_of, to_pixels
from headscope.data.checks import Finding
from headscope.data.pictures import show
from headscope.data.schema import Object, Step
from headscope.data.validation import Fault
from headscope.errors import DataError

T = TypeVar("T")
Box = tuple[float, float, float, float]


class Unfit(Exception):
    """A record that cannot become a case; the engine adds file and line and goes on with the next."""

    def __init__(self, field: str, what: str, found: str, expected: str) -> None:
        super().__init__(f"{field}: {what}, found {found}, expected {expected}")
        self.finding = Finding(field, what, found, expected)


class Row(NamedTuple):
    """One record of a source: where it stands, and what it holds (a fault where it cannot be read).

    ``at`` names the record within the file, for messages: ``questions[3].``; empty where a line is a record.
    ``merged`` counts the rows that a reader put into this one.
    """

    file: str
    line: int
    value: dict[str, Any]
    at: str = ""
    fault: Finding | None = None
    merged: int = 0

    def refuse(self, finding: Finding) -> Fault:
        """The finding with its place, on one line whatever the record holds."""
        field = f"{self.at}{finding.field or '(no name)'}"
        return Fault(self.file, self.line, field if field.isprintable() else show(field), *finding[1:])


@dataclass
class Draft:
    """A case before its picture is known.

    Attributes:
        picture: name under the folder of pictures, or the bytes of the file.
        size: (width, height) in pixels where the record says so.
        box_form: the form of the objects' boxes where they have to wait for the picture's size.
        derived, guessed, left_out: what the importer did, in a few words each, for the report.
    """

    id: str
    question: str
    answer: str
    picture: str | bytes
    original: dict[str, Any]
    choices: tuple[str, ...] = ()
    kind: str = ""
    wording: str = ""
    objects: tuple[Object, ...] = ()
    named: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    size: tuple[int, int] | None = None
    box_form: str = ""
    derived: tuple[str, ...] = ()
    guessed: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """Where an import reads: its files, the folder they lie in, and what was asked for.

    ``images`` is the folder of pictures, None where there is none. ``boxes`` is how boxes are written
    (:data:`headscope.data.box_forms.FORMS`), empty: as the source says. ``found`` is what a look
    at all rows showed, for sources that take one (``Source.survey``); ``looked``: where pictures were
    looked for.
    """

    source: Source
    root: Path
    files: tuple[Path, ...]
    split: str = ""
    images: Path | None = None
    columns: dict[str, str] = field(default_factory=dict)
    boxes: str = ""
    found: dict[str, str] = field(default_factory=dict)
    looked: tuple[str, ...] = ()

    @property
    def box_form(self) -> str:
        """How boxes are written: as the user says, else as the source does."""
        return self.boxes or self.source.box_form

    def refuse_doubtful_boxes(self, look: Survey, file: str | Path) -> None:
        """Stop where a look at all boxes of a file says that they are not what they are taken for.

        Raises:
            DataError: so it is, with the option that says what they are.
        """
        doubt = look.doubt()
        if doubt:
            what, form = doubt
            raise DataError(
                f"{file}: {look.boxes} boxes taken for {self.box_form}, found numbers {what}; "
                f"say --boxes {form} (forms: {', '.join(FORMS)})"
            )


@dataclass(frozen=True)
class Source:
    """A source of cases: what it is, and how one of its records becomes a case.

    Attributes:
        fields: what a record holds.
        box_form: how the source writes boxes, where the user may say another form; empty: no say.
        boxes, steps: what of these the import gives; ``none`` with the reason where it gives none.
        scored: the source's own rule of scoring.
        get: how to get it.
        files: where records lie in a folder; ``{split}`` stands for the split.
        named: names of files by split, where the split does not say it.
        layout: how a file holds records: ``lines``, ``array``, ``member:NAME``, ``mapping`` or ``table``.
        many: all matching files are read, not just one.
        mapped: the fields that ``--map`` can name a column for.
        pictures: folders of pictures beside the records, first found.
        hub: hub id, with ``{split}`` where it depends on the split; empty: not on the hub.
        hub_config, hub_split: names there; ``{split}`` as above.
        build: a row to the draft of a case.
        rows: reads the rows, where the layout does not say enough.
        survey: looks at all rows before the first is built (on the hub at the first 512), and notes what they
            show in ``Place.found``.
        rule: how answers are scored; plain accuracy where the source has no rule of its own.
    """

    name: str
    title: str
    licence: str
    size: str
    fields: str
    boxes: str
    steps: str
    scored: str
    get: str
    files: tuple[str, ...]
    build: Callable[[Row, Place], Draft]
    box_form: str = ""
    layout: str = "lines"
    many: bool = False
    mapped: tuple[str, ...] = ()
    named: dict[str, str] = field(default_factory=dict)
    splits: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ("images",)
    hub: str = ""
    hub_config: str = ""
    hub_split: str = "{split}"
    rows: Callable[[Place], Iterator[Row]] | None = None
    survey: Callable[[Iterator[Row], Place], None] | None = None
    rule: Rule = ACCURACY


def take(record: Any, key: str, kind: type[T], at: str = "") -> T:
    """A field of a record, proved to be of a type.

    Raises:
        Unfit: it is missing, or of another type (true is no number, NaN neither).

    Example:
        >>> take({"label": 1}, "label", int)
        1
    """
    name = f"{at}{key}"
    if not isinstance(record, dict):
        raise Unfit(at.rstrip(".") or "record", "wrong value", show(record), "an object")
    if key not in record:
        raise Unfit(name, "missing", "nothing", _NAMES.get(kind, kind.__name__))
    value = record[key]
    if kind is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise Unfit(name, "wrong value", show(value), _NAMES.get(kind, kind.__name__))
    if isinstance(value, float) and not math.isfinite(value):
        raise Unfit(name, "not finite", str(value), "a finite number")
    return value


_NAMES: dict[type, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "an object",
    bool: "true or false",
}


def text_of(record: Any, key: str, at: str = "") -> str:
    """A field that is text, a number or true/false, as text that is not empty.

    Raises:
        Unfit: anything else.
    """
    if not isinstance(record, dict) or key not in record:
        take(record, key, str, at)
    return plain_text(record[key], f"{at}{key}")


def plain_text(value: Any, field: str) -> str:
    """Text, a number, true/false, a date, or a list of one of these, as text that is not empty.

    Raises:
        Unfit: anything else.

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
        raise Unfit(field, what, show(value) if what == "wrong value" else str(value)[:40], "text")
    if not value.strip():
        raise Unfit(field, "empty", show(value), "text")
    return value.strip()


def texts_of(record: Any, key: str) -> tuple[str, ...]:
    """A field that is a list of texts, none empty.

    Raises:
        Unfit: anything else.
    """
    values = take(record, key, list)
    for i, value in enumerate(values):
        if not isinstance(value, str) or not value.strip():
            raise Unfit(f"{key}[{i}]", "wrong value", show(value), "text")
    return tuple(v.strip() for v in values)


def box_from_xywh(values: Any, field: str, size: tuple[int, int] | None = None) -> tuple[Box, bool]:
    """(x, y, width, height) as (x0, y0, x1, y1), cut to the picture; and whether it was cut.

    Raises:
        Unfit: not four finite numbers, or nothing of it lies in the picture.

    Example:
        >>> box_from_xywh([5, 5, 10, 20], "bbox", (12, 40))
        ((5.0, 5.0, 12.0, 25.0), True)
    """
    return box_of(values, field, "xywh", size)


def box_of(values: Any, field: str, form: str, size: tuple[int, int] | None = None) -> tuple[Box, bool]:
    """Four numbers in a form of :data:`headscope.data.box_forms.FORMS` as a box; and whether it was cut.

    Raises:
        Unfit: not four finite numbers, nothing of it lies in the picture, or it is smaller than a pixel.
    """
    numbers = four_numbers(values, field)
    if size is None and parts_of(form)[1]:
        raise Unfit(field, "no size", "a picture that is not there", f"its size, for boxes as {form}")
    box = to_pixels(numbers, form, size)
    shown = f"({', '.join(f'{v:g}' for v in numbers)})"
    if not all(map(math.isfinite, box)) or box[2] <= box[0] or box[3] <= box[1]:
        expected = (
            "a width and a height over 0" if form.startswith(("xywh", "cxcywh")) else "x0 < x1, y0 < y1"
        )
        raise Unfit(field, "empty box", shown, expected)
    if min(box) >= 0 and max(box) <= 1 and (size is None or min(size) > 2):
        raise Unfit(field, "box within one pixel", shown, f"pixels; shares of 0 to 1 by --boxes {form[:4]}01")
    if size is None:
        return box, False
    cut = (max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(size[0])), min(box[3], float(size[1])))
    if cut[2] <= cut[0] or cut[3] <= cut[1]:
        raise Unfit(field, "box outside the picture", shown, f"within {size[0]} x {size[1]} pixels")
    return cut, cut != box


def four_numbers(values: Any, field: str) -> list[float]:
    """A list of four finite numbers.

    Raises:
        Unfit: anything else.
    """
    if not isinstance(values, list | tuple) or len(values) != 4:
        raise Unfit(field, "wrong value", show(values), "four numbers")
    return [take({"n": v}, "n", float, f"{field}.") for v in values]


def size_of(record: Any, at: str = "") -> tuple[int, int]:
    """The fields ``width`` and ``height``, in pixels.

    Raises:
        Unfit: missing, or below 1.
    """
    sizes = (take(record, "width", int, at), take(record, "height", int, at))
    for key, value in zip(("width", "height"), sizes, strict=True):
        if not 1 <= value <= 2**20:
            raise Unfit(f"{at}{key}", "no size", show(value), "pixels, at least 1")
    return sizes
