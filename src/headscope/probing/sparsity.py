"""Sparsity: how few heads serve a function. Scarcity: have spatial functions fewer than the others?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headscope.statistics.resampling import bootstrap_weights, gini, percentile_interval, wilson_ci

_EXACT = 20_000  # ways to pick the spatial functions that are all tried


def sparsity(selected: ArrayLike, strength: ArrayLike, rows: Sequence[int]) -> dict[str, Any]:
    """How few heads serve one function.

    Args:
        selected: (head,) bool, heads above the threshold.
        strength: (head,) score as a size, 0 for none; NaN left out.
        rows: (head,) row of the head map (attention layer, counted from 0) of each head.

    Returns:
        ``significant`` (number of heads selected), ``share`` of all heads with its Wilson interval ``ci``
        (heads as trials), ``gini`` of the strengths, ``by_layer`` (number selected in each row).

    Example:
        >>> sparsity([True, False, False, False], [2.0, 0.0, 0.0, 0.0], [0, 0, 1, 1])["by_layer"]
        [1, 0]
    """
    chosen = np.asarray(selected, dtype=bool)
    found, heads = int(chosen.sum()), len(chosen)
    by_layer = np.bincount(np.asarray(rows)[chosen], minlength=max(rows) + 1)
    return {
        "significant": found,
        "share": found / heads,
        "ci": list(wilson_ci(found, heads)),
        "gini": gini(strength),
        "by_layer": by_layer.tolist(),
    }


def scarcity(
    selected: ArrayLike, spatial: Sequence[bool], draws: int = 2000, seed: int = 0
) -> dict[str, Any] | None:
    """Mean share of heads over spatial functions less that over the others, with interval and p.

    The interval resamples *heads* (all functions of a head together): it says how far the difference hangs on
    which heads the model happens to have, not on which cases were asked. ``p`` (two-sided) compares the
    difference with that of every other way to call as many functions spatial: with 3 of 9 it cannot go below
    1/84.

    Args:
        selected: (function, head) bool; functions that were not judged left out.
        spatial: (function,) whether it is spatial.

    Returns:
        ``spatial`` and ``other`` (mean shares), ``difference``, ``ci``, ``p``; None if a group is empty.

    Example:
        >>> scarcity([[1, 0, 0, 0], [1, 1, 1, 0]], [True, False])["difference"]
        -0.5
    """
    chosen, group = np.asarray(selected, dtype=np.float64), np.asarray(spatial, dtype=bool)
    if not group.any() or group.all():
        return None
    weights = bootstrap_weights(chosen.shape[1], draws, seed) / chosen.shape[1]
    drawn = weights @ (chosen[group].mean(0) - chosen[~group].mean(0))
    shares = chosen.mean(1)
    observed = _contrast(shares, group)
    return {
        "spatial": float(shares[group].mean()),
        "other": float(shares[~group].mean()),
        "difference": observed,
        "ci": list(percentile_interval(drawn, chosen.shape[1])),
        "p": _relabelled_p(shares, group, observed, draws, seed),
    }


def _contrast(shares: NDArray[np.float64], group: NDArray[np.bool_]) -> float:
    return float(shares[group].mean() - shares[~group].mean())


def _relabelled_p(
    shares: NDArray[np.float64], group: NDArray[np.bool_], observed: float, draws: int, seed: int
) -> float:
    """Share of the ways to pick the spatial functions whose difference is at least as large in size."""
    n, k = len(group), int(group.sum())
    exact = comb(n, k) <= _EXACT
    rng = np.random.default_rng(seed)
    picks = combinations(range(n), k) if exact else (rng.choice(n, k, replace=False) for _ in range(draws))
    found = [_contrast(shares, np.isin(np.arange(n), list(pick))) for pick in picks]
    hits = int((np.abs(found) >= abs(observed) - 1e-12).sum())
    return hits / len(found) if exact else (1 + hits) / (1 + len(found))
