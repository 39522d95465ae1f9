"""ViewSpatial-Bench: directions seen by the camera and by people in the picture.

Format: github.com/ZJU-REAL/ViewSpatial-Bench, eval/ViewSpatial-Bench.json and evaluate.py, read there: an
array of {question_type, image_path (a list, from the folder above ViewSpatial-Bench), question, choices
("A. right\\nB. front ..."), answer ("A. right")}. A record has no id: its number in the file, from 0,
stands for it, as in the authors' results.

The rule, after evaluate.py: of the last line the first letter from A to D that stands alone, in capitals
or not.
"""

from __future__ import annotations

import re

from headscope.benchmarks.importing.answer_options import as_it_stands, letter_index, listed
from headscope.benchmarks.importing.columns import options_of
from headscope.benchmarks.importing.picture_fields import kept, pictures_of
from headscope.benchmarks.importing.sources import CaseDraft, ImportPlace, Source, SourceRow, number_of
from headscope.benchmarks.rule import Rule, accuracy_by, field
from headscope.data.fields import RecordError, text_of
from headscope.data.pictures import show
from headscope.data.schema import Case

_LETTER = re.compile(r"\b([A-D])\b", re.IGNORECASE)


def build(row: SourceRow, place: ImportPlace) -> CaseDraft:
    """One question about its picture or pictures."""
    record = row.value
    options, _ = options_of(text_of(record, "choices"), "choices")
    answer = text_of(record, "answer")
    letter, _, said = answer.partition(".")
    index = letter_index(letter, len(options))
    if said.strip() and said.strip() != options[index]:
        raise RecordError("answer", "not the option of its letter", show(answer), show(options[index]))
    image = "images" if record.get("images") else "image_path"
    first, *more = pictures_of(record, image)
    left = ("boxes: the rows have none", "steps: none in the source")
    return CaseDraft(
        id=f"viewspatial-{number_of(row, place)}",
        **as_it_stands(listed(text_of(record, "question"), options), options, index, *left),
        kind=text_of(record, "question_type"),
        picture=first,
        more=tuple(more),
        original=kept(record, image),
    )


def judge(case: Case, text: str) -> bool:
    """Whether the letter that the authors read is the answer's.

    Example:
        >>> record = {"answer": "B. left"}
        >>> case = Case(id="a", image="a.png", width=8, height=8, question="?", answer="left",
        ...             original=record)
        >>> judge(case, "It is (B)"), judge(case, "left")
        (True, False)
    """
    said = _LETTER.search(text.split("\n")[-1])
    gold = _LETTER.search(field(case, "answer"))
    return said is not None and gold is not None and said[1].upper() == gold[1].upper()


SOURCES = (
    Source(
        name="viewspatial",
        title="ViewSpatial-Bench",
        licence="Apache-2.0; pictures of ScanNet and COCO: their own",
        size="5,712 questions",
        fields="question_type, image_path, question, choices, answer",
        scored="accuracy of the letter, by type of question",
        get="get ViewSpatial-Bench.json of github.com/ZJU-REAL/ViewSpatial-Bench and its pictures",
        files=("ViewSpatial-Bench.json", "eval/ViewSpatial-Bench.json", "*.json", "*.parquet"),
        layout="array",
        pictures=("", "images"),
        build=build,
        rule=Rule(
            "ViewSpatial-Bench",
            judge,
            accuracy_by("type"),
            "github.com/ZJU-REAL/ViewSpatial-Bench, evaluate.py",
        ),
    ),
)
