"""MMSI-Bench: positions, attributes and motion over several pictures of one place.

Format: lmms-eval, tasks/mmsi_bench (mmsi.yaml, utils.py), read there: {id, images (bytes of files, in
order), question (with its options), answer (a letter), question_type}. How the question lists its options
could not be verified: where they cannot be told apart, the choices are the letters.

The rule, after the same file: what stands in backquotes, else in braces, counts; of it the first letter
from A to D that no word follows.
"""

from __future__ import annotations

import re

from headscope.benchmarks.importing.answer_options import as_it_stands, inline_options, letter_index
from headscope.benchmarks.importing.picture_fields import kept, pictures_of
from headscope.benchmarks.importing.sources import CaseDraft, ImportPlace, Source, SourceRow
from headscope.benchmarks.rule import Rule, accuracy_by, field
from headscope.data.fields import text_of
from headscope.data.schema import Case

_LETTERS = ("A", "B", "C", "D")


def build(row: SourceRow, place: ImportPlace) -> CaseDraft:
    """One question about its pictures."""
    record = row.value
    question, answer = text_of(record, "question"), text_of(record, "answer")
    options = inline_options(question)
    index = letter_index(answer, len(options) or len(_LETTERS))
    first, *more = pictures_of(record, "images" if record.get("images") else "image")
    left = ("boxes: the rows have none", "steps: none in the source")
    told = (
        "choices: read from the question"
        if options
        else "choices: letters, as the options cannot be told apart"
    )
    return CaseDraft(
        id=f"mmsi-{text_of(record, 'id')}",
        **as_it_stands(question, options or _LETTERS, index, *left),
        kind=text_of(record, "question_type" if record.get("question_type") else "type"),
        picture=first,
        more=tuple(more),
        original=kept(record, "images", "image"),
        derived=(told,),
    )


def read(text: str) -> str | None:
    """The letter that lmms-eval reads, or None.

    Example:
        >>> read("It is ``B``"), read("The answer is C."), read("A dog")
        ('B', 'C', None)
    """
    for pattern in (r"``([^`]*)``", r"`([^`]*)`", r"\{([^}]*)\}"):
        found = re.search(pattern, text)
        text = found[1] if found else text
    letter = re.search(r"\b[A-D]\b(?!\s[a-zA-Z])", text)
    return letter[0] if letter else None


def judge(case: Case, text: str) -> bool:
    """Whether the letter that is read is the answer's."""
    said = read(text)
    return said is not None and said.lower() == field(case, "answer").lower().strip()


SOURCES = (
    Source(
        name="mmsi",
        title="MMSI-Bench",
        licence="see the hub card",
        size="1,000 questions",
        fields="id, images, question, answer, question_type",
        scored="accuracy of the letter, by type of question",
        get="hub id RunsenXu/MMSI-Bench",
        files=("*.parquet", "*.jsonl", "*.json"),
        layout="any",
        many=True,
        hub="RunsenXu/MMSI-Bench",
        hub_split="test",
        build=build,
        rule=Rule("MMSI-Bench", judge, accuracy_by("type"), "lmms-eval, tasks/mmsi_bench/utils.py"),
    ),
)
