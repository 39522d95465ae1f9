"""Whatever files of labels hold: boxes in their pictures or one line that says why not, never a traceback."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelled import SIZE, WRITERS, photos

from fuzzed import ODD, little_memory, mutated, mutated_bytes, rows_tried
from headscope.data.coco_format import Misread, bbox_of, photographs
from headscope.data.fields import RecordError
from headscope.data.labels.instances import READERS, convert
from headscope.data.labels.pictures import LabelledPicture
from headscope.data.masks import box_of_segmentation, encoded
from headscope.errors import DataError
from headscope.making.photographs.instances import read_instances


def read_or_refused(name: str, folder: Path, pictures: Path, out: Path) -> bool:
    """Whether something was read; every box lies in its picture, every reason is one line."""
    for one in READERS[name](folder, pictures):
        if isinstance(one, LabelledPicture):
            wide, high = one.size
            assert all(0 <= x0 < x1 <= wide and 0 <= y0 < y1 <= high for _, (x0, y0, x1, y1) in one.boxes)
        else:
            assert "\n" not in one.reason
    try:
        done = convert(folder, pictures, out, name)
    except DataError as exc:
        said = str(exc)
    else:
        assert json.loads(out.read_text())["images"][0]["id"] == done.pictures
        return True
    assert said.isprintable()
    return False


def test_every_tool_has_a_row_here() -> None:
    assert {n.split()[0] for n in WRITERS} == set(READERS)


@pytest.mark.parametrize("name", WRITERS)
def test_files_with_mutated_bytes_are_read_or_refused(name: str, tmp_path: Path) -> None:
    folder, draw = tmp_path / "labels", random.Random(name)
    folder.mkdir()
    WRITERS[name](folder)
    pictures = photos(tmp_path)
    files = {path: path.read_bytes() for path in sorted(folder.iterdir())}
    with little_memory():
        for _ in range(rows_tried(240) // 2):  # each holds two labels
            file = draw.choice(list(files))
            file.write_bytes(mutated_bytes(files[file], draw))
            try:
                read_or_refused(name.split()[0], folder, pictures, tmp_path / "out.json")
            except DataError as exc:  # of YOLO, where no names of classes are left
                assert "names of classes" in str(exc)  # noqa: PT017
            file.write_bytes(files[file])


_TEXTS = [str(v) for v in ODD if isinstance(v, bool | float | str) and v != "\ud800"]
_WORDS = ["", " ", "7", "1e9", *_TEXTS]


def _words(text: str, draw: random.Random) -> str:
    """A text with one to three of its words, numbers or values in quotes replaced or left out."""
    for _ in range(draw.randint(1, 3)):
        places = list(re.finditer(r"[\w.+-]+", text))
        if places:
            at = draw.choice(places)
            new = draw.choice([draw.choice(_WORDS), f"{draw.random():.2f}"])
            text = text[: at.start()] + new + text[at.end() :]
    return text


CHANGES: dict[str, Callable[[str, random.Random], str]] = {
    "json": lambda text, draw: json.dumps(mutated(json.loads(text), draw)),
    "xml": _words,
    "txt": _words,
}


@pytest.mark.parametrize("name", WRITERS)
def test_mutated_labels_are_read_or_refused(name: str, tmp_path: Path) -> None:
    folder, draw = tmp_path / "labels", random.Random(name)
    folder.mkdir()
    WRITERS[name](folder)
    pictures, tried, read = photos(tmp_path), rows_tried(240) // 2, 0
    file = next(p for p in sorted(folder.iterdir()) if p.suffix[1:] in CHANGES)
    whole = file.read_text()
    with little_memory():
        for _ in range(tried):
            file.write_text(CHANGES[file.suffix[1:]](whole, draw), "utf-8")
            read += read_or_refused(name.split()[0], folder, pictures, tmp_path / "out.json")
    assert 0 < read < tried


def _shapes() -> list[Any]:
    array = np.zeros((SIZE[1], SIZE[0]), dtype=bool)
    array[10:50, 20:60] = True
    compressed = {"size": [8, 10], "counts": "R13m0fN3"}
    return [[[20, 10, 60, 10, 60, 50, 20, 50]], encoded(array), compressed]


def test_mutated_segmentations_have_a_box_or_a_reason() -> None:
    draw, read, tried = random.Random(5), 0, rows_tried(2000)
    text = [*map(chr, range(40, 128)), "ä"]
    with little_memory():
        for _ in range(tried):
            value = draw.choice(_shapes())
            if isinstance(value, dict) and isinstance(value["counts"], str) and draw.random() < 0.5:
                value["counts"] = "".join(draw.choices(text, k=draw.randint(0, 12)))
            else:
                value = mutated({"segmentation": value}, draw).get("segmentation")
            try:
                x0, y0, x1, y1 = box_of_segmentation(value, "segmentation")
            except RecordError as exc:
                assert str(exc).isprintable()  # noqa: PT017
                continue
            assert x0 <= x1
            assert y0 <= y1
            read += 1
    assert 0 < read < tried


def _instances() -> dict[str, Any]:
    note = {"id": 1, "image_id": 1, "category_id": 2, "bbox": [20, 10, 40, 40], "iscrowd": 0, "area": 1600}
    other = {**note, "id": 2, "category_id": 3, "bbox": None, "segmentation": _shapes()[0]}
    return {
        "images": [{"id": 1, "file_name": "a.jpg", "width": SIZE[0], "height": SIZE[1]}],
        "annotations": [note, other, {**other, "id": 3, "segmentation": _shapes()[2]}],
        "categories": [
            {"id": i, "name": name, "supercategory": "any"} for i, name in ((2, "dog"), (3, "cup"))
        ],
    }


def test_mutated_files_of_instances_are_read_or_refused(tmp_path: Path) -> None:
    """COCO's form, for counts (``data import coco``) and for questions (``data questions``) alike."""
    draw, path = random.Random(6), tmp_path / "instances.json"
    whole = json.dumps(_instances()).encode()
    with little_memory():
        for i in range(rows_tried(300) // 3):  # each holds three annotations
            path.write_bytes(
                json.dumps(mutated(_instances(), draw)).encode() if i % 2 else mutated_bytes(whole, draw)
            )
            for one in photographs(path):
                if isinstance(one, Misread):
                    continue
                for note in one.notes:
                    try:
                        one.kind_of(note, "")
                        bbox_of(note, "")
                    except RecordError as exc:
                        assert str(exc).isprintable()  # noqa: PT017
            try:
                found = read_instances(path, "images")
                assert all("\n" not in r for r in found.refused)
            except DataError as exc:
                assert "\n" not in str(exc)  # noqa: PT017
