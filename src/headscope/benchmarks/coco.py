"""COCO instances: photographs with labelled boxes; every photograph becomes a case that counts what is in
it.

Format: https://cocodataset.org/#format-data ("images", "annotations" with ``bbox`` [x, y, width, height],
and "categories"), read from real files. A crowd (``iscrowd`` 1) is an unknown number of things: its kind is
not counted, and it is no thing of its own. Questions about places are made by the photographs room, not
here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headscope.benchmarks.importing.jsonstream import Broken, JsonStream, open_json
from headscope.benchmarks.importing.records import (
    Draft,
    Place,
    Row,
    Source,
    Unfit,
    box_of,
    four_numbers,
    size_of,
    take,
    text_of,
)
from headscope.data.box_forms import Survey, to_pixels
from headscope.data.checks import Finding
from headscope.data.pictures import show
from headscope.data.schema import Object, Step

_NO_AREA = "counts: of kinds with a box without area"
_KEYS = {"images": "id", "annotations": "image_id", "categories": "id"}
MOST = 10  # counts up to here are asked for


@dataclass
class _Read:
    """What has been read of a file: photographs in order, annotations by photograph, kinds by number."""

    images: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    notes: dict[int, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    kinds: dict[int, dict[str, Any]] = field(default_factory=dict)

    def add(self, member: str, line: int, value: dict[str, Any], key: int) -> None:
        """File one record."""
        if member == "images":
            self.images.append((line, value))
        elif member == "annotations":
            self.notes[key].append(value)
        else:
            self.kinds[key] = value


def rows(place: Place) -> Iterator[Row]:
    """One row per photograph: its record, its annotations (which wait in memory) and their kinds."""
    for path in place.files:
        read = _Read()
        with open_json(path) as file:
            try:
                yield from _members(path, JsonStream(file), read)
            except Broken as exc:
                yield Row(str(path), exc.line, {}, "", exc.finding)
        look = Survey(place.box_form)
        for _, image in read.images:
            for note in read.notes.get(image["id"], ()):
                with suppress(Unfit):
                    look.add(four_numbers(note.get("bbox"), "bbox"), size_of(image))
        place.refuse_doubtful_boxes(look, path)
        yield from _photographs(path, read)


def _members(path: Path, stream: JsonStream, read: _Read) -> Iterator[Row]:
    for member in stream.members():
        if member not in _KEYS:
            stream.value()
            continue
        for index, (line, value, odd) in enumerate(stream.items()):
            try:
                if odd is None:
                    read.add(member, line, value, take(value, _KEYS[member], int))
                    continue
            except Unfit as exc:
                odd = exc.finding
            yield Row(str(path), line, {}, f"{member}[{index}].", odd)


def _photographs(path: Path, read: _Read) -> Iterator[Row]:
    for index, (line, image) in enumerate(read.images):
        own = read.notes.pop(image["id"], [])
        used = {k for n in own if isinstance(k := n.get("category_id"), int)}
        kinds = [read.kinds[k] for k in sorted(used & set(read.kinds))]
        record = {"image": image, "annotations": own, "categories": kinds}
        yield Row(str(path), line, record, f"images[{index}].")
    for key, left in read.notes.items():
        found = f"{key} ({len(left)} annotations)"
        finding = Finding("image_id", "no such photograph", found, "the id of a photograph that is there")
        yield Row(str(path), 1, {}, "annotations[].", finding)


def build(row: Row, place: Place) -> Draft:
    """One photograph: "What is in the picture?", its counts as steps, its things with boxes."""
    image, notes = take(row.value, "image", dict), take(row.value, "annotations", list)
    kinds = {take(k, "id", int): text_of(k, "name") for k in take(row.value, "categories", list)}
    size = size_of(image)
    things: list[Object] = []
    counts: Counter[str] = Counter()
    crowds, flat, cut = set(), set(), False
    for i, note in enumerate(notes):
        at = f"annotations[{i}]."
        kind = kinds.get(take(note, "category_id", int, at))
        if kind is None:
            raise Unfit(f"{at}category_id", "no such kind", show(note["category_id"]), "an id of categories")
        if note.get("iscrowd"):
            crowds.add(kind)
            continue
        if _without_area(note.get("bbox"), f"{at}bbox", place.box_form, size):
            flat.add(kind)
            continue
        box, short = box_of(note.get("bbox"), f"{at}bbox", place.box_form, size)
        counts[kind] += 1
        things.append(Object(id=f"{kind}-{counts[kind]}", name=kind, box=box))
        cut |= short
    certain = {k: n for k, n in sorted(counts.items()) if k not in crowds | flat}
    if not certain:
        raise Unfit(
            "annotations", "nothing to ask about", f"{len(notes)} annotations", "a kind that is no crowd"
        )
    left: tuple[str, ...] = ("counts: of kinds that also stand there as a crowd",) if crowds else ()
    left += (_NO_AREA,) if flat else ()
    if any(n > MOST for n in certain.values()):
        left += (f"counts: over {MOST}",)
    return Draft(
        id=f"coco-{text_of(image, 'id')}",
        question="Which kinds of things are in the picture?",
        answer=", ".join(sorted({*counts, *flat})),
        kind="inventory",
        wording="inventory/0",
        picture=text_of(image, "file_name"),
        size=size,
        objects=tuple(things),
        steps=tuple(
            _count(i, kind, n, things) for i, (kind, n) in enumerate(certain.items(), 1) if n <= MOST
        ),
        original=row.value,
        derived=("objects: boxes from bbox", "steps: counts of labelled things")
        + (("objects: box cut at the picture's edge",) if cut else ()),
        left_out=left,
    )


def _without_area(values: Any, field: str, form: str, size: tuple[int, int]) -> bool:
    """Whether a box is a line or a point: something is there, but how many things cannot be said."""
    x0, y0, x1, y1 = to_pixels(four_numbers(values, field), form, size)
    return x0 <= x1 and y0 <= y1 and (x0 == x1 or y0 == y1)


def _count(number: int, kind: str, count: int, things: list[Object]) -> Step:
    about = tuple(t.id for t in things if t.name == kind)
    return Step(
        id=f"s{number}",
        question=f'How many things of the kind "{kind}" are there?',
        answer=str(count),
        choices=tuple(str(n) for n in range(MOST + 1)),
        function="counting",
        objects=about,
        wording="count/0",
        origin="derived",
    )


SOURCES = (
    Source(
        name="coco",
        title="COCO instances (any file in COCO's format)",
        licence="annotations CC-BY-4.0; photographs: the Flickr licence of each",
        size="118,287 photographs (train2017), 5,000 (val2017)",
        fields="images, annotations (bbox x, y, width, height; iscrowd), categories",
        boxes="from bbox",
        box_form="xywh",
        steps="counts by kind, derived",
        scored="accuracy (no rule of its own)",
        get="get annotations_trainval2017.zip and the photographs from cocodataset.org, and unpack them",
        splits=("train2017", "val2017"),
        files=("annotations/instances_{split}.json", "instances_{split}.json", "{split}.json"),
        pictures=("{split}", "images/{split}", "images", "train2017", "val2017"),
        rows=rows,
        build=build,
    ),
)
