"""How often boxes mislead: against what people said of the same photos, and had they been drawn otherwise."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from headscope.data.fields import Cell
from headscope.making.decompose.claims import parse_claim
from headscope.making.photographs import box_geometry as g
from headscope.making.photographs.box_geometry import DEFAULT_MARGINS, Margins
from headscope.making.photographs.box_questions import ask_photo, nameable
from headscope.making.photographs.step_chain import Photo, box_of


def disturbed(photo: Photo, share: float, rng: random.Random) -> Photo:
    """The photo with every edge of every box moved by a normal error of ``share`` of the box's side."""
    things = []
    for thing in photo.things:
        x0, y0, x1, y1 = box_of(thing)
        w, h = (x1 - x0) * share, (y1 - y0) * share
        moved = (x0 + rng.gauss(0, w), y0 + rng.gauss(0, h), x1 + rng.gauss(0, w), y1 + rng.gauss(0, h))
        box = (
            min(max(moved[0], 0.0), photo.width - 1.0),
            min(max(moved[1], 0.0), photo.height - 1.0),
            min(max(moved[2], moved[0] + 1.0, 1.0), float(photo.width)),
            min(max(moved[3], moved[1] + 1.0, 1.0), float(photo.height)),
        )
        things.append(thing.model_copy(update={"box": box}))
    return Photo(photo.id, photo.image, photo.width, photo.height, tuple(things), photo.crowds, photo.kinds)


def changed_answers(
    photos: Iterable[Photo],
    share: float = 0.05,
    draws: int = 10,
    seed: int = 0,
    margins: Margins = DEFAULT_MARGINS,
) -> tuple[int, int, int]:
    """(questions asked again, answers that changed, questions that became unclear) over all draws.

    A question is compared with itself by its id. An answer that changes is an error that boxes drawn by
    somebody else would have brought in; one that became unclear is only lost.
    """
    again = changed = lost = 0
    for photo in photos:
        rng = random.Random(f"{seed}/{photo.id}")
        first = {c.id: c for c in ask_photo(photo, margins)}
        for _ in range(draws):
            second = {c.id: c for c in ask_photo(disturbed(photo, share, rng), margins)}
            for name, case in first.items():
                other = second.get(name)
                again += 1
                lost += other is None
                changed += other is not None and case.answer != other.answer
    return again, changed, lost


SIDES = {
    "left of": "left",
    "at the left side of": "left",
    "right of": "right",
    "at the right side of": "right",
    "above": "above",
    "over": "above",
    "below": "below",
    "under": "below",
    "beneath": "below",
}


@dataclass(frozen=True)
class ComparedStatement:
    """A person's statement on a photo beside what the boxes say.

    Attributes:
        image, caption, relation, label: the statement, and whether it was found true.
        boxes: whether it is true by the boxes; None: not both things are alone of their kind and large
            enough, or the place is not clear.
    """

    image: str
    caption: str
    relation: str
    label: bool
    boxes: bool | None


def compare(
    rows: Iterable[Mapping[str, Cell]], photos: Mapping[str, Photo], margins: Margins = DEFAULT_MARGINS
) -> list[ComparedStatement]:
    """Rows of VSR whose relation is a side, on photos with boxes, beside what the boxes say.

    Args:
        rows: records with ``image``, ``caption``, ``relation`` and ``label`` (0 or 1).
        photos: file name -> photo.
    """
    out = []
    for row in rows:
        photo, side = photos.get(str(row["image"])), SIDES.get(str(row["relation"]))
        found = parse_claim(str(row["caption"]), str(row["relation"]))
        if photo is None or side is None or found is None:
            continue
        things = {t.name: box_of(t) for t in nameable(photo, margins)}
        subject, thing = things.get(found[0]), things.get(found[2])
        said = None
        if subject and thing:
            place = (g.side_of if side in ("left", "right") else g.height_of)(subject, thing, margins)
            said = None if place is None else place == side
        image, label = str(row["image"]), bool(row["label"])
        out.append(ComparedStatement(image, str(row["caption"]), str(row["relation"]), label, said))
    return out
