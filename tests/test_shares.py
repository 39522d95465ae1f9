"""Intervals of shares and differences against scipy's, by hand, and by how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from headscope.statistics.resampling import bootstrap_ci, sign_flip_p, tail_share
from headscope.statistics.shares import (
    difference_interval,
    effective_size,
    exact_interval,
    share_difference,
    share_estimate,
)


@pytest.mark.parametrize(("k", "n"), [(0, 20), (20, 20), (1, 20), (7, 20), (130, 200), (0, 1)])
def test_the_interval_of_questions_of_their_own_pictures_is_scipys_exact_one(k: int, n: int) -> None:
    theirs = stats.binomtest(k, n).proportion_ci(method="exact")
    assert exact_interval(k, n) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    found = share_estimate([1] * k + [0] * (n - k))
    assert found.ci == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    assert (found.value, found.n, found.groups) == (k / n, n, n)


def test_all_right_is_no_certainty() -> None:
    assert share_estimate([1] * 20).ci == pytest.approx((0.8316, 1.0), abs=1e-4)
    lost = share_difference([1] * 20, [0] * 20)
    assert lost.value == 1
    assert 0.7 < lost.ci[0] < 0.85
    assert lost.ci[1] == 1
    low, high = difference_interval([-1.0] * 20)
    assert low == -1
    assert high == pytest.approx(-lost.ci[0], abs=0.03)
    low, high = difference_interval([0.0] * 20)
    assert -0.15 < low < -0.05 < 0.05 < high < 0.15


def test_answers_that_are_alike_within_a_picture_count_as_one() -> None:
    right = np.repeat([1] * 12 + [0] * 8, 3)
    pictures = np.repeat(np.arange(20), 3)
    theirs = stats.binomtest(12, 20).proportion_ci(method="exact")
    assert share_estimate(right, pictures).ci == pytest.approx((theirs.low, theirs.high), abs=0.02)
    assert share_estimate([1] * 60, pictures).ci == pytest.approx((0.8316, 1), abs=1e-4)


def test_the_effective_number_of_questions_follows_the_jackknife_over_pictures() -> None:
    rng = np.random.default_rng(3)
    pictures = np.repeat(np.arange(30), 4)
    right = (rng.random(30)[pictures] < rng.random(120)).astype(float)
    share, n = right.mean(), len(right)
    without = np.array([right[pictures != g].mean() for g in range(30)])
    variance = 29 / 30 * ((without - share) ** 2).sum()
    few = (stats.t.ppf(0.975, n - 1) / stats.t.ppf(0.975, 29)) ** 2
    wanted = n * few * (share * (1 - share) / (n - 1)) / variance
    assert wanted < n
    assert effective_size(right, pictures) == pytest.approx(wanted)
    assert effective_size([0, 1, 0, 1], ["a", "a", "b", "b"]) == 4  # pictures that are all alike tell no more


@pytest.mark.parametrize("counts", [(7, 11, 2), (0, 20, 0), (20, 0, 0), (1, 18, 1)])
def test_the_interval_of_a_difference_is_that_of_a_dirichlet_with_a_third_of_each_outcome(counts) -> None:
    differences = np.repeat([1.0, 0.0, -1.0], counts)
    tail = tail_share(20)
    drawn = stats.dirichlet(np.add(counts, 1 / 3)).rvs(200_000, random_state=5) @ [1, 0, -1]
    low, high = np.quantile(drawn, [tail, 1 - tail])
    found = difference_interval(differences, draws=40_000)
    assert found[0] == pytest.approx(low, abs=0.015)
    assert found[1] == pytest.approx(1.0 if counts == (20, 0, 0) else high, abs=0.015)


def test_with_many_pictures_it_is_the_plain_bootstraps() -> None:
    rng = np.random.default_rng(1)
    pictures = np.repeat(np.arange(300), 2)
    lasting = rng.choice([1.0, 0.0, -1.0], p=[0.3, 0.6, 0.1], size=300)[pictures]
    other = rng.choice([1.0, 0.0, -1.0], p=[0.3, 0.6, 0.1], size=600)
    values = np.where(rng.random(600) < 0.5, lasting, other)
    plain = bootstrap_ci(values, pictures, draws=20_000)
    assert difference_interval(values, pictures, draws=20_000) == pytest.approx(plain, abs=0.006)


TRUTHS = [
    (0.0, 0.0),
    (0.03, 0.0),
    (0.05, 0.05),
    (0.3, 0.3),
    (0.4, 0.05),
    (0.9, 0.05),
    (0.97, 0.0),
    (1.0, 0.0),
]


@pytest.mark.parametrize("truth", TRUTHS)
def test_both_hold_the_truth_at_none_all_and_between_whatever_pictures_share(truth) -> None:
    lost, won = truth
    rng, runs, hits, shares = np.random.default_rng(11), 400, 0, 0
    for run in range(runs):
        pictures = np.repeat(np.arange(24), rng.integers(1, 4, 24))
        odds = [lost, won, 1 - lost - won]
        lasting = rng.choice([1.0, -1.0, 0.0], p=odds, size=24)[pictures]
        own = rng.choice([1.0, -1.0, 0.0], p=odds, size=len(pictures))
        values = np.where(rng.random(len(pictures)) < 0.5, lasting, own)
        low, high = difference_interval(values, pictures, draws=400, seed=run)
        hits += low <= lost - won <= high
        low, high = share_estimate(values == 1, pictures).ci
        shares += low <= lost <= high
    # 93 % less three standard errors of a share out of 400
    assert hits / runs >= 0.93 - 3 * 0.0128
    assert shares / runs >= 0.93 - 3 * 0.0128


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 5)), min_size=1, max_size=40))
def test_every_interval_holds_its_estimate_and_has_a_width(rows: list[tuple[bool, bool, int]]) -> None:
    a, b, pictures = zip(*rows, strict=True)
    share = share_estimate(a, pictures)
    assert 0 <= share.ci[0] <= share.value <= share.ci[1] <= 1
    assert share.ci[1] > share.ci[0]
    found = share_difference(a, b, pictures, draws=200)
    assert found.p_signflip == sign_flip_p(np.subtract(a, b, dtype=float), pictures)
    if found.groups > 1:
        assert -1 <= found.ci[0] <= found.value <= found.ci[1] <= 1
        assert found.ci[1] > found.ci[0]


def test_what_is_no_share_is_refused_and_missing_answers_are_left_out() -> None:
    with pytest.raises(ValueError, match="share"):
        share_estimate([0.0, 1.4])
    with pytest.raises(ValueError, match="shares"):
        share_difference([0.0, 2.0], [0.0, 1.0])
    with pytest.raises(ValueError, match="paired"):
        share_difference([0.0, 1.0], [0.0])
    assert share_estimate([1.0, np.nan, 0.0]).n == 2
    assert np.isnan(share_estimate([]).value)
    assert np.isnan(difference_interval([1.0, 1.0], ["a", "a"])).all()
