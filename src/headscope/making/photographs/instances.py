"""COCO-style instances: pictures with labelled boxes, read from their JSON file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from headscope.data.coco_format import Misread, Photograph, bbox_of, photographs
from headscope.data.fields import RecordError, box_from_xywh, size_of, text_of
from headscope.data.pictures import PictureError, check_path, show
from headscope.data.schema import Object
from headscope.errors import DataError
from headscope.making.photographs.step_chain import Photo


@dataclass
class Instances:
    """What an instances file holds.

    Attributes:
        photos: those that can be used, in the file's order.
        refused: one line per photo or annotation left out, with the reason.
    """

    photos: list[Photo] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def read_instances(path: str | Path, folder: str = "images") -> Instances:
    """Read a COCO instances file (boxes there are x, y, width, height in pixels).

    Crowds (``iscrowd`` 1) are no things of their own: their kind is noted as a crowd. A photo with an
    unusable annotation is left out whole, since counts on it would be wrong.

    Args:
        path: the JSON file.
        folder: put before every file name, as cases name their pictures.

    Raises:
        DataError: the file is missing or is not an instances file.
    """
    path = Path(path)
    out = Instances()
    seen: set[str] = set()
    try:
        found = list(photographs(path))
    except OSError as exc:
        reason = show(exc.strerror or str(exc))
        raise DataError(
            f"{path}: asked for COCO instances, found none ({reason}); name the JSON file"
        ) from exc
    whole = [m for m in found if isinstance(m, Misread) and not m.at]
    if whole:
        finding = whole[0].finding
        raise DataError(
            f"{path}:{whole[0].line}: asked for COCO instances, found {finding.what} ({finding.found}); "
            'expected JSON with "images", "annotations" and "categories"'
        )
    for one in found:
        try:
            if isinstance(one, Misread):
                raise RecordError(*one.finding)
            photo = _photo(one, folder)
            if photo.image in seen:
                raise RecordError("file_name", "given twice", show(photo.image), "each picture once")
            seen.add(photo.image)
            out.photos.append(photo)
        except RecordError as exc:
            named = one.image.get("file_name") if isinstance(one, Photograph) else one.name
            name = f" {show(named)}" if named else ""
            out.refused.append(f"{path}: {one.at.rstrip('.')}{name}: {exc}")
    return out


def _photo(photograph: Photograph, folder: str) -> Photo:
    size = size_of(photograph.image)
    name = text_of(photograph.image, "file_name")
    try:
        check_path(name)
    except PictureError as exc:
        raise RecordError("file_name", exc.what, exc.found, exc.expected) from exc
    things: list[Object] = []
    crowds: set[str] = set()
    counts: Counter[str] = Counter()
    for note in photograph.notes:
        at = f"annotation {show(note.get('id'))}."
        kind = photograph.kind_of(note, at)
        if note.get("iscrowd"):
            crowds.add(kind)
            continue
        counts[kind] += 1
        bbox = bbox_of(note, at)
        whole, _ = box_from_xywh(bbox, f"{at}bbox")
        box, _ = box_from_xywh(bbox, f"{at}bbox", size)
        if max(abs(a - b) for a, b in zip(whole, box, strict=True)) > _SLACK:
            raise RecordError(f"{at}bbox", "box outside the picture", show(str(bbox)), "within the picture")
        things.append(Object(id=f"{kind.replace(' ', '_')}{counts[kind]}", name=kind, box=box))
    known = photograph.kinds.values()
    kinds = {str(k.get("name")): str(k.get("supercategory", k.get("name"))) for k in known}
    return Photo(
        id=Path(name).stem,
        image=f"{folder}/{name}" if folder else name,
        width=size[0],
        height=size[1],
        things=tuple(things),
        crowds=frozenset(crowds),
        kinds=kinds,
    )


_SLACK = 2.0  # labels may stick out by a rounding
