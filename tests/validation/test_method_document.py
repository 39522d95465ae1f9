"""docs/method.md's tables are those that the carried figures make."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up_validation import made_up_summary

from headscope.errors import StoreError
from headscope.storage import read_json
from headscope.validation.document import blocks, figures, filled
from headscope.validation.measured import measured
from headscope.validation.training_seeds import training_row, training_seeds

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
    assert "| seeds | joint | 0.70 |" in made["stability"]
    assert "| muting random heads, disjoint controls, 0.05 | 11.0 % | 5 % |" in made["nulls"]
    lost = "spatial perception: 1 heads, 70 points lost, random sets 25"
    assert f"| {lost} | 15 | 60.0 % | 50.0 % |" in made["power"]
    assert "Not measured yet" in made["training seeds"]


def test_training_seeds_count_what_repeats() -> None:
    summary = read_json(DOCS / "demo-summary.json")
    one = training_row("a", summary)
    other = {**one, "revision": "other", "muting": {f: {**c, "p": 1.0} for f, c in one["muting"].items()}}
    found = training_seeds([one, other])["repeats"]["muting"]["attribute_perception"]
    assert found == {"holds": 1, "of": 2}
    with pytest.raises(StoreError, match="of one model"):
        training_seeds([one, one])
