"""What a probe has to beat: the function of a step, told from the words of its question alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headscope.data.wordings import is_shared
from headscope.probing.independent import independent_probes
from headscope.statistics.shares import share_difference, share_estimate
from headscope.storage import Row

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
BAG = "bag of words"
EMBEDDING = "mean token embedding"


@dataclass(frozen=True, eq=False)
class WordsAlone:
    """A classifier that sees a question's words and nothing else.

    Attributes:
        name: of the features.
        select: accuracy on ``select``.
        right: (item of ``test``,) whether the function was told.
    """

    name: str
    select: float
    right: NDArray[np.bool_]


def words_alone(
    features: Mapping[str, NDArray[np.float32]], labels: Ints, fit: Ints, select: Ints, test: Ints
) -> dict[str, WordsAlone]:
    """A logistic classifier on each kind of features, trained on ``fit`` as the joint probe is.

    Args:
        features: name -> (item, width), of the questions' texts.
        labels: (item,) number of the function.
        fit, select, test: item numbers.

    Example:
        >>> x = np.eye(2, dtype=np.float32)[[0, 1] * 10]
        >>> parts = np.arange(8), np.arange(8, 12), np.arange(12, 20)
        >>> found = words_alone({BAG: x}, np.array([0, 1] * 10), *parts)
        >>> found[BAG].select, found[BAG].right.all()
        (1.0, True)
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found = {}
    for name, x in features.items():
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
        one = len(set(labels[fit].tolist())) < 2  # nothing to learn: always the one function
        if not one:
            model.fit(x[fit], labels[fit])

        def guess(items: Ints, x: NDArray[np.float32] = x, model: object = None if one else model) -> Ints:
            if model is None or not len(items):
                return np.full(len(items), labels[fit][0], dtype=np.int64)
            return np.asarray(model.predict(x[items]), dtype=np.int64)  # type: ignore[attr-defined]

        on_select = guess(select) == labels[select]
        found[name] = WordsAlone(name, float(on_select.mean()), guess(test) == labels[test])
    return found


def beyond_words(
    features: Mapping[str, NDArray[np.float32]],
    labels: Ints,
    parts: tuple[Ints, ...],
    right: NDArray[np.bool_],
    images: NDArray[np.str_],
    wordings: Sequence[str],
) -> Row:
    """What the words of the questions reach on ``test``, and what the joint probe adds to them.

    Args:
        parts: item numbers of ``fit``, ``select``, ``test``.
        right: (item of ``test``,) whether the joint probe told the function.
        images, wordings: (item,).
    """
    fit, select, test = parts
    found = words_alone(features, labels, fit, select, test)
    best = max(found.values(), key=lambda one: one.select)  # ties to the first
    more = share_difference(right.astype(float), best.right.astype(float), images[test])
    same = np.array([is_shared(wordings[i]) for i in test], dtype=bool)
    return {
        "words": {name: share_estimate(one.right, images[test]).value for name, one in found.items()},
        "words_alone": share_estimate(best.right, images[test]).value,
        "words_by": best.name,
        "beyond_words": more.value,
        "beyond_words_ci": list(more.ci),
        "shared_wordings": _in_one_wording(right[same], best.right[same], labels[test][same]),
    }


def _in_one_wording(right: NDArray[np.bool_], alone: NDArray[np.bool_], labels: Ints) -> Row | None:
    """Accuracies on steps whose wording serves several functions; None: there are none."""
    if not len(labels):
        return None
    return {
        "accuracy": float(right.mean()),
        "words_alone": float(alone.mean()),
        "majority": float(np.bincount(labels).max() / len(labels)),
        "n": len(labels),
        "functions": len(set(labels.tolist())),
    }


def words_auroc(
    features: NDArray[np.float32], labels: Ints, images: NDArray[np.str_], functions: int, seed: int
) -> tuple[Floats, float]:
    """What the independent probes' estimator reaches on words: AUROC by function, accuracy."""
    found = independent_probes(
        features[:, None], labels, images, functions=functions, permutations=0, controls=0, seed=seed
    )
    return found.auroc[0], float(found.accuracy[0])
