"""COCO-style instances: pictures with labelled boxes, read from their JSON file."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headscope.data.pictures import PictureError, check_path, show
from headscope.data.schema import Object
from headscope.errors import DataError
from headscope.making.photographs.chain import Photo


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
    try:
        raw = json.loads(path.read_text("utf-8"))
        kinds = {c["id"]: (str(c["name"]), str(c.get("supercategory", c["name"]))) for c in raw["categories"]}
        by_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        for note in raw["annotations"]:
            by_image[note["image_id"]].append(note)
        images = list(raw["images"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise DataError(
            f"{path}: asked for COCO instances, found {type(exc).__name__} ({show(str(exc))}); "
            'expected JSON with "images", "annotations" and "categories"'
        ) from exc
    out = Instances()
    seen: Counter[str] = Counter()
    for number, image in enumerate(images):
        try:
            photo = _photo(image, by_image, kinds, folder)
            seen[photo.image] += 1
            if seen[photo.image] > 1:
                raise _Refused("file_name given twice")
            out.photos.append(photo)
        except (_Refused, KeyError, TypeError, ValueError, OverflowError, PictureError) as exc:
            name = image.get("file_name") if isinstance(image, dict) else image
            out.refused.append(
                f"{path}: images[{number}] {show(name)}: {exc if str(exc) else type(exc).__name__}"
            )
    return out


class _Refused(DataError):
    """A photo that cannot be used."""


def _photo(
    image: dict[str, Any],
    by_image: dict[Any, list[dict[str, Any]]],
    kinds: dict[Any, tuple[str, str]],
    folder: str,
) -> Photo:
    width, height = image["width"], image["height"]
    if not (isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0):
        raise _Refused(f"size, found {show(width)} x {show(height)}, expected pixels")
    name = str(image["file_name"])
    check_path(name)
    things: list[Object] = []
    crowds: set[str] = set()
    counts: Counter[str] = Counter()
    for note in by_image.get(image["id"], []):
        if note["category_id"] not in kinds:
            raise _Refused(f"annotation {show(note.get('id'))}: unknown category {show(note['category_id'])}")
        kind = kinds[note["category_id"]][0]
        if note.get("iscrowd"):
            crowds.add(kind)
            continue
        counts[kind] += 1
        box = _box(note, width, height)
        things.append(Object(id=f"{kind.replace(' ', '_')}{counts[kind]}", name=kind, box=box))
    return Photo(
        id=Path(name).stem,
        image=f"{folder}/{name}" if folder else name,
        width=width,
        height=height,
        things=tuple(things),
        crowds=frozenset(crowds),
        kinds=dict(kinds.values()),
    )


def _box(note: dict[str, Any], width: int, height: int) -> tuple[float, float, float, float]:
    at = f"annotation {show(note.get('id'))}"
    x, y, w, h = (float(v) for v in note["bbox"])
    if not all(map(math.isfinite, (x, y, w, h))) or w <= 0 or h <= 0:
        raise _Refused(
            f"{at}: bbox, found {show(str(note['bbox']))}, expected finite x, y, width, height > 0"
        )
    box = max(0.0, x), max(0.0, y), min(float(width), x + w), min(float(height), y + h)
    slack = 2.0  # labels may stick out by a rounding
    if (
        box[0] >= box[2]
        or box[1] >= box[3]
        or x < -slack
        or y < -slack
        or x + w > width + slack
        or y + h > height + slack
    ):
        raise _Refused(f"{at}: bbox outside the picture, found {show(str(note['bbox']))}")
    return box
