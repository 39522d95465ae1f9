"""Whether a model wants to answer in the form it is asked for: how probable its choices are together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from headscope.models.thinking import opened

TINY = 0.01
"""Total probability of the choices below which the model is said not to want them."""
SHARE = 0.1
"""Share of such questions from which on a warning is given."""


@dataclass(frozen=True)
class Form:
    """Total probability of the choices over questions that have them.

    Attributes:
        n: questions with choices.
        median: of the total.
        below_1_percent: share of questions whose total is below :data:`TINY`.
        thoughts: share of all answers that begin with a thought.
    """

    n: int
    median: float
    below_1_percent: float
    thoughts: float

    def to_json(self) -> dict[str, object]:
        """As summaries hold it."""
        return asdict(self)


def form_of(rows: Iterable[Mapping[str, Any]]) -> Form | None:
    """Over rows of answers; None where none has a total (open questions, or choices were not scored)."""
    totals, thinking, answers = [], 0, 0
    for row in rows:
        answers += 1
        thinking += opened(str(row.get("text") or "")) is not None
        if row.get("total") is not None:
            totals.append(float(row["total"]))
    if not totals:
        return None
    tiny = sum(t < TINY for t in totals) / len(totals)
    return Form(len(totals), float(np.median(totals)), tiny, thinking / answers)


def warnings_of(form: Form | None) -> list[str]:
    """What a reader has to know before trusting margins; empty where there is nothing to say."""
    if form is None:
        return []
    said = []
    if form.below_1_percent >= SHARE:
        said.append(
            f"{form.below_1_percent:.0%} of {form.n:,} questions with choices: all choices together have "
            f"less than {TINY:.0%} of the probability (median {form.median:.2g}); the model does not want to "
            "answer in this form, and margins compare texts that it would not write. Look at the free "
            "answers; ask for the form in the question, or word the choices as the model does"
        )
    if form.thoughts >= SHARE:
        said.append(
            f"{form.thoughts:.0%} of answers begin with a thought; what is cut off within it counts as "
            "unreadable. Allow more new tokens, or use a chat template that leaves thinking out"
        )
    return said


def warning_of(total: float) -> str:
    """The same for one question; empty where nothing is to be said."""
    if not total < TINY:
        return ""
    return (
        f"the choices together have {total:.2g} of the probability: the model does not want to answer in "
        "this form; look at the free answer, or word the choices as the model does"
    )
