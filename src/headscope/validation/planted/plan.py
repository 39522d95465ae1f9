"""Which head does what: the levels of difficulty, and the truth that travels beside the weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from headscope.errors import StudyError
from headscope.validation.planted.questions import COLOUR, COUNT, FACING, FUNCTIONS, OBJECT, PLACE, RELATION

SCHEMA = "headscope/truth/1"
LAYERS, HEADS = 4, 8
LEVELS = {
    "plain": "one head a function",
    "redundant": "two heads do the same for three functions; either one is enough",
    "shared": "one head serves two functions",
    "decoy": "three more heads hold the answer as well as the planted ones do, and nothing reads them",
    "suppressor": "for two functions another head takes back half of what the planted one writes",
    "always_on": "three heads read their attribute whatever is asked about the thing",
    "leaky": "every bystander spills a little of its output into what the answer is read from",
}
_TRIPLE = (PLACE, FACING, COLOUR)
_BYSTANDERS = ("reader", "viewer", "mixer", "mixer")


@dataclass(frozen=True)
class Part:
    """What one head does.

    Attributes:
        layer, head: where it is.
        role: ``planted``, ``decoy``, ``suppressor``, or a bystander: ``reader`` (of the question's words),
            ``viewer`` (of the whole picture), ``mixer`` (of anything).
        functions: those it serves, copies or suppresses; none for bystanders.
        strength: of what it writes; negative for a suppressor.
        always: whether it acts whatever is asked about the thing named.
    """

    layer: int
    head: int
    role: str
    functions: tuple[str, ...] = ()
    strength: float = 1.0
    always: bool = False

    @property
    def label(self) -> str:
        """As in ``L2H3``."""
        return f"L{self.layer}H{self.head}"


@dataclass(frozen=True)
class Plan:
    """All heads of one planted model."""

    level: str
    seed: int
    parts: tuple[Part, ...]
    saturating: tuple[str, ...] = ()  # functions whose readout is full with one head's output

    def labels(self, function: str, *roles: str) -> list[str]:
        """Heads of these roles for a function."""
        return [p.label for p in self.parts if p.role in roles and function in p.functions]

    def truth(self) -> dict[str, Any]:
        """The content of ``truth.json``."""
        return {
            "schema": SCHEMA,
            "level": self.level,
            "about": LEVELS[self.level],
            "seed": self.seed,
            "functions": {f: self.labels(f, "planted") for f in FUNCTIONS},
            "decoys": {f: self.labels(f, "decoy") for f in FUNCTIONS},
            "suppressors": {f: self.labels(f, "suppressor") for f in FUNCTIONS},
            "saturating": list(self.saturating),
            "heads": [{"label": p.label, **asdict(p)} for p in self.parts],
        }


def make_plan(level: str, seed: int) -> Plan:
    """Draw the places of the planted heads; the same level and seed give the same plan.

    Raises:
        StudyError: an unknown level.

    Example:
        >>> plan = make_plan("plain", 0)
        >>> len(plan.labels("counting", "planted")), plan.labels("knowledge_recall", "planted")
        (1, [])
    """
    if level not in LEVELS:
        raise StudyError(f"asked for planted models of level {level!r}; there are: {', '.join(LEVELS)}")
    rng = np.random.default_rng([seed, list(LEVELS).index(level), 1])
    places = [(int(i) // HEADS, int(i) % HEADS) for i in rng.permutation(LAYERS * HEADS)]
    chosen = [Part(*places.pop(), **wish) for wish in _wishes(level)]
    others = [Part(*place, role=_BYSTANDERS[int(rng.integers(4))]) for place in places]
    parts = sorted((*chosen, *others), key=lambda p: (p.layer, p.head))
    return Plan(level, seed, tuple(parts), _TRIPLE if level == "redundant" else ())


def _wishes(level: str) -> Iterable[dict[str, Any]]:
    """The special heads of a level, without their places."""
    single: list[dict[str, Any]] = [
        {"role": "planted", "functions": (f,)} for f in (PLACE, FACING, RELATION, COLOUR, OBJECT, COUNT)
    ]
    if level == "redundant":
        return single + [{"role": "planted", "functions": (f,)} for f in _TRIPLE]
    if level == "shared":
        rest = [w for w in single if w["functions"][0] not in (PLACE, FACING)]
        return [{"role": "planted", "functions": (PLACE, FACING)}, *rest]
    if level == "decoy":
        return single + [{"role": "decoy", "functions": (f,)} for f in _TRIPLE]
    if level == "suppressor":
        back = {"role": "suppressor", "strength": -0.5}
        return single + [{**back, "functions": (f,)} for f in (PLACE, COLOUR)]
    if level == "always_on":
        return [{**w, "always": w["functions"][0] in _TRIPLE} for w in single]
    return single
