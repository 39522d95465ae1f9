"""Many heads, label sets and folds at once: the same numbers as an explicit loop and as scikit-learn."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info, threadpool_limits

import headscope.probing.batched as batched
from headscope.errors import StudyError
from headscope.probing.batched import BatchedRidge, areas_on, auroc_tensor
from headscope.probing.independent import independent_probes, permuted_within
from headscope.probing.ridge import FoldedRidge, grouped_folds, one_hot
from headscope.probing.settings import ProbeSettings
from headscope.probing.workers import head_workers
from probing.planted import plant


def _null_by_refitting(z, y, images, permutations, seed):
    """Mean and spread of AUROC (head, function) of scikit-learn's classifier refitted on permuted labels."""
    cut = grouped_folds(images, 5, seed)
    truth, order = y[cut.order], cut.order
    groups = np.unique(images, return_inverse=True)[1][order]
    sets = permuted_within(truth, groups, permutations, np.random.default_rng(seed + 1))
    area = np.zeros((permutations, z.shape[1], 3))
    for d, labels in enumerate(sets):
        for h in range(z.shape[1]):
            x = z[order, h][:, ~np.isnan(z[:, h]).any(0)]
            for block in cut.blocks:
                train = np.ones(len(y), dtype=bool)
                train[block] = False
                model = make_pipeline(StandardScaler(), RidgeClassifier(alpha=1.0))
                scores = model.fit(x[train], labels[train]).decision_function(x[block])
                for f in range(3):
                    area[d, h, f] += roc_auc_score(labels[block] == f, scores[:, f]) / cut.count
    return area.mean(0), area.std(0)


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])  # numpy, and torch as on a GPU
def test_the_null_is_that_of_refitting_scikit_learn_on_each_permutation(device) -> None:
    made = plant(items=180, heads=5, width=4, seed=11)
    made.z[:, 1, 3:] = np.nan  # a narrower head
    found = independent_probes(made.z, made.y, made.images, permutations=6, seed=2, device=device)
    mean, spread = _null_by_refitting(made.z, made.y, made.images, 6, 2)
    assert np.abs(found.null_mean - mean).max() < 2e-4  # two scores may change places by rounding
    assert np.abs(found.null_sd - spread).max() < 2e-4


def test_a_device_gives_what_the_processors_threads_give(monkeypatch) -> None:
    made = plant(items=240, heads=20, width=5, seed=12)
    made.z[:, ::3, 4:] = np.nan
    kinds = {"wordings": made.wordings, "permutations": 60, "controls": 4, "seed": 3}
    plain = independent_probes(made.z, made.y, made.images, **kinds)
    turns = []
    areas = batched.areas_on
    monkeypatch.setattr(
        batched, "areas_on", lambda *given: turns.append((len(given[1]), len(given[3]))) or areas(*given)
    )
    other = independent_probes(made.z, made.y, made.images, device="cpu:0", **kinds)
    assert turns == [(16, 64), (4, 64)]  # not the same path twice: all heads, control and null, on the device
    assert (plain.auroc == other.auroc).all()  # the true labels never go to the device
    assert np.abs(plain.control - other.control).max() < 1e-4
    assert np.abs(plain.null_mean - other.null_mean).max() < 1e-5
    assert np.abs(plain.p - other.p).max() < 1e-2
    bare = independent_probes(made.z, made.y, made.images, device="cpu:0", permutations=0, controls=0)
    assert np.isnan(bare.p).all()  # nothing to do on the device


@pytest.mark.parametrize(
    ("name", "reason"),
    [("nowhere", "'nowhere' is not available"), ("cuda:99", "'cuda:99' is not"), ("meta", "64-bit numbers")],
)
def test_a_device_that_cannot_solve_the_ridge_is_refused_before_any_work(planted, name, reason) -> None:
    with pytest.raises(StudyError, match=reason):
        independent_probes(planted.z, planted.y, planted.images, permutations=10**9, device=name)
    with pytest.raises(StudyError, match=reason):
        ProbeSettings(device=name)


def test_a_full_device_ends_in_one_message(planted, monkeypatch) -> None:
    def full(*_args, **_kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory.\nmore lines")

    monkeypatch.setattr(batched, "BatchedRidge", full)
    with pytest.raises(StudyError, match=r"CUDA out of memory.\); free memory there"):
        independent_probes(planted.z, planted.y, planted.images, permutations=5, device="cpu:0")


def test_float32_products_are_whole_whatever_the_process_allows_its_models(planted, monkeypatch) -> None:
    seen = []
    areas = batched._areas
    monkeypatch.setattr(
        batched, "_areas", lambda *given: seen.append(torch.get_float32_matmul_precision()) or areas(*given)
    )
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        independent_probes(planted.z, planted.y, planted.images, permutations=5, device="cpu:0")
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert set(seen) == {"highest"}


def test_predictions_of_heads_together_are_those_of_each_alone() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(3, 90, 6)) * 5 + 40
    x[1, :, 2] = 7.0  # a component that never varies
    folds = grouped_folds(np.arange(90) // 3, 4)
    targets = one_hot(rng.integers(0, 3, (4, 90)), 3)
    together = list(BatchedRidge(x, folds, alpha=2.0).predict(torch.as_tensor(targets)))
    for head in range(3):
        alone = FoldedRidge(x[head], folds, alpha=2.0).predict(targets)
        for (place, wanted, _), (block, scores) in zip(alone, together, strict=True):
            assert place == block
            assert np.allclose(scores[head].numpy(), wanted, atol=2e-5)


def test_little_memory_only_means_more_turns() -> None:
    rng = np.random.default_rng(5)
    heads = [rng.normal(size=(60, width)) for width in (3, 5, 3, 3)]
    folds = grouped_folds(np.arange(60), 3)
    sets = rng.integers(0, 2, (50, 60))
    at_once = areas_on("cpu", heads, folds, sets, 2)
    one_by_one = areas_on("cpu", heads, folds, sets, 2, memory=1)
    assert at_once.shape == (50, 4, 2)
    assert np.isfinite(at_once).all()
    assert np.allclose(at_once, one_by_one, atol=1e-3)
    assert np.allclose(at_once[..., 0], at_once[..., 1], atol=1e-3)  # two functions mirror each other


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 50), st.sampled_from([3, 50, 10**6]))
def test_areas_on_a_device_are_scikit_learns_however_many_ties(seed: int, n: int, values: int) -> None:
    rng = np.random.default_rng(seed)
    scores = (rng.integers(-values, values, (2, 3, n)) / 7.0).astype(np.float32)
    labels = rng.integers(0, 2, (3, n))
    ours = auroc_tensor(torch.as_tensor(scores), torch.as_tensor(labels)).numpy()
    for head in range(2):
        for row, truth, area in zip(scores[head], labels, ours[head], strict=True):
            if truth.min() == truth.max():
                assert np.isnan(area)
            else:
                assert area == pytest.approx(roc_auc_score(truth, row), abs=1e-6)


def test_numbers_do_not_depend_on_how_many_threads_share_the_heads(planted) -> None:
    kinds = {"permutations": 10, "wordings": planted.wordings, "seed": 1}
    one = independent_probes(planted.z, planted.y, planted.images, workers=1, **kinds)
    four = independent_probes(planted.z, planted.y, planted.images, workers=4, **kinds)
    for name in ("auroc", "low", "high", "control", "null_mean", "null_sd", "p", "accuracy"):
        assert (getattr(one, name) == getattr(four, name)).all()


def test_results_of_threads_come_in_order_and_their_errors_come_out() -> None:
    with head_workers(3) as each:
        assert list(each(lambda n: n * n, range(20))) == [n * n for n in range(20)]
        with pytest.raises(ZeroDivisionError):
            list(each(lambda n: 1 / n, [1, 0]))
    with pytest.raises(StudyError, match="0 workers"), head_workers(0):
        pass


def _blas_threads() -> set[int]:
    return {part["num_threads"] for part in threadpool_info() if part["user_api"] == "blas"}


def test_workers_take_no_more_threads_than_linear_algebra_was_given() -> None:
    def threads_of(each) -> set[int]:
        return set(each(lambda _: time.sleep(0.005) or threading.get_ident(), range(40)))

    with threadpool_limits(1, user_api="blas"), head_workers() as each:
        assert threads_of(each) == {threading.get_ident()}  # a limit of one: no thread of its own
    before = _blas_threads()
    with head_workers(3) as each:
        assert _blas_threads() == {1}
        assert len(threads_of(each) - {threading.get_ident()}) == 3
        with head_workers() as inner:  # within workers each has one
            assert threads_of(inner) == {threading.get_ident()}
    assert _blas_threads() == before
