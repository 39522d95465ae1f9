"""The table of quick ways is made from the trials beside it, and trials give what is recorded."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import pytest

from family_survey.build import family_names
from headscope.models.survey import load
from headscope.models.ways import FAN, REPLAY, TREE

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

from ways import PAGE, RESULTS, _cell, filled, row_of, table

FAMILIES = family_names()

ROWS = json.loads(RESULTS.read_text("utf-8"))
# All ways, DeepStack, linear attention, sliding windows, none; then the first family of every other row.
SOME = ("llava", "qwen3_vl", "qwen3_5", "gemma3", "idefics")
FIRST = {json.dumps(row): family for family, row in reversed(ROWS.items())}
REST = [f for row, f in FIRST.items() if f in FAMILIES and row not in {json.dumps(ROWS[s]) for s in SOME}]


def test_the_table_is_made_from_the_trials() -> None:
    text = PAGE.read_text("utf-8")
    assert filled(text, ROWS) == text
    assert list(ROWS) == [f for f in FAMILIES if f in ROWS]
    surveyed = {row.family for row in load()}
    assert set(ROWS) == surveyed, "families that transformers has since may be missing in both"


@pytest.mark.parametrize("family", [*SOME, *(pytest.param(f, marks=pytest.mark.slow) for f in REST)])
def test_a_trial_gives_what_is_recorded(family: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.CRITICAL):
        assert row_of(family) == ROWS[family]


def test_deepstack_families_take_every_way_but_that_of_single_pictures() -> None:
    for family in ("qwen3_vl", "qwen3_vl_moe", "granite4_vision", "granite_docling"):
        taken = [way for way, why in ROWS[family]["ways"].items() if not why]
        assert {
            TREE,
            f"{FAN}, scope all",
            *(f"{REPLAY}, scope {s}" for s in ("all", "last", "answer")),
        } <= set(taken)


def test_families_with_the_same_ways_share_a_line_and_every_reason_is_said() -> None:
    rows = {
        "a": {"ways": {TREE: "", f"{FAN}, scope all": "it | fails"}},
        "b": {"ways": {TREE: "", f"{FAN}, scope all": "it | fails"}},
        "c": {"ways": {TREE: "a window"}, "long": {TREE: ""}},
        "d": {"refused": "no"},
    }
    lines = table(rows)
    assert "| a, b | yes | no | - | - | - | - | - |" in lines
    assert "| c | while the prompt fits | - | - | - | - | - | - |" in lines
    assert "| edits in one forward | it / fails | a, b |" in lines
    assert any("can be had: d." in line for line in lines)
    assert _cell(rows["c"], FAN) == "-"
