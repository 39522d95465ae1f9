"""Shares of the difference between two runs that patches carry over, with intervals by picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headscope.experiments.patching.readings import PatchedMargins
from headscope.statistics.resampling import Interval, bootstrap_weights, group_codes, percentile_interval
from headscope.statistics.shares import share_estimate

Floats = NDArray[np.float64]
DRAWS = 2000


@dataclass(frozen=True, eq=False)
class Recovered:
    """Share of the margin's difference that each patch carries over.

    Attributes:
        value: (place,) ratio of means over pairs; NaN where no pair has the place.
        draws: (draw, place) the same with pictures resampled.
        pairs: (place,) how many have it.
        pictures: they show so many.
    """

    value: Floats
    draws: Floats
    pairs: NDArray[np.int64]
    pictures: int

    def ci(self, place: int) -> Interval:
        """95 % interval at one place."""
        return percentile_interval(self.draws[:, place], self.pictures)


def recovered(
    readings: Sequence[PatchedMargins], groups: Sequence[str], seed: int, moved: Floats | None = None
) -> Recovered:
    """The ratio of what patches move the margin by to the difference between the runs.

    Args:
        readings: one a pair, all with the same places.
        groups: picture of each pair.
        moved: (pair, place) nats, instead of those that were read (an estimate).
    """
    table = np.array([r.moved for r in readings]) if moved is None else moved
    whole = np.array([r.difference for r in readings])
    codes, count = group_codes(groups, len(whole))
    held = np.isfinite(table)
    one_hot = np.zeros((count, len(whole)))
    one_hot[codes, np.arange(len(whole))] = 1
    top, bottom = one_hot @ np.where(held, table, 0), one_hot @ (held * whole[:, None])
    weights = bootstrap_weights(count, DRAWS, seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        value, draws = top.sum(axis=0) / bottom.sum(axis=0), (weights @ top) / (weights @ bottom)
    return Recovered(value, draws, held.sum(axis=0), count)


def share_of_runs(runs: Floats, groups: Sequence[str]) -> tuple[float, Interval]:
    """Share of runs of which something is so, and its interval by picture.

    Args:
        runs: (pair, 2) 1 where it is so, 0 where not.
        groups: picture of each pair.
    """
    found = share_estimate(runs.ravel(), [g for g in groups for _ in range(runs.shape[1])])
    return found.value, found.ci
