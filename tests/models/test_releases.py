"""Releases of transformers: what is admitted is what was tried; others are told of, or refused."""

from __future__ import annotations

import re
import tomllib
import warnings
from pathlib import Path

import pytest

from family_survey.releases import differing
from headscope.errors import ModelError, UntriedReleaseWarning
from headscope.models import releases, vlm
from headscope.models.releases import Release, SurveyDifference, TriedReleases, tried
from headscope.models.survey import load
from headscope.models.vlm import load_model, proof_or_refusal

ROOT = Path(__file__).parents[2]


def release(version: str) -> Release:
    return Release(version, 3, 1, 1, 1, 9, 0)


MADE_UP = TriedReleases(
    (release("5.24.0"), release("5.23.1"), release("5.18.0")),
    (
        SurveyDifference("5.23.1", "one", "PROVED", ""),
        SurveyDifference("5.18.0", "two", "absent", ""),
        SurveyDifference("5.18.0", "old", "PARTLY", "no batch"),
    ),
)
NEWEST = {"one": ("REFUSED", "it fails"), "two": ("PROVED", "")}


def test_pyproject_admits_what_the_matrix_passed_and_the_pinned_release_is_the_newest() -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    assert f"transformers{tried().bounds}" in dependencies
    assert f"transformers=={tried().newest}\n" in (ROOT / "constraints.txt").read_text("utf-8")


def test_no_test_failed_on_the_newest_release_the_one_before_and_the_oldest_that_is_admitted() -> None:
    for one in tried().releases:
        assert (one.failed, one.passed > 100) == (0, True), one
        assert one.proved + one.partly + one.refused == one.classes
    newest, before, *_ = (releases.minor_of(one.release) for one in tried().releases)
    assert newest == (before[0], before[1] + 1)


def test_the_counts_of_every_release_are_those_of_its_rows() -> None:
    newest = {row.family: (row.status, row.reason) for row in load()}
    for one in tried().releases:
        found = [status for status, _ in tried().found(one.release, newest).values()]
        counts = [found.count(status) for status in ("PROVED", "PARTLY", "REFUSED")]
        assert [one.proved, one.partly, one.refused] == counts, one


def test_rows_of_a_release_come_back_from_what_differs() -> None:
    older = {"one": ("PROVED", ""), "old": ("PARTLY", "no batch")}
    made = TriedReleases(MADE_UP.releases, differing(NEWEST, {"5.18.0": older}))
    assert made.found("5.18.0", NEWEST) == older
    assert made.found("5.24.0", NEWEST) == NEWEST


@pytest.mark.parametrize("installed", ["5.24.0", "5.24.3", "5.23.0", "5.18.1"])
def test_a_release_that_is_admitted_is_met_with_silence(
    installed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releases, "tried", lambda: MADE_UP)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        releases.check_release(installed)


@pytest.mark.parametrize("installed", ["5.25.0", "5.26.0.dev0", "6.0.1", "5.20.2"])
def test_a_release_that_was_not_tried_gives_one_warning_at_load(
    installed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releases, "tried", lambda: MADE_UP)
    monkeypatch.setattr(vlm, "_transformers", lambda: installed)
    with pytest.warns(UntriedReleaseWarning, match=re.escape(f"transformers {installed} is")) as told:
        load_model("embedded")
    assert [one.filename for one in told if one.category is UntriedReleaseWarning] == [__file__]
    assert "pip install 'transformers>=5.18.0,<5.25,!=5.19.*,!=5.20.*,!=5.21.*,!=5.22.*'" in str(
        told[0].message
    )


@pytest.mark.parametrize("installed", ["5.17.0", "4.57.6"])
def test_a_release_that_is_too_old_is_refused_at_load(
    installed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releases, "tried", lambda: MADE_UP)
    monkeypatch.setattr(vlm, "_transformers", lambda: installed)
    with pytest.raises(ModelError, match=re.escape(f"transformers {installed} is installed; the oldest")):
        load_model("embedded")


def test_a_family_that_fails_on_this_release_is_sent_to_one_where_it_held(
    tiny: vlm.VLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_vlm: vlm.VLM) -> None:
        raise AttributeError("no image_outputs")

    there = TriedReleases(MADE_UP.releases, (SurveyDifference("5.23.1", "llava", "PROVED", ""),))
    monkeypatch.setattr(releases, "tried", lambda: there)
    monkeypatch.setattr(vlm, "_transformers", lambda: "5.24.0")
    expected = "AttributeError: no image_outputs; its heads are proved with transformers 5.23.1: pip install"
    with pytest.raises(ModelError, match=expected):
        proof_or_refusal(tiny, fails)
    monkeypatch.setattr(vlm, "_transformers", lambda: "5.23.1")
    with pytest.raises(ModelError, match=r"no image_outputs$"):
        proof_or_refusal(tiny, fails)
