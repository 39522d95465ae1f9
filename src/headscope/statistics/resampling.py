"""Intervals, paired tests and false discovery control; the unit that is resampled is always the image."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headscope.statistics.measures import (
    NO_INTERVAL,
    Interval,
    benjamini_hochberg,
    gini,
    spearman,
    wilson_ci,
)

__all__ = [
    "NO_INTERVAL",
    "Difference",
    "Estimate",
    "Interval",
    "benjamini_hochberg",
    "bootstrap_ci",
    "bootstrap_weights",
    "draws_p",
    "finite",
    "gini",
    "group_codes",
    "mean_estimate",
    "paired_difference",
    "percentile_interval",
    "sign_flip_p",
    "spearman",
    "tail_share",
    "wilson_ci",
]

Floats = NDArray[np.float64]
Alternative = Literal["two-sided", "greater", "less"]

_CELLS = 4_000_000  # numbers held at once while resampling


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval by image, over ``n`` values in ``groups`` images."""

    value: float
    ci: Interval
    n: int
    groups: int


@dataclass(frozen=True)
class Difference:
    """A paired difference (mean of a - b) with its interval and sign-flip p, both by image."""

    value: float
    ci: Interval
    p_signflip: float
    n: int
    groups: int


def group_codes(groups: Sequence[Any] | NDArray[Any] | None, n: int) -> tuple[NDArray[np.int64], int]:
    """Number groups 0..G-1 in sorted order; None makes every value its own group.

    Example:
        >>> group_codes(["b", "a", "b"], 3)[0].tolist()
        [1, 0, 1]
    """
    if groups is None:
        return np.arange(n), n
    names, codes = np.unique(np.asarray(groups), return_inverse=True)
    if len(codes) != n:
        raise ValueError(f"asked to group {n} values, found {len(codes)} group names; give one per value")
    return codes.reshape(-1).astype(np.int64), len(names)


def bootstrap_weights(groups: int, draws: int, seed: int = 0) -> Floats:
    """How often each group occurs in each bootstrap draw, (draw, group); every row sums to ``groups``."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(groups, np.full(groups, 1.0 / groups), size=draws).astype(np.float64)


def percentile_interval(draws: ArrayLike, groups: int, level: float = 0.95, expand: bool = True) -> Interval:
    """Interval from bootstrap draws of a statistic over ``groups`` resampled units.

    With ``expand`` the percentiles are those of Hesterberg (2015), Phi(-sqrt(G / (G - 1)) t): plain
    percentile intervals are too narrow by that much when the groups are few. NaN draws are left out.
    """
    values = np.asarray(draws, dtype=np.float64)
    values = values[np.isfinite(values)]
    if groups < 2 or values.size == 0:
        return NO_INTERVAL
    tail = tail_share(groups, level) if expand else (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def tail_share(groups: int, level: float = 0.95) -> float:
    """Share of bootstrap draws cut off on each side, widened for few groups (see percentile_interval)."""
    from scipy.stats import norm, t

    return float(norm.cdf(math.sqrt(groups / (groups - 1)) * t.ppf((1 - level) / 2, groups - 1)))


def bootstrap_ci(
    values: ArrayLike,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    statistic: Callable[[Floats], float] | None = None,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    expand: bool = True,
) -> Interval:
    """Bootstrap interval of a statistic, resampling whole groups (images).

    Args:
        values: (item,); NaN values are left out.
        groups: image of each item; None: every item its own.
        statistic: of the resampled values, (m,) -> float; None: the mean, which is computed for all draws at
            once.
        draws, level, seed: bootstrap draws, coverage, and seed; equal seeds give equal intervals.
        expand: widen for few groups, see :func:`percentile_interval`.

    Returns:
        (low, high); NaN for fewer than two groups.

    Example:
        >>> low, high = bootstrap_ci([0, 1, 1, 1] * 25)
        >>> low < 0.75 < high
        True
    """
    kept, codes, count = finite(values, groups)
    if count < 2:
        return NO_INTERVAL
    if statistic is None:
        found = _mean_draws(kept, codes, count, draws, seed)
    else:
        members = [np.flatnonzero(codes == g) for g in range(count)]
        rng = np.random.default_rng(seed)
        picks = rng.integers(0, count, size=(draws, count))
        found = np.array([statistic(kept[np.concatenate([members[g] for g in row])]) for row in picks])
    return percentile_interval(found, count, level, expand)


def mean_estimate(
    values: ArrayLike,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Mean of the values with its bootstrap interval by group."""
    kept, codes, count = finite(values, groups)
    value = float(kept.mean()) if kept.size else math.nan
    return Estimate(value, bootstrap_ci(kept, codes, None, draws, level, seed), int(kept.size), count)


def paired_difference(
    a: ArrayLike,
    b: ArrayLike,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    flips: int = 10_000,
    alternative: Alternative = "two-sided",
) -> Difference:
    """Mean of ``a - b`` over the same items, with bootstrap interval and sign-flip test by image.

    Args:
        a, b: (item,) in the same order; pairs with a NaN are left out.
        groups: image of each item.
        flips: sign-flip draws, see :func:`sign_flip_p`.

    Example:
        >>> paired_difference([1, 1, 1, 0], [0, 0, 0, 0]).value
        0.75
    """
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if left.shape != right.shape:
        raise ValueError(f"asked for paired values, found shapes {left.shape} and {right.shape}")
    found = mean_estimate(left - right, groups, draws, level, seed)
    p = sign_flip_p(left - right, groups, flips, seed, alternative)
    return Difference(found.value, found.ci, p, found.n, found.groups)


def sign_flip_p(
    differences: ArrayLike,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    draws: int = 10_000,
    seed: int = 0,
    alternative: Alternative = "two-sided",
) -> float:
    """p of the hypothesis that each image's differences are as likely to have the other sign.

    All differences of an image flip together. With at most ``draws`` sign patterns in all, every one is
    taken and p is exact; else p = (1 + patterns at least as extreme) / (1 + draws).

    Example:
        >>> sign_flip_p([1.0, 2.0, 3.0])
        0.25
    """
    kept, codes, count = finite(differences, groups)
    sums = np.bincount(codes, weights=kept, minlength=count)
    sums = sums[sums != 0]  # flipping a zero changes nothing
    if sums.size == 0:
        return 1.0
    exact = 2.0**sums.size <= draws
    total = 2**sums.size if exact else draws
    rng = np.random.default_rng(seed)
    observed, hits = sums.sum(), 0
    slack = 1e-9 * np.abs(sums).sum()  # equal sums may differ by rounding
    for start in range(0, total, max(1, _CELLS // sums.size)):
        stop = min(total, start + max(1, _CELLS // sums.size))
        if exact:
            bits = (np.arange(start, stop)[:, None] >> np.arange(sums.size)) & 1
        else:
            bits = rng.integers(0, 2, size=(stop - start, sums.size), dtype=np.int8)
        hits += _extreme((2.0 * bits - 1.0) @ sums, float(observed), alternative, float(slack))
    return hits / total if exact else (1 + hits) / (1 + total)


def _extreme(found: Floats, observed: float, alternative: Alternative, slack: float) -> int:
    if alternative == "greater":
        return int((found >= observed - slack).sum())
    if alternative == "less":
        return int((found <= observed + slack).sum())
    return int((np.abs(found) >= abs(observed) - slack).sum())


def draws_p(observed: float, controls: ArrayLike, larger_is_worse: bool = True) -> float:
    """p = (1 + controls at least as bad) / (1 + draws): docs/concepts.md.

    Args:
        observed: effect of the heads under test, such as the drop in accuracy.
        controls: (draw,) the same effect of random heads.
        larger_is_worse: False where a smaller number is the stronger effect.

    Example:
        >>> draws_p(0.30, [0.01, 0.02, 0.30])
        0.5
    """
    found = np.asarray(controls, dtype=np.float64)
    found = found[np.isfinite(found)]
    if not np.isfinite(observed):
        return math.nan
    as_bad = (found >= observed) if larger_is_worse else (found <= observed)
    return float((1 + as_bad.sum()) / (1 + found.size))


def finite(values: ArrayLike, groups: Any) -> tuple[Floats, NDArray[np.int64], int]:
    """Finite values, their group numbers, and how many groups are left."""
    given = np.asarray(values, dtype=np.float64).reshape(-1)
    codes, _ = group_codes(groups, given.size)
    kept = np.isfinite(given)
    codes, count = group_codes(codes[kept], int(kept.sum()))
    return given[kept], codes, count


def _mean_draws(values: Floats, codes: NDArray[np.int64], count: int, draws: int, seed: int) -> Floats:
    """Bootstrap draws of the mean, (draw,), from each group's sum and size."""
    sums = np.bincount(codes, weights=values, minlength=count)
    sizes = np.bincount(codes, minlength=count).astype(np.float64)
    rng = np.random.default_rng(seed)
    share, found = np.full(count, 1.0 / count), []
    for start in range(0, draws, max(1, _CELLS // count)):
        rows = min(draws - start, max(1, _CELLS // count))
        weights = rng.multinomial(count, share, size=rows)
        found.append((weights @ sums) / (weights @ sizes))
    return np.concatenate(found)
