"""OmniSpatial: motion, interaction, logic and perspective taking, each question about one picture.

Format: github.com/qizekun/OmniSpatial (README.md, vlms_eval/qwenvl_eval.py), read there: data.json, an
array of {id ("0_0": picture and question), question, options, answer (index from 0), task_type,
sub_task_type}; the picture is ``{task_type}/{picture}.png``.

The rule is the authors' default (``re``): the letter behind the last "Answer:"; where none stands there
they take A, and so does this rule but for an answer that is a letter alone, which their ``direct`` reads.
The row ``read`` says how often there was a letter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from headscope.benchmarks.importing.answer_options import LETTERS, as_it_stands, listed
from headscope.benchmarks.importing.picture_fields import kept
from headscope.benchmarks.importing.sources import CaseDraft, ImportPlace, Source, SourceRow
from headscope.benchmarks.rule import Answers, Right, Rule, Table, by_group, overall, score_row
from headscope.data.fields import RecordError, take, text_of, texts_of
from headscope.data.pictures import show
from headscope.data.schema import Case

_SAID = re.compile(r"Answer\s*:\s*([A-D])\b", re.IGNORECASE)
_ALONE = re.compile(r"\W*([A-D])\W*", re.IGNORECASE)


def build(row: SourceRow, place: ImportPlace) -> CaseDraft:
    """One question about one picture."""
    record = row.value
    options, index = texts_of(record, "options"), take(record, "answer", int)
    if not 0 <= index < len(options):
        raise RecordError("answer", "no such option", show(index), f"a number from 0 to {len(options) - 1}")
    name, task = text_of(record, "id"), text_of(record, "task_type")
    left = ("boxes: the rows have none", "steps: none in the source")
    return CaseDraft(
        id=f"omnispatial-{task}-{name}",
        **as_it_stands(listed(text_of(record, "question"), options), options, index, *left),
        kind=f"{task}/{text_of(record, 'sub_task_type')}",
        picture=f"{task}/{name.split('_')[0]}.png",
        original=kept(record),
    )


def judge(case: Case, text: str) -> bool:
    """Whether the letter behind the last "Answer:", the letter alone, or else A, is the answer's.

    Example:
        >>> case = Case(id="a", image="a.png", width=8, height=8, question="?", answer="left",
        ...             choices=("up", "left"), original={"answer": 1})
        >>> judge(case, "Left of it.\\nAnswer: B"), judge(case, "B"), judge(case, "It is B, I think.")
        (True, True, False)
    """
    gold = (case.original or {}).get("answer")
    return isinstance(gold, int) and (read(text) or "A") == LETTERS[gold : gold + 1]


def read(text: str) -> str | None:
    """The letter that a text gives, or None."""
    said = _SAID.findall(text)
    alone = _ALONE.fullmatch(text)
    return str(said[-1]).upper() if said else alone[1].upper() if alone else None


def table(cases: Sequence[Case], right: Right) -> Table:
    """Accuracy over all, by task and by sub-task."""
    tasks = by_group("accuracy", cases, right, lambda c: c.kind.partition("/")[0], "task")
    parts = by_group("accuracy", cases, right, lambda c: c.kind.partition("/")[2], "sub-task")
    return [overall(cases, right), *tasks, *parts]


def beside(cases: Sequence[Case], answers: Answers) -> Table:
    """How often there was a letter to be read."""
    there = [read(answers.get(c.id) or "") is not None for c in cases]
    return [score_row("read (not official)", "all", there)]


SOURCES = (
    Source(
        name="omnispatial",
        title="OmniSpatial",
        licence="see the hub card; pictures: their own",
        size="1,533 questions on 1,387 pictures (test)",
        fields="id, question, options, answer, task_type, sub_task_type",
        scored='accuracy of the letter behind the last "Answer:", by task and sub-task',
        get="get OmniSpatial-test.zip from hub qizekun/OmniSpatial, and unpack it",
        files=("data.json", "dataset/data.json", "*.json"),
        layout="array",
        pictures=("", "dataset"),
        build=build,
        rule=Rule(
            "OmniSpatial",
            judge,
            table,
            "github.com/qizekun/OmniSpatial, vlms_eval/qwenvl_eval.py (eval_type re)",
            beside,
        ),
    ),
)
