"""The page of benchmarks and its pictures show what was measured last."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
PAGE = ROOT / "docs" / "benchmarks.md"


def test_the_table_of_benchmarks_is_made_from_their_results() -> None:
    from table import filled

    results = json.loads((ROOT / "benchmarks" / "results.json").read_text("utf-8"))
    assert filled(PAGE.read_text("utf-8"), results) == PAGE.read_text("utf-8")


def test_the_table_of_cost_curves_is_made_from_their_points() -> None:
    from curves import CURVES, filled

    points = json.loads(CURVES.read_text("utf-8"))["points"]
    assert filled(PAGE.read_text("utf-8"), points) == PAGE.read_text("utf-8")


@pytest.mark.parametrize("picture", ["cost-scan", "cost-capture"])
def test_a_picture_of_cost_curves_shows_the_points_measured_last(picture: str) -> None:
    from curves import CURVES, IMAGES, KEY, shown
    from headscope.storage import fingerprint

    points = json.loads(CURVES.read_text("utf-8"))["points"]
    with Image.open(IMAGES / f"{picture}.png") as image:
        assert image.info[KEY] == fingerprint(shown(points, picture))


def test_a_curve_without_one_of_its_points_makes_another_picture_and_table() -> None:
    from curves import CURVES, chart, filled, shown, table
    from headscope.storage import fingerprint

    points = json.loads(CURVES.read_text("utf-8"))["points"]
    fewer = [p for p in points if (p["figure"], p["axis"]) != ("scan_all", "heads")]
    assert fingerprint(shown(fewer, "cost-scan")) != fingerprint(shown(points, "cost-scan"))
    assert len(table(fewer)) == len(table(points)) - 1
    assert filled(PAGE.read_text("utf-8"), fewer) != PAGE.read_text("utf-8")
    assert len(chart(points, "cost-scan")["concat"]) == 5
    assert len(chart(points, "cost-capture")["concat"]) == 6


def test_ticks_are_round_numbers_within_the_axis() -> None:
    from curves import ticks

    assert ticks((0.8, 30)) == [1, 2, 5, 10, 20]
    assert ticks((0.95, 1.25)) == [1, 1.1, 1.2]
