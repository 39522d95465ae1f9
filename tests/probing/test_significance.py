"""p-values of heads, elbows, and intervals of areas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from headscope.probing.ridge import auroc_columns
from headscope.probing.significance import (
    auroc_with_interval,
    elbow,
    fdr,
    finite_or_none,
    permutation_p,
    pooled_auroc,
)


def test_exact_p_counts_a_heads_own_draws() -> None:
    null = np.arange(99, dtype=float)[:, None].repeat(2, 1)
    assert permutation_p([98.0, 200.0], null, "exact").tolist() == [2 / 100, 1 / 100]


@pytest.mark.parametrize("method", ["exact", "pooled"])
def test_p_is_uniform_when_observed_and_null_are_alike(method) -> None:
    rng = np.random.default_rng(0)
    p = []
    for _ in range(150):
        scale, shift = rng.uniform(0.1, 5, 8), rng.normal(size=8)
        p.append(
            permutation_p(
                rng.normal(size=8) * scale + shift, rng.normal(size=(60, 8)) * scale + shift, method
            )
        )
    p = np.concatenate(p)
    for level in (0.05, 0.2):
        assert stats.binomtest(int((p <= level).sum()), p.size, level).pvalue > 0.001
    if method == "pooled":
        assert (p <= 0.005).mean() <= 0.012


def test_pooled_p_lets_one_strong_head_among_many_pass_where_exact_p_cannot() -> None:
    rng = np.random.default_rng(1)
    null, observed = rng.normal(size=(100, 64, 1)), rng.normal(size=(64, 1))
    observed[10] = 30.0
    assert (fdr(permutation_p(observed, null, "exact")) > 0.05).all()
    assert np.flatnonzero(fdr(permutation_p(observed, null, "pooled"))[:, 0] <= 0.05).tolist() == [10]


def test_without_draws_or_score_there_is_no_p() -> None:
    assert np.isnan(permutation_p([1.0], np.empty((0, 1)))).all()
    assert np.isnan(permutation_p([np.nan, 1.0], np.zeros((5, 2)))).tolist() == [True, False]
    assert permutation_p([0.0], np.zeros((5, 1))).tolist() == [1.0]


def test_strong_heads_do_not_make_the_null_of_the_others_look_narrower() -> None:
    rng, low = np.random.default_rng(5), []
    for _ in range(60):
        null, observed = rng.normal(size=(100, 32, 1)), rng.normal(size=(32, 1))
        observed[:20] += 40
        low.append(permutation_p(observed, null)[20:, 0] <= 0.02)
    assert stats.binomtest(int(np.sum(low)), 60 * 12, 0.02).pvalue > 0.01


def test_the_elbow_is_the_point_farthest_from_the_chord() -> None:
    assert elbow([9.0, 8.5, 8.0, 0.3, 0.2, 0.1, 0.0]) == 3
    assert elbow([-9.0, 0.0, 0.1, 0.2]) == 1
    assert elbow([1.0, 1.0, 1.0, 0.95, 0.0]) == 4  # the last high point, above the chord
    assert elbow([1.0, 1.0, 1.0]) == 1
    assert elbow([None, None]) == 0
    sizes = np.sort(np.random.default_rng(2).exponential(size=40) ** 3)[::-1]
    x, y = np.arange(40.0), sizes
    chord = np.array([x[-1] - x[0], y[-1] - y[0]])
    distance = np.abs(chord[0] * (y - y[0]) - chord[1] * (x - x[0])) / np.hypot(*chord)
    assert elbow(sizes) == int(distance.argmax())


def _steps(rng, images=60, size=5, heads=3):
    groups = np.arange(images).repeat(size)
    positive = rng.random(images * size) < 0.4
    scores = rng.normal(size=(heads, images)).repeat(size, 1) + rng.normal(size=(heads, images * size))
    return scores + positive * np.arange(heads)[:, None], positive, groups


def test_areas_are_scikit_learns_and_their_interval_is_that_of_the_bootstrap_by_image() -> None:
    rng = np.random.default_rng(3)
    scores, positive, groups = _steps(rng)
    area, low, high = auroc_with_interval(scores, positive, groups)
    assert np.allclose(area, [roc_auc_score(positive, s) for s in scores])
    members = [np.flatnonzero(groups == g) for g in range(60)]
    draws = []
    for _ in range(1500):
        rows = np.concatenate([members[g] for g in rng.integers(0, 60, 60)])
        draws.append(auroc_columns(scores[:, rows], positive[rows][None].repeat(3, 0)))
    brute = np.quantile(draws, [0.025, 0.975], axis=0)
    assert np.abs(low - brute[0]).max() < 0.02
    assert np.abs(high - brute[1]).max() < 0.02


def test_intervals_of_areas_cover_the_truth_as_often_as_they_say() -> None:
    rng, hits = np.random.default_rng(4), 0
    truth = stats.norm.cdf(1 / np.sqrt(2) / np.sqrt(2))  # both labels with variance 2, one apart
    for _ in range(600):
        scores, positive, groups = _steps(rng, images=50, heads=2)
        _, low, high = auroc_with_interval(scores[1:], positive, groups)
        hits += bool(low[0] <= truth <= high[0])
    assert 0.92 <= hits / 600 <= 0.975


def test_folds_with_one_label_are_skipped_and_perfect_areas_have_no_width() -> None:
    scores = np.array([[0.0, 1.0, 2.0, 3.0]])
    good = (scores, np.array([False, False, True, True]), [0, 1, 2, 3])
    empty = (scores, np.zeros(4, dtype=bool), [4, 5, 6, 7])
    assert [x.tolist() for x in pooled_auroc([good, empty])] == [[1.0], [1.0], [1.0]]
    assert np.isnan(pooled_auroc([empty])[0]).all()


def test_numbers_that_json_cannot_hold_become_none() -> None:
    assert finite_or_none([[1.0, np.nan], [np.inf, 2.0]]) == [[1.0, None], [None, 2.0]]
