"""Boxes of YOLO, LabelMe, Label Studio, CVAT and Pascal VOC become the same instances, or are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled import SIZE, THINGS, WRITERS, photos, yolo

from headscope.data.fields import RecordError
from headscope.data.labels.instances import convert, form_of
from headscope.data.labels.pictures import checked
from headscope.data.masks import box_of_segmentation, decoded, encoded
from headscope.errors import DataError


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


def test_a_box_just_outside_its_picture_is_cut_to_it_unless_nothing_of_it_is_inside() -> None:
    assert checked((-1.5, 2, 5, 9), (100, 50), "") == (0, 2, 5, 9)
    for beside in ((-1.5, 2, -0.5, 9), (5, 50, 9, 50.5)):
        with pytest.raises(RecordError, match="outside the picture"):
            checked(beside, (100, 50), "")


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
