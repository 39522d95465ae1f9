"""Accuracy with intervals over images, and what a blind guess reaches, from rows of answers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from headscope.report.contents import StudyContents
from headscope.report.estimates import Estimate
from headscope.storage import Row


def select(
    study: StudyContents, *, function: str | None = None, context: str | None = None, split: str = "test"
) -> list[Row]:
    """Rows of answers of one split, function and context."""
    return [
        row
        for row in study.answers or ()
        if row.get("split") == split
        and (function is None or row["function"] == function)
        and (context is None or row["context"] == context)
    ]


def accuracy(rows: Sequence[Row]) -> Estimate:
    """Share of right answers (0..1) with a 95 % interval over images."""
    from headscope.statistics.accuracy import accuracy_table

    cell = accuracy_table([{**row, "all": ""} for row in rows], "all")[0]
    low, high = (float(end) if math.isfinite(end) else None for end in cell["ci"])
    return Estimate(float(cell["value"]), low, high, int(cell["n"]))


def chance(rows: Sequence[Row]) -> float:
    """Expected share of right answers of a blind guess among each question's choices; 0 for open answers."""
    guesses = [1 / len(row["choices"]) if row.get("choices") else 0.0 for row in rows]
    return sum(guesses) / len(guesses) if guesses else 0.0


def majority(rows: Sequence[Row]) -> float:
    """Share of the most frequent true answer: what always saying the same would reach."""
    return max(Counter(str(row["truth"]) for row in rows).values()) / len(rows) if rows else 0.0


def near_chance(rows: Sequence[Row]) -> bool:
    """True if guessing, or always saying the same, is not clearly beaten (lower end of the interval)."""
    estimate = accuracy(rows)
    return (estimate.low or 0.0) <= max(chance(rows), majority(rows))


def asked_alike(study: StudyContents, function: str) -> dict[str, list[Row]]:
    """Context -> rows of the same questions in the same order: those asked in every context that occurs."""
    found: dict[str, dict[tuple[str, str], Row]] = {}
    for row in select(study, function=function):
        found.setdefault(row["context"], {})[row["case"], row["step"]] = row
    common = [key for key in next(iter(found.values()), {}) if all(key in rows for rows in found.values())]
    return {context: [rows[key] for key in common] for context, rows in found.items()}


def paired(study: StudyContents, function: str, context: str, against: str) -> Estimate | None:
    """Difference of accuracy (0..1) between two contexts on questions asked in all, interval over images."""
    from headscope.statistics.shares import share_difference

    rows = asked_alike(study, function)
    first, second = rows.get(context), rows.get(against)
    if not first or not second:
        return None
    a, b = ([float(bool(row["correct"])) for row in one] for one in (first, second))
    images = [str(row.get("image") or row["case"]) for row in first]
    found = share_difference(a, b, images)
    return Estimate(float(found.value), float(found.ci[0]), float(found.ci[1]), len(first))
