"""docs/method.md's tables are those that the carried figures make."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up_validation import made_up_summary

from headscope.errors import StoreError
from headscope.storage import read_json
from method_page.document import blocks, figures, filled
from method_page.measured import measured
from method_page.training_seeds import training_row, training_seeds

DOCS = Path(__file__).parents[2] / "docs"


def test_the_tables_of_the_method_page_are_not_stale() -> None:
    page = (DOCS / "method.md").read_text("utf-8")
    assert filled(page, *figures(DOCS)) == page


def test_a_page_without_a_mark_is_refused() -> None:
    with pytest.raises(StoreError, match="marks"):
        filled("nothing here", *figures(DOCS))


def test_every_measurement_of_a_summary_reaches_its_table() -> None:
    made = blocks(measured(made_up_summary(), "x"), None)
    assert "| scope | all | causal | 1.00 / 1.00 / 1.00 |" in made["dependence"]
    claimed = "1 of 24 [0.1 %, 21.1 %] | 50.0 % [11.8 %, 88.2 %], n 6 | 19.5 | 3.0 %"
    assert f"| backup | {claimed} |" in made["claims"]
    assert "| seeds | joint | 0.70 |" in made["stability"]
    assert "| muting random heads, disjoint controls, 0.05 | 11.0 % | 5 % |" in made["nulls"]
    lost = "spatial perception: 1 heads, 70 points lost, random sets 25"
    assert f"| {lost} | 15 | 60.0 % | 50.0 % |" in made["power"]
    assert "Not measured yet" in made["training seeds"]


def test_training_seeds_count_what_repeats() -> None:
    summary = read_json(DOCS / "demo-summary.json")
    summary["ablation"]["counting"] |= {"p": 0.001, "drop_points": 40.0, "control_mean": 5.0}
    one = training_row("a", summary)
    other = {**one, "revision": "other", "muting": {f: {**c, "p": 1.0} for f, c in one["muting"].items()}}
    found = training_seeds([one, other])["repeats"]["muting"]["counting"]
    assert found == {"holds": 1, "of": 2}
    with pytest.raises(StoreError, match="of one model"):
        training_seeds([one, one])


def test_further_training_seeds_stand_beside_the_first_function_by_function() -> None:
    one = training_row("a", read_json(DOCS / "demo-summary.json"))
    muted = {f: {**c, "p": 1.0, "drop_points": 3.0, "control_mean": 4.0} for f, c in one["muting"].items()}
    other = {**one, "name": "b", "revision": "other", "muting": muted, "accuracy": {"main": 0.5}}
    made = blocks(measured(made_up_summary(), "x"), training_seeds([one, other]))["training seeds"]
    lost = one["muting"]["counting"]
    told = f"{lost['drop_points']:.0f} against {lost['control_mean']:.0f} (p {lost['p']:.3f})"
    row = next(line for line in made.splitlines() if line.startswith("| counting |"))
    assert told in row
    assert "–; " in row
    assert row.endswith("3 against 4 (p 1.000) | 1 of 2 |")
    assert "| b | 50.0 % |" in made
