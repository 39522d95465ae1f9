"""Sparsity and scarcity against counting by hand, numpy and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from headscope.probing.sparsity import effective_heads, over_models, scarcity, shares_above, sparsity
from headscope.statistics.resampling import gini


def test_sparsity_counts_heads_by_layer_and_says_how_unequal_they_are() -> None:
    strength = np.array([3.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    found = sparsity(strength > 0, strength, [0, 0, 1, 1, 2, 2])
    interval = stats.binomtest(2, 6).proportion_ci(method="wilson")
    assert found["significant"] == 2
    assert found["share"] == pytest.approx(1 / 3)
    assert found["by_layer"] == [1, 1, 0]
    assert found["gini"] == gini(strength)
    assert found["effective"] == pytest.approx(16 / 10)  # (3 + 1)^2 / (9 + 1)
    assert found["ci"] == pytest.approx([interval.low, interval.high])


def test_effective_heads_by_hand() -> None:
    assert effective_heads([5.0, 0.0, 0.0]) == 1
    assert effective_heads([0.7] * 12) == pytest.approx(12)
    assert effective_heads([3.0, 1.0, -9.0, np.nan]) == pytest.approx(1.6)
    assert effective_heads([0.0, -1.0]) is None
    assert effective_heads([]) is None


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=30), st.floats(0.1, 10))
def test_effective_heads_is_one_over_the_sum_of_squared_shares(effects: list[float], scale: float) -> None:
    shares = np.array(effects) / np.sum(effects)
    found = effective_heads(effects)
    assert found == pytest.approx(1 / (shares**2).sum())
    assert 1 - 1e-9 <= found <= len(effects) + 1e-9
    assert effective_heads(np.array(effects) * scale) == pytest.approx(found)


def test_shares_above_fixed_cuts_are_of_the_heads_with_a_known_effect() -> None:
    found = shares_above([0.1, 0.25, 0.6, 0.05, -3.0, np.nan])
    assert found == {"0.1": 3 / 5, "0.25": 2 / 5, "0.5": 1 / 5}
    assert shares_above([np.nan]) == {"0.1": 0.0, "0.25": 0.0, "0.5": 0.0}


def test_relabelling_is_the_exact_permutation_test_of_scipy() -> None:
    values = np.random.default_rng(3).gamma(2, 2, 9)
    spatial = np.array([1, 0, 0, 1, 0, 0, 1, 0, 0], bool)
    found = scarcity(values, spatial)
    assert found is not None

    def size(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
        return np.abs(a.mean(axis=axis) - b.mean(axis=axis))

    theirs = stats.permutation_test(
        (values[spatial], values[~spatial]), size, n_resamples=np.inf, alternative="greater", vectorized=True
    )
    assert found["relabel_p"] == pytest.approx(theirs.pvalue)
    assert found["difference"] == pytest.approx(values[spatial].mean() - values[~spatial].mean())
    assert (found["spatial"], found["other"]) == (values[spatial].mean(), values[~spatial].mean())
    assert found["ways"] == 84


def test_three_of_nine_functions_cannot_go_below_one_in_eighty_four() -> None:
    found = scarcity([1.0, 2.0, 3.0, 10, 11, 12, 13, 14, 15], [True] * 3 + [False] * 6)
    assert found is not None
    assert found["relabel_p"] == pytest.approx(1 / 84)


def test_with_no_difference_every_relabelling_is_as_extreme() -> None:
    found = scarcity(np.ones(4), [True, False, False, True])
    assert found is not None
    assert (found["difference"], found["relabel_p"]) == (0.0, 1.0)
    assert scarcity(np.ones(2), [True, True]) is None
    assert scarcity([], []) is None


def test_many_functions_are_relabelled_at_random() -> None:
    values = np.r_[np.zeros(10), np.ones(10)]
    found = scarcity(values, values == 0, draws=500)
    assert found is not None
    assert found["ways"] == 500
    assert found["relabel_p"] == pytest.approx(1 / 501)


def test_over_models_the_unit_is_the_model() -> None:
    mean, p = over_models([-2.0, -1.0, -3.0, -0.5])
    theirs = stats.permutation_test(
        (np.array([-2.0, -1.0, -3.0, -0.5]),), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert mean == -1.625
    assert p == pytest.approx(theirs.pvalue) == 0.125
