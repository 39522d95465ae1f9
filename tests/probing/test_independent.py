"""Independent probes against scikit-learn, and on steps where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from headscope.errors import StudyError
from headscope.probing.independent import independent_probes, permuted_within
from headscope.probing.logistic import logistic_check
from headscope.probing.ridge import grouped_folds
from probing.planted import plant


def _reference(z, y, fold, functions):
    """AUROC (head, function) and accuracy (head,) of scikit-learn's classifier, fold by fold."""
    heads = z.shape[1]
    area, right = np.zeros((heads, functions)), np.zeros(heads)
    for h in range(heads):
        own = z[:, h, ~np.isnan(z[:, h]).any(0)]
        for k in range(fold.max() + 1):
            held = fold == k
            model = make_pipeline(StandardScaler(), RidgeClassifier(alpha=1.0)).fit(own[~held], y[~held])
            scores = model.decision_function(own[held])
            for f in range(functions):
                area[h, f] += roc_auc_score(y[held] == f, scores[:, f]) / (fold.max() + 1)
            right[h] += (model.predict(own[held]) == y[held]).sum() / len(y)
    return area, right


def test_probes_agree_with_scikit_learns_ridge_classifier() -> None:
    given = plant(items=420, heads=5, width=6, seed=3, strength=1.0)
    given.z[:, 1, 4:] = np.nan  # a narrower head
    found = independent_probes(given.z, given.y, given.images, permutations=0, seed=5)
    fold = grouped_folds(given.images, 5, seed=5).of_item
    area, accuracy = _reference(given.z, given.y, fold, 3)
    assert np.abs(found.auroc - area).max() < 0.005
    assert np.abs(found.accuracy - accuracy).max() < 0.005


def test_the_planted_head_is_found_and_no_other(planted) -> None:
    found = independent_probes(
        planted.z, planted.y, planted.images, wordings=planted.wordings, permutations=60, seed=1
    )
    assert (found.auroc.argmax(0) == planted.head).all()
    assert (np.flatnonzero((found.q <= 0.05).any(1)) == planted.head).all()
    assert (found.low <= found.auroc).all()
    assert (found.auroc <= found.high).all()
    assert found.accuracy[planted.head] > 0.7 > 0.45 > np.delete(found.accuracy, planted.head).max()
    assert found.counts.tolist() == [120, 120, 120]


def test_a_head_that_reads_the_wording_has_no_selectivity_and_one_that_reads_the_function_has() -> None:
    rng = np.random.default_rng(6)
    y = rng.integers(0, 3, 600)
    wording = y * 6 + rng.integers(0, 6, 600)
    z = rng.normal(size=(600, 2, 18)).astype(np.float32) * 0.3
    z[np.arange(600), 0, wording] += 3  # knows which of 18 wordings
    z[np.arange(600), 1, y] += 3  # knows the function, blind to the wording
    found = independent_probes(z, y, np.arange(600) // 4, wordings=wording, permutations=0)
    assert (found.auroc > 0.95).all()
    assert found.control[0].min() > 0.95
    assert np.abs(found.selectivity[0]).max() < 0.05
    assert found.selectivity[1].min() > 0.2
    assert found.control_accuracy[0] > 0.9 > found.control_accuracy[1]


def test_permuted_labels_stay_within_their_image() -> None:
    rng = np.random.default_rng(7)
    groups, labels = rng.integers(0, 30, 200), rng.integers(0, 4, 200)
    sets = permuted_within(labels, groups, 50, rng)
    for group in range(30):
        mine = groups == group
        assert (np.sort(sets[:, mine], 1) == np.sort(labels[mine])).all()
    assert (sets != labels).any(1).all()


def test_under_permuted_labels_claims_are_as_rare_as_promised() -> None:
    claims = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        images = np.arange(120) // 6
        z = (rng.normal(size=(120, 12, 4)) + rng.normal(size=(20, 12, 4)).repeat(6, 0)).astype(np.float32)
        found = independent_probes(z, rng.integers(0, 2, 120), images, permutations=40, seed=seed)
        claims.append((found.q[:, 0] <= 0.05).any())
    assert np.mean(claims) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)


def test_the_same_seed_gives_the_same_numbers_and_heads_do_not_influence_each_other(planted) -> None:
    once = independent_probes(planted.z, planted.y, planted.images, permutations=5, seed=2)
    again = independent_probes(planted.z, planted.y, planted.images, permutations=5, seed=2)
    alone = independent_probes(planted.z[:, 2:3], planted.y, planted.images, permutations=5, seed=2)
    assert (once.auroc == again.auroc).all()
    assert (once.p == again.p).all()
    assert (once.auroc[2] == alone.auroc[0]).all()
    assert (once.null_mean[2] == alone.null_mean[0]).all()


def test_a_logistic_classifier_sees_the_same(planted) -> None:
    ridge = independent_probes(planted.z, planted.y, planted.images, permutations=0)
    check = logistic_check(planted.z, planted.y, planted.images, [2, 0], functions=3)
    assert np.abs(check - ridge.auroc[[2, 0]]).max() < 0.05


def test_missing_labels_and_empty_readouts_are_refused(planted) -> None:
    with pytest.raises(StudyError, match="one per step"):
        independent_probes(planted.z, planted.y[:-1], planted.images)
    broken = planted.z.copy()
    broken[3] = np.nan
    with pytest.raises(StudyError, match="NaN in 1"):
        independent_probes(broken, planted.y, planted.images)
