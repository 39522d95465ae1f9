"""What pointing changed: paired differences by image, by crowding, function and context; gains of heads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headscope.experiments.significance import paired_change
from headscope.experiments.waking.wake_result import (
    Comparison,
    Gains,
    GainValue,
    GroupGain,
    HeadGain,
    VariantTable,
)
from headscope.functions import MAIN
from headscope.pointing.naming import NAMED
from headscope.statistics.resampling import bootstrap_weights, percentile_interval
from headscope.storage import Row

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
POPULATIONS: dict[str, Callable[[Row], bool]] = {
    "all": lambda row: row["pointing"] == NAMED,
    "in_training_range": lambda row: row["pointing"] == NAMED and row["range"] == "trained",
    "beyond": lambda row: row["pointing"] == NAMED and row["range"] == "beyond",
}
"""Sets of questions: all that name everything they need, and these by number of things, where it is known
what the model was trained on."""


@dataclass(frozen=True)
class Readings:
    """Rows of several picture variants over the same questions in the same order."""

    rows: Mapping[str, Sequence[Row]]
    draws: int = 2000
    seed: int = 0

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
    every = POPULATIONS["all"]

    def main(row: Row) -> bool:
        return every(row) and bool(row["function"] == MAIN)

    sets = readings.populations
    found: dict[str, Any] = {
        name: readings.compare(variant, "plain", readings.mask(test)) for name, test in sets.items()
    }
    order = [*functions, MAIN]
    if "beyond" in sets:
        found["beyond_by_function"] = readings.by(variant, "plain", "function", sets["beyond"], order)
    return VariantTable(
        **found,
        by_crowding=readings.by(variant, "plain", "crowding", every, bins),
        by_function=readings.by(variant, "plain", "function", every, order),
        main_by_context=readings.by(variant, "plain", "context", main, ("alone", "gold")),
        by_pointing=readings.by(variant, "plain", "pointing", lambda row: True),
        masked=readings.means(variant, "masked"),
        share_of_spotlight_area=readings.means(variant, "share"),
    )


@dataclass(frozen=True)
class HeadSums:
    """Per image: sums over questions of each head's contribution norm and attention mass.

    Attributes:
        images: names, (image,).
        count, count_mass: questions summed, (image,).
        norm, mass: (image, head).
    """

    images: tuple[str, ...]
    count: Floats
    count_mass: Floats
    norm: Floats
    mass: Floats

    @classmethod
    def of(cls, entries: Sequence[Row], heads: int, test: Callable[[Row], bool]) -> HeadSums:
        """Sum the ledger's entries that pass a test, image by image."""
        kept = [e for e in entries if test(e)]
        images = sorted({e["image"] for e in kept})
        place = {image: i for i, image in enumerate(images)}
        count, count_mass = np.zeros(len(images)), np.zeros(len(images))
        norm, mass = np.zeros((len(images), heads)), np.zeros((len(images), heads))
        for e in kept:
            i = place[e["image"]]
            count[i] += e["n"]
            count_mass[i] += e["n_mass"]
            norm[i] += np.array(e["norm"], dtype=np.float64)
            mass[i] += np.array(e["mass"], dtype=np.float64)
        return cls(tuple(images), count, count_mass, norm, mass)


def gains(plain: HeadSums, woken: HeadSums, spatial: Mask, draws: int = 2000, seed: int = 0) -> Gains | None:
    """How much heads do more than on the plain picture: spatial heads, the rest, and their difference.

    A head's gain is its mean over questions with pointing over that without, minus 1; a set's gain is the
    mean of its heads' gains. Intervals (95 %) resample images, both pictures of an image together.

    Args:
        plain, woken: sums over the same questions.
        spatial: (head,) bool, the heads called spatial.

    Returns:
        None without images or without both sets of heads.
    """
    if not plain.images or not spatial.any() or spatial.all():
        return None
    weights = bootstrap_weights(len(plain.images), draws, seed)
    found = {}
    for name, a, b in (
        ("contribution", woken.norm, plain.norm),
        ("attention", woken.mass, plain.mass),
    ):
        observed = _set_gains(a.sum(axis=0)[None], b.sum(axis=0)[None], spatial)[0]
        resampled = _set_gains(weights @ a, weights @ b, spatial)
        spatial_gain, other, difference = (
            GainValue(value=float(observed[i]), ci=percentile_interval(resampled[:, i], len(plain.images)))
            for i in range(3)
        )
        found[name] = GroupGain(spatial=spatial_gain, other=other, difference=difference)
    return Gains(images=len(plain.images), n=int(plain.count.sum()), **found)


def head_gains(plain: Floats, woken: Floats) -> Floats:
    """Relative change of sums, NaN where a head did nothing before."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(plain > 0, woken / plain - 1.0, np.nan)


def _set_gains(woken: Floats, plain: Floats, spatial: Mask) -> Floats:
    """(draw, 3): gain of the spatial heads, of the rest, and the difference."""
    change = head_gains(plain, woken)
    one, other = (_mean_known(change[:, heads]) for heads in (spatial, ~spatial))
    return np.stack([one, other, one - other], axis=1)


def _mean_known(values: Floats) -> Floats:
    """Row means over finite entries, NaN for rows without any."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        means: Floats = np.where(known, values, 0.0).sum(axis=1) / known.sum(axis=1)
    return means


def per_head(labels: Sequence[str], plain: HeadSums, woken: HeadSums, spatial: Mask) -> tuple[HeadGain, ...]:
    """Every head: means per question before and after, and gains."""
    if not plain.images:
        return ()
    n, m = plain.count.sum(), max(float(plain.count_mass.sum()), 1.0)
    norm, lit = plain.norm.sum(axis=0), woken.norm.sum(axis=0)
    mass, seen = plain.mass.sum(axis=0), woken.mass.sum(axis=0)
    gain, shift = head_gains(norm, lit), head_gains(mass, seen)
    known = bool(plain.count_mass.any())
    return tuple(
        HeadGain(
            head=label,
            spatial=bool(spatial[i]),
            contribution_plain=float(norm[i] / n),
            contribution_both=float(lit[i] / n),
            contribution_gain=float(gain[i]),
            attention_plain=float(mass[i] / m) if known else None,
            attention_both=float(seen[i] / m) if known else None,
            attention_gain=float(shift[i]),
        )
        for i, label in enumerate(labels)
    )
