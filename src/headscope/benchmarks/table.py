"""Any table (JSON lines, CSV, TSV, Parquet, or a data set on the hub) through a map of columns.

``--map question=prompt,answer=label,image=picture``: question, answer and image must be named (or be called
so); choices, id and kind may be. A list in ``choices`` makes the options; an answer that is a number or a
letter then means one of them.
"""

from __future__ import annotations

from typing import Any

from headscope.benchmarks.importing.options import SAME_OPTIONS, asked, distinct, letter_index
from headscope.benchmarks.importing.pictures import kept, picture_of
from headscope.benchmarks.importing.records import Draft, Place, Row, Source, Unfit, text_of, texts_of
from headscope.errors import DataError

FIELDS = ("id", "image", "question", "answer", "choices", "kind")


def build(row: Row, place: Place) -> Draft:
    """One row, by the map of columns."""
    if unknown := [k for k in place.columns if k not in FIELDS]:
        raise DataError(f"--map: found {', '.join(unknown)}; what can be mapped is {', '.join(FIELDS)}")
    column = {name: place.columns.get(name, name) for name in FIELDS}
    record = row.value
    question, image = text_of(record, column["question"]), column["image"]
    options = texts_of(record, column["choices"]) if record.get(column["choices"]) is not None else ()
    choices = distinct(options)
    answer = _answer(record, column["answer"], options)
    if choices and answer not in choices:
        raise Unfit(
            column["answer"], "answer outside its choices", repr(answer)[:60], f"one of {column['choices']}"
        )
    return Draft(
        id=text_of(record, column["id"]) if column["id"] in record else f"row-{row.line}",
        question=asked(question, options) if options else question,
        answer=answer,
        choices=choices,
        kind=text_of(record, column["kind"]) if record.get(column["kind"]) is not None else "",
        picture=picture_of(record, image),
        original=kept(record, image),
        left_out=("boxes: not mapped", "steps: not mapped")
        + ((SAME_OPTIONS,) if options and not choices else ()),
    )


def _answer(record: dict[str, Any], key: str, options: tuple[str, ...]) -> str:
    value = record.get(key)
    if options and isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < len(options):
            raise Unfit(key, "no such option", str(value)[:40], f"a number from 0 to {len(options) - 1}")
        return options[value]
    text = text_of(record, key)
    if options and text not in options:
        return options[letter_index(text, len(options), key)]
    return text


SOURCES = (
    Source(
        name="table",
        title="Any table, through a map of columns",
        licence="that of the table",
        size="any",
        fields="those that --map names: question, answer, image; choices, id, kind",
        boxes="none",
        steps="none",
        scored="accuracy (no rule of its own)",
        get=(
            "a file (jsonl, csv, tsv, parquet), a folder with one, or a hub id: --from, --map "
            "question=...,answer=..."
        ),
        files=("*{split}*.parquet", "*{split}*.jsonl", "*{split}*.csv", "*{split}*.tsv"),
        build=build,
    ),
)
