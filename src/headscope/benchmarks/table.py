"""Any table (JSON, CSV, TSV, Parquet, Arrow, or a data set on the hub) through a map of columns.

``--map question=prompt,answer=label,image=picture``: question, answer and image must be named (or be called
so); choices, id, kind and boxes may be. Names may be nested (``meta.answer``) and put together
(``image=photos/{id}.jpg``). Options may be a list, an object or text, or stand in columns A, B ...; an answer
is then an option's text, its letter or its number, whichever fits (``answer_is=text|letter|index|index1``
where several do). Answers yes, no, true and false bring their choices with them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

from headscope.benchmarks.importing.answer_options import QuestionFields, distinct, one_of
from headscope.benchmarks.importing.box_cells import objects_of
from headscope.benchmarks.importing.columns import (
    READINGS,
    chosen,
    lettered_options,
    options_of,
    pair_of,
    readings,
    value_of,
)
from headscope.benchmarks.importing.picture_fields import further_columns, kept, pictures_of, size_of_picture
from headscope.benchmarks.importing.sources import CaseDraft, ImportPlace, Source, SourceRow, number_of
from headscope.data.box_forms import BoxSurvey
from headscope.data.fields import Cell, ForeignRecord, RecordError, plain_text
from headscope.data.pictures import show
from headscope.errors import DataError
from headscope.models.answers import shows_letters

FIELDS = ("id", "image", "question", "answer", "choices", "kind", "boxes", "answer_is")
_ALSO = {
    "image": ("images", "image_path", "picture", "img", "image_1", "image1", "image_0", "image0"),
    "choices": ("options", "candidates"),
    "id": ("index", "question_id"),
    "kind": ("category",),
}
LETTER = re.compile(r"\W*([A-Ha-h])\W*")
_SHORT = {"y": "yes", "n": "no", "t": "true", "f": "false"}
ZERO_ONE = "choices: answers are 0 and 1 alone; if they mean no and yes, say --map answer_is=truth"
FROM_0 = "answers: numbers taken for places in the list of options, counted from 0"


class ColumnMap:
    """What a place's map of columns says, with the names that a record has where nothing is mapped."""

    def __init__(self, place: ImportPlace) -> None:
        if unknown := [k for k in place.columns if k not in FIELDS]:
            raise DataError(f"--map: found {', '.join(unknown)}; what can be mapped is {', '.join(FIELDS)}")
        self.mapped = place.columns
        self.reading = place.columns.get("answer_is", "") or place.found.get("answer_is", "")
        if self.reading and self.reading not in READINGS:
            raise DataError(f"--map answer_is: found {self.reading}, expected one of {', '.join(READINGS)}")

    def name(self, record: ForeignRecord, field: str) -> str:
        """The column of a field."""
        if field in self.mapped:
            return self.mapped[field]
        names = (field, *_ALSO.get(field, ()))
        return next((n for n in names if record.get(n) is not None), field)

    def get(self, record: ForeignRecord, field: str) -> Cell:
        """What a record holds under a field; None where it holds nothing."""
        return value_of(record, self.name(record, field))

    def need(self, record: ForeignRecord, field: str) -> Cell:
        """The same, refused where it is missing."""
        value = self.get(record, field)
        if value is None:
            names = ", ".join(str(k) for k in record)[:120]
            raise RecordError(self.name(record, field), "missing", "nothing", f"a column; there are {names}")
        return value

    def options(self, record: ForeignRecord) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(options, labels) of a record; empty where it has none."""
        name = self.name(record, "choices")
        value = value_of(record, name)
        if value is not None and value != [] and value != "":
            return options_of(value, name)
        lettered = lettered_options(record) if "choices" not in self.mapped else ()
        return (lettered, tuple("ABCDEFGH"[: len(lettered)])) if len(lettered) > 1 else ((), ())


def build(row: SourceRow, place: ImportPlace) -> CaseDraft:
    """One row, by the map of columns."""
    columns, record = ColumnMap(place), row.value
    question = plain_text(columns.need(record, "question"), columns.name(record, "question"))
    image = columns.name(record, "image")
    picture, *more = pictures_of(record, image)
    options, labels = columns.options(record)
    said = answered(question, columns.need(record, "answer"), options, labels, columns, place)
    objects = objects_of(columns.get(record, "boxes"), place.box_form)
    number, kind = columns.get(record, "id"), columns.get(record, "kind")
    said["left_out"] += () if objects else ("boxes: not mapped",)
    said["left_out"] += ("steps: not mapped",)
    return CaseDraft(
        id=plain_text(number, "id") if number is not None else f"row-{number_of(row, place)}",
        **said,
        kind=plain_text(kind, "kind") if kind not in (None, "") else "",
        picture=picture,
        more=tuple(more),
        objects=objects,
        box_form=place.box_form if objects else "",
        original=kept(record, image, *further_columns(record, image)),
    )


class AnsweredFields(QuestionFields):
    """The same with what was done to get them."""

    derived: tuple[str, ...]
    guessed: tuple[str, ...]


def answered(
    question: str,
    value: Cell,
    options: tuple[str, ...],
    labels: tuple[str, ...],
    columns: ColumnMap,
    place: ImportPlace,
) -> AnsweredFields:
    """Question, answer, choices, and what was derived, guessed and left out of them.

    Raises:
        RecordError: the answer is none of the options, or more than one.
    """
    if isinstance(value, list | tuple) and len(value) > 1:
        raise RecordError("answer", "several answers", show(value), "one")
    if options:
        index = chosen(value, options, labels, columns.reading)
        found = one_of(question, options, index)
        if distinct(options) and shows_letters(question, options):
            found["question"] = question.strip()
        counted = place.found.get("base") and readings(value, options, labels).get("text") != index
        return {**found, "derived": (), "guessed": (FROM_0,) if counted else ()}
    answer = plain_text(value, "answer")
    if place.found.get("letters") and LETTER.fullmatch(answer):
        raise RecordError("answer", "letter without options", show(answer), "options, by --map choices=...")
    short = _SHORT.get(answer.casefold(), "") if place.found.get("short") else ""
    if columns.reading == "truth":
        short = {"0": "no", "1": "yes"}.get(answer, "")
    pair = pair_of(short or answer)
    word, choices = pair or (answer, ())
    derived = (f"choices: {' and '.join(choices)}, since the answer is one of them",) if choices else ()
    return {
        "question": question,
        "answer": word,
        "choices": choices,
        "left_out": (ZERO_ONE,) if place.found.get("zero_one") and not choices else (),
        "derived": derived,
        "guessed": (),
    }


def survey(rows: Iterator[SourceRow], place: ImportPlace) -> None:
    """What all rows show: how answers name options, and whether boxes are what they are taken for."""
    columns, look = ColumnMap(place), BoxSurvey(place.box_form)
    ways: Counter[str] = Counter()
    first = last = False
    open_answers: set[str] = set()
    for row in rows:
        with suppress(RecordError):
            options, labels = columns.options(row.value)
            value = columns.get(row.value, "answer")
            if not options:
                if len(open_answers) <= 64:
                    open_answers.add(plain_text(value, "answer").casefold())
            elif re.fullmatch(r"[+-]?\d{1,9}(?:\.0)?", text := plain_text(value, "answer")):
                ways.update(("all", *readings(value, options, labels)))
                first |= float(text) == 0
                last |= float(text) == len(options)
        with suppress(RecordError):
            size = size_of_picture(row.value, columns.name(row.value, "image"), place)
            for thing in objects_of(columns.get(row.value, "boxes"), place.box_form) if size else ():
                if thing.box:
                    look.add(thing.box, size or (0, 0))
    place.refuse_doubtful_boxes(look, place.root)
    reading, sure = _reading(ways, first, last)
    place.found.update({"answer_is": reading} if reading else {})
    place.found.update({"base": "from 0, as nothing says otherwise"} if reading and not sure else {})
    place.found.update({"letters": "only"} if open_answers and open_answers <= set("abcdefgh") else {})
    place.found.update({"zero_one": "only"} if open_answers == {"0", "1"} else {})
    pairs = ({"y", "n"}, {"t", "f"})
    place.found.update({"short": "only"} if any(open_answers == pair for pair in pairs) else {})


def _reading(ways: Counter[str], first: bool, last: bool) -> tuple[str, bool]:
    """How the file's whole numbers name options, and whether the file says so or it is only likely."""
    count = ways["all"]
    possible = {way for way in ("text", "index", "index1") if count and ways[way] == count}
    if possible == {"text"}:
        return "text", True
    if not possible or "text" in possible:
        return "", True  # each row by itself; what may mean two things is refused
    if last and not first and "index1" in possible:
        return "index1", True
    return ("index" if "index" in possible else "index1"), first or possible != {"index", "index1"}


SOURCES = (
    Source(
        name="table",
        title="Any table, through a map of columns",
        licence="that of the table",
        size="any",
        fields="those that --map names: question, answer, image; choices, id, kind, boxes",
        boxes="those that --map names, in the form that --boxes says",
        scored="accuracy (no rule of its own)",
        get=(
            "a file (jsonl, json, csv, tsv, xlsx, parquet, arrow), a folder with one or its shards, or a hub "
            "id: --from, --map question=...,answer=..."
        ),
        files=(
            "*{split}*.parquet",
            "*{split}*.arrow",
            "*{split}*.jsonl",
            "*{split}*.json",
            "*{split}*.csv",
            "*{split}*.tsv",
            "*{split}*.xlsx",
        ),
        mapped=FIELDS,
        box_form="xyxy",
        layout="any",
        survey=survey,
        build=build,
    ),
)
