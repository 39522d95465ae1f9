"""Simulated coverage, and the one constant it rests on."""

from __future__ import annotations

import math

import pytest
from scipy.stats import norm

from headscope.validation import coverage as module
from headscope.validation.coverage import AREA, cautious, coverage


def test_the_true_area_is_that_of_two_unit_normals_one_apart() -> None:
    assert pytest.approx(norm.cdf(1 / math.sqrt(2)), abs=1e-5) == AREA


def test_intervals_hold_the_truth_about_as_often_as_they_say_at_none_all_and_between() -> None:
    found = coverage(400, seed=1)
    assert {"share, true 0 %", "share, true 100 %", "accuracy, 0 % lost, 0 % won"} < set(found)
    for name, cell in found.items():
        assert cell["simulations"] == 400
        assert 0.91 <= cell["share"] <= (1.0 if cautious(name) else 0.985), name


@pytest.mark.parametrize(
    ("name", "of"), [("bootstrap_ci", "margin"), ("difference_interval", "accuracy, 40 % lost, 5 % won")]
)
def test_an_interval_that_is_too_narrow_is_found_out(
    monkeypatch: pytest.MonkeyPatch, name: str, of: str
) -> None:
    def half(values, groups, draws, seed):
        low, high = original(values, groups, draws=draws, seed=seed)
        middle = (low + high) / 2
        return (low + middle) / 2, (high + middle) / 2

    original = getattr(module, name)
    monkeypatch.setattr(module, name, half)
    assert not coverage(200, seed=1)[of]["within"]
