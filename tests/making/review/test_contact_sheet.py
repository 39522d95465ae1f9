"""Contact sheets: the same cases each time, boxes where they are, and no picture that stops the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from headscope.cli.app import app
from headscope.data.cases import load_cases
from headscope.errors import DataError
from headscope.making.review.contact_sheet import contact_sheet
from made_cases import picture, record


def folder_of(path: Path, count: int = 9) -> Path:
    lines = []
    for i in range(count):
        picture(path, f"images/{i}.png", "white")
        lines.append(record(str(i)))
    (path / "cases.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    return path


def test_a_sheet_is_the_same_each_time_and_another_with_another_seed(tmp_path: Path) -> None:
    cases = load_cases(folder_of(tmp_path))
    (one, ids), (again, same), (_, other) = (contact_sheet(cases, 4, s) for s in (0, 0, 1))
    assert one.tobytes() == again.tobytes()
    assert ids == same != other
    assert len(set(ids)) == 4


def test_boxes_are_drawn_where_they_are(tmp_path: Path) -> None:
    cases = load_cases(folder_of(tmp_path, 1))
    sheet, _ = contact_sheet(cases)
    box = cases[0].objects[0].box
    assert box is not None
    scale = 320 / 40  # the picture, 40 x 30, fills its room of 320 x 240
    edge = (10 + round(box[0] * scale), 10 + round((box[1] + box[3]) / 2 * scale))
    around = {sheet.getpixel((edge[0] + d, edge[1])) for d in (-1, 0, 1)}
    assert (217, 70, 39) in around
    assert sheet.getpixel((edge[0] - 6, edge[1])) == (255, 255, 255)


def test_missing_and_several_pictures_have_their_place(tmp_path: Path) -> None:
    folder_of(tmp_path, 2)
    more = [{"image": "images/1.png", "width": 40, "height": 30}]
    lines = [record("0", more=more), record("1", image="images/none.png")]
    (tmp_path / "cases.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    sheet, ids = contact_sheet(load_cases(tmp_path, pictures=False))
    assert ids == ["0", "1"]
    assert sheet.size[0] > 2 * 320


def test_none_is_refused_and_the_command_writes_a_picture(tmp_path: Path) -> None:
    cases = load_cases(folder_of(tmp_path, 3))
    with pytest.raises(DataError, match="asked for 0 of 3 cases"):
        contact_sheet(cases, 0)
    out = tmp_path / "sheet.png"
    done = CliRunner().invoke(app, ["data", "sheet", str(tmp_path), "--out", str(out), "--cases", "2"])
    assert done.exit_code == 0, done.output
    assert "2 of the cases" in done.output
    assert Image.open(out).format == "PNG"
