"""What every importer is made of: rows, drafts of cases, refusals, and the description of a source."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from headscope.benchmarks.scoring import ACCURACY, Rule
from headscope.data.checks import Finding
from headscope.data.pictures import show
from headscope.data.schema import Object, Step
from headscope.data.validation import Fault

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
    derived: tuple[str, ...] = ()
    guessed: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """Where an import reads: its files, the folder they lie in, and what was asked for.

    ``images`` is the folder of pictures, None where there is none.
    """

    source: Source
    root: Path
    files: tuple[Path, ...]
    split: str = ""
    images: Path | None = None
    columns: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """A source of cases: what it is, and how one of its records becomes a case.

    Attributes:
        fields: what a record holds.
        boxes, steps: what of these the import gives; ``none`` with the reason where it gives none.
        scored: the source's own rule of scoring.
        get: how to get it.
        files: where records lie in a folder; ``{split}`` stands for the split.
        named: names of files by split, where the split does not say it.
        layout: how a file holds records: ``lines``, ``array``, ``member:NAME``, ``mapping`` or ``table``.
        many: all matching files are read, not just one.
        pictures: folders of pictures beside the records, first found.
        hub: hub id, with ``{split}`` where it depends on the split; empty: not on the hub.
        hub_config, hub_split: names there; ``{split}`` as above.
        build: a row to the draft of a case.
        rows: reads the rows, where the layout does not say enough.
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
    layout: str = "lines"
    many: bool = False
    named: dict[str, str] = field(default_factory=dict)
    splits: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ("images",)
    hub: str = ""
    hub_config: str = ""
    hub_split: str = "{split}"
    rows: Callable[[Place], Iterator[Row]] | None = None
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
    value = record.get(key) if isinstance(record, dict) else None
    if isinstance(value, bool) or (isinstance(value, int) and abs(value) < 10**18):
        return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
    text = take(record, key, str, at).strip()
    if not text:
        raise Unfit(f"{at}{key}", "empty", show(record[key]), "text")
    return text


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
    if not isinstance(values, list | tuple) or len(values) != 4:
        raise Unfit(field, "wrong value", show(values), "x, y, width and height in pixels")
    numbers = [take({"n": v}, "n", float, f"{field}.") for v in values]
    x, y, width, height = numbers
    box = (x, y, x + width, y + height)
    if not all(map(math.isfinite, box)) or width <= 0 or height <= 0:
        raise Unfit(
            field, "empty box", f"({x:g}, {y:g}, {width:g}, {height:g})", "a width and a height over 0"
        )
    if size is None:
        return box, False
    cut = (max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(size[0])), min(box[3], float(size[1])))
    if cut[2] <= cut[0] or cut[3] <= cut[1]:
        found = f"({x:g}, {y:g}, {width:g}, {height:g})"
        raise Unfit(field, "box outside the picture", found, f"within {size[0]} x {size[1]} pixels")
    return cut, cut != box


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
