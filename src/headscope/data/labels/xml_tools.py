"""CVAT's export for images, and Pascal VOC's file a picture.

Formats: https://docs.cvat.ai/docs/manual/advanced/xml_format (version 1.1, ``<image name width height>``
with ``<box xtl ytl xbr ybr rotation>`` and ``<polygon points>``) and the development kit of Pascal VOC
(``<object><name><bndbox>``, pixels counted from 1, the last one included). Where a file of a folder has a
0, its pixels are counted from 0, as some tools do.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from headscope.data.fields import RecordError
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
from headscope.data.pictures import show

_NO_AREA = ("points", "polyline", "tag", "skeleton", "cuboid")


def cvat(folder: Path, images: Path) -> Iterator[LabelledPicture | RefusedLabels]:
    """Every picture of every export, in order."""
    for file in sorted((folder,) if folder.is_file() else folder.rglob("*.xml")):
        try:
            root = _root(file)
        except (RecordError, OSError) as exc:
            yield RefusedLabels(str(file), str(exc))
            continue
        if root.tag != "annotations" or root.find("track") is not None:
            yield RefusedLabels(str(file), f"found <{root.tag}>, expected <annotations> of images, no video")
            continue
        for image in root.iter("image"):
            try:
                yield _of_image(image)
            except RecordError as exc:
                yield RefusedLabels(f"{file}: {show(image.get('name'))}", str(exc))


def _of_image(image: ElementTree.Element) -> LabelledPicture:
    name = image.get("name") or ""
    if not name:
        raise RecordError("name", "missing", "nothing", "the picture's name")
    out = LabelledPicture(name, size_in(image.get("width"), image.get("height"), ""))
    for i, shape in enumerate(image):
        at, form = f"{shape.tag}[{i}]", shape.tag
        if form == "box":
            x0, y0, x1, y1 = (number(shape.get(k), f"{at}.{k}") for k in ("xtl", "ytl", "xbr", "ybr"))
            angle = number(shape.get("rotation", 0), f"{at}.rotation")
            box = (x0, y0, x1, y1)
            box = turned(box, angle, ((x0 + x1) / 2, (y0 + y1) / 2)) if angle else box
        elif form == "polygon":
            pairs = [p.split(",") for p in (shape.get("points") or "").split(";") if p]
            if any(len(p) != 2 for p in pairs):
                raise RecordError(f"{at}.points", "wrong value", show(shape.get("points")), "x,y;x,y ...")
            box = around([(number(x, at), number(y, at)) for x, y in pairs], at)
        elif form in _NO_AREA:
            out.notes = (*out.notes, f"shapes of type {form} left out")
            continue
        else:
            raise RecordError(at, "unknown shape", show(form), "box or polygon")
        kind = shape.get("label") or ""
        if not kind:
            raise RecordError(f"{at}.label", "missing", "nothing", "a label")
        out.boxes.append(LabelledBox(kind, checked(box, out.size, at)))
    return out


def voc(folder: Path, images: Path) -> Iterator[LabelledPicture | RefusedLabels]:
    """Every file, in order of their names."""
    files = sorted((folder,) if folder.is_file() else folder.rglob("*.xml"))
    roots: dict[Path, ElementTree.Element] = {}
    for file in files:
        try:
            roots[file] = _root(file)
        except (RecordError, OSError) as exc:
            yield RefusedLabels(str(file), str(exc))
    first = 0 if any(_counts_from_0(root) for root in roots.values()) else 1
    for file, root in roots.items():
        try:
            yield _of_annotation(root, first)
        except RecordError as exc:
            yield RefusedLabels(str(file), str(exc))


def _counts_from_0(root: ElementTree.Element) -> bool:
    lows = [e.text or "" for key in ("xmin", "ymin") for e in root.iter(key)]
    return any(low.strip() in ("0", "0.0") for low in lows)


def _of_annotation(root: ElementTree.Element, first: int) -> LabelledPicture:
    if root.tag != "annotation":
        raise RecordError("annotation", "wrong value", f"<{root.tag}>", "<annotation>")
    name = (root.findtext("filename") or "").strip()
    if not name:
        raise RecordError("filename", "missing", "nothing", "the picture's name")
    out = LabelledPicture(name, size_in(root.findtext("size/width"), root.findtext("size/height"), "size/"))
    out.notes = () if first else ("pixels counted from 0, as a file of the folder does",)
    for i, thing in enumerate(root.iter("object")):
        at, kind = f"object[{i}]", (thing.findtext("name") or "").strip()
        if not kind:
            raise RecordError(f"{at}/name", "missing", "nothing", "a name")
        keys = ("xmin", "ymin", "xmax", "ymax")
        x0, y0, x1, y1 = (number(thing.findtext(f"bndbox/{k}"), f"{at}/bndbox/{k}") for k in keys)
        box = (x0 - first, y0 - first, x1 + 1 - first, y1 + 1 - first)
        out.boxes.append(LabelledBox(kind, checked(box, out.size, at)))
    return out


def _root(file: Path) -> ElementTree.Element:
    """The root of an XML file without entities of its own, which could grow without end.

    Raises:
        RecordError: it has some, or is no XML.
    """
    content = file.read_bytes()
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content or content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise RecordError("xml", "entities or UTF-16", "a document type", "plain XML in UTF-8")
    try:
        return ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, RecursionError) as exc:
        raise RecordError("xml", "broken", show(str(exc)), "XML") from exc
