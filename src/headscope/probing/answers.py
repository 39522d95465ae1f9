"""Answer probes: does a head hold the answer, beyond what the question and a blank picture allow?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headscope.errors import StudyError
from headscope.probing.domains import bags, exchanged_answers, split_domains
from headscope.probing.independent import own_columns
from headscope.probing.ridge import FoldedRidge, Folds, grouped_folds, one_hot
from headscope.probing.significance import Method, permutation_p
from headscope.probing.workers import Map, head_workers
from headscope.statistics.resampling import bootstrap_weights, group_codes, tail_share

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_COLUMNS = 2000  # label columns solved together


@dataclass(frozen=True, eq=False)
class AnswerProbes:
    """How well each head's z gives the answers of one function; (head,) unless said otherwise.

    Attributes:
        score: accuracy - max(question, blank). low, high: 95 % bootstrap interval by image.
        p: against answers that changed places between images (see domains.exchanged_answers).
        accuracy: balanced accuracy on held-out folds, pooled over answer domains.
        question: the same from a bag of the question's words alone (one number).
        blank: (head,) the same from the head's z on a blank picture; None if not given.
        n, images: steps and images used; chance: balanced accuracy of guessing.
        domains: the sets of answers told apart, each with its number of steps.
    """

    score: Floats
    low: Floats
    high: Floats
    p: Floats
    accuracy: Floats
    question: float
    blank: Floats | None
    n: int
    images: int
    chance: float
    domains: list[dict[str, Any]]


@dataclass(frozen=True, eq=False)
class _Domain:
    """Steps that share a set of answers; everything in fold order."""

    items: Ints  # numbers of the steps
    folds: Folds
    labels: Ints  # (set, item): the true answers, then permuted ones
    classes: list[str]


@dataclass(frozen=True, eq=False)
class _Read:
    """What sources of features give: ``balanced`` (source, set), ``right`` (item, source) for the truth."""

    balanced: Floats
    right: Floats


def answer_probes(
    z: NDArray[Any],
    answers: Sequence[str],
    questions: Sequence[str],
    groups: Sequence[Any] | NDArray[Any],
    *,
    domains: Sequence[Sequence[str]] | None = None,
    wordings: Sequence[Any] | None = None,
    z_blank: NDArray[Any] | None = None,
    folds: int = 5,
    alpha: float = 1.0,
    permutations: int = 200,
    draws: int = 1000,
    min_class: int = 10,
    method: Method = "pooled",
    seed: int = 0,
) -> AnswerProbes:
    """Multi-class ridge of the answers of one function's steps, per head, folds grouped by image.

    The prediction is the class with the greatest score relative to its share in training, which makes it the
    rule for balanced accuracy while labels stay on the right-hand side. Steps whose choices differ form
    separate domains, classified apart and pooled by their number of steps.

    Args:
        z: (item, head, width), steps of one function; NaN pads narrower heads.
        answers, questions, groups: (item,) true answer, question text, image.
        domains: (item,) the choices of each step; None: one domain.
        wordings: (item,) template; permutations keep to it where they can. None: one wording.
        z_blank: (item, head, width) the same steps asked on a blank picture.
        folds, alpha: of the ridge.
        permutations, draws: of the null and of the bootstrap.
        min_class: answers rarer than this in their domain are left out.
        method: of p, see significance.permutation_p.

    Returns:
        Scores; NaN throughout (and n = 0) where no domain has two answers that are common enough.

    Raises:
        StudyError: arrays of different length.
    """
    sizes = {len(z), len(answers), len(questions), len(groups), len(z if z_blank is None else z_blank)}
    if len(sizes) > 1:
        raise StudyError(
            f"asked to probe answers, found columns of {sorted(sizes)} steps; give one row per step"
        )
    words = bags(questions)
    codes, _ = group_codes(groups, len(answers))
    strata, _ = group_codes(wordings if wordings is not None else np.zeros(len(answers)), len(answers))
    rng = np.random.default_rng(seed + 1)
    found = []
    for items in split_domains(answers, domains, min_class):
        if len(np.unique(codes[items])) >= 2:
            cut = grouped_folds(codes[items], folds, seed)
            found.append(_domain(items[cut.order], cut, answers, (codes, strata), permutations, rng))
    if not found:
        return _nothing(z.shape[1], z_blank is not None)
    heads = range(z.shape[1])
    with head_workers(1) as each:  # threads over heads bring nothing on top of one thread a product

        def read(readouts: NDArray[Any]) -> list[_Read]:
            return [_read(d, partial(_own, readouts, d.items), heads, alpha, each) for d in found]

        mine = read(z)
        blank = None if z_blank is None else read(z_blank)
        asked = [_read(d, partial(_words, words, d.items), [0], alpha, each, scale=False) for d in found]
    return _result(found, mine, asked, blank, codes, draws, seed, method)


def _domain(
    items: Ints,
    cut: Folds,
    answers: Sequence[str],
    given: tuple[Ints, Ints],
    permutations: int,
    rng: np.random.Generator,
) -> _Domain:
    """Labels of a domain and their permutations; ``items`` are in fold order, as is all that follows.

    ``given``: image and wording of every step.
    """
    classes = sorted({answers[i] for i in items})
    place = {name: i for i, name in enumerate(classes)}
    truth = np.array([place[answers[i]] for i in items], dtype=np.int64)
    null = exchanged_answers(truth, given[0][items], given[1][items], permutations, rng)
    in_order = Folds(np.arange(len(items)), cut.bounds)
    return _Domain(items, in_order, np.concatenate([truth[None], null]), classes)


def _own(z: NDArray[Any], items: Ints, head: int) -> NDArray[Any]:
    """A head's features for these steps."""
    return own_columns(z, head)[items]


def _words(words: NDArray[Any], items: Ints, _: int) -> NDArray[Any]:
    """The question's words for these steps."""
    return words[items]


def _read(
    domain: _Domain,
    features: Callable[[int], NDArray[Any]],
    sources: Sequence[int],
    alpha: float,
    each: Map,
    scale: bool = True,
) -> _Read:
    """Balanced accuracy of every source of ``features`` (item, width) under every label set."""
    count, sets = len(domain.classes), domain.labels
    worth = 1.0 / (count * np.bincount(sets[0], minlength=count))  # permutations keep the counts
    balanced = np.empty((len(sources), len(sets)))
    right = np.empty((len(domain.items), len(sources)))
    step = max(1, _COLUMNS // count)
    parts = [sets[i : i + step] for i in range(0, len(sets), step)]
    targets = [one_hot(part, count) for part in parts]

    def read(s: int) -> None:
        ridge = FoldedRidge(features(sources[s]), domain.folds, alpha, scale)
        for i, (part, target) in enumerate(zip(parts, targets, strict=True)):
            hits = _hits(ridge, part, target, count)
            balanced[s, i * step : i * step + len(part)] = (hits * worth[part]).sum(1)
            if i == 0:
                right[:, s] = hits[0]

    for _ in each(read, range(len(sources))):  # an error in a thread is raised here
        pass
    return _Read(balanced, right)


def _hits(ridge: FoldedRidge, labels: Ints, targets: NDArray[np.float32], count: int) -> NDArray[np.bool_]:
    """(set, item) whether the held-out prediction is the label."""
    hits = np.empty(labels.shape, dtype=bool)
    for block, scores, level in ridge.predict(targets):
        share = level.reshape(len(labels), count, 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            lift = scores.reshape(len(labels), count, -1) / share
        lift = np.where(share > 0, lift, -np.inf)  # an answer absent from training is never predicted
        hits[:, block] = lift.argmax(1) == labels[:, block]
    return hits


def _result(
    domains: list[_Domain],
    mine: list[_Read],
    asked: list[_Read],
    blank: list[_Read] | None,
    codes: Ints,
    draws: int,
    seed: int,
    method: Method,
) -> AnswerProbes:
    sizes = np.array([len(d.items) for d in domains], dtype=np.float64)
    share = sizes / sizes.sum()
    own = _pool([r.balanced for r in mine], share)  # (head, set)
    base = np.broadcast_to(_pool([r.balanced for r in asked], share), own.shape)
    empty = None if blank is None else _pool([r.balanced for r in blank], share)
    best = base if empty is None else np.maximum(base, empty)
    score = own - best
    used, images = group_codes(codes[np.concatenate([d.items for d in domains])], int(sizes.sum()))
    weights = bootstrap_weights(images, draws, seed + 2)
    drawn = _draw(domains, [r.right for r in mine], used, weights, share)
    rival = _draw(domains, [r.right for r in asked], used, weights, share)
    if blank is not None and empty is not None:
        other = _draw(domains, [r.right for r in blank], used, weights, share)
        rival = np.where(
            empty[:, 0] > base[:, 0], other, rival
        )  # the baseline that is the better one as found
    tail = tail_share(images)
    low, high = np.nanquantile(drawn - rival, [tail, 1 - tail], axis=0)
    return AnswerProbes(
        score=score[:, 0],
        low=low,
        high=high,
        p=permutation_p(score[:, 0], score[:, 1:].T, method),
        accuracy=own[:, 0],
        question=float(base[0, 0]),
        blank=None if empty is None else empty[:, 0],
        n=int(sizes.sum()),
        images=images,
        chance=float(share @ [1 / len(d.classes) for d in domains]),
        domains=[{"answers": d.classes, "n": len(d.items)} for d in domains],
    )


def _pool(tables: Sequence[Floats], share: Floats) -> Floats:
    """Mean over domains by their share of the steps."""
    return np.asarray(sum(part * weight for part, weight in zip(tables, share, strict=True)))


def _draw(
    domains: list[_Domain], rights: Sequence[Floats], used: Ints, weights: Floats, share: Floats
) -> Floats:
    """(draw, source) pooled balanced accuracy when images are resampled with ``weights`` (draw, image)."""
    total, start = np.zeros((len(weights), rights[0].shape[1])), 0
    for domain, right, part in zip(domains, rights, share, strict=True):
        images = used[start : start + len(domain.items)]
        start += len(domain.items)
        recalls = []
        for label in range(len(domain.classes)):
            mine = domain.labels[0] == label
            hits = np.zeros((weights.shape[1], right.shape[1]))
            np.add.at(hits, images[mine], right[mine])
            sizes = weights @ np.bincount(images[mine], minlength=weights.shape[1])
            with np.errstate(invalid="ignore", divide="ignore"):
                recalls.append((weights @ hits) / sizes[:, None])
        total += part * np.nanmean(np.stack(recalls), axis=0)
    return total


def _nothing(heads: int, blank: bool) -> AnswerProbes:
    none = np.full(heads, np.nan)
    return AnswerProbes(
        none, none, none, none, none, float("nan"), none if blank else None, 0, 0, float("nan"), []
    )
