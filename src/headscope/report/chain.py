"""Whether steps help the main question: its accuracy by what precedes it, on the same questions."""

from __future__ import annotations

import numpy as np

from headscope.functions import MAIN
from headscope.records import Number, Record
from headscope.report.charts.base import interval, scaled
from headscope.report.contents import StudyContents
from headscope.report.measure import asked_alike, paired


class ChainCell(Record):
    """Main questions by what precedes them, in per cent right, all of the same questions.

    Attributes:
        alone, own, gold_without_verdict: nothing; steps with the model's own answers; with the true ones.
            Steps that state or give the main question's answer are left out.
        wrong, other: controls: one true answer replaced by a wrong one; the steps of another case.
        n: questions, asked in every context.
    """

    alone: Number = None
    own: Number = None
    gold_without_verdict: Number = None
    wrong: Number = None
    other: Number = None
    n: int = 0

    @classmethod
    def of(cls, study: StudyContents) -> ChainCell:
        """From the answers of a study; contexts that were not asked are null."""
        rows = asked_alike(study, MAIN)
        shares = {
            "gold_without_verdict" if context == "gold" else context: 100 * float(np.mean(right))
            for context, found in rows.items()
            if (right := [bool(r["correct"]) for r in found])
        }
        n = max(map(len, rows.values()), default=0)
        return cls.model_validate({**dict.fromkeys(cls.model_fields), **shares, "n": n})


def beside(study: StudyContents) -> str:
    """What the controls of steps change, in words; empty where they were not asked."""
    said = {"wrong": "with one step wrong", "other": "after the steps of another case"}
    found = {c: paired(study, MAIN, c, "alone") for c in said}
    told = [f"{interval(scaled(d), 1, True)} {said[c]}" for c, d in found.items() if d]
    return f"; {', '.join(told)}" if told else ""
