"""Cases with several pictures: written, read, split and exchanged whole; refused where one is asked about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headscope.asking.items import make_items
from headscope.data.cases import Cases, case_line, load_cases, save_cases
from headscope.data.hub import from_dataset, to_dataset
from headscope.data.schema import Case
from headscope.data.splits import assign_splits, picture_groups
from headscope.data.validation import validate
from headscope.errors import DataError
from headscope.functions import DEFAULT
from made_cases import picture, record

BARE: dict[str, Any] = {"named": [], "steps": []}


def several(name: str, *others: str, **changes: Any) -> dict[str, Any]:
    more = [{"image": f"images/{n}.png", "width": 40, "height": 30} for n in others]
    return record(name) | {"more": more} | changes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, colour in zip("abcd", ("red", "blue", "green", "white"), strict=True):
        picture(tmp_path, f"images/{name}.png", colour)
    return tmp_path


def put(folder: Path, *records: dict[str, Any]) -> Path:
    (folder / "cases.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    return folder


def test_they_are_read_written_and_exchanged_without_loss(folder: Path) -> None:
    thing = {"id": "cup", "name": "cup", "box": [1, 1, 9, 9], "picture": 1}
    raw = several("a", "b", "c")
    cases = load_cases(put(folder, raw | {"objects": [*raw["objects"], thing]}, record("d")))
    assert [p.image for p in cases[0].pictures] == ["images/a.png", "images/b.png", "images/c.png"]
    assert validate(folder) == []
    saved = save_cases(cases, folder / "copy")
    assert (folder / "copy/images/c.png").read_bytes() == (folder / "images/c.png").read_bytes()
    assert load_cases(folder / "copy").fingerprint == saved.fingerprint == cases.fingerprint
    back = from_dataset(to_dataset(cases), folder / "back")
    assert back.cases == cases.cases
    assert back.image_path("a", 2).read_bytes() == (folder / "images/c.png").read_bytes()


def test_files_and_lines_of_the_first_version_stay_as_they_are(folder: Path) -> None:
    old = Case.model_validate(record("a"))
    line = json.loads(case_line(old))
    assert "more" not in line
    assert all("picture" not in thing for thing in line["objects"])
    dataset = to_dataset(load_cases(put(folder, record("a")))).remove_columns("more")
    assert from_dataset(dataset, folder / "back").cases == (old,)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"more": [{"image": "images/none.png", "width": 40, "height": 30}]}, "more[0].image"),
        ({"more": [{"image": "images/b.png", "width": 41, "height": 30}]}, "more[0].width"),
        ({"more": [{"image": "../b.png", "width": 40, "height": 30}]}, "more[0].image"),
        ({"more": [{"image": "images/b.png", "width": 0, "height": 30}]}, "more[0].width"),
        ({"more": [{"image": "images/b.png", "width": 40}]}, "more[0].height"),
        ({"objects": [{"id": "x", "name": "x", "picture": 2}]} | BARE, "objects[0].picture"),
        ({"objects": [{"id": "x", "name": "x", "picture": -1}]} | BARE, "objects[0].picture"),
    ],
)  # fmt: skip
def test_a_fault_of_a_further_picture_is_named(change: dict[str, Any], field: str, folder: Path) -> None:
    faults = validate(put(folder, several("a", "b") | change))
    assert field in {f.field for f in faults}


def test_a_box_is_measured_by_its_own_picture(folder: Path) -> None:
    picture(folder, "images/big.png", "red", (80, 60))
    big = {"image": "images/big.png", "width": 80, "height": 60}
    thing = {"id": "x", "name": "x", "box": [50, 40, 80, 60], "picture": 1}
    raw = record("a", more=[big], objects=[thing], named=[], steps=[])
    assert validate(put(folder, raw)) == []
    faults = validate(put(folder, raw | {"objects": [thing | {"picture": 0}]}))
    assert {f.what for f in faults} == {"box outside the picture"}


def test_cases_that_share_any_picture_are_in_one_split(folder: Path) -> None:
    cases = load_cases(put(folder, several("a", "b"), several("b", "c"), record("c"), record("d")))
    groups = picture_groups(cases)
    assert len({groups["a"], groups["b"], groups["c"]}) == 1
    assert groups["d"] != groups["a"]
    assert len({assign_splits(cases)[n] for n in "abc"}) == 1
    plain = [Case.model_validate(several("a", "b")), Case.model_validate(record("b"))]
    assert picture_groups(plain)["a"] == picture_groups(plain)["b"]


def test_where_one_picture_is_asked_about_they_are_refused_by_name(folder: Path) -> None:
    cases = load_cases(put(folder, several("a", "b"), record("d")))
    with pytest.raises(DataError, match=r"case 'a' has 2 pictures \(1 such cases\).*headscope score"):
        cases.image("a")
    assert [p.size for p in cases.images("a")] == [(40, 30), (40, 30)]
    shown = [cases.shown(c) for c in cases]
    assert [type(s) for s in shown] == [list, type(cases.image("d"))]
    assert len(make_items(cases, DEFAULT, ["alone"])) == 2 * len(make_items([cases[1]], DEFAULT, ["alone"]))
    assert isinstance(cases[:1], Cases)
