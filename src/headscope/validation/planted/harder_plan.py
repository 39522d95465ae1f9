"""The second version of planted models: three heads a function, and levels that one head at a time misses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

import numpy as np

from headscope.errors import StudyError
from headscope.storage import Row
from headscope.validation.planted.plan import HEADS, LEVELS, SCHEMA, Part, Plan
from headscope.validation.planted.questions import COLOUR, COUNT, FACING, FUNCTIONS, OBJECT, PLACE, RELATION

HARDER_LAYERS = 6
GROUP = 3  # heads a function, each for a third of the things that can be asked about
SHARES = 20  # heads that share one function in ``distributed``
NEW_LEVELS = {
    "early_generalist": "a head of the first layer opens all others: every function needs it",
    "distributed": f"{SHARES} heads give a {SHARES}th each of the evidence for one function",
    "two_hop": "for two functions some heads move the fact to the question's thing, later ones fetch it",
    "backup": "for three functions later heads take over only when the first ones are silent",
}
# The first version's levels are there too, with three heads where that version has one.
HARDER_LEVELS = LEVELS | NEW_LEVELS
MOVED = (PLACE, FACING)  # functions of ``two_hop``
SERVING = ("planted", "mover", "fetcher", "backup")  # roles that answer "which heads serve this function?"
_TRIPLE = (PLACE, FACING, COLOUR)  # functions of ``redundant``, ``decoy``, ``always_on`` and ``backup``
_GROUPED = (PLACE, FACING, RELATION, COLOUR, OBJECT)
_BYSTANDERS = ("reader", "viewer", "mixer", "mixer")
_HALF = HARDER_LAYERS // 2
_ANY, _EARLY, _LATE = range(HARDER_LAYERS), range(_HALF), range(_HALF, HARDER_LAYERS)


@dataclass(frozen=True)
class HarderPart(Part):
    """What one head does.

    Attributes:
        third: which of three parts of what can be asked about it answers for; -1: all.
    """

    third: int = -1


@dataclass(frozen=True)
class HarderPlan(Plan):
    """All heads of one planted model of the second version."""

    parts: tuple[HarderPart, ...]

    @property
    def generalists(self) -> list[str]:
        """Heads that every function needs, and that are no function's own."""
        return [p.label for p in self.parts if p.role == "generalist"]

    def truth(self) -> Row:
        """The content of ``truth.json``."""
        return {
            "schema": SCHEMA,
            "level": self.level,
            "about": HARDER_LEVELS[self.level],
            "seed": self.seed,
            "functions": {f: self.labels(f, *SERVING) for f in FUNCTIONS},
            "decoys": {f: self.labels(f, "decoy") for f in FUNCTIONS},
            "suppressors": {f: self.labels(f, "suppressor") for f in FUNCTIONS},
            "saturating": list(self.saturating),
            "generalists": self.generalists,
            "heads": [{"label": p.label, **asdict(p)} for p in self.parts],
        }


@dataclass(frozen=True)
class _Wish:
    """Heads to be placed: three of different layers, each for a third, unless ``whole``."""

    role: str
    functions: tuple[str, ...] = ()
    layers: range = _ANY
    strength: float = 1.0
    always: bool = False
    whole: bool = False


def make_harder_plan(level: str, seed: int) -> HarderPlan:
    """Draw the places of the planted heads; the same level and seed give the same plan.

    Raises:
        StudyError: an unknown level.

    Example:
        >>> plan = make_harder_plan("distributed", 0)
        >>> len(plan.labels("spatial_perception", "planted")), len(plan.parts)
        (20, 48)
    """
    if level not in HARDER_LEVELS:
        known = ", ".join(HARDER_LEVELS)
        raise StudyError(f"asked for planted models of level {level!r}; the second version has: {known}")
    rng = np.random.default_rng([seed, list(HARDER_LEVELS).index(level), 7])
    free = [(int(i) // HEADS, int(i) % HEADS) for i in rng.permutation(HARDER_LAYERS * HEADS)]
    parts = []
    for wish in _wishes(level):
        taken: list[tuple[int, int]] = []
        for third in (-1,) if wish.whole else range(GROUP):
            other = [layer for layer, _ in taken]
            place = next(p for p in free if p[0] in wish.layers and p[0] not in other)
            free.remove(place)
            taken.append(place)
            made = HarderPart(*place, wish.role, wish.functions, wish.strength, wish.always, third)
            parts.append(made)
    parts += [HarderPart(*place, role=_BYSTANDERS[int(rng.integers(4))]) for place in free]
    saturating = _TRIPLE if level == "redundant" else ()
    return HarderPlan(level, seed, tuple(sorted(parts, key=lambda p: (p.layer, p.head))), saturating)


def _wishes(level: str) -> list[_Wish]:
    """The special heads of a level; those bound to few layers come first."""
    # Counting weighs all cells alike; late in a deep model their norms differ too much for that.
    counting = _Wish("planted", (COUNT,), _EARLY, whole=True)
    every = [counting, *(_Wish("planted", (f,)) for f in _GROUPED)]
    if level == "early_generalist":
        first = _Wish("generalist", layers=range(1), whole=True)
        return [first, *(replace(w, layers=w.layers[1:]) for w in every)]
    if level == "two_hop":
        moving = [w for f in MOVED for w in (_Wish("mover", (f,), _EARLY), _Wish("fetcher", (f,), _LATE))]
        return moving + _without(every, MOVED)
    if level == "backup":
        early = [_Wish("planted", (f,), _EARLY) for f in _TRIPLE]
        return early + [_Wish("backup", (f,), _LATE) for f in _TRIPLE] + _without(every, _TRIPLE)
    if level == "distributed":
        part = _Wish("planted", (PLACE,), strength=1 / SHARES, whole=True)
        return _without(every, (PLACE,)) + [part] * SHARES
    if level == "shared":
        return [*_without(every, (PLACE, FACING)), _Wish("planted", (PLACE, FACING))]
    if level == "always_on":
        return [replace(w, always=w.functions[0] in _TRIPLE) for w in every]
    more = {
        "redundant": [_Wish("planted", (f,)) for f in _TRIPLE],
        "decoy": [_Wish("decoy", (f,)) for f in _TRIPLE],
        "suppressor": [_Wish("suppressor", (f,), strength=-0.5) for f in (PLACE, COLOUR)],
    }
    return every + more.get(level, [])


def _without(wishes: Iterable[_Wish], functions: Iterable[str]) -> list[_Wish]:
    return [w for w in wishes if w.functions[0] not in functions]
