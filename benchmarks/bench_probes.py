"""Independent probes over all heads against scikit-learn's RidgeClassifier in a loop.

``probe_fit_ratio``: one fit of all heads and folds, predictions on the held-out folds included, over the
same by ``StandardScaler`` and ``RidgeClassifier`` per head and fold; ``largest_gap_points`` is the largest
difference of a head's held-out accuracy. ``permutation_speedup``: seconds of 1,000 refits of that loop (one
per pair measured, times 1,000; AUROC of their scores not counted) over seconds of the whole null of 1,000
permutations, AUROC included; ``seconds`` are those of one refit and of the null, ``largest_gap_points`` the
largest difference of AUROC, mean over three permutations, of three heads by the null and by refitting
scikit-learn. ``many_heads``: seconds of the same null for 784 heads of width 128, once, all of them.

    python benchmarks/bench_probes.py [--pairs 7] [--many 784] [--no-record]
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from harness import interleaved, record
from headscope.probing.independent import independent_probes, own_columns, permuted_within
from headscope.probing.ridge import FoldedRidge, Folds, grouped_folds, one_hot
from headscope.probing.workers import head_workers

HEADS, WIDTH, STEPS, CLASSES, FOLDS = 64, 64, 2000, 9, 5
PERMUTATIONS, MANY, WIDE = 1000, 784, 128
CHECKED = 3  # heads and permutations whose AUROC scikit-learn computes too


def synthetic(heads: int, width: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """z (item, head, width), function (item,) and image (item,); each head tells functions a little."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, STEPS)
    centres = 0.3 * rng.standard_normal((CLASSES, heads, width), dtype=np.float32)
    z = rng.standard_normal((STEPS, heads, width), dtype=np.float32)
    for item, function in enumerate(y):
        z[item] += centres[function]
    return z, y, np.arange(STEPS) // 5


def fit_all(z: NDArray[Any], y: NDArray[Any], cut: Folds) -> NDArray[Any]:
    """(head,) held-out accuracy by headscope."""
    targets, truth = one_hot(y[None, cut.order], CLASSES), y[cut.order]

    def accuracy(head: int) -> float:
        ridge = FoldedRidge(own_columns(z, head)[cut.order], cut)
        parts = ridge.predict(targets)
        return sum(((s + level[:, None]).argmax(0) == truth[b]).sum() for b, s, level in parts) / len(y)

    with head_workers() as each:
        return np.array(list(each(accuracy, range(z.shape[1]))))


def fitted(x: NDArray[Any], y: NDArray[Any], train: NDArray[Any]) -> tuple[Any, NDArray[Any]]:
    """scikit-learn's classifier fitted on the training items, and all items as it takes them."""
    scaler = StandardScaler().fit(x[train])
    return RidgeClassifier(alpha=1.0).fit(scaler.transform(x[train]), y[train]), scaler.transform(x[~train])


def loop(z: NDArray[Any], y: NDArray[Any], cut: Folds) -> NDArray[Any]:
    """(head,) held-out accuracy by scikit-learn, a fit per head and fold."""
    fold = cut.of_item
    right = np.zeros(z.shape[1])
    for head in range(z.shape[1]):
        for k in range(cut.count):
            model, held = fitted(z[:, head], y, fold != k)
            right[head] += (model.predict(held) == y[fold == k]).sum()
    return right / len(y)


def null_gap(z: NDArray[Any], y: NDArray[Any], images: NDArray[Any], cut: Folds) -> float:
    """Largest gap in points of AUROC, (head, function) mean over permutations, to scikit-learn's."""
    few = z[:, :CHECKED]
    ours = independent_probes(few, y, images, folds=FOLDS, permutations=CHECKED, controls=0).null_mean
    rng, back = np.random.default_rng(1), np.argsort(cut.order)
    sets = permuted_within(y[cut.order], images[cut.order], CHECKED, rng)[:, back]  # the null's own draws
    theirs = np.zeros_like(ours)
    for labels in sets:
        for k in range(cut.count):
            train = cut.of_item != k
            for head in range(CHECKED):
                model, held = fitted(few[:, head], labels, train)
                scores = model.decision_function(held)
                for f in range(CLASSES):
                    theirs[head, f] += roc_auc_score(labels[~train] == f, scores[:, f])
    return float(100 * np.abs(ours - theirs / (cut.count * len(sets))).max())


def null_seconds(z: NDArray[Any], y: NDArray[Any], images: NDArray[Any]) -> float:
    """Seconds of the whole null."""
    start = time.perf_counter()
    independent_probes(z, y, images, folds=FOLDS, permutations=PERMUTATIONS, controls=0)
    return time.perf_counter() - start


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--many", type=int, default=MANY, help="heads of many_heads; once, it takes minutes")
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    keep = (lambda name, value: print(name, value)) if options.no_record else record
    z, y, images = synthetic(HEADS, WIDTH)
    cut = grouped_folds(images, FOLDS)
    fits = interleaved(lambda: fit_all(z, y, cut), lambda: loop(z, y, cut), options.pairs)
    gap = float(100 * np.abs(fit_all(z, y, cut) - loop(z, y, cut)).max())
    shape = {"heads": HEADS, "width": WIDTH, "steps": STEPS, "classes": CLASSES, "folds": FOLDS}
    keep("probe_fit_ratio", {**fits.record(), "largest_gap_points": gap, **shape})
    permuted = np.random.default_rng(1).permutation(y)
    both = interleaved(lambda: loop(z, permuted, cut), lambda: null_seconds(z, y, images), options.pairs)
    speed = both.record(work=1 / PERMUTATIONS)
    speed |= {"permutations": PERMUTATIONS, "largest_gap_points": null_gap(z, y, images, cut)}
    keep("permutation_speedup", {**speed, **shape})
    seconds = null_seconds(*synthetic(options.many, WIDE))
    many = {"n": 1, "seconds": seconds, "permutations": PERMUTATIONS, "classes": CLASSES, "steps": STEPS}
    keep("many_heads", {**many, "folds": FOLDS, "heads": options.many, "width": WIDE})


if __name__ == "__main__":
    main()
