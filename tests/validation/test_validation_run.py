"""The run as a whole: units are kept, nothing is repeated, and a changed constructor is refused."""

from __future__ import annotations

import subprocess
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from made_up_validation import made_up_summary

from headscope.errors import StoreError, StudyError
from headscope.validation import run
from headscope.validation.nulls import share
from headscope.validation.planted import frozen
from headscope.validation.planted.harder_plan import NEW_LEVELS
from headscope.validation.settings import QUICK, ValidateSettings, settings_for
from headscope.validation.stability import correlations, halved, recurring
from headscope.validation.validation_result import ValidationResult


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two units that only note that they were asked."""
    seen: list[str] = []

    def units(out: Path, settings: ValidateSettings) -> dict:
        return {name: (lambda n=name: seen.append(n) or {"name": n}) for name in ("one", "two")}

    monkeypatch.setattr(run, "_units", units)
    monkeypatch.setattr(run, "_summary", lambda *_: ValidationResult.model_validate(made_up_summary()))
    return seen


def test_finished_units_are_kept_and_never_repeated(tmp_path: Path, calls: list[str]) -> None:
    first = run.validate_method(tmp_path, settings=QUICK)
    (kept,) = (tmp_path / "units").glob("two-*.json")
    kept.unlink()  # as if the run had been killed before its second unit was done
    again = run.validate_method(tmp_path, settings=QUICK)
    assert calls == ["one", "two", "two"]
    assert first == again == ValidationResult.load(tmp_path / "summary.json")


def test_units_come_back_under_their_names_from_as_many_processes_as_asked() -> None:
    work = {"one": partial(abs, -1), "two": partial(abs, -2)}
    for workers in (1, 2):
        found = dict(run._computed(work, workers))
        assert {name: unit["value"] for name, unit in found.items()} == {"one": 1, "two": 2}
        assert all(unit["seconds"] >= 0 for unit in found.values())


def test_what_is_left_is_not_done_once_a_unit_has_failed(tmp_path: Path) -> None:
    slow = {
        str(i): partial(subprocess.run, ["sh", "-c", f"sleep 0.3; touch '{tmp_path / str(i)}'"])
        for i in range(60)
    }
    with pytest.raises(ValueError, match="invalid literal"):
        dict(run._computed({"bad": partial(int, "x"), **slow}, 2))
    time.sleep(1)
    assert len(list(tmp_path.iterdir())) < 30


def test_the_full_run_judges_claims_at_the_size_of_the_demo() -> None:
    full = settings_for()
    assert (full.claim_questions, full.claim_pictures) == (100, 60)
    assert {*NEW_LEVELS, "plain"} <= set(full.claim_levels)
    names = [n for n in run._units(Path("none"), full) if n.startswith("claims ")]
    assert len(names) == len(full.claim_levels) * full.claim_seeds
    assert all(int(n.split()[-1]) >= run.FIRST for n in names)


def test_other_settings_in_the_same_folder_are_refused(tmp_path: Path, calls: list[str]) -> None:
    run.validate_method(tmp_path, settings=QUICK)
    with pytest.raises(StoreError, match="other settings"):
        run.validate_method(tmp_path, settings=replace(QUICK, seeds=2))


@pytest.mark.parametrize("name", ["FROZEN", "FROZEN_EXTENDED"])
def test_a_constructor_that_changed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(frozen, name, "0" * 16)
    with pytest.raises(StudyError, match="freeze the new one before any method is scored"):
        run.validate_method(tmp_path, settings=QUICK)


def test_the_full_run_is_as_large_as_its_bars_ask() -> None:
    full = settings_for()
    assert full.label_permutations >= 200
    assert full.replicates >= 500
    assert full.simulations >= 2000
    assert (full.probe_seeds, full.halvings) == (5, 3)
    assert settings_for(quick=True, seeds=3) == replace(QUICK, seeds=3)
    with pytest.raises(StudyError):
        settings_for(seeds=0)


def test_a_share_of_claims_is_held_against_its_bound() -> None:
    claims = np.zeros((400, 1), dtype=bool)
    claims[:26] = True
    assert share(claims, 0.05)["within"]  # 6.5 %: within two standard errors of 5 %
    claims[:32] = True
    assert not share(claims, 0.05)["within"]  # 8 %


def test_halves_share_no_image_and_leave_nothing_out() -> None:
    images, items = np.repeat(np.arange(10), 3), np.arange(3, 30)
    one, other = halved(images, items, seed=0)
    assert sorted([*one, *other]) == list(items)
    assert not set(images[one]) & set(images[other])


def test_correlations_are_means_over_pairs_and_functions() -> None:
    up, down = np.array([[1.0, 2, 3], [1, 2, 3]]), np.array([[1.0, 2, 3], [3, 2, 1]])
    assert correlations({"a": up, "b": down}) == pytest.approx(0.0)
    assert correlations({"a": up, "b": up, "c": up}) == pytest.approx(1.0)
    assert correlations({"a": up}) is None


def test_recurring_heads_are_in_every_top_list() -> None:
    tables = [np.array([[5.0, 4, 3, 0]]), np.array([[0.0, 5, 4, 3]])]
    assert recurring(tables, ["f"], k=2) == {"f": {"always": [1], "sometimes": [0, 2]}}
