"""How far places read off boxes agree with what people said: statements with labels, on labelled photos."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from headscope.making.decompose.claims import parse_claim
from headscope.making.photographs import geometry as g
from headscope.making.photographs.chain import Photo, box_of
from headscope.making.photographs.geometry import DEFAULT_MARGINS, Margins
from headscope.making.photographs.questions import nameable

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


def compare(
    rows: Iterable[Mapping[str, Any]], photos: Mapping[str, Photo], margins: Margins = DEFAULT_MARGINS
) -> list[dict[str, Any]]:
    """Rows of VSR whose relation is a side, on photos with boxes, beside what the boxes say.

    Args:
        rows: records with ``image``, ``caption``, ``relation`` and ``label`` (0 or 1).
        photos: file name -> photo.

    Returns:
        One dict a row: ``image``, ``caption``, ``relation``, ``label`` (bool), ``boxes`` (bool, or None: not
        both things are alone of their kind and large enough, or the place is not clear).
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
        out.append(
            {
                "image": row["image"],
                "caption": row["caption"],
                "relation": row["relation"],
                "label": bool(row["label"]),
                "boxes": said,
            }
        )
    return out
