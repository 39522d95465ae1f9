"""SPHERE's rule: an answer that cannot be read is wrong; tasks count alike within a group.

After tasks/space_vqa.py, tasks/utils.py and main_process_results.py of github.com/zwenyu/SPHERE-VLM.
Numbers are read as there: punctuation taken out, then the first one, words up to twenty and "no" for zero
included. Options are read by headscope's
own reader: the authors match lemmas and reject unknown nouns with NLTK's tagger, which is not a dependency
here.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from headscope.benchmarks.rules.base import Right, Rule, Table, mean_of, row
from headscope.benchmarks.rules.reading import option_of
from headscope.data.numerals import NUMBER_WORDS
from headscope.data.schema import Case

_NUMBER = {word: str(n) for n, word in enumerate(NUMBER_WORDS)} | {"no": "0"}
_MARKS = str.maketrans("", "", string.punctuation)
_PAIRED = "counting_only-paired-"
GROUPS = {
    "single skill": (
        ("position_only",),
        (f"{_PAIRED}position_and_counting", f"{_PAIRED}distance_and_counting"),
        ("distance_only",),
        ("size_only",),
    ),
    "two skills": (("position_and_counting",), ("distance_and_counting",), ("distance_and_size",)),
    "reasoning": (("object_occlusion",), ("object_manipulation",)),
}


def clean(text: str) -> str:
    """Lower case without ASCII punctuation, which is taken out and not replaced: ``3.5`` becomes ``35``."""
    return text.translate(_MARKS).strip().lower()


def read(case: Case, text: str) -> str | None:
    """The answer that a text gives, or None where it is invalid.

    Example:
        >>> case = Case(id="a", image="a.png", width=8, height=8, question="How many?", answer="3")
        >>> read(case, "There are three."), read(case, "no cups"), read(case, "a few")
        ('3', '0', None)
    """
    if case.choices:
        return option_of(re.split(r"[.!?]", text.strip(), maxsplit=1)[0], case.choices)
    said = re.sub(r"\b[a-z]+\b", lambda m: _NUMBER.get(m[0], m[0]), clean(text))
    numbers = re.findall(r"\b\d+\b", said)
    return numbers[0] if numbers else None


def judge(case: Case, text: str) -> bool:
    """Whether the text gives the true answer; an invalid one is wrong."""
    return read(case, text) == (case.answer if case.choices else clean(case.answer))


def table(cases: Sequence[Case], right: Right) -> Table:
    """Accuracy of each task, the mean of each group, and the authors' average where every task is there.

    The average is, as in their script, over twelve numbers: nine tasks (the two counting ones as one) and
    three group means.
    """
    rows: Table = []
    numbers: list[dict] = []
    for group, tasks in GROUPS.items():
        means = []
        for names in tasks:
            parts = [
                row("accuracy", f"task: {n}", [right[c.id] for c in cases if c.kind == n]) for n in names
            ]
            parts = [p for p in parts if p["n"]]
            rows += parts
            means.append(mean_of("mean", names[0], parts) if len(parts) == len(names) else _nothing(names[0]))
        present = [m for m in means if m["value"] is not None]
        if present:
            rows.append(mean_of("mean of tasks", f"group: {group}", present))
        numbers += [*means, mean_of("mean", group, means)]
    average = mean_of("average", "all", numbers)
    overall = row("accuracy", "all", [right[c.id] for c in cases])
    return [average, overall, *rows] if average["value"] is not None else [overall, *rows]


def _nothing(name: str) -> dict:
    return {"score": "mean", "group": name, "value": None, "n": 0}


class _WithValidity(Rule):
    def __call__(self, cases, answers):  # type: ignore[no-untyped-def]
        """The official rows, and the share of valid answers."""
        valid = [(t := answers.get(c.id)) is not None and read(c, t) is not None for c in cases]
        return [*super().__call__(cases, answers), row("validity", "all", valid)]


_SOURCE = "github.com/zwenyu/SPHERE-VLM, tasks/space_vqa.py and main_process_results.py"
RULES = {"sphere": _WithValidity("SPHERE", judge, table, _SOURCE)}
