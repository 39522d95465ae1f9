"""Where boxes come from: the case, the command line, or any detector that fills ``BoxSource``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from statistics import median
from typing import Any, Protocol, runtime_checkable

from headscope.data.schema import Case, Object, Step
from headscope.errors import DataError
from headscope.pointing.naming import NAMED, NOTHING, UNNAMED, UNPLACED, named_objects, needs_unnamed
from headscope.pointing.regions import Box, Size, generator, place_elsewhere

_ROUNDING = 1e-6  # pixels that a computed box may reach over the border


@runtime_checkable
class BoxSource(Protocol):
    """Anything that says where to point: a detector, a person, or the case itself."""

    def boxes(self, case: Case, step: Step) -> list[Box]:
        """Boxes in pixels of the case's (first) image for what the step's question names; may be empty."""
        ...


@dataclass(frozen=True)
class Target:
    """What to point at for one question.

    Attributes:
        boxes: boxes in pixels of the image.
        pointing: ``named`` (all that the question is about is boxed), ``unnamed needed`` (its answer also
            lies in things that it does not name, which masking hides), ``nothing named`` or
            ``no boxes known`` (no boxes).
        objects: ids of the boxed objects, where the source is the case.
        decoys: indices of the boxes that stand in for named objects that are absent.
        pictures: for each box the number of the case's picture that it lies in; empty: all in the first.
    """

    boxes: tuple[Box, ...]
    pointing: str
    objects: tuple[str, ...] = ()
    decoys: tuple[int, ...] = ()
    pictures: tuple[int, ...] = ()

    @property
    def shown_in(self) -> tuple[int, ...]:
        """The number of the picture that each of the ``shown`` boxes lies in."""
        places = self.pictures or (0,) * len(self.boxes)
        return tuple(place for i, place in enumerate(places) if i not in self.decoys)

    def within(self, picture: int) -> tuple[Box, ...]:
        """The boxes that lie in one of the case's pictures, by its number from 0."""
        places = self.pictures or (0,) * len(self.boxes)
        return tuple(box for box, place in zip(self.boxes, places, strict=True) if place == picture)

    @property
    def shown(self) -> tuple[Box, ...]:
        """The boxes that hold an object, decoys left out."""
        return tuple(b for i, b in enumerate(self.boxes) if i not in self.decoys)


@dataclass(frozen=True)
class CaseBoxes:
    """Boxes of the objects that a question names, from the case; never of the answer.

    A named object that is absent gets a decoy box of the case's median object size at a free place, so that a
    box does not tell that the thing is there. Decoys depend on the seed, the case and the object alone.

    Where boxes come from: docs/visual-prompting.md; the rules of naming: :mod:`headscope.pointing.naming`.
    """

    seed: int = 0

    def boxes(self, case: Case, step: Step) -> list[Box]:
        """Boxes of the objects that the step's question names, in the order of ``step.objects``."""
        return list(self.target(case, step).boxes)

    def target(self, case: Case, step: Step) -> Target:
        """Boxes with what they are worth for this question."""
        if all(o.box is None for o in case.objects):
            return Target((), UNPLACED)
        named = named_objects(case, step)
        if not named:
            return Target((), NOTHING)
        boxes: list[Box] = []
        for thing in named:
            beside = [b for b, other in zip(boxes, named, strict=False) if other.picture == thing.picture]
            boxes.append(thing.box if thing.box is not None else self._decoy(case, thing, beside))
        return Target(
            tuple(boxes),
            UNNAMED if needs_unnamed(case, step, named) else NAMED,
            tuple(o.id for o in named),
            tuple(i for i, o in enumerate(named) if o.box is None),
            tuple(o.picture for o in named) if case.more else (),
        )

    def _decoy(self, case: Case, thing: Object, others: Sequence[Box]) -> Box:
        present = [o.box for o in case.objects if o.box is not None]
        width = float(math.ceil(median(b[2] - b[0] for b in present)))
        height = float(math.ceil(median(b[3] - b[1] for b in present)))
        rng = generator("decoy", self.seed, case.id, thing.id)
        shown = case.pictures[thing.picture]
        there = [o.box for o in case.objects if o.box is not None and o.picture == thing.picture]
        return place_elsewhere(width, height, (shown.width, shown.height), [*there, *others], rng)


@dataclass(frozen=True)
class GivenBoxes:
    """The same boxes for every question, as given on the command line.

    Example:
        >>> GivenBoxes.parse(["10,20,30,40"], size=(96, 96)).given
        ((10.0, 20.0, 30.0, 40.0),)
    """

    given: tuple[Box, ...]

    @classmethod
    def parse(cls, texts: Sequence[str], size: Size | None = None) -> GivenBoxes:
        """Read boxes from texts of the form ``x0,y0,x1,y1``; several may be joined by ``;``.

        Args:
            texts: one or more texts.
            size: (width, height) of the picture; if given, boxes have to lie inside it.

        Raises:
            DataError: a text is not four numbers, or a box is empty or reaches outside the picture.
        """
        parts = [p.strip() for text in texts for p in text.split(";") if p.strip()]
        if not parts:
            raise DataError('asked for boxes, found none; expected "x0,y0,x1,y1" in pixels')
        return cls(tuple(_parse_box(part, size) for part in parts))

    def boxes(self, case: Case, step: Step) -> list[Box]:
        """The given boxes.

        Raises:
            DataError: one of them reaches outside the case's picture.
        """
        for box in self.given:
            _check(",".join(f"{v:g}" for v in box), box, (case.width, case.height))
        return list(self.given)


def _parse_box(text: str, size: Size | None) -> Box:
    box = _box_of(text.split(","), text)
    _check(text, box, size)
    return box


def _box_of(parts: Sequence[str], text: str) -> Box:
    try:
        numbers = [float(v) for v in parts]
    except ValueError:
        numbers = []
    if len(numbers) != 4 or not all(math.isfinite(v) for v in numbers):
        raise DataError(f'box "{text}": expected four numbers "x0,y0,x1,y1" in pixels, as in 10,20,60,80')
    return numbers[0], numbers[1], numbers[2], numbers[3]


def _check(text: str, box: Box, size: Size | None) -> None:
    if box[2] <= box[0] or box[3] <= box[1]:
        raise DataError(f'box "{text}": is empty; expected x0 < x1 and y0 < y1 (left, top, right, bottom)')
    over = _ROUNDING
    if size and (min(box[:2]) < -over or box[2] > size[0] + over or box[3] > size[1] + over):
        raise DataError(
            f'box "{text}": reaches outside the picture of {size[0]} x {size[1]} pixels; '
            f"expected 0 <= x <= {size[0]} and 0 <= y <= {size[1]}"
        )


def boxes_of(given: Sequence[Box] | Box, size: Size) -> list[Box]:
    """Boxes as callers give them, one or several, proved to lie in a picture of this size.

    Raises:
        DataError: something in it is not four finite numbers x0 < x1, y0 < y1 in pixels of the picture.

    Example:
        >>> boxes_of((10, 20, 30, 40), (96, 96)) == boxes_of([(10.0, 20.0, 30.0, 40.0)], (96, 96))
        True
    """
    listed: list[Any] = list(given)
    several = [listed] if listed and isinstance(listed[0], Real) else listed
    return [_proved(box, size) for box in several]


def _proved(given: Any, size: Size) -> Box:
    """One box from any four numbers."""
    shown = ",".join(map(str, given)) if isinstance(given, Iterable) else str(given)
    box = _box_of(shown.split(","), shown)
    _check(shown, box, size)
    if max(box) <= 1 and min(size) > 2:
        raise DataError(
            f'box "{shown}": lies within one pixel; expected pixels of a picture of {size[0]} x {size[1]}, '
            "not shares of 0 to 1"
        )
    return box


def target_of(source: BoxSource, case: Case, step: Step) -> Target:
    """Ask any source where to point; sources other than the case are taken to name all that matters."""
    if isinstance(source, CaseBoxes):
        return source.target(case, step)
    boxes = tuple(source.boxes(case, step))
    for box in boxes:
        _check(",".join(f"{v:g}" for v in box), box, (case.width, case.height))
    return Target(boxes, NAMED if boxes else NOTHING)
