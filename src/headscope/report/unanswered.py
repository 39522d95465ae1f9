"""What the page says of steps that the data do not answer: how many, of which functions, and why."""

from __future__ import annotations

from collections import Counter

from headscope.report.charts.base import words
from headscope.report.contents import StudyContents

WHY = (
    "The data hold no answer to an unanswered step, since nobody has looked at the picture for it yet "
    "(headscope data review is for that). It was not asked, and later questions do not see it."
)


def note(study: StudyContents) -> list[str]:
    """One sentence on the steps without an answer, by function, or none where all have one."""
    every, without = counts(study)
    if not without:
        return []
    parts = ", ".join(f"{words(f)} {n:,} of {every[f]:,}" for f, n in without.most_common())
    return [
        f"{without.total():,} of {every.total():,} steps have no answer in the data and were left out, as "
        f"questions and as turns of the dialogue: {parts}. What is said of a function rests on its answered "
        "steps alone."
    ]


def counts(study: StudyContents) -> tuple[Counter[str], Counter[str]]:
    """Steps by function: all, and those without an answer."""
    steps = [s for case in study.cases or () for s in case.steps]
    return Counter(s.function for s in steps), Counter(s.function for s in steps if not s.answered)
