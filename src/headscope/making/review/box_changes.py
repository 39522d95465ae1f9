"""Changes of boxes by reviewers: a box drawn, moved or removed, checked like every other part of a case."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from headscope.data.schema import Case, Object
from headscope.errors import DataError
from headscope.records import JsonValue
from headscope.storage import fingerprint

Box = tuple[float, float, float, float]
_LONGEST_NAME = 200
_ID_LENGTH = 40


@dataclass(frozen=True)
class BoxChange:
    """What a reviewer wants of the box of one thing.

    Attributes:
        about: mark of the thing as it was shown, empty for a thing that the case does not hold yet; a change
            of a thing that reads otherwise by now does not count.
        name: of the thing.
        picture: number of the picture that the box lies in, from 0.
        box: x0, y0, x1, y1 in pixels of that picture; None: the box is to go.
        written: whether it was written to the cases. It is kept as a record and never applied again, also
            where somebody puts the box back.
    """

    about: str
    name: str
    picture: int
    box: Box | None
    written: bool = False

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> BoxChange:
        """A change as its file holds it."""
        box = raw["box"]
        corners = None if box is None else (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
        return cls(
            str(raw["about"]), str(raw["name"]), int(raw["picture"]), corners, bool(raw.get("written"))
        )


def mark_of_thing(thing: Object | None) -> str:
    """Fingerprint of a thing as it is shown; empty for one that is not there."""
    return "" if thing is None else fingerprint([thing.id, thing.name, thing.picture, thing.box])


def thing_of(case: Case, thing_id: str) -> Object | None:
    """The thing of a case with this id; None: there is none."""
    return next((o for o in case.objects if o.id == thing_id), None)


def change_of(
    case: Case, thing_id: str, name: str, box: JsonValue, picture: JsonValue, about: str | None
) -> BoxChange:
    """A change as a reviewer asks for it; that it leaves a sound case is for the caller to check.

    Args:
        thing_id: of the case; any other is a new thing.
        name: of a new thing; one of the case keeps its own.
        box: x0, y0, x1, y1 in pixels; None removes the box.
        picture: number of the picture that it lies in.
        about: the thing's mark as it was shown; None: as it is now.

    Raises:
        DataError: no box, no name, a thing that was changed since it was shown, or nothing to be changed.
    """
    thing = thing_of(case, thing_id)
    mark = mark_of_thing(thing)
    if about not in (None, mark):
        raise DataError(
            f"case {case.id!r}: somebody changed the thing {thing_id!r} since it was shown; look at it again"
        )
    if isinstance(picture, bool) or not isinstance(picture, int) or not 0 <= picture < len(case.pictures):
        raise DataError(
            f"case {case.id!r}: no picture number {picture!r}; there are {len(case.pictures)}, from 0"
        )
    name = thing.name if thing is not None else name.strip()
    if not 0 < len(name) <= _LONGEST_NAME and thing is None:
        raise DataError(f"name: expected text of 1 to {_LONGEST_NAME} characters, found {len(name)}")
    corners = None if box is None else _corners(box)
    if (thing.box if thing is not None else None) == corners and (
        corners is None or (thing is not None and thing.picture == picture)
    ):
        raise DataError(f"the box of {name!r}: nothing is changed; take your change back instead")
    return BoxChange(mark, name, picture, corners)


def _corners(box: JsonValue) -> Box:
    if not isinstance(box, list | tuple) or len(box) != 4:
        raise DataError(f"box: found {str(box)[:60]}, expected four numbers x0, y0, x1, y1")
    found: list[float] = []
    for value in box:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DataError(f"box: found {str(value)[:60]!r} in it, expected a number of pixels")
        try:
            found.append(float(value))
        except OverflowError as exc:
            raise DataError("box: found a number of hundreds of digits, expected pixels") from exc
    return found[0], found[1], found[2], found[3]


def new_id(name: str, taken: Collection[str]) -> str:
    """An id for a new thing, made from its name.

    Example:
        >>> new_id("Red cup!", {"red-cup"})
        'red-cup-2'
    """
    stem = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")[:_ID_LENGTH] or "thing"
    ids = (stem if n == 1 else f"{stem}-{n}" for n in range(1, len(taken) + 2))
    return next(i for i in ids if i not in taken)


def boxed(case: Case, changes: Mapping[str, BoxChange]) -> Case:
    """The case as changes of boxes leave it; new things come last.

    A thing whose box is removed stays, without a box, where a question is about it; else it goes too.
    """
    if not changes:
        return case
    asked = {*case.named, *(name for step in case.steps for name in step.objects)}
    things: list[Object] = []
    for thing in case.objects:
        change = changes.get(thing.id)
        if change is None:
            things.append(thing)
        elif change.box is not None or thing.id in asked:
            things.append(thing.model_copy(update={"box": change.box, "picture": change.picture}))
    known = {o.id for o in case.objects}
    for thing_id, change in changes.items():
        if thing_id not in known and change.box is not None:
            things.append(Object(id=thing_id, name=change.name, box=change.box, picture=change.picture))
    return case.model_copy(update={"objects": tuple(things)})


def is_done(case: Case, thing_id: str, change: BoxChange) -> bool:
    """Whether a case already is as a change wants it."""
    thing = thing_of(case, thing_id)
    if thing is None or thing.box is None:
        return change.box is None
    return (thing.name, thing.picture, thing.box) == (change.name, change.picture, change.box)
