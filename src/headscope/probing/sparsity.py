"""Sparsity: how few heads serve a function. Scarcity: have spatial functions fewer than the others?

The unit of scarcity is the function within a model, and the model over models: heads are neither drawn at
random nor independent of each other, so that no interval over heads says how sure a contrast of functions is.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headscope.statistics.resampling import gini, sign_flip_p, wilson_ci

CUTS = (0.1, 0.25, 0.5)
"""Fixed cuts of a head's effect, in nats of margin."""
_EXACT = 20_000  # ways to pick the spatial functions that are all tried


def sparsity(selected: ArrayLike, strength: ArrayLike, rows: Sequence[int]) -> dict[str, Any]:
    """How few heads serve one function.

    Args:
        selected: (head,) bool, heads above the threshold.
        strength: (head,) score as a size, 0 for none; NaN left out.
        rows: (head,) row of the head map (attention layer, counted from 0) of each head.

    Returns:
        ``significant`` (number of heads selected), ``share`` of all heads with its Wilson interval ``ci``
        (heads as trials), ``gini`` of the strengths, ``effective`` number of heads, ``by_layer`` (number
        selected in each row).

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
        "effective": effective_heads(strength),
        "by_layer": by_layer.tolist(),
    }


def effective_heads(effects: ArrayLike) -> float | None:
    """Effective number of heads: the participation ratio (sum e)^2 / sum e^2 over positive effects.

    1 where one head does it all, n where n heads do as much each. None where no effect is positive.

    Args:
        effects: (head,) effect of muting each head alone; NaN left out.

    Example:
        >>> effective_heads([2.0, 2.0, 0.0, -1.0])
        2.0
    """
    values = np.asarray(effects, dtype=np.float64)
    values = values[np.isfinite(values) & (values > 0)]
    return float(values.sum() ** 2 / (values**2).sum()) if values.size else None


def shares_above(effects: ArrayLike, cuts: Sequence[float] = CUTS) -> dict[str, float]:
    """Cut -> share of the heads with a known effect whose effect is at least that.

    Example:
        >>> shares_above([0.3, 0.1, 0.0, 0.6])
        {'0.1': 0.75, '0.25': 0.5, '0.5': 0.25}
    """
    values = np.asarray(effects, dtype=np.float64)
    values = values[np.isfinite(values)]
    return {f"{cut:g}": float((values >= cut).mean()) if values.size else 0.0 for cut in cuts}


def scarcity(
    values: ArrayLike, spatial: Sequence[bool], draws: int = 20_000, seed: int = 0
) -> dict[str, Any] | None:
    """Mean over spatial functions less that over the others, and how often relabelling gives as much.

    ``relabel_p`` (two-sided) compares the difference with that of every other way to call as many functions
    spatial: an exact permutation test, which with 3 of 9 functions cannot go below 1/84. Where there are more
    than 20,000 ways, ``draws`` random ones stand for them.

    Args:
        values: (function,) such as the effective number of heads; functions without one left out.
        spatial: (function,) whether it is spatial.

    Returns:
        ``spatial`` and ``other`` (means), ``difference``, ``relabel_p``, ``ways``; None if a group is empty.

    Example:
        >>> found = scarcity([1.0, 4.0, 5.0], [True, False, False])
        >>> found["difference"], round(found["relabel_p"], 3), found["ways"]
        (-3.5, 0.333, 3)
    """
    held, group = np.asarray(values, dtype=np.float64), np.asarray(spatial, dtype=bool)
    if not group.any() or group.all():
        return None
    observed = _contrast(held, group)
    p, ways = _relabelled(held, group, observed, draws, seed)
    return {
        "spatial": float(held[group].mean()),
        "other": float(held[~group].mean()),
        "difference": observed,
        "relabel_p": p,
        "ways": ways,
    }


def over_models(differences: Sequence[float]) -> tuple[float, float]:
    """Mean difference over models, and its two-sided exact sign-flip p: the unit is the model.

    Example:
        >>> over_models([-2.0, -1.0, -3.0])
        (-2.0, 0.25)
    """
    return float(np.mean(differences)), sign_flip_p(differences)


def _contrast(values: NDArray[np.float64], group: NDArray[np.bool_]) -> float:
    return float(values[group].mean() - values[~group].mean())


def _relabelled(
    values: NDArray[np.float64], group: NDArray[np.bool_], observed: float, draws: int, seed: int
) -> tuple[float, int]:
    """p, and the number of ways to pick the spatial functions that were tried."""
    n, k = len(group), int(group.sum())
    exact = comb(n, k) <= _EXACT
    rng = np.random.default_rng(seed)
    picks = combinations(range(n), k) if exact else (rng.choice(n, k, replace=False) for _ in range(draws))
    found = [_contrast(values, np.isin(np.arange(n), list(pick))) for pick in picks]
    hits = int((np.abs(found) >= abs(observed) - 1e-12).sum())
    return (hits / len(found) if exact else (1 + hits) / (1 + len(found))), len(found)
