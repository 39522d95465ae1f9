"""Intervals of shares and of differences of shares that hold at 0 and n too; the unit is the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headscope.statistics.measures import NO_INTERVAL, Interval
from headscope.statistics.resampling import (
    Alternative,
    Difference,
    Estimate,
    Floats,
    finite,
    percentile_interval,
    sign_flip_p,
)

_SUPPORT = np.array([1.0, 0.0, -1.0])  # an answer lost, unchanged, won
_PRIOR = 1 / 3  # pictures of each; Perks' prior: one picture in all


def exact_interval(k: float, n: float, level: float = 0.95) -> Interval:
    """Clopper and Pearson's (1934) interval of a share, ``k`` out of ``n``, which need not be whole.

    Example:
        >>> [round(x, 3) for x in exact_interval(20, 20)]
        [0.832, 1.0]
    """
    from scipy.stats import beta

    if n <= 0:
        return NO_INTERVAL
    tail = (1 - level) / 2
    low = 0.0 if k <= 0 else float(beta.ppf(tail, k, n - k + 1))
    high = 1.0 if k >= n else float(beta.ppf(1 - tail, k + 1, n - k))
    return low, high


def effective_size(
    values: ArrayLike, groups: Sequence[Any] | NDArray[Any] | None = None, level: float = 0.95
) -> float:
    """How many independent questions know as much about a share as these, which share pictures.

    Korn and Graubard (1998): n over the design effect, less for few pictures, never above n. Where all values
    are the same the design effect is not known, and the number of pictures stands.

    Args:
        values: (item,) from 0 to 1; NaN is left out. groups: (item,) picture; None: each its own.

    Example:
        >>> effective_size([0, 1, 1, 0]), effective_size([1, 1, 1, 1], ["a", "a", "b", "b"])
        (4.0, 2.0)
    """
    from scipy.stats import t

    kept, codes, count = finite(values, groups)
    n = kept.size
    share = float(kept.mean()) if n else math.nan
    simple = share * (1 - share) / max(1, n - 1)
    if count < 2 or simple < 1e-12:
        return float(count)
    sums = np.bincount(codes, weights=kept - share, minlength=count)
    design = count / (count - 1) * float(sums @ sums) / n**2 / simple
    few = float(t.ppf((1 + level) / 2, n - 1) / t.ppf((1 + level) / 2, count - 1)) ** 2
    return float(n) if design * n <= few else min(float(n), n * few / design)


def share_estimate(
    values: ArrayLike, groups: Sequence[Any] | NDArray[Any] | None = None, level: float = 0.95
) -> Estimate:
    """A share of questions with Clopper and Pearson's interval at the effective number of questions.

    Args:
        values: (item,) 1 where it is so, 0 where not; NaN is left out.
        groups: (item,) picture of each; None: every question its own.

    Raises:
        ValueError: values beyond 0 and 1.

    Example:
        >>> found = share_estimate([1] * 20)
        >>> found.value, [round(x, 2) for x in found.ci]
        (1.0, [0.83, 1.0])
    """
    kept, codes, count = finite(values, groups)
    if kept.size and not (kept.min() >= 0 and kept.max() <= 1):
        raise ValueError(f"asked for a share, found values from {kept.min():g} to {kept.max():g}")
    if not kept.size:
        return Estimate(math.nan, NO_INTERVAL, 0, 0)
    value, size = float(kept.mean()), effective_size(kept, codes, level)
    low, high = exact_interval(value * size, size, level)
    return Estimate(value, (min(low, value), max(high, value)), int(kept.size), count)


def share_difference(
    a: ArrayLike,
    b: ArrayLike,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    flips: int = 10_000,
    alternative: Alternative = "two-sided",
) -> Difference:
    """Share of ``a`` minus that of ``b`` over the same questions, with interval and sign-flip p by picture.

    The interval is a Bayesian bootstrap (Rubin 1981) over pictures with Perks' prior: beside the pictures
    seen stand three of a third of a picture's weight each, in which every answer is lost, unchanged, won. So
    it has a width where all answers change alike, or none does. Its percentiles are widened for few pictures
    like those of :func:`headscope.statistics.resampling.percentile_interval`. Its coverage at 0, n and in
    between: docs/method.md.

    Args:
        a, b: (item,) from 0 to 1 in the same order; pairs with a NaN are left out.
        groups: (item,) picture.
        flips: of :func:`headscope.statistics.resampling.sign_flip_p`.

    Raises:
        ValueError: shapes differ, or values beyond 0 and 1.

    Example:
        >>> found = share_difference([1] * 20, [0] * 20)
        >>> found.value, found.ci[1], 0.7 < found.ci[0] < 0.85
        (1.0, 1.0, True)
    """
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if left.shape != right.shape:
        raise ValueError(f"asked for paired values, found shapes {left.shape} and {right.shape}")
    both = np.concatenate([left.reshape(-1), right.reshape(-1)])
    both = both[np.isfinite(both)]
    if both.size and not (both.min() >= 0 and both.max() <= 1):
        raise ValueError(f"asked for shares, found values from {both.min():g} to {both.max():g}")
    kept, _, count = finite(left - right, groups)
    value = float(kept.mean()) if kept.size else math.nan
    ci = difference_interval(left - right, groups, draws=draws, level=level, seed=seed)
    p = sign_flip_p(left - right, groups, flips, seed, alternative)
    return Difference(value, ci, p, int(kept.size), count)


def difference_interval(
    differences: ArrayLike,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The interval of :func:`share_difference` from differences, (item,) each from -1 to 1.

    Example:
        >>> low, high = difference_interval([0.0] * 50)
        >>> -0.1 < low < 0 < high < 0.1
        True
    """
    values, codes, count = finite(differences, groups)
    if count < 2:
        return NO_INTERVAL
    drawn = difference_draws(values, codes, picture_weights(count, draws, seed), seed)
    low, high = percentile_interval(drawn, count, level)
    value = float(values.mean())
    # All that can change has changed: the limit is the end of the scale, which no draw reaches.
    return (-1.0 if value == -1 else min(low, value)), (1.0 if value == 1 else max(high, value))


def picture_weights(pictures: int, draws: int, seed: int = 0) -> Floats:
    """Weights of pictures in a Bayesian bootstrap, (draw, picture), each 1 on average."""
    return np.random.default_rng(seed).standard_exponential((draws, pictures))


def difference_draws(values: Floats, codes: NDArray[np.int64], weights: Floats, seed: int) -> Floats:
    """(draw,) mean difference of shares under drawn weights of pictures, and of the three that are the prior.

    Args:
        values: (item,) from -1 to 1. codes: (item,) picture, a column of ``weights``.
        weights: (draw, picture) from :func:`picture_weights`; may hold pictures without a question here.
        seed: of the prior's weights; sets of questions on the same pictures take one each.
    """
    sums = np.bincount(codes, weights=values, minlength=weights.shape[1])
    sizes = np.bincount(codes, minlength=weights.shape[1])
    usual = values.size / np.count_nonzero(sizes)  # questions of a picture
    prior = usual * np.random.default_rng([seed, 1]).standard_gamma(_PRIOR, (len(weights), len(_SUPPORT)))
    found: Floats = (weights @ sums + prior @ _SUPPORT) / (weights @ sizes + prior.sum(axis=1))
    return found
