"""Folded ridge and AUROC columns against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from headscope.errors import StudyError
from headscope.probing.ridge import FoldedRidge, auroc_columns, grouped_folds, one_hot


def _predict(x, folds, targets, alpha=1.0, scale=True):
    ridge, out = FoldedRidge(x, folds, alpha, scale), np.empty(targets.shape)
    for block, scores, level in ridge.predict(targets.astype(np.float32)):
        out[:, block] = scores + level[:, None]
    return out


@pytest.mark.parametrize("scale", [True, False])
def test_predictions_are_scikit_learns_on_every_fold(scale: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 7)) @ rng.normal(size=(7, 7)) + 30
    x[:, 3] = 4.0  # a component that never varies
    folds = grouped_folds(np.arange(120) // 4, 5, seed=1)
    targets = rng.integers(0, 2, (6, 120)).astype(float)
    ours = _predict(x[folds.order], folds, targets[:, folds.order], alpha=2.5, scale=scale)
    for k in range(5):
        held = folds.of_item == k
        steps = [StandardScaler()] if scale else []
        model = make_pipeline(*steps, Ridge(alpha=2.5)).fit(x[~held], targets[:, ~held].T)
        assert np.allclose(ours[:, folds.blocks[k]], model.predict(x[held]).T, atol=2e-4)


def test_more_features_than_items_give_scikit_learns_ridge_too() -> None:
    rng = np.random.default_rng(2)
    x = rng.integers(0, 2, size=(40, 200)).astype(float)
    folds = grouped_folds(np.arange(40), 4)
    target = rng.normal(size=(1, 40))
    ours = _predict(x[folds.order], folds, target[:, folds.order], scale=False)
    held = folds.of_item == 0
    theirs = Ridge(alpha=1.0).fit(x[~held], target[0, ~held]).predict(x[held])
    assert np.allclose(ours[0, folds.blocks[0]], theirs, atol=1e-4)


def test_no_image_lies_in_two_folds_and_folds_are_of_about_equal_size() -> None:
    rng = np.random.default_rng(3)
    images = rng.integers(0, 60, 500)
    folds = grouped_folds(images, 5, seed=4)
    assert all(len(set(folds.of_item[images == i])) == 1 for i in set(images))
    assert np.ptp(np.bincount(folds.of_item)) <= 0.2 * 100
    assert sorted(folds.order) == list(range(500))
    assert grouped_folds(["a", "b", "b"], 5).count == 2
    with pytest.raises(StudyError, match="at least 2"):
        grouped_folds(["a", "a"])


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 60), st.sampled_from([3, 50, 10**6]))
def test_areas_are_scikit_learns_however_many_ties(seed: int, n: int, values: int) -> None:
    rng = np.random.default_rng(seed)
    scores = (rng.integers(-values, values, (4, n)) / 7.0).astype(np.float32)
    labels = rng.integers(0, 2, (4, n))
    ours = auroc_columns(scores, labels)
    for row, truth, area in zip(scores, labels, ours, strict=True):
        if truth.min() == truth.max():
            assert np.isnan(area)
        else:
            assert area == pytest.approx(roc_auc_score(truth, row), abs=1e-6)


def test_a_head_that_says_nothing_has_an_area_of_one_half() -> None:
    labels = np.array([[0, 1, 1, 0, 1]])
    assert auroc_columns(np.array([[0.0, -0.0, 0.0, -0.0, 0.0]]), labels)[0] == 0.5


def test_one_hot_lays_the_classes_of_a_set_side_by_side() -> None:
    assert one_hot(np.array([[0, 2], [1, 1]]), 3).tolist() == [[1, 0], [0, 0], [0, 1], [0, 0], [1, 1], [0, 0]]
