"""Sets of answers that are told apart, their permutations, and bags of question words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
_ALIKE = 5


def split_domains(
    answers: Sequence[str], choices: Sequence[Sequence[str]] | None, min_class: int = 10
) -> list[Ints]:
    """Steps by set of answers that are told apart, (item,) numbers each; rare answers left out.

    Equal choices form a domain. Choices too rare to fill one (as where each step brings its own few) are
    joined with those that share an answer with them.

    Example:
        >>> [len(d) for d in split_domains(["yes", "no"] * 20 + ["left", "right"] * 15,
        ...                                [("no", "yes")] * 40 + [("left", "right")] * 30)]
        [40, 30]
    """
    names = [tuple(sorted(set(c))) for c in choices] if choices is not None else [()] * len(answers)
    counts = Counter(names)
    large = {name for name, n in counts.items() if n >= 3 * min_class}
    joined = _components([(*name,) or (answer,) for name, answer in zip(names, answers, strict=True)])
    if choices is None or all(not name for name in names):
        keys: list[Any] = [0] * len(answers)
    else:
        keys = [name if name in large else root for name, root in zip(names, joined, strict=True)]
    domains = []
    for key in dict.fromkeys(keys):
        items = np.array([i for i, k in enumerate(keys) if k == key], dtype=np.int64)
        common = Counter(answers[i] for i in items)
        items = items[[common[answers[i]] >= min_class for i in items]]
        if len({answers[i] for i in items}) >= 2:
            domains.append(items)
    return domains


def _components(sets: Sequence[Sequence[str]]) -> list[str]:
    """For each set of answers the first answer of its component, sets that share an answer being joined."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for names in sets:
        for other in names[1:]:
            first, second = sorted((root(names[0]), root(other)))
            parent[second] = first
    return [root(names[0]) for names in sets]


def bags(questions: Sequence[str]) -> NDArray[np.float32]:
    """Bag of words: (item, word or pair of neighbouring words) 0 or 1."""
    split = [re.findall(r"\w+", q.lower()) for q in questions]
    seen = [sorted({*w, *(" ".join(pair) for pair in pairwise(w))}) for w in split]
    place = {word: i for i, word in enumerate(sorted({word for words in seen for word in words}))}
    table = np.zeros((len(questions), max(1, len(place))), dtype=np.float32)
    for row, words in enumerate(seen):
        table[row, [place[w] for w in words]] = 1
    return table


def exchanged_answers(
    labels: Ints, images: NDArray[Any], wordings: NDArray[Any], draws: int, rng: np.random.Generator
) -> Ints:
    """(draw, item) answers that changed places between images, all answers of an image together.

    Answers of one image may depend on each other, and so may its readouts; shuffling steps one by one would
    make the null too narrow. Images change places with those asked in the same wordings if there are at least
    ``_ALIKE`` of them, else with those that have as many steps; a step's answer goes to one of the same
    wording where there is one.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> exchanged_answers(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), np.zeros(4), 3, rng).tolist()
        [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]]
    """
    members: dict[Any, list[int]] = {}
    for i in np.lexsort((wordings, images)):
        members.setdefault(images[i], []).append(int(i))
    alike = Counter(tuple(wordings[i] for i in items) for items in members.values())
    classes: dict[Any, list[list[int]]] = {}
    for items in members.values():
        words = tuple(wordings[i] for i in items)
        classes.setdefault(words if alike[words] >= _ALIKE else len(items), []).append(items)
    sets = np.empty((draws, len(labels)), dtype=labels.dtype)
    for blocks in classes.values():
        slots = np.array(blocks)  # (image, step)
        turns = rng.random((draws, len(slots))).argsort(1)
        sets[:, slots] = labels[slots][turns]
    return sets
