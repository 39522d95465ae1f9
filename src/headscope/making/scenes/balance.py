"""Which scenes to draw further so that every function has enough questions, from enough pictures."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from headscope.data.schema import Case
from headscope.data.splits import assign_splits
from headscope.errors import DataError
from headscope.making.scenes.chains import CHAINS, build
from headscope.making.scenes.story import FUNCTION_OF

FUNCTIONS = tuple(dict.fromkeys(FUNCTION_OF.values()))
_SAMPLES = 20  # stories drawn once of each kind, to know what its steps ask


@dataclass(frozen=True)
class Balance:
    """What every function needs on ``test`` and ``select``, scenes with something held out not counted.

    Heads are chosen on ``select`` and judged on ``test``: were only one balanced, a function would be asked
    about in scenes of other kinds there, and found easier or harder.

    Attributes:
        questions, pictures: on ``test``: at least so many, from at least so many pictures.
        select: the share of both that ``select`` needs, from 0 to 1.
        more: function -> questions that it needs on ``test`` instead, where a claim rests on more of them.

    Raises:
        DataError: a number below 1, more pictures than questions, or a share out of range.
    """

    questions: int = 100
    pictures: int = 60
    select: float = 0.6
    more: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.pictures <= self.questions:
            raise DataError(
                f"asked for {self.questions} test questions a function from {self.pictures} pictures; "
                "expected at least 1 picture, and no more pictures than questions"
            )
        if not 0 <= self.select <= 1:
            raise DataError(f"asked for a share of {self.select} on select; expected one from 0 to 1")
        unknown = [f for f in self.more if f not in FUNCTIONS]
        if unknown:
            raise DataError(f"asked for questions of {unknown[0]}; scenes ask of {', '.join(FUNCTIONS)}")

    def needed(self, split: str, function: str) -> tuple[int, int]:
        """Questions and pictures of a function on this split."""
        share = {"test": 1.0, "select": self.select}[split]
        asked = self.more.get(function, self.questions) if split == "test" else self.questions
        return math.ceil(share * asked), math.ceil(share * self.pictures)

    def lacking(self, cases: Iterable[Case], split: str) -> dict[str, tuple[int, int]]:
        """Function -> questions and pictures that are missing; functions that have enough are left out."""
        wanted = {f: self.needed(split, f) for f in FUNCTIONS}
        questions, pictures = Counter[str](), defaultdict[str, set[str]](set)
        for case in cases:
            if case.split == split and not case.held_out:
                questions.update(s.function for s in case.steps)
                for step in case.steps:
                    pictures[step.function].add(case.image)
        found = {
            f: (max(0, wanted[f][0] - questions[f]), max(0, wanted[f][1] - len(pictures[f])))
            for f in FUNCTIONS
        }
        return {f: missing for f, missing in found.items() if any(missing)}


def with_splits(cases: Sequence[Case], seed: int) -> list[Case]:
    """The cases with the splits that a study with this seed would give them, written down."""
    splits = assign_splits(cases, seed)
    return [case.model_copy(update={"split": splits[case.id]}) for case in cases]


def kinds_wanted(balance: Balance, cases: list[Case], split: str) -> Iterator[str]:
    """The kind of main question to be drawn next for the split, until nothing is missing there.

    Each is the one whose steps make up most of what is missing. ``cases`` grows meanwhile: the caller adds
    the case of every kind before it asks for the next.
    """
    usual = _usual_steps()
    drawn = Counter[str]()
    wanted = {f: balance.needed(split, f) for f in FUNCTIONS}
    while missing := balance.lacking(cases, split):

        def gain(kind: str, missing: dict[str, tuple[int, int]] = missing) -> float:
            steps = usual[kind]
            return sum(
                min(steps[f], questions) / wanted[f][0] + min(steps[f], 1, pictures) / wanted[f][1]
                for f, (questions, pictures) in missing.items()
            )

        kind = max(CHAINS, key=lambda k: (gain(k), -drawn[k]))
        drawn[kind] += 1
        yield kind


def _usual_steps() -> dict[str, dict[str, float]]:
    """Kind of main question -> function -> steps of it, on average over a few stories."""
    found = {}
    for kind in CHAINS:
        counts = Counter[str]()
        for number in range(_SAMPLES):
            story = build(random.Random(f"usual/{kind}/{number}"), kind, 4)
            counts.update(FUNCTION_OF[step.name] for step in story.steps)
        found[kind] = {f: counts[f] / _SAMPLES for f in FUNCTIONS}
    return found
