"""Intervals and p-values against scipy, and what they must do whatever the data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from headscope.statistics.measures import difference_interval
from headscope.statistics.ranking import strongest
from headscope.statistics.resampling import (
    benjamini_hochberg,
    bootstrap_ci,
    bootstrap_weights,
    draws_p,
    gini,
    group_codes,
    mean_estimate,
    paired_difference,
    percentile_interval,
    sign_flip_p,
    spearman,
    tail_share,
    wilson_ci,
)


def _clustered(rng: np.random.Generator, groups: int, size: int, truth: float = 0.0):
    values = truth + rng.normal(size=groups).repeat(size) + rng.normal(size=groups * size)
    return values, np.arange(groups).repeat(size)


def test_a_bootstrap_interval_of_the_mean_is_scipys() -> None:
    values = np.random.default_rng(0).exponential(size=80)
    ours = bootstrap_ci(values, draws=20_000, expand=False, seed=1)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=2)
    assert np.allclose(ours, theirs.confidence_interval, atol=0.01)


def test_the_widened_interval_is_scipys_at_the_widened_level() -> None:
    values = np.random.default_rng(3).normal(size=12)
    level = 1 - 2 * tail_share(12)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=40_000, method="percentile", confidence_level=level, rng=2
    )
    assert 0.96 < level < 0.99
    assert np.allclose(bootstrap_ci(values, draws=40_000), theirs.confidence_interval, atol=0.03)


def test_any_statistic_can_be_bootstrapped_by_image_and_the_mean_agrees_with_the_fast_way() -> None:
    values, groups = _clustered(np.random.default_rng(1), 40, 3)
    fast = bootstrap_ci(values, groups, draws=6000)
    slow = bootstrap_ci(values, groups, statistic=lambda v: float(v.mean()), draws=6000, seed=5)
    assert np.allclose(fast, slow, atol=0.04)
    low, high = bootstrap_ci(values, groups, statistic=lambda v: float(np.median(v)), draws=500)
    assert low < np.median(values) < high


def test_resampling_by_image_is_wider_than_by_item_when_items_of_an_image_agree() -> None:
    values, groups = _clustered(np.random.default_rng(2), 30, 8)
    by_image, by_item = bootstrap_ci(values, groups), bootstrap_ci(values)
    assert by_image[1] - by_image[0] > 1.5 * (by_item[1] - by_item[0])


@pytest.mark.parametrize("groups", [15, 60])
def test_intervals_cover_the_truth_as_often_as_they_say(groups: int) -> None:
    rng, hits, runs = np.random.default_rng(groups), 0, 600
    for run in range(runs):
        values, codes = _clustered(rng, groups, 2, truth=0.3)
        low, high = bootstrap_ci(values, codes, draws=300, seed=run)
        hits += low <= 0.3 <= high
    assert 0.92 <= hits / runs <= 0.975


def test_equal_seeds_give_equal_intervals_and_the_order_of_items_does_not_matter() -> None:
    values, groups = _clustered(np.random.default_rng(4), 20, 3)
    order = np.random.default_rng(5).permutation(60)
    assert bootstrap_ci(values, groups, seed=3) == bootstrap_ci(values, groups, seed=3)
    assert np.allclose(
        bootstrap_ci(values, groups, seed=3), bootstrap_ci(values[order], groups[order], seed=3), atol=1e-12
    )


def test_nan_values_are_left_out_and_one_image_gives_no_interval() -> None:
    found = mean_estimate([1.0, np.nan, 3.0, np.nan], ["a", "a", "b", "c"])
    assert (found.value, found.n, found.groups) == (2.0, 2, 2)
    assert all(np.isnan(bootstrap_ci([1.0, 2.0], ["a", "a"])))
    assert np.isnan(mean_estimate([], []).value)


def test_bootstrap_weights_draw_every_group_once_on_average() -> None:
    weights = bootstrap_weights(7, 4000, seed=1)
    assert (weights.sum(1) == 7).all()
    assert np.allclose(weights.mean(0), 1, atol=0.06)
    assert percentile_interval([1.0, 2.0, np.nan], 1) != percentile_interval([1.0, 2.0, np.nan], 9)


def test_the_sign_flip_test_is_scipys_permutation_test_exactly_when_few_images() -> None:
    differences = np.random.default_rng(6).normal(0.4, size=11)
    for alternative in ("two-sided", "greater", "less"):
        theirs = stats.permutation_test(
            (differences,),
            lambda x, axis: x.mean(axis=axis),
            permutation_type="samples",
            vectorized=True,
            alternative=alternative,
            n_resamples=np.inf,
        )
        assert sign_flip_p(differences, alternative=alternative) == pytest.approx(theirs.pvalue)


def test_the_sign_flip_test_is_close_to_scipys_when_patterns_are_drawn() -> None:
    differences = np.random.default_rng(7).normal(0.2, size=60)
    theirs = stats.permutation_test(
        (differences,),
        lambda x, axis: x.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        rng=1,
    )
    assert sign_flip_p(differences, draws=20_000) == pytest.approx(theirs.pvalue, abs=0.01)


def test_differences_of_one_image_flip_together() -> None:
    differences, groups = np.ones(12), np.arange(12) // 6
    assert sign_flip_p(differences) == pytest.approx(2 / 2**12)
    assert sign_flip_p(differences, groups) == pytest.approx(0.5)
    assert sign_flip_p(np.zeros(5)) == 1.0


def test_the_sign_flip_test_rejects_a_true_null_as_often_as_it_says() -> None:
    rng = np.random.default_rng(8)
    p = np.array([sign_flip_p(*_clustered(rng, 25, 2), draws=400, seed=i) for i in range(800)])
    assert stats.binomtest(int((p <= 0.05).sum()), 800, 0.05).pvalue > 0.001
    assert (p > 0).all()


def test_a_paired_difference_has_value_interval_and_p_of_the_differences() -> None:
    rng = np.random.default_rng(9)
    a, b = rng.normal(1, size=30), rng.normal(size=30)
    found = paired_difference(a, b, np.arange(30) // 2)
    assert found.value == pytest.approx((a - b).mean())
    assert found.ci == bootstrap_ci(a - b, np.arange(30) // 2)
    assert found.p_signflip == sign_flip_p(a - b, np.arange(30) // 2)
    assert found.groups == 15
    with pytest.raises(ValueError, match="paired"):
        paired_difference([1, 2], [1])


def test_p_of_draws_counts_controls_at_least_as_bad_and_is_never_zero() -> None:
    controls = np.zeros(200)
    assert draws_p(0.2, controls) == pytest.approx(1 / 201)
    assert draws_p(0.0, controls) == 1.0
    assert draws_p(-1.0, [-2.0, 0.0, 1.0], larger_is_worse=False) == pytest.approx(0.5)
    assert np.isnan(draws_p(np.nan, controls))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_false_discovery_rates_are_scipys(p: list[float]) -> None:
    assert np.allclose(benjamini_hochberg(p), stats.false_discovery_control(p), atol=1e-12)


def test_false_discovery_rates_ignore_what_was_not_tested() -> None:
    found = benjamini_hochberg([0.01, np.nan, 0.04])
    assert np.isnan(found[1])
    assert np.allclose(found[[0, 2]], stats.false_discovery_control([0.01, 0.04]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=3, max_size=30), st.randoms(use_true_random=False))
def test_spearman_is_scipys_ties_included(a: list[int], random) -> None:
    b = [random.randint(0, 4) for _ in a]
    if len(set(a)) > 1 and len(set(b)) > 1:
        assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)
    else:
        assert np.isnan(spearman(a, b))


@pytest.mark.parametrize(("k", "n"), [(0, 9), (9, 9), (4, 9), (130, 200)])
def test_wilson_intervals_are_scipys(k: int, n: int) -> None:
    theirs = stats.binomtest(k, n).proportion_ci(method="wilson")
    assert wilson_ci(k, n) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_gini_is_the_mean_absolute_difference_over_twice_the_mean() -> None:
    values = np.random.default_rng(10).exponential(size=50)
    by_pairs = np.abs(values[:, None] - values[None]).mean() / (2 * values.mean())
    assert gini(values) == pytest.approx(by_pairs)
    assert gini(np.ones(5)) == pytest.approx(0)
    assert np.isnan(gini([0.0, 0.0]))


def test_groups_need_one_name_per_value() -> None:
    with pytest.raises(ValueError, match="one per value"):
        group_codes(["a"], 2)


@given(
    st.lists(st.one_of(st.none(), st.just(math.nan), st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0]))),
    st.booleans(),
)
def test_the_strongest_are_those_a_sort_of_the_scored_gives(scores, by_size):
    scored = [(i, abs(s) if by_size else s) for i, s in enumerate(scores) if s is not None and s == s]
    wanted = [i for i, _ in sorted(scored, key=lambda pair: (-pair[1], pair[0]))]
    assert strongest(scores, by_size=by_size) == wanted
    assert strongest(scores, 2, by_size=by_size) == wanted[:2]


def test_the_interval_of_a_difference_is_that_of_newcombes_own_example() -> None:
    # 56 of 70 against 48 of 80: Newcombe 1998 (Statistics in Medicine 17, 873), table II, method 10, a.
    low, high = difference_interval(56 / 70, wilson_ci(56, 70), 48 / 80, wilson_ci(48, 80))
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)
