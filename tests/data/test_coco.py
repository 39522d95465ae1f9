"""One reader of COCO's format: ids of any type, and no record lost or counted wrongly without a word."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from headscope.benchmarks.registry import import_cases
from headscope.data.cases import load_cases
from headscope.data.coco_format import Misread, Photograph, id_of, photographs
from headscope.data.fields import RecordError
from headscope.errors import DataError
from headscope.making.photographs.instances import read_instances

FORMS = {
    "int": lambda n, r: n,
    "text": lambda n, r: str(n),
    "float": lambda n, r: float(n),
    "mixed": lambda n, r: r.choice([n, str(n), float(n)]),
}


def file(folder: Path, form: str) -> Path:
    """Three photographs with two cups and a dog each."""
    draw, form_of = random.Random(0), FORMS[form]
    record: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    for number, name in ((1, "cup"), (18, "dog")):
        record["categories"].append({"id": form_of(number, draw), "name": name, "supercategory": "x"})
    (folder / "images").mkdir(parents=True)
    for i in range(3):
        Image.new("RGB", (64, 48)).save(folder / f"images/{i}.png")
        record["images"].append({"id": form_of(i, draw), "file_name": f"{i}.png", "width": 64, "height": 48})
        for j, kind in enumerate((1, 1, 18)):
            record["annotations"].append(
                {
                    "id": 10 * i + j, "image_id": form_of(i, draw), "category_id": form_of(kind, draw),
                    "bbox": [2 + 20 * j, 3 + j, 10, 12], "iscrowd": 0,
                }
            )  # fmt: skip
    path = folder / "instances.json"
    path.write_text(json.dumps(record))
    return path


@pytest.mark.parametrize("form", FORMS)
def test_ids_of_every_type_give_the_same_cases_and_questions(form: str, tmp_path: Path) -> None:
    plain, other = file(tmp_path / "plain", "int"), file(tmp_path / "other", form)
    for path in (plain, other):
        import_cases("coco", path.parent / "out", place=path)
    wanted, found = (load_cases(p.parent / "out") for p in (plain, other))
    assert [c.model_dump(exclude={"original"}) for c in found] == [
        c.model_dump(exclude={"original"}) for c in wanted
    ]
    assert read_instances(other).photos == read_instances(plain).photos
    assert len(read_instances(other).photos) == 3


@pytest.mark.parametrize("value", [None, True, 1.5, "", [1], {"a": 1}])
def test_what_is_no_id_is_refused_by_name(value: Any) -> None:
    with pytest.raises(RecordError, match="category_id"):
        id_of({"category_id": value}, "category_id")


@pytest.mark.parametrize(
    ("member", "change"),
    [
        ("images", {"width": None}), ("images", {"file_name": None}), ("images", {"height": 0}),
        ("images", {"id": [1]}),
        ("annotations", {"category_id": 99}), ("annotations", {"category_id": None}),
        ("annotations", {"bbox": None}),
        ("annotations", {"bbox": [1, 2]}), ("annotations", {"bbox": [float("nan"), 1, 2, 3]}),
        ("annotations", {"image_id": 77}), ("annotations", {"image_id": None}), ("categories", {"name": ""}),
        ("categories", {"id": None}),
    ],
)  # fmt: skip
def test_a_broken_record_is_named_and_its_photograph_never_counted_wrongly(
    member: str, change: dict[str, Any], tmp_path: Path
) -> None:
    path = file(tmp_path, "int")
    record = json.loads(path.read_text())
    record[member][0] |= change
    path.write_text(json.dumps(record))
    found = read_instances(path)
    lost = member == "annotations" and "image_id" in change  # its photograph cannot be known
    if member == "categories":
        assert found.photos == []
    else:
        assert len(found.photos) == (3 if lost else 2)
    assert found.refused
    for line in found.refused:
        assert "KeyError" not in line
        assert ", found " in line
        assert ", expected " in line
    if member != "categories":
        report = import_cases("coco", tmp_path / "out", place=path)
        assert report.cases == len(found.photos)
        assert report.refused == len(found.refused)


def test_a_photograph_twice_is_refused_the_second_time(tmp_path: Path) -> None:
    path = file(tmp_path, "int")
    record = json.loads(path.read_text())
    record["images"].append(record["images"][0] | {"id": "0"})
    path.write_text(json.dumps(record))
    kinds = [type(one) for one in photographs(path)]
    assert kinds == [Photograph] * 3 + [Misread]


def test_a_file_without_its_members_says_which(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"images": [], "annotations": []}')
    with pytest.raises(DataError, match=r"no such member.*categories|expected JSON with"):
        read_instances(tmp_path / "x.json")
