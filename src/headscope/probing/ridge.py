"""Ridge regression over grouped folds for very many label columns at once, and AUROC of very many columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headscope.errors import StudyError
from headscope.statistics.resampling import group_codes

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Folds:
    """Items cut into folds by group: fold k holds ``order[bounds[k]:bounds[k + 1]]``."""

    order: Ints  # (item,) item numbers, fold by fold
    bounds: Ints  # (fold + 1,)

    @property
    def count(self) -> int:
        """Number of folds."""
        return len(self.bounds) - 1

    @property
    def blocks(self) -> list[slice]:
        """Where each fold lies in arrays that are in fold order."""
        return [slice(int(a), int(b)) for a, b in zip(self.bounds[:-1], self.bounds[1:], strict=True)]

    @property
    def of_item(self) -> Ints:
        """(item,) fold of each item, in the items' own order."""
        fold = np.empty(len(self.order), dtype=np.int64)
        fold[self.order] = np.repeat(np.arange(self.count), np.diff(self.bounds))
        return fold


def grouped_folds(groups: Sequence[Any] | NDArray[Any], count: int = 5, seed: int = 0) -> Folds:
    """Folds of about equal size in which all items of a group (image) lie together.

    Groups are shuffled, then each goes to the smallest fold so far; with fewer groups than folds there are
    as many folds as groups.

    Raises:
        StudyError: all items come from one group.
    """
    codes, total = group_codes(groups, len(groups))
    if total < 2:
        raise StudyError(
            f"asked for folds by image over {len(codes)} steps, found {total} image; probing needs at least 2"
        )
    sizes = np.bincount(codes, minlength=total)
    filled, fold = np.zeros(min(count, total)), np.empty(total, dtype=np.int64)
    for group in np.random.default_rng(seed).permutation(total):
        fold[group] = np.argmin(filled)
        filled[fold[group]] += sizes[group]
    of_item = fold[codes]
    bounds = np.concatenate([[0], np.cumsum(np.bincount(of_item, minlength=len(filled)))])
    return Folds(np.argsort(of_item, kind="stable"), bounds)


class FoldedRidge:
    """Ridge regression with intercept, one fit per fold, factorised once and applied to any number of
    targets.

    Features are standardised on the training folds, as ``StandardScaler`` then ``Ridge(alpha)`` would do: in
    unscaled coordinates that is the penalty alpha * variance. The normal equations of the training folds are
    those of all items less those of the fold left out, so that targets cost two products per fold.

    Args:
        x: (item, feature) in fold order; more features than items only with ``scale=False``.
        folds: the folds.
        alpha: penalty.
        scale: False centres the features only.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
        >>> folds = grouped_folds(np.arange(60), 5)
        >>> ridge = FoldedRidge(x[folds.order], folds)
        >>> [scores.shape for _, scores, _ in ridge.predict(x[folds.order].T[:2])]
        [(2, 12), (2, 12), (2, 12), (2, 12), (2, 12)]
    """

    def __init__(self, x: NDArray[Any], folds: Folds, alpha: float = 1.0, scale: bool = True) -> None:
        wide = np.asarray(x, dtype=np.float64)
        wide = wide - wide.mean(0)
        if scale:
            spread = wide.std(0)
            wide /= np.where(spread > 0, spread, 1.0)
        elif wide.shape[1] > wide.shape[0]:
            # Only centred ridge looks at inner products alone, hence coordinates in the row space do as well.
            left, size, _ = np.linalg.svd(wide, full_matrices=False)
            wide = left * size
        self.folds = folds
        self._x = wide.astype(np.float32)
        self._parts = self._factorise(wide, alpha, scale)

    def _factorise(self, x: Floats, alpha: float, scale: bool) -> list[tuple[Singles, Singles]]:
        """Per fold: mean of the training items (feature,), inverse of their normal matrix."""
        blocks = self.folds.blocks
        grams, sums = [x[b].T @ x[b] for b in blocks], [x[b].sum(0) for b in blocks]
        gram, total = sum(grams), sum(sums)
        parts = []
        for block, own_gram, own_sum in zip(blocks, grams, sums, strict=True):
            n = len(x) - (block.stop - block.start)
            mean = (total - own_sum) / n
            normal = gram - own_gram - n * np.outer(mean, mean)
            variance = np.diagonal(normal) / n
            # A feature that does not vary in training gets weight 0, whatever its penalty.
            penalty = np.where(variance > 1e-12, variance, 1.0) if scale else 1.0
            inverse = np.linalg.inv(normal + np.diag(np.broadcast_to(alpha * penalty, len(mean))))
            parts.append((mean.astype(np.float32), inverse.astype(np.float32)))
        return parts

    def predict(self, targets: Singles) -> Iterator[tuple[slice, Singles, Floats]]:
        """Predictions for each fold by the fit on the other folds.

        Args:
            targets: (column, item) in fold order.

        Yields:
            The fold's place, scores (column, item of the fold) without the intercept, and the intercept
            (column,): the mean of the training targets.
        """
        blocks = self.folds.blocks
        crosses = [targets[:, b] @ self._x[b] for b in blocks]
        sums = [targets[:, b].sum(1, dtype=np.float64) for b in blocks]
        cross, total = np.sum(crosses, axis=0), np.sum(sums, axis=0)
        n = len(self._x)
        for block, own, own_sum, (mean, inverse) in zip(blocks, crosses, sums, self._parts, strict=True):
            level = (total - own_sum) / (n - (block.stop - block.start))
            training = cross - own - np.outer((total - own_sum).astype(np.float32), mean)
            weights = training @ inverse
            yield block, weights @ (self._x[block] - mean).T, level


def auroc_columns(scores: NDArray[np.floating[Any]], labels: NDArray[Any]) -> Floats:
    """Area under the ROC curve of every row of scores, ties counted as one half.

    Each score is turned into an integer of the same order whose last bit holds the label, so that one plain
    sort gives the ranks of the positives; rows where a positive ties with a negative are sorted once more
    with the bit reversed, and the two areas averaged. Scores closer than one part in four million count as
    tied.

    Args:
        scores: (column, item), read as float32.
        labels: (column, item), 0 or 1.

    Returns:
        (column,); NaN where all labels are equal.

    Example:
        >>> auroc_columns(np.array([[0.1, 0.2, 0.3, 0.4]]), np.array([[0, 1, 0, 1]])).tolist()
        [0.75]
    """
    bits = np.asarray(labels, dtype=np.int32)
    keys = (np.ascontiguousarray(scores, dtype=np.float32) + np.float32(0)).view(np.int32)  # + 0: no -0.0
    keys ^= (keys >> 31) & 0x7FFFFFFF
    keys &= ~1
    keys |= bits
    keys.sort(axis=-1)
    positive = bits.sum(-1, dtype=np.int64).astype(np.float64)
    wins = _wins(keys, positive)
    tied = np.flatnonzero(((keys[:, 1:] ^ keys[:, :-1]) == 1).any(-1))
    if tied.size:
        turned = np.sort(keys[tied] ^ 1, axis=-1) ^ 1
        wins[tied] = (wins[tied] + _wins(turned, positive[tied])) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(wins / (positive * (bits.shape[-1] - positive)))


def _wins(keys: NDArray[np.int32], positive: Floats) -> Floats:
    """Pairs in which the positive comes after the negative, from sorted keys (label in the last bit)."""
    n = keys.shape[-1]
    kind = np.float32 if n < 5000 else np.float64  # sums of ranks stay exact integers
    ranks = (keys & 1).astype(kind) @ np.arange(1, n + 1, dtype=kind)
    return np.asarray(ranks.astype(np.float64) - positive * (positive + 1) / 2)


def one_hot(labels: NDArray[Any], classes: int) -> Singles:
    """(set, item) labels to (set * class, item) columns of 0 and 1, the classes of a set side by side."""
    hot = labels[:, None, :] == np.arange(classes)[None, :, None]
    return hot.reshape(-1, labels.shape[-1]).astype(np.float32)
