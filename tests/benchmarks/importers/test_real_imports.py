"""The real pieces in shared/data import whole: rows in are cases and refusals; truth is checked apart."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from counted import calls_of
from headscope.benchmarks.importing.import_report import ImportReport
from headscope.benchmarks.registry import import_cases
from headscope.data.cases import Cases, load_cases
from headscope.data.hub import from_dataset, to_dataset
from headscope.data.validation import validate
from shared_cases import DATA

SHARED = DATA
needs = {
    name: pytest.mark.skipif(not (SHARED / name).is_dir(), reason=f"shared/data/{name} is not here")
    for name in ("vsr", "vsr_photos", "nlvr", "tiny_coco", "super_clevr")
}


def imported(name: str, folder: str, out: Path, split: str = "") -> tuple[ImportReport, Cases]:
    report = import_cases(name, out, place=SHARED / folder, split=split)
    assert report.rows == report.cases + report.refused + report.merged
    assert sum(report.reasons.values()) == report.refused
    cases = load_cases(out)
    assert len(cases) == report.cases
    return report, cases


def goes_round(cases: Cases, folder: Path) -> None:
    """To a dataset and back is the identity, pictures included."""
    back = from_dataset(to_dataset(cases), folder)
    assert back.cases == cases.cases
    for case in cases[:20]:
        assert back.image_path(case).read_bytes() == cases.image_path(case).read_bytes()


@needs["vsr_photos"]
def test_vsr_photographs_import_whole_and_go_round(tmp_path: Path) -> None:
    report, cases = imported("vsr", "vsr_photos", tmp_path / "out")
    rows = [json.loads(x) for x in (SHARED / "vsr_photos/dev_half.jsonl").read_text().splitlines()]
    assert (report.rows, report.cases, report.refused) == (169, 169, 0)
    assert [c.original for c in cases] == rows
    assert [c.answer == "true" for c in cases] == [bool(r["label"]) for r in rows]
    assert report.pictures == len({r["image"] for r in rows}) == 114
    assert validate(tmp_path / "out") == []
    goes_round(cases, tmp_path / "back")


@needs["vsr"]
def test_vsr_imports_without_photographs_to_be_read_but_not_asked(tmp_path: Path) -> None:
    counts = {}
    for split in ("zeroshot/train", "zeroshot/dev", "zeroshot/test"):
        out = tmp_path / split.replace("/", "-")
        report = import_cases("vsr", out, place=SHARED / "vsr", split=split)
        cases = load_cases(out, pictures=False)
        assert report.cases == report.without_picture == len(cases) == report.rows
        counts[split] = report.rows
        assert {f.field for f in validate(out)} == {"image", "width", "height"}
    assert sum(counts.values()) == 5051


@needs["nlvr"]
def test_nlvr_imports_whole_and_its_boxes_hold_their_colour(tmp_path: Path) -> None:
    report, cases = imported("nlvr", "nlvr", tmp_path / "out", "dev")
    assert (report.rows, report.cases, report.refused) == (989, 989, 0)
    assert Counter(c.answer for c in cases)["true"] == sum(
        json.loads(x)["label"] == "true" for x in (SHARED / "nlvr/dev/dev.json").read_text().splitlines()
    )
    colours = {"yellow": (255, 255, 0), "black": (0, 0, 0), "blue": (0, 153, 255)}
    right = seen = 0
    for case in cases[::40]:
        pixels = np.asarray(cases.image(case)).astype(int)
        for thing in case.objects:
            assert thing.box is not None
            x0, y0, x1, y1 = thing.box
            middle = pixels[int((y0 + y1) / 2 + (y1 - y0) / 6), int((x0 + x1) / 2)]
            right += int(np.abs(middle - colours[thing.attributes["colour"]]).sum() < 60)
            seen += 1
    assert seen > 200
    assert right == seen
    assert validate(tmp_path / "out") == []
    goes_round(cases[:60], tmp_path / "back")


@needs["tiny_coco"]
def test_tiny_coco_imports_whole_with_every_box_that_is_no_crowd(tmp_path: Path) -> None:
    report, cases = imported("coco", "tiny_coco", tmp_path / "out")
    raw = json.loads((SHARED / "tiny_coco/annotations/instances_train2017.json").read_text())
    assert (report.rows, report.cases, report.refused) == (50, 49, 1)
    noted = Counter(a["image_id"] for a in raw["annotations"] if not a["iscrowd"])
    assert sum(noted.values()) == 465
    for case in cases:
        assert case.original is not None
        number = case.original["image"]["id"]
        assert case.things == noted[number]
        boxes = sorted(a["bbox"] for a in raw["annotations"] if a["image_id"] == number and not a["iscrowd"])
        corners = sorted(
            [o.box[0], o.box[1], o.box[2] - o.box[0], o.box[3] - o.box[1]] for o in case.objects if o.box
        )
        assert np.allclose(np.array(corners), np.array(boxes), atol=1e-6)
    goes_round(cases, tmp_path / "back")


@needs["super_clevr"]
def test_super_clevr_scenes_and_questions_import_whole(tmp_path: Path) -> None:
    report, cases = imported("super_clevr", "super_clevr", tmp_path / "scenes", "scenes")
    assert (report.rows, report.cases, report.refused) == (10, 10, 0)
    first = json.loads((SHARED / "super_clevr/scenes/superCLEVR_new_000000.json").read_text())
    assert cases[0].original == {"scene": first}
    assert cases[0].answer == str(len(first["objects"]))
    reds = sum(o["color"] == "red" for o in first["objects"])
    assert next(s for s in cases[0].steps if s.question == "How many red things are there?").answer == str(
        reds
    )
    goes_round(cases, tmp_path / "back")
    report, cases = imported("super_clevr", "super_clevr", tmp_path / "questions")
    assert (report.rows, report.cases) == (238, 238)
    assert report.left_out["steps: the question has no program"] == 238
    assert validate(tmp_path / "questions") == []


@needs["vsr"]
def test_importing_and_reading_ten_times_the_rows_is_ten_times_the_work(tmp_path: Path) -> None:
    source = SHARED / "vsr/data/splits/random"
    lines = [x for s in ("train", "test", "dev") for x in (source / f"{s}.jsonl").read_text().splitlines()]

    def imported_rows(n: int) -> None:
        (tmp_path / f"{n}.jsonl").write_text("\n".join(lines[:n]) + "\n")
        report = import_cases("vsr", tmp_path / str(n), place=tmp_path / f"{n}.jsonl")
        assert (report.rows, len(load_cases(tmp_path / str(n), pictures=False))) == (n, n)

    imported_rows(10)  # what is imported and built once
    assert calls_of(lambda: imported_rows(5_000)) < 13 * calls_of(lambda: imported_rows(500))
