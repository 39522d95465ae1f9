"""Do the steps that have an answer tell the answer of the whole question? A test on any set of cases."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headscope.data.schema import Case

_DRAWS = 500


@dataclass(frozen=True)
class AnswerLeak:
    """How well answers are guessed from which steps are answered.

    Attributes:
        cases: cases in chains of which at least two answers of the main question occur.
        guessed: share guessed right, each from the other cases with the same steps answered.
        chance: the mean of the same share where answers are shuffled among cases with the same chain.
        p: share of shuffles that guess as well, the real one counted in.
    """

    cases: int
    guessed: float
    chance: float
    p: float


def answered_leak(cases: Iterable[Case], draws: int = _DRAWS, seed: int = 0) -> AnswerLeak | None:
    """Test whether it depends on the main answer which steps are answered; None: nothing to compare.

    Cases are compared within chains of the same steps (by wording, else by function), so that what a question
    asks cannot pass for a leak; the last step, the verdict, is left out.

    Example:
        >>> from headscope.data.schema import Step
        >>> def case(i, holds):
        ...     step = Step(id="s1", question="?", answer="yes" if holds else "", function="counting",
        ...                 origin="derived" if holds else "unanswered")
        ...     last = Step(id="s2", question="So?", answer="yes", function="decision_making")
        ...     return Case(id=str(i), image="a", width=1, height=1, question="?", answer=str(holds),
        ...                 steps=(step, last))
        >>> found = answered_leak([case(i, i % 2 == 0) for i in range(40)])
        >>> found.guessed, found.p < 0.01
        (1.0, True)
    """
    chains: dict[tuple[str, ...], list[tuple[tuple[bool, ...], str]]] = defaultdict(list)
    for case in cases:
        steps = case.steps[:-1]
        if steps:
            chain = tuple(s.wording or s.function for s in steps)
            chains[chain].append((tuple(s.answered for s in steps), case.answer.casefold()))
    groups = [g for g in chains.values() if len({a for _, a in g}) > 1]
    total = sum(map(len, groups))
    if not total:
        return None
    draw = random.Random(seed)
    real = sum(_right([p for p, _ in g], [a for _, a in g]) for g in groups)
    shuffled = []
    for _ in range(draws):
        hits = 0
        for group in groups:
            answers = [a for _, a in group]
            draw.shuffle(answers)
            hits += _right([p for p, _ in group], answers)
        shuffled.append(hits)
    p = (1 + sum(s >= real for s in shuffled)) / (1 + draws)
    return AnswerLeak(total, real / total, sum(shuffled) / draws / total, p)


def _right(patterns: Sequence[tuple[bool, ...]], answers: Sequence[str]) -> int:
    """How many answers are the commonest among the others of the same pattern."""
    counts: dict[tuple[bool, ...], Counter[str]] = defaultdict(Counter)
    for pattern, answer in zip(patterns, answers, strict=True):
        counts[pattern][answer] += 1
    hits = 0
    for found in counts.values():
        for answer, count in found.items():
            others = max((n for a, n in found.items() if a != answer), default=0)
            hits += count if count - 1 > others else 0
    return hits
