"""Sparsity and scarcity against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from headscope.probing.sparsity import scarcity, sparsity
from headscope.statistics.resampling import gini


def test_sparsity_counts_heads_by_layer_and_says_how_unequal_they_are() -> None:
    strength = np.array([3.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    found = sparsity(strength > 0, strength, [0, 0, 1, 1, 2, 2])
    interval = stats.binomtest(2, 6).proportion_ci(method="wilson")
    assert found["significant"] == 2
    assert found["share"] == pytest.approx(1 / 3)
    assert found["by_layer"] == [1, 1, 0]
    assert found["gini"] == gini(strength)
    assert found["ci"] == pytest.approx([interval.low, interval.high])


def test_scarcity_is_the_difference_of_mean_shares_with_an_interval_over_heads() -> None:
    rng = np.random.default_rng(0)
    chosen = rng.random((9, 64)) < np.array([0.05] * 3 + [0.4] * 6)[:, None]
    found = scarcity(chosen, [True] * 3 + [False] * 6)
    assert found is not None
    per_head = chosen[:3].mean(0) - chosen[3:].mean(0)
    assert found["difference"] == pytest.approx(per_head.mean())
    theirs = stats.bootstrap((per_head,), np.mean, method="percentile", n_resamples=9999, rng=1)
    assert np.allclose(found["ci"], theirs.confidence_interval, atol=0.02)
    assert found["p"] == pytest.approx(1 / 84)


def test_with_no_difference_every_relabelling_is_as_extreme() -> None:
    found = scarcity(np.ones((4, 8)), [True, False, False, True])
    assert found is not None
    assert (found["difference"], found["p"]) == (0.0, 1.0)
    assert scarcity(np.ones((2, 8)), [True, True]) is None
