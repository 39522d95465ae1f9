"""LabelMe's file a picture, and Label Studio's export of a project.

Formats: github.com/wkentaro/labelme (``shapes`` with ``label``, ``points``, ``shape_type``;
``imagePath``, ``imageWidth``, ``imageHeight``) and https://labelstud.io/guide/export (tasks with
``data.image`` and ``annotations[].result[]``, whose ``value`` is in percent of ``original_width`` and
``original_height``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from headscope.data.fields import Cell, RecordError, take, text_of
from headscope.data.labels.pictures import (
    LabelledBox,
    LabelledPicture,
    RefusedLabels,
    around,
    checked,
    number,
    size_in,
    turned,
)
from headscope.data.masks import points_of
from headscope.data.pictures import show


def labelme(folder: Path, images: Path) -> Iterator[LabelledPicture | RefusedLabels]:
    """Every JSON file of LabelMe, in order of their names."""
    for file in sorted(folder.rglob("*.json")):
        try:
            yield _of_labelme(json.loads(file.read_text("utf-8-sig")))
        except (RecordError, OSError, ValueError, RecursionError) as exc:
            yield RefusedLabels(str(file), " ".join(str(exc).split()))


def _of_labelme(record: Cell) -> LabelledPicture:
    size = size_in(
        record.get("imageWidth") if isinstance(record, dict) else None,
        record.get("imageHeight") if isinstance(record, dict) else None,
        "image",
    )
    name = text_of(record, "imagePath").replace("\\", "/")
    out = LabelledPicture(PurePosixPath(name).name, size)
    for i, shape in enumerate(take(record, "shapes", list)):
        at = f"shapes[{i}]."
        form = shape.get("shape_type", "polygon") if isinstance(shape, dict) else ""
        points = points_of(take(shape, "points", list, at), f"{at}points")
        if form == "circle" and len(points) == 2:
            (x, y), (ex, ey) = points
            radius = math.hypot(ex - x, ey - y)
            points = [(x - radius, y - radius), (x + radius, y + radius)]
        elif form not in ("rectangle", "polygon", "mask"):
            raise RecordError(f"{at}shape_type", "no area", show(form), "rectangle, polygon, circle or mask")
        out.boxes.append(LabelledBox(text_of(shape, "label", at), checked(around(points, at), size, at)))
    return out


def label_studio(folder: Path, images: Path) -> Iterator[LabelledPicture | RefusedLabels]:
    """Every task of every export, in order."""
    for file in sorted((folder,) if folder.is_file() else folder.rglob("*.json")):
        try:
            tasks = json.loads(file.read_text("utf-8-sig"))
            if not isinstance(tasks, list):
                raise RecordError("export", "wrong value", show(tasks), "an array of tasks (Export, JSON)")
        except (RecordError, OSError, ValueError, RecursionError) as exc:
            yield RefusedLabels(str(file), " ".join(str(exc).split()))
            continue
        for number_of, task in enumerate(tasks):
            try:
                yield _of_task(task)
            except RecordError as exc:
                yield RefusedLabels(f"{file}: task {number_of}", str(exc))


def _of_task(task: Cell) -> LabelledPicture:
    data = take(task, "data", dict)
    name = next((v for v in data.values() if isinstance(v, str) and _is_picture(_path_of(v))), "")
    if not name:
        raise RecordError(
            "data", "no picture", ", ".join(map(str, data))[:80], "a field that names a picture"
        )
    given = [a for a in take(task, "annotations", list) if isinstance(a, dict) and not a.get("was_cancelled")]
    if not given:
        raise RecordError("annotations", "not labelled", "none that is finished", "one")
    notes = ("labels of further annotators left out",) if len(given) > 1 else ()
    size: tuple[int, int] | None = None
    boxes: list[LabelledBox] = []
    for i, one in enumerate(take(given[0], "result", list)):
        at = f"result[{i}]."
        kind = one.get("type") if isinstance(one, dict) else None
        if kind not in ("rectanglelabels", "polygonlabels", "ellipselabels"):
            notes = (*notes, f"results of type {kind} left out")
            continue
        size = size_in(one.get("original_width"), one.get("original_height"), f"{at}original_")
        boxes.append(_of_result(one, str(kind), size, at))
    if size is None:
        raise RecordError("result", "no box", f"{len(given[0]['result'])} results", "rectangles or polygons")
    return LabelledPicture(PurePosixPath(_path_of(name)).name, size, boxes, notes)


def _of_result(one: Cell, form: str, size: tuple[int, int], at: str) -> LabelledBox:
    value = take(one, "value", dict, at)
    names = take(value, form, list, f"{at}value.")
    if len(names) != 1 or not isinstance(names[0], str):
        raise RecordError(f"{at}value.{form}", "wrong value", show(names), "one name")
    wide, high = size[0] / 100, size[1] / 100
    if form == "polygonlabels":
        points = points_of(take(value, "points", list, f"{at}value."), f"{at}value.points")
        return LabelledBox(names[0], checked(around([(x * wide, y * high) for x, y in points], at), size, at))
    x, y = (number(value.get(k), f"{at}value.{k}") for k in ("x", "y"))
    if form == "ellipselabels":
        rx, ry = (number(value.get(k), f"{at}value.{k}") for k in ("radiusX", "radiusY"))
        box = ((x - rx) * wide, (y - ry) * high, (x + rx) * wide, (y + ry) * high)
        about = (x * wide, y * high)
    else:
        w, h = (number(value.get(k), f"{at}value.{k}") for k in ("width", "height"))
        box = (x * wide, y * high, (x + w) * wide, (y + h) * high)
        about = (box[0], box[1])
    angle = number(value.get("rotation", 0), f"{at}value.rotation")
    return LabelledBox(names[0], checked(turned(box, angle, about) if angle else box, size, at))


def _path_of(text: str) -> str:
    """The path in an address of Label Studio: ``/data/local-files/?d=photos/a.jpg`` is photos/a.jpg."""
    parts = urlsplit(text)
    inner = parse_qs(parts.query).get("d") or parse_qs(parts.query).get("fileuri")
    return unquote(inner[0] if inner else parts.path)


def _is_picture(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
