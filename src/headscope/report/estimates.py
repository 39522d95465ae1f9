"""A figure with its interval, as charts and sentences need it, from the stages' records."""

from __future__ import annotations

import math
from dataclasses import dataclass

from headscope.experiments.effects import Effect, Gain
from headscope.experiments.waking.wake_result import Comparison
from headscope.records import Interval


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval, in the same unit, and the number of observations behind it."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0

    @property
    def clear_of_zero(self) -> bool:
        """True if there is an interval and zero is outside it."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def estimate(value: float | None, ci: Interval, n: int = 0) -> Estimate:
    """From a record's fields; NaN where there is no value."""
    return Estimate(math.nan if value is None else value, *ci, n)


def lost(effect: Effect) -> Estimate:
    """Points of accuracy lost."""
    return estimate(effect.drop_points, effect.ci, effect.n)


def forced_lost(effect: Effect) -> Estimate:
    """Points of forced choice lost."""
    return estimate(effect.forced_drop_points, effect.forced_ci, effect.n)


def margin_lost(effect: Effect) -> Estimate | None:
    """Nats of margin lost."""
    if effect.margin_drop is None:
        return None
    return estimate(effect.margin_drop, effect.margin_ci, effect.n)


def gained(change: Gain | Comparison) -> Estimate:
    """Points of accuracy gained."""
    return estimate(change.delta_points, change.ci, change.n)


def margin_gained(change: Gain | Comparison) -> Estimate | None:
    """Nats of margin gained."""
    if change.margin_delta is None:
        return None
    return estimate(change.margin_delta, change.margin_ci, change.n)


def share(percent: float | None) -> float | None:
    """A percentage as a share, 0..1."""
    return None if percent is None else percent / 100
