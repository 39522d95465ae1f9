"""COCO's format of labelled photographs: the one reader of it, for imports and for questions alike.

Format: https://cocodataset.org/#format-data ("images", "annotations" with ``bbox`` [x, y, width, height], and
"categories"), read from real files. Ids are whole numbers there; files of other tools hold them as text or as
7.0, and mix these: 7, 7.0 and "7" are one id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, cast

from headscope.data.checks import Finding
from headscope.data.fields import Cell, ForeignRecord, RecordError, take, text_of
from headscope.data.jsonstream import BrokenJson, JsonStream, open_json
from headscope.data.masks import box_of_segmentation
from headscope.data.pictures import show

_KEYS = {"images": "id", "annotations": "image_id", "categories": "id"}


class Photograph(NamedTuple):
    """A photograph's record, its annotations, and the file's kinds by id; ``at`` is its place in the file."""

    line: int
    at: str
    image: ForeignRecord
    notes: list[ForeignRecord]
    kinds: dict[str, ForeignRecord]

    def kind_of(self, note: ForeignRecord, at: str) -> str:
        """The name of an annotation's kind.

        Raises:
            RecordError: it names none of the file's categories.
        """
        key = id_of(note, "category_id", at)
        if key not in self.kinds:
            expected = "an id of categories"
            raise RecordError(f"{at}category_id", "no such kind", show(note["category_id"]), expected)
        return text_of(self.kinds[key], "name", "categories[].")


def bbox_of(note: ForeignRecord, at: str) -> Cell:
    """An annotation's ``bbox`` as it stands, or, where it has none, x, y, width, height around its
    ``segmentation`` (polygons or run lengths).

    Raises:
        RecordError: there is no box, and the segmentation cannot be read.
    """
    if note.get("bbox") is not None or note.get("segmentation") in (None, [], {}):
        return note.get("bbox")
    x0, y0, x1, y1 = box_of_segmentation(note["segmentation"], f"{at}segmentation")
    return [x0, y0, x1 - x0, y1 - y0]


class Misread(NamedTuple):
    """A record that cannot be used, at its place in the file; of a photograph with its picture's name."""

    line: int
    at: str
    finding: Finding
    name: str = ""


@dataclass
class _Read:
    images: list[tuple[int, int, ForeignRecord]] = field(default_factory=list)
    notes: dict[str, list[ForeignRecord]] = field(default_factory=lambda: defaultdict(list))
    kinds: dict[str, ForeignRecord] = field(default_factory=dict)
    spoiled: dict[str, Finding] = field(default_factory=dict)  # an unreadable annotation's photograph


def id_of(record: object, key: str, at: str = "") -> str:
    """An id as text: 7, 7.0 and "7" are "7".

    Raises:
        RecordError: it is missing, or no whole number or text.

    Example:
        >>> id_of({"id": 7.0}, "id"), id_of({"id": "7"}, "id"), id_of({"id": "a7"}, "id")
        ('7', '7', 'a7')
    """
    value = record.get(key) if isinstance(record, dict) else None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, str) and value.strip():
        return value.strip()
    return str(take(record, key, int, at))


def photographs(path: Path) -> Iterator[Photograph | Misread]:
    """Every photograph of a file with its annotations, in the file's order; what cannot be read in between.

    The whole file waits in memory, since annotations may stand anywhere in it.

    Raises:
        OSError: the file cannot be read.
    """
    read = _Read()
    with open_json(path) as file:
        try:
            yield from _members(JsonStream(file), read)
        except BrokenJson as exc:
            yield Misread(exc.line, "", exc.finding)
    seen: set[str] = set()
    for index, line, image in read.images:
        key, at, name = id_of(image, "id"), f"images[{index}].", str(image.get("file_name"))
        finding = read.spoiled.get(key)
        if key in seen:
            finding = Finding("id", "id given twice", show(image["id"]), "each photograph once")
        seen.add(key)
        notes = read.notes.pop(key, [])
        if finding:
            yield Misread(line, at, finding, name)
            continue
        yield Photograph(line, at, image, notes, read.kinds)
    for key, left in read.notes.items():
        found = f"{key} ({len(left)} annotations)"
        finding = Finding("image_id", "no such photograph", found, "the id of a photograph that is there")
        yield Misread(1, "annotations[].", finding)


def _members(stream: JsonStream, read: _Read) -> Iterator[Misread]:
    missing = set(_KEYS)
    for member in stream.members():
        if member not in _KEYS:
            stream.value()
            continue
        missing.discard(member)
        for index, (line, value, odd) in enumerate(stream.items()):
            try:
                if odd is None:
                    key = id_of(value, _KEYS[member])
                    record = cast(ForeignRecord, value)  # or it would have no id
                    if member == "images":
                        read.images.append((index, line, record))
                    elif member == "annotations":
                        read.notes[key].append(record)
                    else:
                        read.kinds[key] = record
                    continue
                if member == "annotations" and isinstance(value, dict):
                    where = odd._replace(field=f"annotations[{index}].{odd.field}")
                    read.spoiled.setdefault(id_of(value, "image_id"), where)
                    continue
            except RecordError as exc:
                odd = odd or exc.finding
            yield Misread(line, f"{member}[{index}].", odd)
    for member in sorted(missing):
        finding = Finding("json", "no such member", "none", f'a member "{member}"')
        yield Misread(1, "", finding)
