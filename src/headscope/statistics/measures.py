"""Measures of one sample: false discovery rates, Gini, rank correlation, intervals of shares."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Interval = tuple[float, float]

NO_INTERVAL: Interval = (math.nan, math.nan)


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """False discovery rate at which each p (Benjamini and Hochberg 1995) would be called, same shape.

    NaN stays NaN and does not count as a test.

    Example:
        >>> benjamini_hochberg([0.01, 0.02, 0.5]).round(3).tolist()
        [0.03, 0.03, 0.5]
    """
    given = np.asarray(p, dtype=np.float64)
    flat, q = given.reshape(-1), np.full(given.size, np.nan)
    tested = np.flatnonzero(np.isfinite(flat))
    if tested.size:
        order = tested[np.argsort(flat[tested], kind="stable")]
        raised = flat[order] * tested.size / np.arange(1, tested.size + 1)
        q[order] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1.0)
    return q.reshape(given.shape)


def gini(values: ArrayLike) -> float:
    """Gini coefficient of magnitudes: 0 all equal, towards 1 all in one; NaN where nothing is there.

    Example:
        >>> gini([0, 0, 0, 1])
        0.75
    """
    sizes = np.abs(np.asarray(values, dtype=np.float64))
    sizes = np.sort(sizes[np.isfinite(sizes)])
    if sizes.size == 0 or sizes.sum() == 0:
        return math.nan
    ranks = np.arange(1, sizes.size + 1)
    return float((2 * ranks - sizes.size - 1) @ sizes / (sizes.size * sizes.sum()))


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman rank correlation with ties averaged; pairs with a NaN left out; NaN if a side is constant."""
    from scipy.stats import rankdata

    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    both = np.isfinite(left) & np.isfinite(right)
    if both.sum() < 2:
        return math.nan
    x, y = rankdata(left[both]), rankdata(right[both])
    x, y = x - x.mean(), y - y.mean()
    size = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / size if size else math.nan


def wilson_ci(k: int, n: int, level: float = 0.95) -> Interval:
    """Wilson score interval of a share, ``k`` out of ``n`` independent trials.

    Example:
        >>> [round(x, 3) for x in wilson_ci(9, 10)]
        [0.596, 0.982]
    """
    from scipy.stats import norm

    if n == 0:
        return NO_INTERVAL
    z = float(norm.ppf((1 + level) / 2))
    share, spread = k / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    # At 0 and n the formula gives exactly 0 and 1; rounding must not push it past the estimate.
    return (0.0 if k == 0 else middle - half), (1.0 if k == n else middle + half)


def difference_interval(a: float, a_ci: Interval, b: float, b_ci: Interval) -> Interval:
    """Interval of a - b from the intervals of two independent figures (square-and-add: Newcombe 1998).

    Figures that rise and fall together, such as those of the same questions, differ less than it says.

    Example:
        >>> low, high = difference_interval(5.0, (2.0, 9.0), 1.0, (-2.0, 4.0))
        >>> round(low, 2), round(high, 2)
        (-0.24, 9.0)
    """
    below = math.hypot(a - a_ci[0], b_ci[1] - b)
    above = math.hypot(a_ci[1] - a, b - b_ci[0])
    return a - b - below, a - b + above
