"""Labels of other tools as one file of COCO's instances, which every other step reads."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from headscope.data.checks import encodable
from headscope.data.labels import json_tools, xml_tools, yolo
from headscope.data.labels.pictures import LabelledPicture, RefusedLabels
from headscope.data.pictures import show
from headscope.errors import DataError
from headscope.storage import write_json

Reader = Callable[[Path, Path], Iterator[LabelledPicture | RefusedLabels]]
READERS: dict[str, Reader] = {
    "yolo": yolo.read,
    "labelme": json_tools.labelme,
    "labelstudio": json_tools.label_studio,
    "cvat": xml_tools.cvat,
    "voc": xml_tools.voc,
}


@dataclass
class ConvertedLabels:
    """What was made of the labels: how many pictures and boxes, and what was refused, noted and left out."""

    form: str
    pictures: int = 0
    boxes: Counter[str] = field(default_factory=Counter)
    refused: list[RefusedLabels] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)


def convert(labels: str | Path, images: str | Path, out: str | Path, form: str = "") -> ConvertedLabels:
    """Write labels as a file of COCO's instances (boxes x, y, width, height in pixels).

    A picture with a label that cannot be read is left out whole, since counts on it would be wrong.

    Args:
        labels: folder or file of labels.
        images: folder of their pictures.
        form: one of :data:`READERS`; empty: by what the files hold.

    Raises:
        DataError: an unknown form, or no picture whose labels can be used.
        StoreError: the file cannot be written.
    """
    labels, images = Path(labels), Path(images)
    form = form or form_of(labels)
    if form not in READERS:
        raise DataError(f"--as: found {show(form)}, expected one of {', '.join(READERS)}")
    if not images.is_dir():
        raise DataError(f"{images}: asked for pictures here, found no such folder")
    done = ConvertedLabels(form)
    records: list[dict[str, object]] = []
    notes: list[dict[str, object]] = []
    kinds: dict[str, int] = {}
    seen: set[str] = set()
    for one in READERS[form](labels, images):
        if isinstance(one, LabelledPicture) and one.name in seen:
            one = RefusedLabels(one.name, "labelled twice; each picture once")
        elif isinstance(one, LabelledPicture) and not all(map(encodable, (one.name, *dict(one.boxes)))):
            one = RefusedLabels(show(one.name), "half a character in a name, which UTF-8 cannot hold")
        if isinstance(one, RefusedLabels):
            done.refused.append(one)
            continue
        seen.add(one.name)
        done.notes.update(set(one.notes))
        wide, high = one.size
        records.append({"id": len(records) + 1, "file_name": one.name, "width": wide, "height": high})
        for kind, (x0, y0, x1, y1) in one.boxes:
            done.boxes[kind] += 1
            bbox = [x0, y0, x1 - x0, y1 - y0]
            note = {"id": len(notes) + 1, "image_id": len(records), "bbox": bbox, "area": bbox[2] * bbox[3]}
            notes.append(note | {"category_id": kinds.setdefault(kind, len(kinds) + 1), "iscrowd": 0})
    done.pictures = len(records)
    if not records:
        first = f"; first: {done.refused[0].file}: {done.refused[0].reason}" if done.refused else ""
        raise DataError(f"{labels}: asked for labels of {form}, found none that can be used{first}")
    categories = [{"id": number, "name": kind, "supercategory": kind} for kind, number in kinds.items()]
    write_json(Path(out), {"images": records, "annotations": notes, "categories": categories})
    return done


def form_of(labels: Path) -> str:
    """Which tool wrote these files, by what stands in the first of them.

    Raises:
        DataError: that cannot be told.
    """
    files = [labels] if labels.is_file() else sorted(p for p in labels.rglob("*") if p.is_file())
    for file in files:
        head = file.read_bytes()[:65536] if file.suffix in (".xml", ".json") else b""
        if file.suffix == ".xml":
            return "cvat" if b"<annotations" in head else "voc"
        if file.suffix == ".json":
            start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
            if start == b"[" and b'"annotations"' in head:
                return "labelstudio"
            if b'"shapes"' in head or b'"imagePath"' in head or _has_shapes(file):
                return "labelme"
    if any(f.suffix == ".txt" for f in files):
        return "yolo"
    raise DataError(
        f"{labels}: asked for labels, found none whose tool can be told; say --as {'|'.join(READERS)}"
    )


def _has_shapes(file: Path) -> bool:
    try:
        value = json.loads(file.read_text("utf-8-sig"))
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and "shapes" in value
