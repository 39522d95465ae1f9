"""Questions from boxes: answers recomputed from pixels, nothing asked that is not clear, real photographs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from box_agreement import changed_answers
from headscope.data.cases import load_cases
from headscope.data.checks import check_case
from headscope.data.schema import Case, Object
from headscope.data.validation import validate
from headscope.errors import DataError
from headscope.functions import DEFAULT
from headscope.making.photographs.box_questions import KINDS, ask_photo, nameable
from headscope.making.photographs.instances import read_instances
from headscope.making.photographs.make import make_cases
from headscope.making.photographs.step_chain import Photo

TINY = Path(__file__).parents[3].parent / "shared" / "data" / "tiny_coco"
NAMES = {"dog": "animal", "horse": "animal", "cup": "kitchen", "zebra": "animal", "car": "vehicle"}


def photo(
    *things: tuple[str, tuple[float, float, float, float]], crowds: frozenset[str] = frozenset()
) -> Photo:
    objects = tuple(Object(id=f"o{i}", name=name, box=box) for i, (name, box) in enumerate(things))
    return Photo("p", "images/p.jpg", 600, 400, objects, crowds, NAMES)


PAIR = photo(("dog", (20, 150, 120, 250)), ("horse", (400, 100, 560, 300)))


def one(shown: Photo, kind: str) -> Case:
    found = ask_photo(shown, kinds=[kind])
    assert len(found) == 1
    return found[0]


def test_a_dog_left_of_a_horse_is_told_step_by_step() -> None:
    case = one(PAIR, "left_right")
    x, side = case.named[0], "left" if "left" in case.question else "right"
    assert (case.answer == "yes") == ((x == "o0") == (side == "left"))
    answers = {s.question: s.answer for s in case.steps}
    assert answers["In which part of the picture is the dog: left, middle or right?"] == "left"
    assert answers["In which part of the picture is the horse: left, middle or right?"] == "right"
    assert [s.answer for s in case.steps if s.wording == "most/left"] == ["dog"]
    assert [s.function for s in case.steps][-1] == "decision_making"
    assert case.steps[-1].answer == case.answer


def test_the_other_kind_in_a_what_step_is_absent_and_of_another_group() -> None:
    for step in one(PAIR, "left_right").steps[:2]:
        other = next(c for c in step.choices if c != step.answer)
        assert NAMES[other] != NAMES[step.answer]


def test_a_horse_twice_as_large_is_larger() -> None:
    assert one(PAIR, "larger").answer == "horse"


def test_things_are_counted_by_side_only_when_all_lie_on_one() -> None:
    three = [("cup", (x, 10.0, x + 40.0, 60.0)) for x in (20.0, 120.0, 500.0)]
    case = one(photo(*three), "count_side")
    counts = {s.question: s.answer for s in case.steps if s.function == "counting"}
    assert counts["How many cups are in the left half of the picture?"] == "2"
    assert counts["How many cups are in the right half of the picture?"] == "1"
    assert case.answer == "left"
    assert not ask_photo(photo(*three, ("cup", (280.0, 10.0, 330.0, 60.0))), kinds=["count_side"])


def test_a_kind_with_a_crowd_or_a_twin_is_neither_named_nor_counted() -> None:
    crowded = photo(*((t.name, t.box) for t in PAIR.things), crowds=frozenset({"dog"}))  # type: ignore[misc]
    assert [t.name for t in nameable(crowded)] == ["horse"]
    assert ask_photo(crowded) == []
    twins = photo(*((t.name, t.box) for t in PAIR.things), ("dog", (200, 300, 260, 390)))  # type: ignore[misc]
    assert [t.name for t in nameable(twins)] == ["horse"]


def test_the_nearer_of_two_things_is_found() -> None:
    shown = photo(("dog", (0, 0, 60, 60)), ("cup", (100, 0, 160, 60)), ("car", (500, 0, 600, 60)))
    found = {c.named: c.answer for c in ask_photo(shown, kinds=["nearer"])}
    assert {frozenset(k[:2]): v for k, v in found.items() if k[2] == "o0"} == {frozenset({"o1", "o2"}): "cup"}


def test_the_same_photo_gives_the_same_questions() -> None:
    assert ask_photo(PAIR) == ask_photo(PAIR)


def write(folder: Path, **changes: object) -> Path:
    raw = {
        "images": [{"id": 1, "file_name": "a.png", "width": 60, "height": 40}],
        "annotations": [
            {"id": 7, "image_id": 1, "category_id": 1, "bbox": [0, 0, 20, 20], "iscrowd": 0},
            {"id": 8, "image_id": 1, "category_id": 2, "bbox": [40, 2, 18, 20], "iscrowd": 0},
        ],
        "categories": [
            {"id": 1, "name": "dog", "supercategory": "animal"},
            {"id": 2, "name": "cup", "supercategory": "kitchen"},
        ],
    } | changes
    path = folder / "instances.json"
    path.write_text(json.dumps(raw), "utf-8")
    return path


def test_boxes_of_instances_become_corners(tmp_path: Path) -> None:
    (shown,) = read_instances(write(tmp_path)).photos
    assert [t.box for t in shown.things] == [(0, 0, 20, 20), (40, 2, 58, 22)]
    assert shown.image == "images/a.png"


@pytest.mark.parametrize(
    "bbox", [[0, 0, -1, 5], [float("nan"), 0, 5, 5], [0, 0, 500, 5], [1, 2, 3], ["x", 0, 1, 1], None]
)
def test_a_photo_with_an_unusable_box_is_refused_with_its_name(tmp_path: Path, bbox: object) -> None:
    note = {"id": 7, "image_id": 1, "category_id": 1, "bbox": bbox}
    found = read_instances(write(tmp_path, annotations=[note]))
    assert found.photos == []
    assert len(found.refused) == 1
    assert "images[0] 'a.png'" in found.refused[0]


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"images": 3, "annotations": [], "categories": []}', "[" * 9000]
)
def test_a_file_that_is_no_instances_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(DataError, match="asked for COCO instances"):
        read_instances(tmp_path / "x.json")


def test_a_file_name_that_climbs_out_is_refused(tmp_path: Path) -> None:
    image = {"id": 1, "file_name": "../../etc/passwd", "width": 60, "height": 40}
    with pytest.raises(DataError, match="no photo with a question"):
        make_cases(write(tmp_path, images=[image]), tmp_path, tmp_path / "out")


@pytest.mark.skipif(not TINY.is_dir(), reason="the photographs of shared/data/tiny_coco are not here")
def test_fifty_photographs_give_three_hundred_chains(tmp_path: Path) -> None:
    made = make_cases(TINY / "annotations" / "instances_train2017.json", TINY / "train2017", tmp_path)
    assert made.read == 50
    assert made.refused == []
    assert set(made.kinds) == set(KINDS)
    assert len(made.cases) >= 300
    assert all(len(c.steps) >= 3 for c in made.cases)
    assert validate(tmp_path) == []
    assert load_cases(tmp_path).cases == made.cases.cases
    assert not [f for c in made.cases for f in check_case(c.model_dump(), DEFAULT)]
    boxes = {(c.image, o.id): o for c in made.cases for o in c.objects}
    for case in made.cases:  # every side again, from the centres alone
        if case.kind == "left_right":
            (x, y), side = case.named, "left" if "to the left" in case.question else "right"
            middle = [sum(boxes[case.image, i].box[::2]) for i in (x, y)]  # type: ignore[index]
            assert (case.answer == "yes") == ((middle[0] < middle[1]) == (side == "left"))


@pytest.mark.skipif(not TINY.is_dir(), reason="the photographs of shared/data/tiny_coco are not here")
def test_boxes_drawn_a_little_differently_change_no_answer() -> None:
    photos = read_instances(TINY / "annotations" / "instances_train2017.json").photos
    again, changed, lost = changed_answers(photos, share=0.05, draws=2)
    assert again > 600
    assert changed == 0
    assert 0 < lost < 0.2 * again
