"""A photo with its labelled things, and the chain of steps that one question about it unfolds into."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from headscope.data.schema import Case, Object, Step
from headscope.making.photographs import box_geometry as g
from headscope.making.photographs.box_geometry import Margins
from headscope.making.photographs.nouns import a, plural, there_is

YES_NO = ("yes", "no")


@dataclass(frozen=True)
class Photo:
    """A picture with every labelled thing in it.

    Attributes:
        image, width, height: as in a case.
        things: all labelled things, boxes in pixels.
        crowds: names of kinds that are also there as an unbounded crowd: never named alone, never counted.
        kinds: name -> group of every kind that labellers looked for; what is absent is known only of these.
    """

    id: str
    image: str
    width: int
    height: int
    things: tuple[Object, ...]
    crowds: frozenset[str] = frozenset()
    kinds: dict[str, str] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height


def drawn(*parts: object) -> int:
    """A number fixed by what is named."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:8])


class Chain:
    """The steps of one case, in the order asked."""

    def __init__(self, photo: Photo, case_id: str, margins: Margins) -> None:
        self.photo, self.case_id, self.margins = photo, case_id, margins
        self.steps: list[Step] = []

    def draw(self, *what: object) -> int:
        """A number fixed by the case and what is drawn."""
        return drawn(self.case_id, *what)

    def add(
        self,
        function: str,
        wording: str,
        question: str,
        answer: str,
        choices: Sequence[str] = (),
        things: Sequence[Object] = (),
        rests: Sequence[str] = (),
    ) -> str:
        """Add a step; what comes back is its id."""
        name = f"s{len(self.steps) + 1}"
        step = Step(
            id=name,
            question=question,
            answer=answer,
            function=function,
            choices=tuple(choices),
            objects=tuple(t.id for t in things),
            depends_on=tuple(rests),
            wording=wording,
            origin="derived",
        )
        self.steps.append(step)
        return name

    def what(self, thing: Object, many: bool = False) -> str:
        """Which of two kinds is there: this one, or one of another group that the labellers did not find."""
        here = {t.name for t in self.photo.things} | self.photo.crowds
        group = self.photo.kinds.get(thing.name)
        others = sorted(k for k, its in self.photo.kinds.items() if k not in here and its != group)
        if not others:
            question = f"{there_is(thing.name)[0].upper()}{there_is(thing.name)[1:]} in the picture?"
            return self.add("object_recognition", "present/0", question, "yes", YES_NO, (thing,))
        pair = [thing.name, others[self.draw("other", thing.name) % len(others)]]
        if self.draw("order", thing.name) % 2:
            pair.reverse()
        left, right = (plural(n) if many else a(n) for n in pair)
        question = f"What is in the picture, {left} or {right}?"
        return self.add("object_recognition", "which/0", question, thing.name, pair, (thing,))

    def where(self, thing: Object, rests: str, axes: str = "x") -> list[str]:
        """In which third of the picture a thing is, across (``x``) or down (``y``), where that is clear."""
        box, out = box_of(thing), []
        for axis in axes:
            names = g.COLUMNS if axis == "x" else g.ROWS
            if axis == "x":
                part = g.column_of(box, self.photo.width, self.margins)
            else:
                part = g.row_of(box, self.photo.height, self.margins)
            if part:
                question = where_question(f"the {thing.name}", names)
                wording, about = f"where/{names[0]}", (thing,)
                out.append(self.add("spatial_perception", wording, question, part, names, about, (rests,)))
        return out

    def case(
        self,
        kind: str,
        question: str,
        answer: str,
        choices: Sequence[str],
        named: Sequence[Object],
        last: str,
    ) -> Case:
        """The finished case; ``last`` words the verdict, which rests on every step."""
        self.add(
            "decision_making", f"verdict/{kind}", last, answer, choices, named, [s.id for s in self.steps]
        )
        return Case(
            id=self.case_id,
            image=self.photo.image,
            width=self.photo.width,
            height=self.photo.height,
            question=question,
            answer=answer,
            choices=tuple(choices),
            kind=kind,
            wording=f"{kind}/0",
            objects=self.photo.things,
            named=tuple(t.id for t in named),
            steps=tuple(self.steps),
            source="boxes",
        )


def box_of(thing: Object) -> g.Box:
    """The box of a labelled thing."""
    assert thing.box is not None, "only things with boxes are asked about"
    return thing.box


def where_question(thing: str, names: Sequence[str]) -> str:
    """Asks in which of three parts of the picture ``the dog`` is."""
    return f"In which part of the picture is {thing}: {', '.join(names[:-1])} or {names[-1]}?"
