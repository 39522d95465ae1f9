"""Boxes of YOLO, LabelMe, Label Studio, CVAT and Pascal VOC become the same instances, or are refused."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from headscope.data.fields import RecordError
from headscope.data.labels.instances import READERS, convert, form_of
from headscope.data.masks import box_of_segmentation, decoded, encoded
from headscope.errors import DataError, HeadscopeError

SIZE = (200, 100)
THINGS = (("dog", (20, 10, 60, 50)), ("red cup", (100, 40, 140, 90)))


def photos(folder: Path) -> Path:
    place = folder / "photos"
    place.mkdir(parents=True, exist_ok=True)
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", SIZE, "white").save(place / name)
    return place


def yolo(folder: Path) -> None:
    (folder / "data.yaml").write_text("names:\n  0: dog\n  1: red cup\n")
    lines = []
    for i, (_, (x0, y0, x1, y1)) in enumerate(THINGS):
        middle = ((x0 + x1) / 2 / SIZE[0], (y0 + y1) / 2 / SIZE[1])
        lines.append(f"{i} {middle[0]} {middle[1]} {(x1 - x0) / SIZE[0]} {(y1 - y0) / SIZE[1]}")
    (folder / "a.txt").write_text("\n".join(lines) + "\n")


def yolo_polygons(folder: Path) -> None:
    (folder / "classes.txt").write_text("dog\nred cup\n")
    lines = [
        f"{i} "
        + " ".join(f"{x / SIZE[0]} {y / SIZE[1]}" for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1)))
        for i, (_, (x0, y0, x1, y1)) in enumerate(THINGS)
    ]
    (folder / "a.txt").write_text("\n".join(lines))


def labelme(folder: Path) -> None:
    shapes = [
        {"label": kind, "points": [[x1, y1], [x0, y0]], "shape_type": "rectangle", "group_id": None}
        for kind, (x0, y0, x1, y1) in THINGS
    ]
    record = {"version": "5", "shapes": shapes, "imagePath": "..\\photos\\a.jpg", "imageData": None}
    (folder / "a.json").write_text(json.dumps(record | {"imageWidth": SIZE[0], "imageHeight": SIZE[1]}))


def labelstudio(folder: Path) -> None:
    result = [
        {"type": "rectanglelabels", "original_width": SIZE[0], "original_height": SIZE[1]}
        | {"value": {"x": x0 / 2, "y": y0, "width": (x1 - x0) / 2, "height": y1 - y0, "rotation": 0}
           | {"rectanglelabels": [kind]}}
        for kind, (x0, y0, x1, y1) in THINGS
    ]  # fmt: skip
    task = {"id": 1, "data": {"image": "/data/local-files/?d=photos/a.jpg"}}
    task["annotations"] = [{"id": 1, "was_cancelled": False, "result": result}]
    (folder / "export.json").write_text(json.dumps([task]))


def cvat(folder: Path) -> None:
    boxes = "".join(
        f'<box label="{kind}" xtl="{x0}" ytl="{y0}" xbr="{x1}" ybr="{y1}" occluded="0"/>'
        for kind, (x0, y0, x1, y1) in THINGS
    )
    image = f'<image id="0" name="a.jpg" width="{SIZE[0]}" height="{SIZE[1]}">{boxes}</image>'
    (folder / "annotations.xml").write_text(f"<?xml version='1.0'?><annotations>{image}</annotations>")


def voc(folder: Path) -> None:
    things = "".join(
        f"<object><name>{kind}</name><bndbox><xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax>"
        f"<ymax>{y1}</ymax></bndbox></object>"
        for kind, (x0, y0, x1, y1) in THINGS
    )
    size = f"<size><width>{SIZE[0]}</width><height>{SIZE[1]}</height><depth>3</depth></size>"
    (folder / "a.xml").write_text(f"<annotation><filename>a.jpg</filename>{size}{things}</annotation>")


WRITERS = {
    "yolo": yolo, "labelme": labelme, "labelstudio": labelstudio, "cvat": cvat, "voc": voc,
    "yolo polygons": yolo_polygons,
}  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_every_tool_gives_the_same_instances(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    WRITERS[name](folder)
    assert form_of(folder) == name.split()[0]
    done = convert(folder, photos(tmp_path), tmp_path / "instances.json")
    assert (done.pictures, done.boxes, done.refused) == (1, {"dog": 1, "red cup": 1}, [])
    found = json.loads((tmp_path / "instances.json").read_text())
    assert [(r["file_name"], r["width"], r["height"]) for r in found["images"]] == [("a.jpg", *SIZE)]
    kinds = {c["id"]: c["name"] for c in found["categories"]}
    boxes = [(kinds[a["category_id"]], a["bbox"]) for a in found["annotations"]]
    for (kind, box), (wanted, (x0, y0, x1, y1)) in zip(boxes, THINGS, strict=True):
        assert kind == wanted
        assert box == pytest.approx([x0, y0, x1 - x0, y1 - y0])


@pytest.mark.parametrize(
    ("name", "file", "content", "why"),
    [
        ("yolo", "a.txt", "0 0.5 0.5 0.2 0.2 0.9", "a model's output"),
        ("yolo", "a.txt", "7 0.5 0.5 0.2 0.2", "no such class"),
        ("yolo", "a.txt", "0 50 50 20 20", "not in shares"),
        ("yolo", "none.txt", "0 0.5 0.5 0.2 0.2", "missing picture"),
        ("yolo", "a.txt", "0 0.5 0.5 0 0.2", "empty box"),
        ("labelme", "a.json", "{", "Expecting"),
        ("labelme", "a.json", '{"shapes": [], "imagePath": "a.jpg"}', "wrong value"),
        ("cvat", "x.xml", "<annotations><image", "broken"),
        ("cvat", "x.xml", '<!DOCTYPE a [<!ENTITY b "c">]><annotations/>', "entities"),
        ("voc", "a.xml", "<annotation><filename>a.jpg</filename></annotation>", "wrong value"),
        ("labelstudio", "e.json", "[{}]", "missing"),
    ],
)
def test_labels_that_cannot_be_read_are_refused_with_the_reason(
    name: str, file: str, content: str, why: str, tmp_path: Path
) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    if name == "yolo":
        yolo(folder)
        (folder / "a.txt").rename(folder / "b.txt")
    (folder / file).write_text(content)
    if name == "yolo":
        done = convert(folder, photos(tmp_path), tmp_path / "out.json", name)
        assert [why in r.reason for r in done.refused] == [True]
        return
    with pytest.raises(DataError, match=why):
        convert(folder, photos(tmp_path), tmp_path / "out.json", name)


def test_rotated_boxes_are_those_around_them(tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    shape = '<box label="dog" xtl="80" ytl="40" xbr="120" ybr="60" rotation="90"/>'
    image = f'<image name="a.jpg" width="200" height="100">{shape}</image>'
    (folder / "x.xml").write_text(f"<annotations>{image}</annotations>")
    convert(folder, photos(tmp_path), tmp_path / "out.json")
    box = json.loads((tmp_path / "out.json").read_text())["annotations"][0]["bbox"]
    assert box == pytest.approx([90, 30, 20, 40])


@settings(max_examples=60, deadline=None)
@given(
    mask=st.integers(1, 9).flatmap(
        lambda w: st.lists(st.lists(st.booleans(), min_size=w, max_size=w), min_size=1, max_size=7)
    )
)
def test_run_lengths_go_round(mask: list[list[bool]]) -> None:
    array = np.array(mask)
    assert np.array_equal(decoded(encoded(array), "mask"), array)


def test_compressed_run_lengths_are_those_of_coco() -> None:
    """Made with the published encoding: five bits a character, differences from the third run on."""
    array = np.zeros((8, 10), dtype=bool)
    array[2:6, 3:7] = True
    counts = encoded(array)["counts"]
    assert isinstance(counts, list)
    text = ""
    for i, count in enumerate(counts):
        value = int(str(count)) - (int(str(counts[i - 2])) if i > 2 else 0)
        while True:
            part, value = value & 0x1F, value >> 5
            more = value != -1 if part & 0x10 else value != 0
            text += chr((part | 0x20 if more else part) + 48)
            if not more:
                break
    assert np.array_equal(decoded({"size": [8, 10], "counts": text}, "mask"), array)
    assert box_of_segmentation({"size": [8, 10], "counts": text}, "segmentation") == (3, 2, 7, 6)


@pytest.mark.parametrize(
    "value", [None, [], [[1]], [[1, 2]], {"size": [2, 2], "counts": [9]}, {"counts": "x"}, "a"]
)
def test_segmentations_that_are_none_are_refused(value: Any) -> None:
    with pytest.raises(RecordError):
        box_of_segmentation(value, "segmentation")


@pytest.mark.parametrize("name", [n for n in WRITERS if " " not in n])
def test_files_with_mutated_bytes_are_read_or_refused(name: str, tmp_path: Path) -> None:
    folder, draw = tmp_path / "labels", random.Random(name)
    folder.mkdir()
    WRITERS[name](folder)
    pictures = photos(tmp_path)
    file = next(p for p in sorted(folder.iterdir()) if p.suffix != ".yaml")
    whole = file.read_bytes()
    for _ in range(60):
        content = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(content))
            content[at : at + draw.randint(0, 6)] = draw.randbytes(draw.randint(0, 6))
        file.write_bytes(content)
        for one in READERS[name](folder, pictures):
            assert str(one).isprintable()
        try:
            convert(folder, pictures, tmp_path / "out.json", name)
        except HeadscopeError as exc:
            assert "\n" not in str(exc)  # noqa: PT017  (it may also be converted)
