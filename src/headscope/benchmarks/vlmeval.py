"""Tables in the form of VLMEvalKit, in which most benchmarks of pictures are shared now.

Format: vlmeval/dataset/image_base.py, image_mcq.py and image_yorn.py of github.com/open-compass/VLMEvalKit:
TSV with ``index``, ``question``, ``hint``, ``image`` (base64, or the index of the row that holds it) or
``image_path``, options in ``A`` to ``H`` (elsewhere ``options``, ``candidates``, ``multi-choice options``),
``answer`` (a letter, or the text; Yes or No), ``category``, ``l2-category``, ``split``. A hint stands before
its question, as there. A list of pictures gives a case with several.
"""

from __future__ import annotations

from collections.abc import Iterator

from headscope.benchmarks.importing.answer_options import LETTERS
from headscope.benchmarks.importing.columns import lettered_options, options_of
from headscope.benchmarks.importing.files import rows_of
from headscope.benchmarks.importing.picture_fields import kept, pictures_of
from headscope.benchmarks.importing.sources import CaseDraft, ImportPlace, Source, SourceRow
from headscope.benchmarks.table import LETTER, ColumnMap, answered
from headscope.data.checks import Finding
from headscope.data.fields import ForeignRecord, RecordError, plain_text, text_of
from headscope.data.pictures import show

_OPTIONS = ("options", "candidates", "choices", "multi-choice options")


def rows(place: ImportPlace) -> Iterator[SourceRow]:
    """The rows of the split; one whose picture is another row's index gets that row's picture."""
    wanted = {_reference(row.value) for row in rows_of(place)} - {""}
    pictures: ForeignRecord = {}
    if wanted:
        for row in rows_of(place):
            index = str(row.value.get("index"))
            if index in wanted and not _reference(row.value):
                pictures[index] = row.value.get("image")
    for row in rows_of(place):
        split = row.value.get("split")
        if place.split and split is not None and str(split) != place.split:
            yield row._replace(fault=Finding("split", "another split", show(split), show(place.split)))
            continue
        name = _reference(row.value)
        yield row._replace(value=row.value | {"image": pictures[name]}) if name in pictures else row


def _reference(record: ForeignRecord) -> str:
    value = record.get("image")
    return value if isinstance(value, str) and value.isdigit() and len(value) <= 12 else ""


def build(row: SourceRow, place: ImportPlace) -> CaseDraft:
    """One row."""
    record = row.value
    question = text_of(record, "question")
    hint = record.get("hint")
    if isinstance(hint, str) and hint.strip():
        question = f"{hint.strip()}\n{question}"
    options, labels = _options(record)
    if not options and LETTER.fullmatch(plain_text(record.get("answer"), "answer")):
        raise RecordError(
            "answer", "letter without options", show(record["answer"]), "columns A, B ... or options"
        )
    said = answered(question, record.get("answer"), options, labels, ColumnMap(place), place)
    said["left_out"] = ("boxes: the rows have none", "steps: none in the source", *said["left_out"])
    image = "image" if record.get("image") else "image_path"
    first, *more = pictures_of(record, image)
    kinds = [plain_text(record[k], k) for k in ("l2-category", "category") if record.get(k) not in (None, "")]
    return CaseDraft(
        id=f"vlmeval-{text_of(record, 'index')}",
        **said,
        kind="/".join(dict.fromkeys(kinds)),
        picture=first,
        more=tuple(more),
        original=kept(record, image),
    )


def _options(record: ForeignRecord) -> tuple[tuple[str, ...], tuple[str, ...]]:
    options = lettered_options(record)
    if options:
        if len(options) == 1:
            raise RecordError("B", "single choice", "A alone", "two options or more")
        return options, tuple(LETTERS[: len(options)])
    name = next((n for n in _OPTIONS if record.get(n) not in (None, "")), "")
    return options_of(record[name], name) if name else ((), ())


SOURCES = (
    Source(
        name="vlmeval",
        title="Any table in VLMEvalKit's form",
        licence="that of the benchmark",
        size="any",
        fields="index, question, hint, image or image_path, A to H or options, answer, category, split",
        scored="accuracy by category (of single answers; circular evaluation is not made up)",
        get="get the benchmark's TSV (VLMEvalKit names its address), and name it by --from",
        files=("*{split}*.tsv", "*.tsv", "*{split}*.jsonl", "*{split}*.parquet"),
        layout="any",
        rows=rows,
        build=build,
    ),
)
