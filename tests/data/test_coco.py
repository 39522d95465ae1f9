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


def test_boxes_are_those_around_polygons_and_run_lengths_where_there_are_no_others(tmp_path: Path) -> None:
    found = json.loads(file(tmp_path, "int").read_text())
    mask = {"size": [48, 64], "counts": [198, *[10, 38] * 4, 10, 2672]}  # columns 4 to 8, rows 6 to 15
    found["annotations"][0] |= {"bbox": None, "segmentation": [[4, 6, 9, 6, 9, 16], [5, 7, 6, 7, 6, 8]]}
    found["annotations"][1] |= {"segmentation": mask}
    del found["annotations"][1]["bbox"]
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(found))
    things = read_instances(path).photos[0].things
    assert [t.box for t in things[:2]] == [(4, 6, 9, 16), (4, 6, 9, 16)]
    import_cases("coco", tmp_path / "out", place=path, images=tmp_path / "images")
    assert [o.box for o in load_cases(tmp_path / "out")[0].objects[:2]] == [(4, 6, 9, 16), (4, 6, 9, 16)]
    found["annotations"][1]["segmentation"] = {"size": [48, 64], "counts": [7]}
    path.write_text(json.dumps(found))
    assert "runs that add up to 3072" in read_instances(path).refused[0]


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
