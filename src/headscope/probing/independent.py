"""Independent probes: how well each head on its own tells one cognitive function from the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headscope.errors import StudyError
from headscope.probing.ridge import FoldedRidge, Folds, auroc_columns, grouped_folds, one_hot
from headscope.probing.significance import Method, fdr, permutation_p, pooled_auroc
from headscope.probing.workers import Map, head_workers
from headscope.statistics.resampling import group_codes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_SETS = 48  # label sets solved together: their score columns stay in the processor's cache
_BLOCK = 16  # heads whose standardised features are held at a time


@dataclass(frozen=True, eq=False)
class IndependentProbes:
    """Scores of every head for every function; all (head, function) unless said otherwise.

    Attributes:
        auroc: one-vs-rest area under the ROC curve, mean over held-out folds.
        low, high: 95 % interval by image, given the fitted probes (see significance.pooled_auroc).
        control: mean AUROC on control tasks (each wording carries a random function).
        selectivity: auroc - control.
        p: against labels permuted within image. q: Benjamini-Hochberg over heads.
        null_mean, null_sd: of the AUROC under permuted labels.
        accuracy, control_accuracy: (head,) of the arg-max over functions, on held-out folds.
        counts: (function,) steps. majority: share of the commonest function.
    """

    auroc: Floats
    low: Floats
    high: Floats
    control: Floats
    selectivity: Floats
    p: Floats
    q: Floats
    null_mean: Floats
    null_sd: Floats
    accuracy: Floats
    control_accuracy: Floats
    counts: Ints
    majority: float


def independent_probes(
    z: NDArray[Any],
    labels: NDArray[Any],
    groups: Sequence[Any] | NDArray[Any],
    *,
    wordings: Sequence[Any] | NDArray[Any] | None = None,
    functions: int | None = None,
    folds: int = 5,
    alpha: float = 1.0,
    permutations: int = 200,
    controls: int = 10,
    method: Method = "pooled",
    seed: int = 0,
    device: str = "cpu",
    workers: int | None = None,
) -> IndependentProbes:
    """Ridge classifiers per head, one function against the rest, folds grouped by image.

    One estimator serves the observed labels, the control tasks and the permuted labels; per head and fold it
    is factorised once, and all of these are right-hand sides. docs/concepts.md; the control task is
    that of Hewitt and Liang (2019).

    Args:
        z: (item, head, width); heads narrower than ``width`` are padded with NaN.
        labels: (item,) function number, 0..functions-1.
        groups: (item,) image; decides folds, and permutations stay within it.
        wordings: (item,) template of the question, for the control task; None: no control (NaN).
        functions: number of functions; None: as many as occur.
        folds, alpha, seed: of the ridge.
        permutations, controls: label sets of the null and of the control task.
        method: of p, see significance.permutation_p.
        device: where the control and permuted label sets are scored. "cpu": numpy in threads over heads;
            any other name ("cuda", "cuda:1", "auto", also "cpu:0"): torch there, many heads at once. The two
            agree to rounding; scores under the true labels are numpy's with either.
        workers: these threads, see :func:`headscope.probing.workers.head_workers`. Results are the same bytes
            with any number.

    Memory beside ``z``: the features of ``_BLOCK`` heads, and 8 bytes a label set, head and function.

    Raises:
        StudyError: fewer than two images, or z and labels of different length, or NaN inside a head, or a
            device that is not there, lacks 64-bit numbers or runs out of memory.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> z, y = rng.normal(size=(200, 3, 4)), rng.integers(0, 2, 200)
        >>> z[:, 1, 0] += 3 * y
        >>> found = independent_probes(z, y, np.arange(200) // 4, permutations=20)
        >>> int(found.auroc[:, 1].argmax())
        1
    """
    y = np.asarray(labels, dtype=np.int64)
    if len(z) != len(y):
        raise StudyError(f"asked to probe {len(z)} steps, found {len(y)} labels; give one per step")
    count = int(y.max()) + 1 if functions is None else functions
    cut = grouped_folds(groups, folds, seed)
    codes, _ = group_codes(groups, len(y))
    y, codes = y[cut.order], codes[cut.order]
    if device != "cpu":
        device = _torch_device(device)
    rng = np.random.default_rng(seed + 1)
    control_sets = _control_labels(y, wordings, cut, controls, rng)
    sets = np.concatenate([control_sets, permuted_within(y, codes, permutations, rng)])
    areas, observed = np.empty((len(sets), z.shape[1], count)), []
    with head_workers(workers) as each:
        for start in range(0, z.shape[1], _BLOCK):
            heads = range(start, min(start + _BLOCK, z.shape[1]))
            columns = [own_columns(z, h)[cut.order] for h in heads]
            ridges = list(each(lambda x: FoldedRidge(x, cut, alpha), columns))
            if device == "cpu":
                areas[:, heads] = _auroc_sets(ridges, cut, sets, count, each)
            else:
                areas[:, heads] = _auroc_on(device, columns, cut, sets, count, alpha)
            observed.append(
                (*_observed(ridges, cut, y, codes, count), _accuracy_of_sets(ridges, control_sets, count))
            )
    joined = [np.concatenate(part) for part in zip(*observed, strict=True)]
    return _probes(joined, areas[: len(control_sets)], areas[len(control_sets) :], y, count, method)


def _probes(
    observed: Sequence[Floats], control: Floats, null: Floats, y: Ints, count: int, method: Method
) -> IndependentProbes:
    """The result from area, low, high, accuracy and accuracy on control labels, and (set, head, function)."""
    area, low, high, accuracy, control_accuracy = observed
    p = permutation_p(area, null, method)
    shape = area.shape
    control_area = nanmean(control) if len(control) else np.full(shape, np.nan)
    return IndependentProbes(
        auroc=area,
        low=low,
        high=high,
        control=control_area,
        selectivity=area - control_area,
        p=p,
        q=fdr(p),
        null_mean=null.mean(0) if len(null) else np.full(shape, np.nan),
        null_sd=null.std(0) if len(null) else np.full(shape, np.nan),
        accuracy=accuracy,
        control_accuracy=control_accuracy,
        counts=np.bincount(y, minlength=count),
        majority=float(np.bincount(y).max() / len(y)),
    )


def own_columns(z: NDArray[Any], head: int) -> NDArray[Any]:
    """A head's own part of the padded array, (item, width of the head).

    Raises:
        StudyError: NaN among a head's own columns.
    """
    mine = z[:, head, :]
    absent = np.isnan(mine)
    kept = mine[:, ~absent.all(0)]
    if np.isnan(kept).any() or kept.shape[1] == 0:
        bad = int(absent.any(1).sum())
        raise StudyError(
            f"head number {head}: asked to probe {len(z)} steps, found NaN in {bad} of them; leave out steps "
            "whose readout is empty"
        )
    return kept


def permuted_within(
    labels: NDArray[Any], groups: NDArray[Any], draws: int, rng: np.random.Generator
) -> NDArray[Any]:
    """(draw, item) labels shuffled among the items of each group."""
    order = np.argsort(groups, kind="stable")  # items by group; a draw shuffles keys inside each group
    sets = np.empty((draws, len(labels)), dtype=labels.dtype)
    for draw in range(draws):
        shuffled = np.lexsort((rng.random(len(labels)), groups))
        sets[draw, order] = labels[shuffled]
    return sets


def nanmean(values: Floats) -> Floats:
    """Mean over the first axis without NaN; NaN where nothing is left."""
    seen = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(seen, values, 0.0).sum(0) / seen.sum(0))


def _control_labels(y: Ints, wordings: Any, cut: Folds, draws: int, rng: np.random.Generator) -> Ints:
    """(draw, item) control labels: the wordings' functions shuffled among the wordings."""
    if wordings is None or draws == 0:
        return np.empty((0, len(y)), dtype=np.int64)
    words, count = group_codes(wordings, len(y))
    words = words[cut.order]
    votes = np.zeros((count, int(y.max()) + 1))
    np.add.at(votes, (words, y), 1)
    function = votes.argmax(1)
    return np.stack([rng.permutation(function)[words] for _ in range(draws)])


def _auroc_sets(ridges: Sequence[FoldedRidge], cut: Folds, sets: Ints, count: int, each: Map) -> Floats:
    """AUROC of every head under every label set, (set, head, function), mean over folds."""
    found = np.empty((len(sets), len(ridges), count))
    for start in range(0, len(sets), _SETS):
        part = slice(start, start + _SETS)
        targets = one_hot(sets[part], count)
        bits = [np.ascontiguousarray(targets[:, b]).astype(np.int32) for b in cut.blocks]

        def areas(ridge: FoldedRidge, targets: Any = targets, bits: Any = bits) -> Floats:
            folds = zip(ridge.predict(targets), bits, strict=True)
            return nanmean(np.stack([auroc_columns(scores, own) for (_, scores, _), own in folds]))

        for h, area in enumerate(each(areas, ridges)):
            found[part, h] = area.reshape(-1, count)
    return found


def _torch_device(name: str) -> str:
    """The device's full name; torch is loaded for this only."""
    from headscope.probing.batched import ridge_device

    return ridge_device(name)


def _auroc_on(
    device: str, columns: Sequence[NDArray[Any]], cut: Folds, sets: Ints, count: int, alpha: float
) -> Floats:
    """The same on a torch device."""
    from headscope.probing.batched import areas_on

    return areas_on(device, columns, cut, sets, count, alpha)


def _observed(
    ridges: Sequence[FoldedRidge], cut: Folds, y: Ints, codes: Ints, count: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """AUROC with interval (head, function) and accuracy (head,) under the true labels."""
    targets = one_hot(y[None], count)
    scores = np.empty((len(ridges), count, len(y)))
    right = np.empty((len(ridges), len(y)))
    for h, (block, found, level) in _predictions(ridges, targets):
        scores[h, :, block] = found
        right[h, block] = (found + level[:, None]).argmax(0) == y[block]
    columns = []
    for f in range(count):
        parts = [(scores[:, f, b], y[b] == f, codes[b]) for b in cut.blocks]
        columns.append(pooled_auroc(parts))
    area, low, high = (np.stack([c[i] for c in columns], axis=1) for i in range(3))
    return area, low, high, right.mean(1)


def _predictions(
    ridges: Sequence[FoldedRidge], targets: NDArray[np.float32]
) -> Iterator[tuple[int, tuple[slice, NDArray[np.float32], Floats]]]:
    for h, ridge in enumerate(ridges):
        for part in ridge.predict(targets):
            yield h, part


def _accuracy_of_sets(ridges: Sequence[FoldedRidge], sets: Ints, count: int) -> Floats:
    """(head,) accuracy of the arg-max, mean over label sets."""
    if not len(sets):
        return np.full(len(ridges), np.nan)
    right = np.zeros(len(ridges))
    for h, (block, found, level) in _predictions(ridges, one_hot(sets, count)):
        guess = (found + level[:, None]).reshape(len(sets), count, -1).argmax(1)
        right[h] += (guess == sets[:, block]).sum()
    return right / sets.size
