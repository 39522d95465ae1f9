"""COCO instances: photographs with labelled boxes; every photograph becomes a case that counts what is in
it.

Format: https://cocodataset.org/#format-data ("images", "annotations" with ``bbox`` [x, y, width, height],
and "categories"), read from real files. A crowd (``iscrowd`` 1) is an unknown number of things: its kind is
not counted, and it is no thing of its own. Questions about places are made by the photographs room, not
here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

from headscope.benchmarks.importing.sources import CaseDraft, ImportPlace, Source, SourceRow, derived_step
from headscope.data.box_forms import BoxSurvey, to_pixels
from headscope.data.coco_format import Misread, Photograph, bbox_of, id_of, photographs
from headscope.data.fields import ForeignRecord, RecordError, box_of, four_numbers, size_of, take, text_of
from headscope.data.schema import Object, Step

_NO_AREA = "counts: of kinds with a box without area"
MOST = 10  # counts up to here are asked for


def rows(place: ImportPlace) -> Iterator[SourceRow]:
    """One row per photograph: its record, its annotations and their kinds."""
    for path in place.files:
        found = list(photographs(path))
        look = BoxSurvey(place.box_form)
        for photograph in (one for one in found if isinstance(one, Photograph)):
            for note in photograph.notes:
                with suppress(RecordError):
                    look.add(four_numbers(note.get("bbox"), "bbox"), size_of(photograph.image))
        place.refuse_doubtful_boxes(look, path)
        for one in found:
            if isinstance(one, Misread):
                yield SourceRow(str(path), one.line, {}, one.at, one.finding)
                continue
            used = set()
            for note in one.notes:
                with suppress(RecordError):  # refused where the case is built
                    used.add(id_of(note, "category_id"))
            kinds = [one.kinds[key] for key in sorted(used & set(one.kinds))]
            record: ForeignRecord = {"image": one.image, "annotations": one.notes, "categories": kinds}
            yield SourceRow(str(path), one.line, record, one.at)


def build(row: SourceRow, place: ImportPlace) -> CaseDraft:
    """One photograph: "What is in the picture?", its counts as steps, its things with boxes."""
    image, notes = take(row.value, "image", dict), take(row.value, "annotations", list)
    kinds = {id_of(k, "id"): k for k in take(row.value, "categories", list)}
    photograph = Photograph(row.line, row.at, image, notes, kinds)
    size = size_of(image)
    things: list[Object] = []
    counts: Counter[str] = Counter()
    crowds, flat, cut = set(), set(), False
    for i, note in enumerate(notes):
        at = f"annotations[{i}]."
        kind = photograph.kind_of(note, at)
        if note.get("iscrowd"):
            crowds.add(kind)
            continue
        bbox = bbox_of(note, at) if place.box_form == "xywh" else note.get("bbox")
        if _without_area(bbox, f"{at}bbox", place.box_form, size):
            flat.add(kind)
            continue
        box, short = box_of(bbox, f"{at}bbox", place.box_form, size)
        counts[kind] += 1
        things.append(Object(id=f"{kind}-{counts[kind]}", name=kind, box=box))
        cut |= short
    certain = {k: n for k, n in sorted(counts.items()) if k not in crowds | flat}
    if not certain:
        raise RecordError(
            "annotations", "nothing to ask about", f"{len(notes)} annotations", "a kind that is no crowd"
        )
    left: tuple[str, ...] = ("counts: of kinds that also stand there as a crowd",) if crowds else ()
    left += (_NO_AREA,) if flat else ()
    if any(n > MOST for n in certain.values()):
        left += (f"counts: over {MOST}",)
    return CaseDraft(
        id=f"coco-{id_of(image, 'id')}",
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


def _without_area(values: object, field: str, form: str, size: tuple[int, int]) -> bool:
    """Whether a box is a line or a point: something is there, but how many things cannot be said."""
    x0, y0, x1, y1 = to_pixels(four_numbers(values, field), form, size)
    return x0 <= x1 and y0 <= y1 and (x0 == x1 or y0 == y1)


def _count(number: int, kind: str, count: int, things: list[Object]) -> Step:
    return derived_step(
        number,
        f'How many things of the kind "{kind}" are there?',
        str(count),
        "counting",
        choices=tuple(str(n) for n in range(MOST + 1)),
        objects=tuple(t.id for t in things if t.name == kind),
        wording="count/0",
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
