"""A logistic classifier beside the ridge, on a few heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headscope.probing.independent import nanmean, own_columns
from headscope.probing.ridge import auroc_columns, grouped_folds, one_hot


def logistic_check(
    z: NDArray[Any],
    labels: NDArray[Any],
    groups: Sequence[Any] | NDArray[Any],
    heads: Sequence[int],
    *,
    functions: int,
    folds: int = 5,
    seed: int = 0,
) -> NDArray[np.float64]:
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
