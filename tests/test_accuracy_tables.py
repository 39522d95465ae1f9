"""Accuracy tables against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from headscope.statistics.accuracy import accuracy_table


def _row(case: str, function: str, correct: bool, **more):
    return {
        "case": case,
        "function": function,
        "correct": correct,
        "margin": 1.0 if correct else -1.0,
        **more,
    }


def test_a_table_counts_right_answers_within_each_function() -> None:
    rows = [_row(f"c{i}", "counting" if i % 2 else "text_reading", i % 3 == 0) for i in range(60)]
    table = {cell["function"]: cell for cell in accuracy_table(rows)}
    right = [float(r["correct"]) for r in rows if r["function"] == "counting"]
    assert table["counting"]["value"] == np.mean(right)
    assert table["counting"]["n"] == 30
    exact = stats.binomtest(int(sum(right)), 30).proportion_ci(method="exact")
    assert table["counting"]["ci"] == pytest.approx([exact.low, exact.high])
    assert table["counting"]["margin"] == pytest.approx(2 * np.mean(right) - 1)


def test_steps_of_cases_that_share_an_image_count_as_one_image() -> None:
    rows = [_row(f"c{i}", "counting", i < 20) for i in range(40)]
    images = {f"c{i}": f"picture{i // 4}" for i in range(40)}
    alone, shared = accuracy_table(rows)[0], accuracy_table(rows, images=images)[0]
    named = accuracy_table([{**r, "image": images[r["case"]]} for r in rows])[0]
    assert (alone["images"], shared["images"]) == (40, 10)
    assert shared["ci"] == named["ci"]
    assert shared["ci"][0] < alone["ci"][0]


def test_perfect_accuracy_gets_an_exact_interval_over_images() -> None:
    cell = accuracy_table([_row(f"c{i // 2}", "counting", True) for i in range(20)])[0]
    exact = stats.binomtest(10, 10).proportion_ci(method="exact")
    assert cell["ci"] == pytest.approx([exact.low, exact.high])


def test_a_row_counts_once_for_every_way_in_which_it_is_new() -> None:
    rows = [_row("a", "main", True, held_out="combination,wording"), _row("b", "main", False, held_out="")]
    found = {cell["held_out"]: cell["value"] for cell in accuracy_table(rows, "held_out")}
    assert found == {"combination": 1.0, "wording": 1.0, "none": 0.0}


def test_every_combination_of_columns_has_its_row() -> None:
    rows = [
        _row(f"c{i}", "main" if i % 2 else "counting", i % 4 == 1, things=2 + i % 12, context="alone")
        for i in range(48)
    ]
    assert len(accuracy_table(rows, ("function", "things"))) == 12


def test_margins_that_are_missing_are_left_out() -> None:
    rows = [{"case": "a", "function": "f", "correct": True, "margin": float("nan")}]
    assert accuracy_table(rows)[0]["margin"] is None
