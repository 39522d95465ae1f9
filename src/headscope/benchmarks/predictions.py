"""Saved predictions of any model, matched with cases: JSON, CSV, files of VLMEvalKit, lmms-eval, BLINK."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import Field

from headscope.benchmarks.importing.columns import value_of
from headscope.benchmarks.importing.files import anything, lines, parquet, table
from headscope.benchmarks.importing.sheets import sheet
from headscope.benchmarks.importing.sources import SourceRow
from headscope.benchmarks.registry import rule
from headscope.benchmarks.rule import judge
from headscope.benchmarks.score_types import AnsweredQuestion, Scores
from headscope.data.cases import Cases
from headscope.data.fields import Cell, ForeignRecord
from headscope.data.jsonstream import Decoder
from headscope.data.pictures import listed, show
from headscope.data.schema import Case
from headscope.errors import DataError
from headscope.models.answers import parse_answer
from headscope.records import Artefact, Record

# Where files say which question a row is about, and what was said; the first that a row has counts.
IDS = ("case", "id", "idx", "qid", "question_id", "index", "doc_id", "_key")
TEXTS = (
    *("full_prediction", "prediction", "pred", "response", "output", "text", "model_answer", "resps"),
    *("filtered_resps", "raw_prediction", "generated_text", "completion"),
)
# What the makers of a file took the text for (BLINK: a judge model; lmms-eval: a filter), beside the text.
READINGS = ("prediction", "pred", "extracted_answer", "extracted", "parsed_pred", "filtered_resps")
_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".xlsx")


@dataclass
class Predictions:
    """What a file of predictions holds for a set of cases.

    Attributes:
        texts: case id -> what was said.
        unknown: ids of the file that are no case's, as they stand there.
        column: the column that was read for the text.
        readings, reading: case id -> what the file itself takes the text for, and the column that says it.
    """

    texts: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    column: str = ""
    readings: dict[str, str] = field(default_factory=dict)
    reading: str = ""


class PredictionFit(Record):
    """How a file of predictions and a set of cases fit.

    Attributes:
        matched: cases with a prediction.
        missing, unknown: cases without one, and ids of the file that are no case's.
        column: the column that was read for the text.
        sources: source -> its cases.
    """

    matched: int
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    column: str
    sources: dict[str, int]


class FileReading(Record):
    """What the file's own reading of its texts gives, beside the rule's.

    Attributes:
        column: the column that holds it.
        value, n: share right of the cases that have it, and how many these are.
        differ: cases in which it is right and the rule says wrong, or the other way round.
    """

    column: str
    value: float
    n: int
    differ: tuple[str, ...]


class PredictionScores(Scores, Artefact):
    """What ``headscope score`` writes.

    Attributes:
        predictions: the file that was scored.
        fit: how it and the cases fit.
        reading: what the file's own reading of its texts gives; null where it has none.
        answers: one row a case; a case without a prediction is wrong.
    """

    schema_: Literal["headscope/score/1"] = Field(default="headscope/score/1", alias="schema")
    predictions: str
    fit: PredictionFit
    reading: FileReading | None = None
    answers: tuple[AnsweredQuestion, ...] = Field(alias="rows")


def read_predictions(path: str | Path, cases: Cases, key: str = "", said: str = "") -> Predictions:
    """The predictions of a file, by case.

    An id is a case's own, or stands in its record (``idx``, ``index`` ...) and in no other's.

    Args:
        path: JSON lines, a JSON array, mapping or object of arrays, CSV, TSV, Parquet, or xlsx; or a folder
            of these (``samples_*.jsonl`` alone, where lmms-eval put its results beside them).
        key, said: the columns of ids and of texts, where they are called otherwise; nested ones too.

    Raises:
        DataError: the file cannot be read, says two things about one case, or fits none of the cases.
    """
    path = Path(path)
    names = _names(cases)
    out = Predictions()
    for row in _rows(path):
        if row.fault:
            raise DataError(f"{row.refuse(row.fault)}; a file of predictions has to be whole")
        record = row.value
        column = said or next((c for c in TEXTS if record.get(c) is not None), "")
        text, name = _text(record, column), _id(record, key)
        if not column or name is None:
            found = listed(record)
            raise DataError(
                f"{path}:{row.line}: asked for an id and a prediction, found columns {found}; name them by "
                "--id and --text"
            )
        out.column = out.column or column
        case = names.get(name)
        if case is None:
            out.unknown.append(name)
        elif case in out.texts:
            raise DataError(f"{path}:{row.line}: a second prediction for {show(name)}; expected one a case")
        else:
            out.texts[case] = text
            read = next((c for c in READINGS if c != column and record.get(c) is not None), "")
            if read and out.reading in ("", read):
                out.readings[case], out.reading = _text(record, read), read
    if not out.texts:
        example = f"; ids there: {listed(out.unknown[:3])}" if out.unknown else ""
        raise DataError(
            f"{path}: asked for predictions of {cases.folder}, found none of its {len(cases)} "
            f"cases{example}; "
            "name the column of ids by --id"
        )
    return out


def answer_rows(cases: Sequence[Case], texts: Mapping[str, str]) -> list[AnsweredQuestion]:
    """One row a case, as ``scores.score`` takes them; a case without a prediction is wrong."""
    rows: list[AnsweredQuestion] = []
    for case in cases:
        text = texts.get(case.id)
        rows.append(
            AnsweredQuestion(
                case=case.id,
                kind=case.kind,
                text=text or "",
                answer=parse_answer(text, case.choices, lettered=True) if text is not None else None,
                correct=text is not None and rule(case.source).judge(case, text),
                margin=None,
            )
        )
    return rows


def file_reading(found: Predictions, rows: Sequence[AnsweredQuestion], cases: Cases) -> FileReading | None:
    """How the file's own reading of its texts compares with the rows as they were judged."""
    if not found.readings:
        return None
    right = {name: judge(cases.by_id[name], text) for name, text in found.readings.items()}
    differ = tuple(r.case for r in rows if r.case in right and right[r.case] != r.correct)
    return FileReading(
        column=found.reading, value=sum(right.values()) / len(right), n=len(right), differ=differ
    )


def _rows(path: Path) -> Iterator[SourceRow]:
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in _SUFFIXES)
        samples = [p for p in files if p.name.startswith("samples_")]
        if not files:
            raise DataError(
                f"{path}: asked for predictions, found no file of predictions there; expected one of "
                f"{', '.join(_SUFFIXES)}"
            )
        for file in samples or files:
            yield from _rows_of(file)
        return
    yield from _rows_of(path)


def _rows_of(path: Path) -> Iterator[SourceRow]:
    if not path.is_file():
        raise DataError(f"{path}: asked for predictions, found no such file")
    if path.suffix in (".xlsx", ".xls"):
        return sheet(path)
    if path.suffix == ".json":
        value, odd = Decoder().loads(path.read_text("utf-8-sig", errors="replace"))
        if odd is None and isinstance(value, dict) and all(isinstance(v, str) for v in value.values()):
            pairs = enumerate(value.items(), 1)
            return (SourceRow(str(path), n, {"id": name, "prediction": said}) for n, (name, said) in pairs)
        if odd is None and isinstance(value, dict) and (parts := _parts(value)):
            return (SourceRow(str(path), n, r, f"{name}[{n - 1}].") for name, n, r in parts)
    reader = {".csv": table, ".tsv": table, ".parquet": parquet, ".jsonl": lines}.get(path.suffix, anything)
    return reader(path)


def _parts(value: Mapping[str, Cell]) -> list[tuple[str, int, ForeignRecord]]:
    """(member, number, record) of the members that are lists of predictions: BLINK's ``val`` and ``test``."""
    found = []
    for name, part in value.items():
        if isinstance(part, list) and part and all(isinstance(r, dict) for r in part):
            first = part[0]
            if any(c in first for c in TEXTS) and any(c in first for c in IDS):
                found += [(name, n, r) for n, r in enumerate(part, 1)]
    return found


def _names(cases: Cases) -> dict[str, str]:
    """Every name by which a file may mean a case: its id, and ids of its record that are its alone."""
    names = {case.id: case.id for case in cases}
    others: dict[str, set[str]] = {}
    for case in cases:
        record = case.original or {}
        inner = record.get("question")
        for one in (record, inner if isinstance(inner, dict) else {}):
            for column in IDS:
                if isinstance(value := one.get(column), str | int) and not isinstance(value, bool):
                    others.setdefault(str(value), set()).add(case.id)
    alone = {name: ids.copy().pop() for name, ids in others.items() if len(ids) == 1}
    return alone | names


def _id(record: Mapping[str, Cell], key: str) -> str | None:
    inner = record.get("doc")
    places = (record, inner) if isinstance(inner, Mapping) else (record,)
    if key:
        found = [value_of(place, key) for place in places]
    else:
        own = [c for c in IDS if c != "doc_id"]
        found = [place.get(c) for place in reversed(places) for c in own] + [record.get("doc_id")]
    value = next((v for v in found if v is not None), None)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return None if value is None else str(value)


def _text(record: Mapping[str, Cell], column: str) -> str:
    """What was said; of a list (lmms-eval's ``resps``) the first; nothing where a model gave nothing."""
    value = value_of(record, column) if column else None
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return "" if value is None or value == [] else str(value)


def matched(predictions: Predictions, cases: Sequence[Case]) -> PredictionFit:
    """How the file and the cases fit."""
    return PredictionFit(
        matched=len(predictions.texts),
        missing=tuple(c.id for c in cases if c.id not in predictions.texts),
        unknown=tuple(predictions.unknown),
        column=predictions.column,
        sources=Counter(c.source.partition("/")[0] for c in cases),
    )
