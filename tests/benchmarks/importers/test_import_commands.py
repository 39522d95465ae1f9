"""``headscope data import`` and ``headscope data list`` as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import published as p
from typer.testing import CliRunner

from headscope.cli.data import data_app
from headscope.data.cases import load_cases


def test_import_prints_its_report_and_writes_the_cases(tmp_path: Path) -> None:
    place = p.folder(tmp_path / "in", "vsr")
    done = CliRunner().invoke(
        data_app,
        ["import", "vsr", "--from", str(place), "--split", "random/dev", "--out", str(tmp_path / "out")],
    )
    assert done.exit_code == 0, done.output
    assert "vsr random/dev: 1 rows in = 1 cases + 0 refused + 0 merged" in done.output
    assert "left out: boxes: the rows have none (1)" in done.output
    assert len(load_cases(tmp_path / "out")) == 1


def test_a_map_of_columns_is_read_from_the_command(tmp_path: Path) -> None:
    place = p.folder(tmp_path / "in", "table")
    words = ",".join(f"{k}={v}" for k, v in p.COLUMNS.items())
    done = CliRunner().invoke(
        data_app, ["import", "table", "--from", str(place), "--map", words, "--out", str(tmp_path / "out")]
    )
    assert done.exit_code == 0, done.output
    assert load_cases(tmp_path / "out")[0].answer == "left"


def test_list_shows_every_source_and_what_is_known_of_it() -> None:
    done = CliRunner().invoke(data_app, ["list"])
    assert done.exit_code == 0
    rows = json.loads(CliRunner().invoke(data_app, ["list", "--json"]).output)
    assert {r["name"] for r in rows} == set(p.NAMES)
    for row in rows:
        assert f"{row['name']}: {row['title']}" in done.output
        assert {"size", "licence", "fields", "boxes", "steps", "scored", "get", "splits"} <= set(row)


def test_mistakes_end_in_one_line_without_a_traceback(tmp_path: Path) -> None:
    code = "import sys; from headscope.cli import main; main()"
    for words in (
        ["import", "nothing", "--out", "x"],
        ["import", "vsr", "--from", str(tmp_path / "gone"), "--out", str(tmp_path / "x")],
        ["import", "table", "--from", str(tmp_path), "--map", "question", "--out", str(tmp_path / "x")],
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, "data", *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert "Traceback" not in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_hub_that_cannot_be_reached_is_said_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "x"
    words = ["data", "import", "blink", "--split", "Counting/val", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-m", "headscope", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: BLINK-Benchmark/BLINK: asked the hub for split 'val', found ")
    assert "the hub is read only with a network" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not out.exists()


def test_rows_without_pictures_are_decomposed_and_described(tmp_path: Path) -> None:
    rows = p.put(tmp_path / "in/rows.jsonl", [p.VSR])
    for words in (
        ["import", "vsr", "--from", str(rows), "--out", str(tmp_path / "out")],
        ["decompose", str(tmp_path / "out")],
        ["card", str(tmp_path / "out")],
    ):
        done = CliRunner().invoke(data_app, words)
        assert done.exit_code == 0, done.output
    (case,) = load_cases(tmp_path / "out", pictures=False)
    assert len(case.steps) >= 3
    assert "1 cases have no picture here" in (tmp_path / "out/README.md").read_text()
