"""From observed and null scores to p, q and intervals; elbows of sorted importance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headscope.statistics.resampling import benjamini_hochberg, group_codes

Floats = NDArray[np.float64]
Method = Literal["pooled", "exact"]


def permutation_p(observed: ArrayLike, null: ArrayLike, method: Method = "pooled") -> Floats:
    """p of each head's score against the same estimator's scores under permuted labels, larger is stronger.

    ``exact``: (1 + own draws at least as large) / (1 + draws). It cannot go below 1 / (1 + draws), and with
    few functional heads among many no false discovery control can pass that, however strong they are.
    ``pooled``: the observed score is standardised by the head's draws, each draw by the head's *other* draws,
    so that under the null they follow one law; the observed one is then counted among the draws of all
    heads: (1 + draws of all heads at least as large) / (1 + heads * draws). It takes the null to have the
    same shape, not the same centre or spread, for every head.

    Args:
        observed: (head, ...).
        null: (draw, head, ...); with fewer than 3 draws ``exact`` is used.

    Returns:
        (head, ...); NaN where the observed score is NaN, or there are no draws.

    Example:
        >>> permutation_p(np.array([3.0]), np.array([[1.0], [2.0], [0.0]]), "exact").tolist()
        [0.25]
    """
    seen, draws = np.asarray(observed, dtype=np.float64), np.asarray(null, dtype=np.float64)
    if len(draws) == 0:
        return np.full(seen.shape, np.nan)
    if method == "exact" or len(draws) < 3:
        p = (1 + (draws >= seen).sum(0)) / (1 + len(draws))
        return np.where(np.isfinite(seen), p, np.nan)
    centre = draws.mean(0)
    mine = (seen - centre) / _spread((draws - centre) ** 2, len(draws))
    theirs = _by_the_others(draws - centre)
    flat, pool_of = mine.reshape(len(seen), -1), theirs.reshape(len(draws), len(seen), -1)
    p = np.full(flat.shape, np.nan)
    for column in range(flat.shape[1]):
        heads = np.flatnonzero(np.isfinite(flat[:, column]) & np.isfinite(pool_of[:, :, column]).all(0))
        pool = np.sort(pool_of[:, heads, column].reshape(-1))
        # Scores that are equal but for rounding count as equal.
        above = pool.size - np.searchsorted(pool, flat[heads, column] - 1e-9, side="left")
        p[heads, column] = (1 + above) / (1 + pool.size)
    return p.reshape(seen.shape)


def _spread(squares: Floats, n: int) -> Floats:
    """Standard deviation from squared deviations (draw, ...); 1 where nothing varies."""
    variance = squares.sum(0) / n
    return np.sqrt(np.where(variance > 1e-18, variance, 1.0))


def _by_the_others(centred: Floats) -> Floats:
    """Each draw standardised by the other draws, (draw, ...), from draws less their mean."""
    n = len(centred) - 1
    mean = -centred / n
    variance = ((centred**2).sum(0) - centred**2) / n - mean**2
    return np.asarray((centred - mean) / np.sqrt(np.where(variance > 1e-18, variance, 1.0)))


def fdr(p: ArrayLike) -> Floats:
    """Benjamini-Hochberg q over heads, function by function: (head, function) to the same shape."""
    given = np.asarray(p, dtype=np.float64)
    return np.stack([benjamini_hochberg(column) for column in given.T], axis=1)


def elbow(scores: Sequence[float | None] | NDArray[Any]) -> int:
    """How many heads stand before the elbow of the sorted magnitudes: the point farthest from the chord.

    The curve runs over ranks 0..H-1, both axes scaled to 1. A point below the chord is the first of the low
    ones and is not counted; a point above it is the last of the high ones and is.

    Example:
        >>> elbow([5.0, -4.8, 0.2, 0.1, 0.0, 0.0])
        2
    """
    given = np.array([np.nan if s is None else s for s in scores], dtype=np.float64)
    sizes = np.sort(np.abs(given[np.isfinite(given)]))[::-1]
    if sizes.size < 3 or sizes[0] == sizes[-1]:
        return int(sizes.size > 0)
    x = np.linspace(0, 1, sizes.size)
    below = (1 - x) - (sizes - sizes[-1]) / (sizes[0] - sizes[-1])
    at = int(np.argmax(np.abs(below)))
    return max(1, at if below[at] >= 0 else at + 1)


def auroc_with_interval(
    scores: NDArray[Any], positive: NDArray[Any], groups: Sequence[Any] | NDArray[Any], level: float = 0.95
) -> tuple[Floats, Floats, Floats]:
    """AUROC and its interval by image, from one set of scores per head.

    The variance is that of DeLong's placements summed by image (Obuchowski 1997), the limit of the bootstrap
    by image, for all heads at once; the interval is symmetric on the logit scale. See :func:`pooled_auroc`
    for several folds.

    Args:
        scores: (head, item).
        positive: (item,) bool.
        groups: (item,) image.

    Returns:
        area, low, high: each (head,).
    """
    return pooled_auroc([(scores, positive, groups)], level)


def pooled_auroc(
    folds: Sequence[tuple[NDArray[Any], NDArray[Any], Sequence[Any] | NDArray[Any]]], level: float = 0.95
) -> tuple[Floats, Floats, Floats]:
    """Mean AUROC over folds with its interval by image (see auroc_with_interval); folds of one label are
    skipped.

    Args:
        folds: (scores (head, item), positive (item,), groups (item,)) per fold; no image in two folds.

    Returns:
        area, low, high: each (head,); NaN where no fold has both labels.
    """
    from scipy.stats import t

    areas, variances, images = [], [], 0
    for scores, positive, groups in folds:
        codes, count = group_codes(groups, len(positive))
        images += count
        if positive.all() or not positive.any():
            continue
        placed, sign = _placements(np.asarray(scores), np.asarray(positive, dtype=bool))
        area = placed[:, sign > 0].mean(1)
        pull = (placed - area[:, None]) / np.where(sign > 0, positive.sum(), (~positive).sum())
        by_image = np.zeros((count, len(area)))
        np.add.at(by_image, codes, pull.T)
        areas.append(area)
        variances.append((by_image**2).sum(0) * count / max(1, count - 1))
    if not areas:
        empty = np.full(len(folds[0][0]), np.nan)
        return empty, empty.copy(), empty.copy()
    area = np.mean(areas, axis=0)
    error = np.sqrt(np.sum(variances, axis=0)) / len(areas)
    quantile = float(t.ppf((1 + level) / 2, max(1, images - 1)))
    return area, *_logit_interval(area, error * quantile)


def _placements(scores: NDArray[Any], positive: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Share of the other label that each item beats (positives) or loses to (negatives), (head, item)."""
    from scipy.stats import rankdata

    ranks = rankdata(scores, axis=1)
    placed = np.empty(scores.shape)
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    placed[:, positive] = (ranks[:, positive] - rankdata(scores[:, positive], axis=1)) / n_negative
    beaten = (ranks[:, ~positive] - rankdata(scores[:, ~positive], axis=1)) / n_positive
    placed[:, ~positive] = 1 - beaten
    return placed, np.where(positive, 1.0, -1.0)


def _logit_interval(area: Floats, half: Floats) -> tuple[Floats, Floats]:
    """Interval of half width ``half`` around ``area``, taken on the logit scale so that it stays in 0..1."""
    inside = np.clip(area, 1e-9, 1 - 1e-9)
    middle, slope = np.log(inside / (1 - inside)), 1 / (inside * (1 - inside))
    with np.errstate(over="ignore"):
        low = 1 / (1 + np.exp(-(middle - half * slope)))
        high = 1 / (1 + np.exp(-(middle + half * slope)))
    flat = half == 0
    return np.where(flat, area, low), np.where(flat, area, high)


def finite_or_none(values: ArrayLike) -> Any:
    """Nested lists of floats with None for NaN and infinities: what JSON can hold."""
    found = np.asarray(values, dtype=np.float64)
    if found.ndim == 0:
        return float(found) if math.isfinite(float(found)) else None
    return [finite_or_none(v) for v in found]
