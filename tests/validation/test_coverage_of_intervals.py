"""Simulated coverage, and the one constant it rests on."""

from __future__ import annotations

import math

import pytest
from scipy.stats import norm

from headscope.validation import coverage as module
from headscope.validation.coverage import AREA, coverage


def test_the_true_area_is_that_of_two_unit_normals_one_apart() -> None:
    assert pytest.approx(norm.cdf(1 / math.sqrt(2)), abs=1e-5) == AREA


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    for name, cell in coverage(400, seed=1).items():
        assert cell["simulations"] == 400
        assert 0.91 <= cell["share"] <= 0.985, name


def test_an_interval_that_is_too_narrow_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def half(values, groups, draws, seed):
        low, high = original(values, groups, draws=draws, seed=seed)
        middle = (low + high) / 2
        return (low + middle) / 2, (high + middle) / 2

    original = module.bootstrap_ci
    monkeypatch.setattr(module, "bootstrap_ci", half)
    found = coverage(200, seed=1)
    assert not found["margin"]["within"]
    assert not found["accuracy"]["within"]
