"""Boxes in another form than a file is taken for are refused, or converted by a named option."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import published as p
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headscope.benchmarks.importing.import_report import ImportReport
from headscope.benchmarks.registry import import_cases
from headscope.data.box_forms import FORMS, UNITS, BoxSurvey, parts_of, to_pixels
from headscope.data.cases import load_cases
from headscope.data.validation import validate
from headscope.errors import DataError
from shared_cases import SMALL, needs_cases

Box = tuple[float, float, float, float]


def written(box: Box, form: str, size: tuple[int, int]) -> list[float]:
    """A box (x0, y0, x1, y1) as a file in this form has it, by each form's own definition."""
    x0, y0, x1, y1 = box
    layout, unit = parts_of(form)
    numbers = {
        "xyxy": (x0, y0, x1, y1),
        "xywh": (x0, y0, x1 - x0, y1 - y0),
        "cxcywh": ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0),
        "yxyx": (y0, x0, y1, x1),
    }[layout]
    if not unit:
        return list(numbers)
    sides = (size[1], size[0]) if layout == "yxyx" else size
    return [v / side * UNITS[unit] for v, side in zip(numbers, (*sides, *sides), strict=True)]


def boxes_in(size: tuple[int, int], draw: random.Random, count: int) -> list[Box]:
    found: list[Box] = []
    while len(found) < count:
        (x0, x1), (y0, y1) = (sorted(draw.uniform(0, side) for _ in range(2)) for side in size)
        if x1 - x0 >= 2 and y1 - y0 >= 2:
            found.append((x0, y0, x1, y1))
    return found


@given(
    form=st.sampled_from(FORMS),
    seed=st.integers(0, 10**6),
    size=st.tuples(st.integers(64, 3000), st.integers(64, 3000)),
)
@settings(max_examples=200, deadline=None)
def test_every_form_goes_to_pixels_and_back(form: str, seed: int, size: tuple[int, int]) -> None:
    (box,) = boxes_in(size, random.Random(seed), 1)
    assert to_pixels(written(box, form, size), form, size) == pytest.approx(box, abs=1e-6)


SIZES: dict[str, Callable[[random.Random], tuple[int, int]]] = {
    "vga": lambda r: (640, 480),
    "hd": lambda r: (1920, 1080),
    "mixed": lambda r: (r.randint(200, 900), r.randint(200, 900)),
}
_TOLD = [f + u for f in ("xywh", "xyxy") for u in UNITS]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("taken", ["xywh", "xyxy"])
@pytest.mark.parametrize("real", _TOLD)
def test_a_file_of_boxes_in_another_form_is_found_out(sizes: str, taken: str, real: str) -> None:
    for seed in range(5):
        draw = random.Random(seed)
        rows = []
        for _ in range(100):
            size = SIZES[sizes](draw)
            rows += [(written(box, real, size), size) for box in boxes_in(size, draw, 1)]
        look = BoxSurvey(taken)
        for values, size in rows:
            look.add(values, size)
        doubt = look.doubt()
        assert (doubt is None) == (taken == real), (seed, doubt)
        if doubt and parts_of(real)[1]:
            assert parts_of(doubt[1])[1] == parts_of(real)[1]  # the unit is told; of shares not the layout
        elif doubt:
            assert doubt[1] == real


def coco(tmp_path: Path, form: str, draw: random.Random) -> tuple[Path, list[Box]]:
    images, notes, truth = [], [], []
    for i in range(8):
        size = (640, 427) if i % 2 else (427, 640)
        p._pic(tmp_path / "in", f"val2017/{i}.png", size)
        images.append({"id": i, "file_name": f"{i}.png", "width": size[0], "height": size[1]})
        for box in boxes_in(size, draw, 4):
            truth.append(box)
            bbox = written(box, form, size)
            notes.append({"id": len(notes), "image_id": i, "category_id": 1, "bbox": bbox, "iscrowd": 0})
    record = {"images": images, "annotations": notes, "categories": [{"id": 1, "name": "cup"}]}
    return p.put(tmp_path / "in/annotations/instances_val2017.json", record).parents[1], truth


@pytest.mark.parametrize("form", [f for f in _TOLD if f != "xywh"])
def test_coco_in_another_form_is_refused_and_read_by_the_option(form: str, tmp_path: Path) -> None:
    place, truth = coco(tmp_path, form, random.Random(form))
    with pytest.raises(DataError, match=r"taken for xywh, found numbers .*; say --boxes"):
        import_cases("coco", tmp_path / "out", place=place, split="val2017")
    assert not (tmp_path / "out/cases.jsonl").exists()
    import_cases("coco", tmp_path / "told", place=place, split="val2017", boxes=form)
    found = [o.box for c in load_cases(tmp_path / "told") for o in c.objects]
    assert [pytest.approx(b, abs=1e-6) for b in truth] == found


@needs_cases
def test_the_collected_boxes_are_refused_or_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="taken for xywh"):
        import_cases("coco", tmp_path / "out", place=SMALL / "coco_boxes.json", images=SMALL)


def one_photograph(tmp_path: Path, *boxes: list[float], **more: Any) -> ImportReport:
    p._pic(tmp_path / "in", "images/0.png", (640, 427))
    notes = [
        {"id": i, "image_id": 0, "category_id": 1 + (i > 0), "bbox": b, "iscrowd": 0}
        for i, b in enumerate(boxes)
    ]
    record = {
        "images": [{"id": 0, "file_name": "0.png", "width": 640, "height": 427}],
        "annotations": notes,
        "categories": [{"id": 1, "name": "chair"}, {"id": 2, "name": "cup"}],
    }
    place = p.put(tmp_path / "in/instances.json", record)
    return import_cases("coco", tmp_path / "out", place=place, **more)


def test_a_box_without_area_leaves_its_kind_uncounted_and_says_so(tmp_path: Path) -> None:
    report = one_photograph(tmp_path, [296.65, 388.33, 1.03, 0.0], [10, 10, 50, 60], [80, 10, 50, 60])
    (case,) = load_cases(tmp_path / "out")
    assert report.left_out == {"counts: of kinds with a box without area": 1}
    assert [(s.question, s.answer) for s in case.steps] == [
        ('How many things of the kind "cup" are there?', "2")
    ]
    assert case.answer == "chair, cup"


def test_a_single_box_of_shares_among_pixels_is_refused_with_its_photograph(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"box within one pixel.*--boxes xywh01"):
        one_photograph(tmp_path, [0.1, 0.2, 0.3, 0.4], [10, 10, 50, 60], [80, 10, 50, 60], [9, 9, 30, 30])


def test_forms_are_known_by_name_and_only_where_boxes_are_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected one of xyxy, xyxy01"):
        import_cases("coco", tmp_path / "out", place=tmp_path, boxes="pixels")
    with pytest.raises(DataError, match="boxes of vsr are fixed"):
        import_cases("vsr", tmp_path / "out", place=tmp_path, boxes="xyxy")


@pytest.mark.parametrize("form", ["xyxy", "xywh", "xyxy01", "cxcywh01", "xyxy1000", "yxyx1000"])
def test_boxes_of_tables_are_read_once_their_pictures_are_seen(form: str, tmp_path: Path) -> None:
    box, size = (100.0, 50.0, 300.0, 200.0), (640, 427)
    p._pic(tmp_path / "in", "images/a.png", size)
    row = {
        "image": "a.png",
        "question": "Where?",
        "answer": "left",
        "things": [{"label": "cup", "bbox": written(box, form, size)}],
    }
    place = p.put(tmp_path / "in/rows.jsonl", [row])
    import_cases("table", tmp_path / "out", place=place, columns={"boxes": "things"}, boxes=form)
    (case,) = load_cases(tmp_path / "out")
    assert [(o.name, o.box) for o in case.objects] == [("cup", pytest.approx(box))]
    if form in ("xyxy01", "cxcywh01", "xywh"):
        with pytest.raises(DataError, match="say --boxes") if form != "xywh" else pytest.raises(DataError):
            rows = [row | {"id": str(i)} for i in range(3)]
            wide = [400, 300, 200, 100]  # as two corners inverted
            rows = [r | {"things": [wide]} for r in rows] if form == "xywh" else rows
            import_cases(
                "table",
                tmp_path / "b",
                place=p.put(tmp_path / "in/b.jsonl", rows),
                columns={"boxes": "things"},
            )


def test_validate_finds_shares_percent_and_corner_with_size(tmp_path: Path) -> None:
    draw, size = random.Random(0), (640, 427)
    for form, said in (
        ("xyxy01", {"box within one pixel", "doubtful boxes"}),
        ("xyxy100", {"doubtful boxes"}),
        ("xywh", {"doubtful boxes", "inverted box"}),
        ("xyxy", set()),
    ):
        folder = tmp_path / form
        p._pic(folder, "a.png", size)
        things = [
            {"id": str(i), "name": "cup", "box": written(b, form, size)}
            for i, b in enumerate(boxes_in(size, draw, 30))
        ]
        line = {
            "id": "a", "image": "a.png", "width": 640, "height": 427, "question": "?", "answer": "yes",
            "objects": things,
        }  # fmt: skip
        p.put(folder / "cases.jsonl", json.dumps(line) + "\n")
        assert {f.what for f in validate(folder)} - {"box outside the picture"} == said, form


def test_a_split_takes_its_own_folder_of_pictures(tmp_path: Path) -> None:
    """train2017 beside val2017, with a picture of the same name in each."""
    p.folder(tmp_path / "in", "coco")
    p._pic(tmp_path / "in", "train2017/000000000007.jpg", (32, 32))
    for split, name in (("val2017", "a"), ("", "b")):
        import_cases("coco", tmp_path / name, place=tmp_path / "in", split=split)
        (case,) = load_cases(tmp_path / name)
        assert (case.width, case.height) == (64, 48)
    p.put(tmp_path / "in/annotations/instances_train2017.json", p.COCO)
    with pytest.raises(DataError, match=r"wrong size, found 32 x 32"):
        import_cases("coco", tmp_path / "c", place=tmp_path / "in", split="train2017")


def test_where_pictures_were_looked_for_is_said(tmp_path: Path) -> None:
    p.put(tmp_path / "in/annotations/instances_val2017.json", p.COCO)
    report = import_cases("coco", tmp_path / "a", place=tmp_path / "in", split="val2017")
    said = next(line for line in report.lines() if "no picture yet" in line)
    assert f"looked for in {tmp_path / 'in/val2017'}, " in said
    assert "train2017" not in said
    (tmp_path / "in/val2017").mkdir()
    with pytest.raises(DataError, match=r"no file '000000000007.jpg' in .*val2017"):
        import_cases("coco", tmp_path / "b", place=tmp_path / "in", split="val2017")


@needs_cases
def test_the_collected_multihop_question_ends_with_its_last_option(tmp_path: Path) -> None:
    import_cases("multihopspatial", tmp_path / "out", place=SMALL / "multihop.json")
    (case,) = load_cases(tmp_path / "out", pictures=False)
    assert (case.answer, case.choices) == ("chair", ("jar", "pan", "clock", "chair"))
    assert case.objects[0].name == "chair"
    assert (
        case.question
        == "From where the cook stands, what is on her right? Choose one: jar; pan; clock; chair."
    )


@pytest.mark.parametrize(
    "behind",
    ["", ".", "</choice>", "</choice> And give the box of the region that your answer is about.",
     "\nAnswer with a letter.", ". Provide the bounding box of it.",
     " And provide the bounding box coordinate of the region related to your answer."],
)  # fmt: skip
@given(
    options=st.lists(
        st.sampled_from(["jar", "red pan", "clock", "the end of the table", "a man"]),
        min_size=2,
        max_size=4,
        unique=True,
    )
)
@settings(max_examples=10, deadline=None)
def test_what_stands_behind_the_options_is_no_part_of_the_last(behind: str, options: list[str]) -> None:
    from headscope.benchmarks.multihop import parts

    before = "<choice>" if behind.startswith("</choice>") else ""
    listed = ", ".join(f"({letter}) {o}" for letter, o in zip("abcd", options, strict=False))
    stem, found, _ = parts(f"What is left of her? {before}{listed}{behind}")
    assert (stem, list(found)) == ("What is left of her?", options)
