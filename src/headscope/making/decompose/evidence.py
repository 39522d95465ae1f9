"""Answers that follow from evidence apart from the statement's truth: boxes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from headscope.data.schema import Case, Object
from headscope.making.decompose.claims import Claim
from headscope.making.photographs import box_geometry as g


@dataclass(frozen=True)
class Evidence:
    """What a rule may look at: the claim, the case, and the two things where the case has one of each."""

    claim: Claim
    case: Case
    s: Object | None
    o: Object | None

    def thing(self, who: str) -> Object | None:
        """The subject (``s``) or the object (``o``)."""
        return self.s if who == "s" else self.o

    @property
    def boxes(self) -> tuple[g.Box, g.Box] | None:
        """Both boxes, where both are known."""
        return (self.s.box, self.o.box) if self.s and self.o and self.s.box and self.o.box else None


def answer(rule: str, known: Evidence, about: str) -> str | None:
    """The answer of a step, or None where nothing that is known decides it."""
    return _RULES[rule](known, about) if rule else None


def _column(known: Evidence, about: str) -> str | None:
    thing = known.thing(about)
    return g.column_of(thing.box, known.case.width) if thing and thing.box else None


def _row(known: Evidence, about: str) -> str | None:
    thing = known.thing(about)
    return g.row_of(thing.box, known.case.height) if thing and thing.box else None


def _side(known: Evidence, about: str) -> str | None:
    return g.side_of(*known.boxes) if known.boxes else None


def _higher(known: Evidence, about: str) -> str | None:
    found = g.height_of(*known.boxes) if known.boxes else None
    return {"above": known.claim.subject, "below": known.claim.object, None: None}[found]


_RULES: dict[str, Callable[[Evidence, str], str | None]] = {
    "column": _column,
    "row": _row,
    "side": _side,
    "higher": _higher,
}
