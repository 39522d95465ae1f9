"""Independent probes: how well each head on its own tells one cognitive function from the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headscope.errors import StudyError
from headscope.evaluation.statistics import group_codes
from headscope.probing.ridge import FoldedRidge, Folds, auroc_columns, grouped_folds, one_hot
from headscope.probing.significance import Method, fdr, permutation_p, pooled_auroc

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_SETS = 48  # label sets solved together: their score columns stay in the processor's cache


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
) -> IndependentProbes:
    """Ridge classifiers per head, one function against the rest, folds grouped by image.

    One estimator serves the observed labels, the control tasks and the permuted labels; per head and fold it
    is factorised once, and all of these are right-hand sides. Design section 5, point 2; the control task is
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

    Raises:
        StudyError: fewer than two images, or z and labels of different length, or NaN inside a head.

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
    rng = np.random.default_rng(seed + 1)
    control_sets = _control_labels(y, wordings, cut, controls, rng)
    null_sets = permuted_within(y, codes, permutations, rng)
    sets = np.concatenate([y[None], control_sets, null_sets])
    ridges = [FoldedRidge(own_columns(z, h)[cut.order], cut, alpha) for h in range(z.shape[1])]
    auroc = np.full((len(sets), len(ridges), count), np.nan)
    for start in range(1, len(sets), _SETS):
        part = slice(start, start + _SETS)
        auroc[part] = _auroc_sets(ridges, cut, sets[part], count)
    area, low, high, accuracy = _observed(ridges, cut, y, codes, count)
    first_null = 1 + len(control_sets)
    control, null = auroc[1:first_null], auroc[first_null:]
    p = permutation_p(area, null, method)
    shape = (len(ridges), count)
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
        control_accuracy=_accuracy_of_sets(ridges, control_sets, count),
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


def logistic_check(
    z: NDArray[Any],
    labels: NDArray[Any],
    groups: Sequence[Any] | NDArray[Any],
    heads: Sequence[int],
    *,
    functions: int,
    folds: int = 5,
    seed: int = 0,
) -> Floats:
    """AUROC of a multinomial logistic classifier for a few heads on the same folds, (head, function).

    Slow beside ridge; it only shows that the conclusions do not hang on the estimator.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    y = np.asarray(labels, dtype=np.int64)
    fold = grouped_folds(groups, folds, seed).of_item
    found = np.full((int(fold.max()) + 1, len(heads), functions), np.nan)
    for place, head in enumerate(heads):
        x = own_columns(z, head)
        for k in range(len(found)):
            model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
            model.fit(x[fold != k], y[fold != k])
            classes = model[-1].classes_
            scores = np.full((functions, int((fold == k).sum())), -np.inf)
            shares = model.predict_proba(x[fold == k]).T
            scores[classes] = shares if len(classes) > 1 else 0.0
            found[k, place] = auroc_columns(scores, one_hot(y[None, fold == k], functions))
    return nanmean(found)


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


def _auroc_sets(ridges: Sequence[FoldedRidge], cut: Folds, sets: Ints, count: int) -> Floats:
    """AUROC of every head under every label set, (set, head, function), mean over folds."""
    targets = one_hot(sets, count)
    bits = [np.ascontiguousarray(targets[:, b]).astype(np.int32) for b in cut.blocks]
    found = np.empty((len(sets), len(ridges), count))
    for h, ridge in enumerate(ridges):
        areas = [
            auroc_columns(scores, own)
            for (_, scores, _), own in zip(ridge.predict(targets), bits, strict=True)
        ]
        found[:, h, :] = nanmean(np.stack(areas)).reshape(len(sets), count)
    return found


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
