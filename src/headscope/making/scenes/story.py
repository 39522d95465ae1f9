"""A story: a scene, one main question about it, and the steps that answer it."""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass, field
from typing import Any

from headscope.making.scenes.kinds import COLOURS, KINDS, LETTERS
from headscope.making.scenes.layout import POOL, Draft
from headscope.making.scenes.scene import ALL_PLACES, Scene, Thing, named
from headscope.making.scenes.wordings import MAIN, STEPS

YES_NO = ("yes", "no")
TRUE_FALSE = ("true", "false")
WAYS = ("left", "right")
DIGITS = tuple(str(i) for i in range(8))
FUNCTION_OF = {
    "what_all": "object_recognition",
    "what_pair": "object_recognition",
    "what_coloured": "object_recognition",
    "present": "object_recognition",
    "colour": "attribute_perception",
    "size": "attribute_perception",
    "letter": "text_reading",
    "where": "spatial_perception",
    "look": "orientation_perception",
    "lead": "relational_reasoning",
    "further": "relational_reasoning",
    "higher": "relational_reasoning",
    "beside_row": "relational_reasoning",
    "beside": "relational_reasoning",
    "nearer": "relational_reasoning",
    "share_side": "relational_reasoning",
    "share_way": "relational_reasoning",
    "which_sign": "relational_reasoning",
    "count_kind": "counting",
    "count_side": "counting",
    "known": "knowledge_recall",
    "verdict": "decision_making",
}


def held_combination(kind: str, colour: str, relation: str) -> bool:
    """Whether a thing of this kind and colour in this relation is kept from the embedded model's training.

    A fixed twelfth of all combinations, by checksum.
    """
    return zlib.crc32(f"{kind}/{colour}/{relation}".encode()) % 12 == 0


@dataclass
class Asked:
    """A question before its wording is chosen; ``things`` are those it is about, ``rests`` step numbers."""

    name: str
    fields: dict[str, Any]
    answer: str
    choices: tuple[str, ...]
    things: tuple[Thing, ...] = ()
    rests: tuple[int, ...] = ()

    def text(self, wording: int) -> str:
        """The question in one of its wordings."""
        return _capital(STEPS[self.name][wording].format(**self.fields))


@dataclass
class Story:
    """Scene, main question and steps; ``absent`` is the name of a thing that is asked for but not there."""

    kind: str
    fields: dict[str, Any]
    answer: str
    choices: tuple[str, ...]
    named: tuple[Thing, ...]
    steps: list[Asked]
    scene: Scene | None = None
    absent: str | None = None
    colour_kept_for: tuple[Thing, ...] = field(default=())

    def main(self, wording: int) -> str:
        """The main question, in the form that follows ``So``."""
        return MAIN[self.kind][wording].format(**self.fields)

    def is_held_combination(self) -> bool:
        """Whether any named thing stands in a held-out combination."""
        return any(held_combination(t.kind, t.colour, self.kind) for t in self.named)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def the(thing: Thing, *, colour: bool = False, size: bool = False) -> str:
    """``the dog``, ``the red dog``, ``the small dog``."""
    words = [thing.size] * size + [thing.colour] * colour + [thing.kind]
    return named(" ".join(words))


class Steps(list[Asked]):
    """Builds the steps of a story in order; every method returns the step's number."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.rng = rng

    def ask(
        self,
        name: str,
        answer: str,
        choices: tuple[str, ...],
        things: tuple[Thing, ...] = (),
        rests: tuple[int, ...] = (),
        **fields: Any,
    ) -> int:
        """Add any step."""
        self.append(Asked(name, fields, answer, choices, things, rests))
        return len(self) - 1

    def what(self, draft: Draft, thing: Thing) -> int:
        """What is there: all of it where there are two things, one of two kinds otherwise."""
        if draft.count == 2 and len(draft.things) == 2:
            return self._what_all(draft)
        return self.what_pair(draft, thing)

    def what_pair(self, draft: Draft, thing: Thing) -> int:
        """Which of two kinds is there; the other one is not."""
        kinds = [thing.kind, self._absent(draft)]
        self.rng.shuffle(kinds)
        a, b = (named(k, "a") for k in kinds)
        return self.ask("what_pair", thing.kind, tuple(kinds), (thing,), a=a, b=b)

    def _what_all(self, draft: Draft) -> int:
        first, second = sorted(t.kind for t in draft.things)
        others = (self._absent(draft), self._absent(draft))
        pairs = [(first, second), (first, others[0]), (second, others[1]), others]
        choices = [", ".join(named(k, "a") for k in sorted(pair)) for pair in pairs]
        answer = choices[0]
        return self.ask("what_all", answer, tuple(sorted(set(choices))), tuple(draft.things))

    def _absent(self, draft: Draft) -> str:
        kind = self.rng.choice([k for k in POOL if k not in draft.kinds])
        draft.kinds.add(kind)  # fillers may not bring it in
        return kind

    def what_coloured(self, draft: Draft, thing: Thing) -> int:
        """What is the red thing."""
        others = self.rng.sample([k for k in POOL if k != thing.kind], 3)
        choices = [thing.kind, *others]
        self.rng.shuffle(choices)
        return self.ask("what_coloured", thing.kind, tuple(choices), (thing,), colour=thing.colour)

    def where(self, thing: Thing, x: str) -> int:
        """In which of nine places."""
        return self.ask("where", thing.place, ALL_PLACES, (thing,), x=x)

    def look(self, thing: Thing, x: str) -> int:
        """Which way it faces."""
        assert thing.facing
        return self.ask("look", thing.facing, WAYS, (thing,), x=x)

    def colour(self, thing: Thing, x: str) -> int:
        """What colour it has."""
        return self.ask("colour", thing.colour, tuple(COLOURS), (thing,), x=x)

    def letter(self, thing: Thing, x: str) -> int:
        """What letter it shows."""
        assert thing.letter
        return self.ask("letter", thing.letter, tuple(LETTERS), (thing,), x=x)

    def known(self, thing: Thing) -> int:
        """Which kind does what is said of it."""
        others = self.rng.sample([k for k in POOL if k != thing.kind], 3)
        choices = [thing.kind, *others]
        self.rng.shuffle(choices)
        return self.ask("known", thing.kind, tuple(choices), (thing,), hint=KINDS[thing.kind].hint)

    def verdict(self, answer: str, choices: tuple[str, ...], things: tuple[Thing, ...]) -> int:
        """The main question again, resting on all steps."""
        return self.ask("verdict", answer, choices, things, tuple(range(len(self))))
