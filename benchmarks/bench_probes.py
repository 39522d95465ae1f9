"""Independent probes over all heads against scikit-learn's RidgeClassifier in a loop.

``probe_fit_ratio``: one fit of all heads and folds, predictions on the held-out folds included, over the
same by ``StandardScaler`` and ``RidgeClassifier`` per head and fold; ``largest_gap_points`` is the largest
difference of a head's held-out accuracy. ``permutation_speedup``: seconds of 1,000 refits of that loop (one
per pair measured, times 1,000; AUROC of their scores not counted) over seconds of the whole null of 1,000
permutations, AUROC included. ``many_heads``: seconds of the same null for 784 heads of width 128, from a
slice of them.

    python benchmarks/bench_probes.py [--pairs 7] [--no-record]
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeClassifier
from sklearn.preprocessing import StandardScaler

from harness import Ratio, interleaved, record
from headscope.probing.independent import independent_probes, own_columns
from headscope.probing.ridge import FoldedRidge, Folds, grouped_folds, one_hot

HEADS, WIDTH, STEPS, CLASSES, FOLDS = 64, 64, 2000, 9, 5
PERMUTATIONS, MANY, SLICE = 1000, 784, 49


def synthetic(heads: int, width: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """z (item, head, width), function (item,) and image (item,); each head tells functions a little."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, STEPS)
    centres = 0.3 * rng.normal(size=(CLASSES, heads, width))
    z = rng.normal(size=(STEPS, heads, width)) + centres[y]
    return z.astype(np.float32), y, np.arange(STEPS) // 5


def fit_all(z: NDArray[Any], y: NDArray[Any], cut: Folds) -> NDArray[Any]:
    """(head,) held-out accuracy by headscope."""
    targets, truth = one_hot(y[None, cut.order], CLASSES), y[cut.order]
    right = np.zeros(z.shape[1])
    for head in range(z.shape[1]):
        ridge = FoldedRidge(own_columns(z, head)[cut.order], cut)
        for block, scores, level in ridge.predict(targets):
            right[head] += ((scores + level[:, None]).argmax(0) == truth[block]).sum()
    return right / len(y)


def loop(z: NDArray[Any], y: NDArray[Any], cut: Folds) -> NDArray[Any]:
    """(head,) held-out accuracy by scikit-learn, a fit per head and fold."""
    fold = cut.of_item
    right = np.zeros(z.shape[1])
    for head in range(z.shape[1]):
        x = z[:, head]
        for k in range(cut.count):
            scaler = StandardScaler().fit(x[fold != k])
            model = RidgeClassifier(alpha=1.0).fit(scaler.transform(x[fold != k]), y[fold != k])
            right[head] += (model.predict(scaler.transform(x[fold == k])) == y[fold == k]).sum()
    return right / len(y)


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    keep = (lambda name, value: print(name, value)) if options.no_record else record
    z, y, images = synthetic(HEADS, WIDTH)
    cut = grouped_folds(images, FOLDS)
    fits = interleaved(lambda: fit_all(z, y, cut), lambda: loop(z, y, cut), options.pairs)
    gap = float(100 * np.abs(fit_all(z, y, cut) - loop(z, y, cut)).max())
    shape = {"heads": HEADS, "width": WIDTH, "steps": STEPS, "classes": CLASSES, "folds": FOLDS}
    keep("probe_fit_ratio", {**fits.record(), "largest_gap_points": gap, **shape})

    def null(data: NDArray[Any]) -> float:
        start = time.perf_counter()
        independent_probes(data, y, images, folds=FOLDS, permutations=PERMUTATIONS, controls=0)
        return time.perf_counter() - start

    ours, theirs = [], []
    for _ in range(options.pairs):
        ours.append(null(z))
        start = time.perf_counter()
        loop(z, np.random.default_rng(1).permutation(y), cut)
        theirs.append((time.perf_counter() - start) * PERMUTATIONS)
    speed = Ratio(tuple(theirs), tuple(ours)).record()
    keep("permutation_speedup", {**speed, "permutations": PERMUTATIONS, **shape})
    wide, _, _ = synthetic(SLICE, 128)
    slices = [null(wide) for _ in range(3)]
    seconds = float(np.median(slices)) * MANY / SLICE
    keep("many_heads", {"n": 3, "seconds": seconds, "heads": MANY, "width": 128, "measured_heads": SLICE})


if __name__ == "__main__":
    main()
