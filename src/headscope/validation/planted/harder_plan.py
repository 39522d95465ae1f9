"""Levels of the second version: which heads do what where one head at a time does not tell."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from headscope.errors import StudyError
from headscope.storage import Row
from headscope.validation.planted.plan import HEADS, SCHEMA, Part, Plan
from headscope.validation.planted.questions import COLOUR, COUNT, FACING, FUNCTIONS, OBJECT, PLACE, RELATION

HARDER_LAYERS = 6
SHARES = 20  # heads that share one function in ``distributed``
HARDER_LEVELS = {
    "early_generalist": "a head of the first layer opens all others: every function needs it",
    "distributed": f"{SHARES} heads give a {SHARES}th each of the evidence for one function",
    "two_hop": "for two functions one head moves the fact to the question's thing, a later one fetches it",
    "backup": "for three functions a later head takes over only when the first one is silent",
}
MOVED = (PLACE, FACING)  # functions of ``two_hop``
BACKED = (PLACE, FACING, COLOUR)  # functions of ``backup``
SERVING = ("planted", "mover", "fetcher", "backup")  # roles that are the answer to "which heads serve f?"
_SINGLE = (PLACE, FACING, RELATION, COLOUR, OBJECT)
_BYSTANDERS = ("reader", "viewer", "mixer", "mixer")
_HALF = HARDER_LAYERS // 2
Wish = tuple[str, tuple[str, ...], range, float]  # role, functions, layers, strength
_ANY, _EARLY, _LATE = range(HARDER_LAYERS), range(_HALF), range(_HALF, HARDER_LAYERS)


@dataclass(frozen=True)
class HarderPlan(Plan):
    """All heads of one planted model of the second version."""

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
            "decoys": {f: [] for f in FUNCTIONS},
            "suppressors": {f: [] for f in FUNCTIONS},
            "saturating": [],
            "generalists": self.generalists,
            "heads": [{"label": p.label, **asdict(p)} for p in self.parts],
        }


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
    for role, functions, layers, strength in _wishes(level):
        place = next(p for p in free if p[0] in layers)
        free.remove(place)
        parts.append(Part(*place, role=role, functions=functions, strength=strength))
    parts += [Part(*place, role=_BYSTANDERS[int(rng.integers(4))]) for place in free]
    return HarderPlan(level, seed, tuple(sorted(parts, key=lambda p: (p.layer, p.head))))


def _wishes(level: str) -> list[Wish]:
    """Each special head; those bound to few layers come first."""
    # Counting weighs all cells alike; late in a deep model their norms differ too much for that.
    single: list[Wish] = [("planted", (f,), _EARLY if f == COUNT else _ANY, 1.0) for f in (COUNT, *_SINGLE)]
    if level == "early_generalist":
        after = [(role, f, where[1:], s) for role, f, where, s in single]
        return [("generalist", (), range(1), 1.0), *after]
    if level == "distributed":
        part: Wish = ("planted", (PLACE,), _ANY, 1 / SHARES)
        return [*(w for w in single if w[1] != (PLACE,)), *([part] * SHARES)]
    first, second, pairs = {
        "two_hop": ("mover", "fetcher", MOVED),
        "backup": ("planted", "backup", BACKED),
    }[level]
    found: list[Wish] = [
        (role, (f,), where, 1.0) for f in pairs for role, where in ((first, _EARLY), (second, _LATE))
    ]
    return found + [w for w in single if w[1][0] not in pairs]
