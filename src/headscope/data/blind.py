"""How far the question alone gives the answer away: a blind classifier against the best constant answer."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from headscope.data.schema import Case
from headscope.data.splits import picture_groups
from headscope.functions import DEFAULT, MAIN, Taxonomy

if TYPE_CHECKING:
    import numpy as np

CAP = 4000
FLAG_POINTS = 5.0
_FEWEST = 20  # questions of one kind; fewer are left out
_FOLDS = 5
_ALPHA = 3.0


class _Question(NamedTuple):
    text: str
    answer: str
    choices: tuple[str, ...]  # sorted
    picture: str
    order: tuple[str, ...]  # the choices in the order in which the question names them; empty unless all are


@dataclass(frozen=True)
class BlindAccuracy:
    """How well the questions of one function are answered without the picture; None where none was usable.

    Attributes:
        used: questions that were used.
        chance, majority, blind: accuracies, 0 to 1: of a guess among the choices, of the best answer that
            needs no reading, of the classifier.
        difference, error: blind - majority, and its standard error, clustered by picture; points.
    """

    used: int = 0
    chance: float | None = None
    majority: float | None = None
    blind: float | None = None
    difference: float | None = None
    error: float | None = None


@dataclass(frozen=True)
class BlindRow(BlindAccuracy):
    """The same with what it is of.

    Attributes:
        function: the function; ``main`` for main questions.
        steps: all questions there are.
        from_picture: whether the answer needs the picture.
    """

    function: str = MAIN
    steps: int = 0
    from_picture: bool = True

    @property
    def flag(self) -> bool:
        """Whether the answer needs the picture, and the classifier gains over 5 points without it."""
        return self.from_picture and (self.difference or 0.0) > FLAG_POINTS

    @property
    def clear(self) -> bool:
        """Whether the gain is over two standard errors, so that a flag is hardly chance."""
        return (self.difference or 0.0) > 2 * (self.error or 0.0)


def blind_table(
    cases: Sequence[Case], taxonomy: Taxonomy = DEFAULT, cap: int = CAP, seed: int = 0
) -> list[BlindRow]:
    """Accuracy of a classifier that never sees the picture, per function and for main questions.

    Every question stands alone. The classifier is a ridge regression from words and pairs of
    words to the answers, in five folds grouped by picture; it picks among the question's own choices.
    It is compared with the best answer that needs no reading at all, within each set of choices:

    - a set that at least 50 questions and 5 % of the function's questions share (yes/no, the colours),
      and open questions: always its most frequent answer;
    - sets that change from question to question ("a dog or a cow?"), taken together: always the choice
      that is most often right when it is offered (learnt on the other folds);
    - where every question of either kind names all its choices: always the first (or second, ...) named,
      where that is better. What the classifier predicts for changing sets is then that rank.

    So a lop-sided but constant answer raises ``majority`` (compare ``chance``), and only what the words of
    the question betray beyond it counts as ``difference``.

    Args:
        cases: the cases; fewer than 20 questions with one kind of choices are left out.
        taxonomy: order of the functions, and which need the picture.
        cap: questions per function, picked by a hash of their ids.
        seed: of the folds.

    Returns:
        One row per function that occurs, ``main`` last.
    """
    asked = _questions(cases)
    known = [f for f in taxonomy.functions if f in asked]
    others = sorted(set(asked) - set(known) - {MAIN})
    return [
        BlindRow(
            **vars(_measure(asked[function][:cap], seed)),
            function=function,
            steps=len(asked[function]),
            from_picture=function == MAIN or function in taxonomy.from_picture,
        )
        for function in [*known, *others, *([MAIN] if MAIN in asked else [])]
    ]


def _questions(cases: Sequence[Case]) -> dict[str, list[_Question]]:
    """Function -> its questions, in the order of a hash of their ids."""
    groups = picture_groups(cases)
    asked: dict[str, list[tuple[bytes, _Question]]] = {}
    for case in cases:
        for step in (*(s for s in case.steps if s.answered), case.main_step()):
            mark = hashlib.sha256(f"{case.id}/{step.id}".encode()).digest()
            choices = tuple(sorted(step.choices)) if step.answer in step.choices else ()
            order = _named(step.question, choices)
            question = _Question(step.question, step.answer, choices, groups[case.id], order)
            asked.setdefault(step.function, []).append((mark, question))
    return {function: [q for _, q in sorted(marked)] for function, marked in asked.items()}


def _named(question: str, choices: tuple[str, ...]) -> tuple[str, ...]:
    """The choices by their first place in the question, or nothing unless each has a place of its own."""
    text, places = question.casefold(), {}
    for choice in choices:
        if not (found := re.search(rf"(?<!\w){re.escape(choice.casefold())}(?!\w)", text)):
            return ()
        places[found.start()] = choice
    return tuple(places[at] for at in sorted(places)) if len(places) == len(choices) else ()


def by_choices(questions: Sequence[Any], attribute: str = "choices") -> list[tuple[bool, list[Any]]]:
    """Questions divided by their set of choices: (changing set?, questions); rare sets are put together."""
    sets = Counter(getattr(q, attribute) for q in questions)
    least = max(50, 0.05 * len(questions))
    common = sorted(key for key, count in sets.items() if count >= least or not key)
    out = [(False, [q for q in questions if getattr(q, attribute) == key]) for key in common]
    rare = [q for q in questions if getattr(q, attribute) not in set(common)]
    if len(sets) == len(common) + 1:  # a single rare set: it does not change
        return [*out, (False, rare)]
    return [*out, (True, rare)] if rare else out


def _measure(questions: list[_Question], seed: int) -> BlindAccuracy:
    import numpy as np

    parts: list[tuple[np.ndarray, np.ndarray, list[_Question]]] = []
    for changing, members in by_choices(questions):
        kinds = [members]
        if changing:  # ranks can be told only where the choices are named
            kinds = [[q for q in members if q.order], [q for q in members if not q.order]]
        parts += [(*_score(kind, changing, seed), kind) for kind in kinds if len(kind) >= _FEWEST]
    used = [q for _, _, kind in parts for q in kind]
    if not used:
        return BlindAccuracy()
    majority, blind = (np.concatenate([p[i] for p in parts]).astype(float) for i in (0, 1))
    answers = len({q.answer for q in used})
    return BlindAccuracy(
        used=len(used),
        chance=float(np.mean([1 / (len(q.choices) or answers) for q in used])),
        majority=float(majority.mean()),
        blind=float(blind.mean()),
        difference=float(100 * (blind - majority).mean()),
        error=_clustered_error(100 * (blind - majority), [q.picture for q in used]),
    )


def _clustered_error(values: np.ndarray, clusters: list[str]) -> float:
    """Standard error of the mean of ``values`` when those of one cluster may go together."""
    import numpy as np

    _, index = np.unique(clusters, return_inverse=True)
    sums = np.bincount(index, values - values.mean())
    count = len(sums)
    return float(np.sqrt((sums**2).sum() * count / max(count - 1, 1)) / len(values))


def _score(questions: list[_Question], changing: bool, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """For each question: is the best constant answer right, is the blind classifier right."""
    import numpy as np

    ranks = changing and bool(questions[0].order)
    labels = [str(q.order.index(q.answer)) if ranks else q.answer for q in questions]
    folds = _folds([q.picture for q in questions], seed)
    constants = [_by_rate(questions, folds) if changing else _most_frequent([q.answer for q in questions])]
    if all(q.order for q in questions):
        constants.append(_most_frequent([str(q.order.index(q.answer)) for q in questions]))
    majority = max(constants, key=lambda right: float(right.mean()))
    if len(set(labels)) == 1 or not folds:
        return majority, majority
    classes = sorted(set(labels))
    if ranks:
        texts = [
            " ".join([q.text, *(f"named{i}{_word(c)}" for i, c in enumerate(q.order))]) for q in questions
        ]
        allowed = np.array([[int(c) < len(q.order) for c in classes] for q in questions])
    else:
        texts = [q.text for q in questions]
        allowed = np.array([[not q.choices or c in q.choices for c in classes] for q in questions])
    guesses = _ridge(texts, [classes.index(label) for label in labels], allowed, folds)
    return majority, np.array([classes[g] == label for g, label in zip(guesses, labels, strict=True)])


def _word(text: str) -> str:
    return re.sub(r"\W+", "_", text.casefold())


def _most_frequent(labels: list[str]) -> np.ndarray:
    import numpy as np

    best = max(sorted(set(labels)), key=Counter(labels).__getitem__)
    return np.array([label == best for label in labels])


def _folds(pictures: list[str], seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(train, test) positions, whole pictures at a time; none where there is but one picture."""
    from sklearn.model_selection import GroupKFold

    count = min(_FOLDS, len(set(pictures)))
    if count < 2:
        return []
    return list(GroupKFold(count, shuffle=True, random_state=seed).split(pictures, groups=pictures))


def _by_rate(questions: list[_Question], folds: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Is the choice right that, on the other folds, was most often right when offered?"""
    import numpy as np

    right = np.zeros(len(questions), dtype=bool)
    for train, test in folds:
        offered = Counter(c for i in train for c in questions[i].choices)
        won = Counter(questions[i].answer for i in train)

        def rate(choice: str, won: Counter[str] = won, offered: Counter[str] = offered) -> float:
            return (won[choice] + 1) / (offered[choice] + 2)

        for i in test:
            right[i] = max(questions[i].choices, key=rate) == questions[i].answer
    return right


def _ridge(
    texts: list[str], labels: list[int], allowed: np.ndarray, folds: list[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """Class numbers guessed from the texts, each by a model that saw only other pictures."""
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import Ridge

    words = CountVectorizer(binary=True, ngram_range=(1, 2), token_pattern=r"\w+", max_features=20_000)
    try:
        features = words.fit_transform(texts).astype(np.float64)
    except ValueError:  # no question has a word in it
        features = np.zeros((len(texts), 1))
    targets = np.eye(allowed.shape[1])[labels]
    guesses = np.zeros(len(texts), dtype=int)
    for train, test in folds:
        model = Ridge(_ALPHA, solver="sparse_cg", tol=1e-3).fit(features[train], targets[train])
        scores = model.predict(features[test]).reshape(len(test), -1)
        guesses[test] = np.where(allowed[test], scores, -np.inf).argmax(axis=1)
    return guesses
