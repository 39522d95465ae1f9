"""What pointing changed: paired differences by image, by crowding, function, context and leak."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headscope.experiments.effects import POINTS
from headscope.experiments.significance import paired_change
from headscope.experiments.waking.wake_result import Comparison, VariantTable
from headscope.functions import MAIN
from headscope.pointing.leaks import LEAKS
from headscope.pointing.naming import NAMED
from headscope.statistics.resampling import paired_difference
from headscope.storage import Row

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def tests_pointing(row: Row) -> bool:
    """Whether a question names all it needs, and neither boxes nor window tell its answer."""
    return bool(row["pointing"] == NAMED and not row["leak"])


def is_leaky(row: Row) -> bool:
    """Whether a question names all it needs, and boxes or window tell its answer."""
    return bool(row["pointing"] == NAMED and row["leak"])


POPULATIONS: dict[str, Callable[[Row], bool]] = {
    "all": tests_pointing,
    "in_training_range": lambda row: tests_pointing(row) and row["range"] == "trained",
    "beyond": lambda row: tests_pointing(row) and row["range"] == "beyond",
}
"""Sets of questions: all that test pointing, and these by number of things, where it is known what the model
was trained on."""


@dataclass(frozen=True)
class Readings:
    """Rows of several picture variants over the same questions in the same order.

    A control that some pictures have no room for has fewer: :meth:`on` gives all variants of its questions.
    """

    rows: Mapping[str, Sequence[Row]]
    draws: int = 2000
    seed: int = 0

    def on(self, variant: str) -> Readings:
        """The questions that a variant was read on, in every variant that has them all."""
        wanted = [row["item"] for row in self.rows[variant]]
        held = {v: {row["item"]: row for row in rows} for v, rows in self.rows.items()}
        kept = {
            v: [rows[item] for item in wanted] for v, rows in held.items() if all(i in rows for i in wanted)
        }
        return Readings(kept, self.draws, self.seed)

    def forced(self, variant: str) -> Floats:
        """(item,) whether the true answer is the likeliest choice; NaN where there is no margin."""
        margin = self.column(variant, "margin")
        return np.where(np.isfinite(margin), (margin > 0).astype(float), np.nan)

    def column(self, variant: str, name: str) -> Floats:
        """(item,) one column of a variant, None as NaN."""
        values = [row[name] for row in self.rows[variant]]
        return np.array([np.nan if v is None else float(v) for v in values], dtype=np.float64)

    def mask(self, test: Callable[[Row], bool]) -> Mask:
        """(item,) questions for which a test of the row holds."""
        return np.array([test(row) for row in next(iter(self.rows.values()))], dtype=bool)

    @property
    def populations(self) -> dict[str, Callable[[Row], bool]]:
        """The sets of questions that there are for this model."""
        known = any(row["range"] is not None for row in next(iter(self.rows.values())))
        return POPULATIONS if known else {"all": POPULATIONS["all"]}

    def means(self, variant: str, name: str) -> dict[str, float | None]:
        """Mean of a column over every population, None where it has no values."""
        values = self.column(variant, name)
        found = {}
        for population, test in self.populations.items():
            kept = values[self.mask(test) & np.isfinite(values)]
            found[population] = float(kept.mean()) if kept.size else None
        return found

    def compare(self, a: str, b: str, where: Mask) -> Comparison | None:
        """Variant ``a`` minus variant ``b`` on some questions; None without questions."""
        if not where.any():
            return None
        images = [row["image"] for row, kept in zip(self.rows[a], where, strict=True) if kept]
        one, other = ((self.column(v, "correct")[where], self.column(v, "margin")[where]) for v in (a, b))
        found = paired_change(one, other, images, self.seed, self.draws)
        one_forced, other_forced = (self.forced(v)[where] for v in (a, b))
        forced = paired_difference(one_forced, other_forced, images, self.draws, seed=self.seed)
        return Comparison(
            n=found.points.n,
            images=found.points.groups,
            accuracy_before=found.other,
            accuracy=found.one,
            delta_points=found.points.value,
            ci=found.points.ci,
            p=found.points.p_signflip,
            margin_delta=found.margin.value,
            margin_ci=found.margin.ci,
            margin_p=found.margin.p_signflip,
            forced_points=POINTS * forced.value,
            forced_ci=(POINTS * forced.ci[0], POINTS * forced.ci[1]),
        )

    def by(
        self, a: str, b: str, name: str, test: Callable[[Row], bool], order: Sequence[str] = ()
    ) -> dict[str, Comparison | None]:
        """``compare`` for every value of a column, in ``order`` first, among the rows that pass a test."""
        base = self.mask(test)
        values = [str(row[name]) for row in self.rows[a]]
        present = {v for v, kept in zip(values, base, strict=True) if kept}
        names = [v for v in order if v in present] + sorted(present - set(order))
        return {v: self.compare(a, b, base & (np.array(values) == v)) for v in names}


def variant_table(
    readings: Readings, variant: str, bins: Sequence[str], functions: Sequence[str]
) -> VariantTable:
    """One variant against the plain picture, on every population and breakdown."""

    def main(row: Row) -> bool:
        return tests_pointing(row) and bool(row["function"] == MAIN)

    sets = readings.populations
    found: dict[str, Any] = {
        name: readings.compare(variant, "plain", readings.mask(test)) for name, test in sets.items()
    }
    order = [*functions, MAIN]
    if "beyond" in sets:
        found["beyond_by_function"] = readings.by(variant, "plain", "function", sets["beyond"], order)
    return VariantTable(
        **found,
        by_crowding=readings.by(variant, "plain", "crowding", tests_pointing, bins),
        by_function=readings.by(variant, "plain", "function", tests_pointing, order),
        main_by_context=readings.by(variant, "plain", "context", main, ("alone", "gold")),
        leaky=readings.compare(variant, "plain", readings.mask(is_leaky)),
        by_leak=readings.by(variant, "plain", "leak", is_leaky, LEAKS),
        by_pointing=readings.by(variant, "plain", "pointing", lambda row: True),
        masked=readings.means(variant, "masked"),
        share_of_spotlight_area=readings.means(variant, "share"),
    )
