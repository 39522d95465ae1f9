"""How far places read off boxes agree with what people said, on data where both are there.

    python tools/box_agreement.py --vsr PATH/TO/vsr --coco PATH/TO/instances.json
    python tools/box_agreement.py --nlvr PATH/TO/nlvr/dev/dev.json

VSR: rows about left, right, above, below whose photograph has labelled boxes. NLVR: statements of the form
"there is a tower with a blue block over a yellow block", true if some pair of boxes is so; a case of people's
use of "over" on drawn blocks, not on photographs. Intervals are Wilson's, 95 %.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

from headscope.data.fields import Cell
from headscope.making.decompose.claims import parse_claim
from headscope.making.photographs import box_geometry as g
from headscope.making.photographs.box_geometry import DEFAULT_MARGINS, Margins, height_of
from headscope.making.photographs.box_questions import ask_photo, nameable
from headscope.making.photographs.instances import read_instances
from headscope.making.photographs.step_chain import Photo, box_of

_STATED = re.compile(
    r"^(?:there is|one tower has)\b.*?\b(yellow|black|blue) (?:block|object)s? (?:over|above|on top of) a "
    r"(yellow|black|blue) (?:block|object)$"
)
_COLOUR = {"yellow": "Yellow", "black": "Black", "blue": "#0099ff"}


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


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share."""
    z = 1.959963984540054
    middle, width = hits / n + z * z / (2 * n), z * math.sqrt(hits * (n - hits) / n**3 + (z / (2 * n)) ** 2)
    return (middle - width) / (1 + z * z / n), (middle + width) / (1 + z * z / n)


def of_vsr(folder: Path, instances: Path) -> Iterator[tuple[bool, bool]]:
    """(what people said, what the boxes say) of every row with both, each row once."""
    photos = {p.image.rpartition("/")[2]: p for p in read_instances(instances).photos}
    lines = {x for path in sorted(folder.rglob("*.jsonl")) for x in path.read_text("utf-8").splitlines()}
    held: dict[tuple[str, str], dict[str, Any]] = {}
    for line in sorted(lines):
        row = json.loads(line)
        held[row["image"], row["caption"]] = row
    for found in compare(held.values(), photos):
        if found.boxes is not None:
            yield found.label, found.boxes


def of_nlvr(path: Path, next_to: bool) -> Iterator[tuple[bool, bool]]:
    """The same of NLVR; ``next_to``: only blocks that touch count as over each other."""
    for row in map(json.loads, path.read_text("utf-8").splitlines()):
        text = " ".join(row["sentence"].lower().split()).rstrip(".")
        found = _STATED.match(text)
        if not found or re.search(r"\b(?:no|exactly)\b", text):
            continue
        upper, lower = (_COLOUR[name] for name in found.groups())
        pairs = [p for panel in row["structured_rep"] for p in permutations(panel, 2)]
        said = any(
            a["color"] == upper and b["color"] == lower and _over(_box(a), _box(b), next_to) for a, b in pairs
        )
        yield row["label"] == "true", said


def _box(thing: dict[str, Any]) -> tuple[float, float, float, float]:
    x, y, size = thing["x_loc"], thing["y_loc"], thing["size"]
    return x, y, x + size, y + size


def _over(a: tuple[float, ...], b: tuple[float, ...], next_to: bool) -> bool:
    return height_of(a, b) == "above" and (not next_to or b[1] - a[3] < 2)  # type: ignore[arg-type]


def report(title: str, pairs: Iterable[tuple[bool, bool]]) -> str:
    """One line: how many agree, of how many, with the interval."""
    found = list(pairs)
    hits = sum(said == boxes for said, boxes in found)
    if not found:
        return f"{title}: no row with both"
    low, high = wilson(hits, len(found))
    return f"{title}: {hits} of {len(found)} agree ({100 * low:.0f} to {100 * high:.0f} %)"


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("--vsr", "--coco", "--nlvr"):
        parser.add_argument(name, type=Path)
    asked = parser.parse_args()
    if asked.vsr and asked.coco:
        print(report("VSR, left right above below", of_vsr(asked.vsr, asked.coco)))
    if asked.nlvr:
        print(report("NLVR, over: higher", of_nlvr(asked.nlvr, next_to=False)))
        print(report("NLVR, over: higher, and nothing between", of_nlvr(asked.nlvr, next_to=True)))


if __name__ == "__main__":
    main()
