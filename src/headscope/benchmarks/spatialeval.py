"""SpatialEval: maps, mazes, grids and photographs, with options in the text of the question.

Format: https://github.com/jiayuww/SpatialEval (README.md, evals/evaluation.py) and hub
MilaWang/SpatialEval, configs tqa, vqa, vtqa: id (``spatialmap.vqa.2000.0``: task, mode, number, question),
text, image, oracle_answer, oracle_option, oracle_full_answer. Rows of tqa have no picture and are refused.


The rule: an answer is read from the text by task and question, and has to contain the true
one.

After evals/evaluation.py of github.com/jiayuww/SpatialEval, without its branches for single commercial
models. Two of its habits are kept, since scores would not compare otherwise: where nothing can be read the
answer is ``none``, which contains "no"; and containment finds "0" in "90". The row ``exact`` shows what is
left without them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from headscope.benchmarks.importing.answer_options import distinct
from headscope.benchmarks.importing.picture_fields import kept, picture_of
from headscope.benchmarks.importing.sources import CaseDraft, ImportPlace, Source, SourceRow
from headscope.benchmarks.rule import Answers, Rule, Table, accuracy_by, score_row
from headscope.data.fields import text_of
from headscope.data.numerals import NUMBER_WORDS
from headscope.data.schema import Case

_OPTION = re.compile(r"(?:^|\n)\s*([A-H])\.\s*(.+?)\s*(?=\n\s*[A-H]\.|\n\n|$)", re.DOTALL)


def build(row: SourceRow, place: ImportPlace) -> CaseDraft:
    """One question as it stands."""
    record = row.value
    name, text = text_of(record, "id"), text_of(record, "text")
    answer = text_of(record, "oracle_answer")
    options = [o.rstrip(".").strip() for _, o in _OPTION.findall(text)]
    choices = distinct(options) if answer in options else ()
    left = ("boxes: the rows have none", "steps: none in the source")
    return CaseDraft(
        id=name,
        question=text,
        answer=answer,
        choices=choices,
        kind=name.split(".")[0],
        picture=picture_of(record, "image"),
        original=kept(record, "image"),
        derived=("choices: read from the text",) if choices else (),
        left_out=left if choices else (*left, "choices: the text lists no options with this answer"),
    )


_DIRECTIONS = r"(?:southeast|northeast|northwest|southwest)"
_NUMBERS = {"zero": 0, "no": 0} | {word: n for n, word in enumerate(NUMBER_WORDS[:10])}
_ANIMAL = re.compile(r"\b(giraffe|cat|dog|elephant|rabbit)\b", re.IGNORECASE)
# By question, in the order in which the authors try them.
_TURNS = {
    0: (
        r"there are\s*(\d+)\s*right turns\b",
        r"there is\s*(\d+)\s*right turn\b",
        r"\b(\d+)\s+right turn",
        r"answer is\s+(\d+)",
        r"answer is:\s*(\d+)",
        r"from s to e is\s+(\d+)",
        r"answer:\*\*\s*(\d+)\b",
    ),
    1: (
        r"there are\s*(\d+)\s*total turns\b",
        r"there are\s*(\d+)\s*turns\b",
        r"there is\s*(\d+)\s*turn\b",
        r"there is\s*(\d+)\s*total turn\b",
        r"answer is\s+(\d+)",
        r"answer is:\s*(\d+)",
        r"from s to e is\s+(\d+)",
        r"\btotal of\s+(\d+)\s+turn",
        r"answer:\*\*\s*(\d+)\b",
        r"(\d+)\s+total turn",
        r"\b(\d+)\s+turn",
    ),
}


def read(name: str, text: str) -> str:
    """What a text answers to the question of this id (``mazenav.vqa.12.0``), lower case, or ``none``.

    Example:
        >>> read("spatialmap.vqa.3.2", "There are two shops.")
        '2'
    """
    task, number = name.split(".")[0], int(tail) if (tail := name.rsplit(".", 1)[-1]).isdigit() else 0
    reader = {"spatialmap": _map, "mazenav": _maze, "spatialgrid": _grid}.get(task)
    found = reader(text, number) if reader else text
    return str(found).strip().lower()


def _map(text: str, number: int) -> str | int | None:
    if number == 0:
        lettered = re.search(rf"\b[A-D]\.\s*({_DIRECTIONS})\b", text, re.IGNORECASE)
        found = lettered or re.search(rf"\b({_DIRECTIONS})\b", text, re.IGNORECASE)
        return found.group(1) if found else None
    if number == 2:
        lettered = re.search(r"\b[A-D]\.\s*(\d+)", text)
        return int(lettered.group(1)) if lettered else _first_number(text)
    subject = re.search(
        rf"^([\w\s'’]+?)\s+is\s+(?:located\s+|in\s+the\s+|located\s+to\s+the\s+)\b{_DIRECTIONS}\b",
        text,
        re.IGNORECASE,
    )
    if subject:
        return subject.group(1)
    lettered = re.search(r"\b[A-D]\.\s*(.*)", text)
    if lettered:
        return lettered.group(1).replace("**", "").replace(".", "").split(" is", 1)[0].strip()
    # The authors take the mark itself here, not what stands behind it.
    marked = re.search(r"\b([ABCD][.,]|[(][abcdABCD][)])\s*(.*?)(?=\sis\b|\.|,|<|$)", text)
    if marked:
        return _unmarked(marked.group(1))
    concluded = re.search(
        rf"Therefore, the object in the \b{_DIRECTIONS}\b of [\w\s'’]+ is ([\w\s'’]+)", text, re.IGNORECASE
    )
    if concluded:
        return concluded.group(1)
    stated = re.search(r"\bis\b\s+(.*?)(?=\.|,|<|$)", text)
    return _unmarked(stated.group(1)) if stated else None


def _unmarked(text: str) -> str:
    return re.sub(r"[.,?!<]+$", "", text.strip())


def _maze(text: str, number: int) -> str | int | None:
    if number == 2:
        if re.search(r"\byes\b|is the shortest path", text, re.IGNORECASE):
            return "Yes"
        return "No" if re.search(r"\bno\b|\bnot\b", text, re.IGNORECASE) else None
    for word, value in _NUMBERS.items():
        if re.search(rf"\b{word}\b", text, re.IGNORECASE):
            return value
    for pattern in (*_TURNS.get(number, ()), r"(\d+)"):
        found = re.search(pattern, text, re.IGNORECASE)
        if found:
            return int(found.group(1))
    return None


def _grid(text: str, number: int) -> str | int | None:
    if number == 0:
        return _first_number(text)
    found = _ANIMAL.search(text)
    return found.group(1) if found else None


def _first_number(text: str) -> int | None:
    rest = re.sub(r"^\n\n\d+\.\s", "", text)
    places = [(m.start(), int(m.group())) for m in re.finditer(r"\d{1,99}", rest)]
    for word, value in _NUMBERS.items():  # the authors look for words before they take the mark off
        places += [(m.start(), value) for m in re.finditer(rf"\b{word}\b", text, re.IGNORECASE)]
    return min(places)[1] if places else None


def judge(case: Case, text: str) -> bool:
    """Whether the true answer is contained in what is read from the text."""
    return case.answer.lower() in read(case.id, text)


def beside(cases: Sequence[Case], answers: Answers) -> Table:
    """The share of answers that are the true one when read, instead of containing it."""
    said = [read(c.id, answers[c.id] or "") if answers.get(c.id) is not None else "" for c in cases]
    exact = [text == c.answer.lower() for c, text in zip(cases, said, strict=True)]
    return [score_row("exact (not official)", "all", exact)]


SOURCES = (
    Source(
        name="spatialeval",
        title="SpatialEval (vqa and vtqa)",
        licence="see the hub card",
        size="4,635 questions in each of vqa and vtqa",
        fields="id, text, image, oracle_answer, oracle_option, oracle_full_answer",
        scored=(
            "containment: the true answer within the answer read from the text (spatialreal: a judge model)"
        ),
        get="hub id MilaWang/SpatialEval",
        splits=("vqa", "vtqa"),
        files=("{split}/*.parquet", "{split}*.jsonl", "*.parquet", "*.jsonl"),
        many=True,
        hub="MilaWang/SpatialEval",
        hub_config="{split}",
        hub_split="test",
        build=build,
        rule=Rule(
            "SpatialEval",
            judge,
            accuracy_by("task", "containment"),
            "github.com/jiayuww/SpatialEval, evals/evaluation.py",
            beside,
        ),
    ),
)
