"""The words of the summary follow from the numbers, also where these are against the expectation."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_fixture import build_study

from headscope.report.contents import StudyContents, read_contents
from headscope.report.estimates import Estimate
from headscope.report.findings import HOLDS, NOT_RUN, OPPOSITE, UNCLEAR, UNTESTABLE, banner, findings, verdict
from headscope.report.measure import chance, majority
from headscope.report.methods import methods
from headscope.report.page import write_report
from headscope.report.paragraph import paragraph
from headscope.report.summary import summarise, write_summary


def _of(study: StudyContents, anchor: str) -> list[str]:
    return [f.verdict for f in findings(study) if f.anchor == anchor]


def muted(study: StudyContents, **changes: Any) -> StudyContents:
    """The study with other numbers in every muting test."""
    assert study.ablation is not None
    tests = {f: test.model_copy(update=changes) for f, test in study.ablation.functions.items()}
    return study.having(ablate=study.ablation.model_copy(update={"functions": tests}))


def test_a_claim_holds_only_if_its_interval_is_clear_of_zero() -> None:
    assert verdict(Estimate(3, 1, 5)) == HOLDS
    assert verdict(Estimate(3, -1, 5)) == UNCLEAR
    assert verdict(Estimate(-3, -5, -1)) == OPPOSITE
    assert verdict(Estimate(-3, -5, -1), wanted=-1) == HOLDS
    assert verdict(Estimate(3)) == UNCLEAR


def test_strong_losses_beyond_controls_are_claimed(study: StudyContents) -> None:
    assert _of(study, "muting") == [HOLDS] * 3
    text = paragraph(study)
    assert "Beyond random heads: 3 of 3 spatial functions" in text


UP, DOWN, FLAT = Estimate(0.1, 0.05, 0.15), Estimate(-0.1, -0.15, -0.05), Estimate(0.0, -0.05, 0.05)


@pytest.mark.parametrize(
    ("own", "gold", "says"),
    [
        (UP, UP, "Asking step by step helps main questions: "),
        (DOWN, UP, "Asking step by step hurts main questions: "),
        (FLAT, UP, "True answers to the steps help main questions, the model's own do not clearly: "),
        (None, DOWN, "True answers to the steps hurt main questions: "),
        (FLAT, FLAT, "Asking step by step does not clearly change main questions: "),
    ],
)
def test_help_by_true_answers_is_not_taken_for_help_by_the_models_own(study, monkeypatch, own, gold, says):
    given = {"own": own, "gold": gold}
    monkeypatch.setattr("headscope.report.paragraph.paired", lambda _s, _f, context, _a: given[context])
    assert says in paragraph(study)


def test_losses_within_controls_are_not_claimed(study: StudyContents) -> None:
    weak = muted(study, claimed=False, q=0.4)
    assert _of(weak, "muting") == [UNCLEAR] * 3
    assert "Beyond random heads: 0 of 3 spatial functions." in paragraph(weak)


def test_heads_without_enough_matched_control_sets_are_not_testable(study: StudyContents) -> None:
    assert _of(muted(study, claimed=False, not_testable="no sets"), "muting") == [UNTESTABLE] * 3
    assert _of(muted(study, claimed=False, distinct=70), "muting") == [UNTESTABLE] * 3


def test_a_finding_names_q_and_the_distinct_sets_behind_it_not_the_draws(study: StudyContents) -> None:
    few = muted(study, draws=200, distinct=20, q=0.031)
    told = [f.measured for f in findings(few) if f.anchor == "muting"]
    assert told
    assert all("q = 0.031, 20 distinct sets" in text and "200" not in text for text in told)
    told_of = dict(methods(few))["Muting"][-1]
    assert "too few for a claim, which needs 200: " in told_of
    assert "spatial perception 20" in told_of


def test_the_headline_of_emphasis_is_the_one_chosen_on_select_not_the_best_on_test(
    study: StudyContents,
) -> None:
    assert study.emphasis is not None
    worse = {"delta_points": -9.0, "ci": (-12.0, -6.0), "claimed": False}
    better = {"delta_points": 50.0, "ci": (40.0, 60.0), "claimed": True}
    headline = study.emphasis.headline
    assert headline is not None
    tests = {
        f: test.model_copy(update=worse if f == headline.function else better)
        for f, test in study.emphasis.functions.items()
    }
    said = {"functions": tests, "headline": headline.model_copy(update=worse)}
    changed = study.having(emphasize=study.emphasis.model_copy(update=said))
    assert _of(changed, "emphasis") == [OPPOSITE]
    assert "Turning heads up hurts" in paragraph(changed)


@pytest.mark.parametrize(
    ("changes", "says", "told"),
    [
        ({"claimed": True}, HOLDS, "helps"),
        ({"claimed": False}, UNCLEAR, "does not clearly help"),
        ({"claimed": False, "random_sets": 49}, UNTESTABLE, "was not tested against enough random heads"),
    ],
)
def test_emphasis_holds_only_where_it_is_claimed(study, changes, says, told) -> None:
    held = study.emphasis
    headline = held.headline.model_copy(update=changes)
    changed = study.having(emphasize=held.model_copy(update={"headline": headline}))
    assert _of(changed, "emphasis") == [says]
    assert f"Turning heads up {told}: " in paragraph(changed)


def test_emphasis_at_the_ceiling_is_not_testable_and_never_a_gain_of_nothing(
    study: StudyContents, tmp_path: Path
) -> None:
    assert study.emphasis is not None
    why = "no headroom: more than 85 % right on select as it is"
    rooms = {
        f: room.model_copy(update={"testable": False, "reason": why, "clean": 99.0})
        for f, room in study.emphasis.headroom.items()
    }
    made = study.emphasis.model_copy(update={"headline": None, "functions": {}, "headroom": rooms})
    changed = study.having(emphasize=made)
    (found,) = (f for f in findings(changed) if f.anchor == "emphasis-headroom")
    assert (found.verdict, found.measured) == (UNTESTABLE, why)
    assert f"Turning heads up could not be tested: {why}." in paragraph(changed)
    cell = summarise(changed).emphasis
    assert (cell.testable, cell.reason, cell.delta_points) == (False, why, None)


@pytest.mark.parametrize(
    ("changes", "says", "told"),
    [
        ({"difference": -3.0, "relabel_p": 0.012}, HOLDS, "scarcer than"),
        ({"difference": 3.0, "relabel_p": 0.012}, OPPOSITE, "more numerous than"),
        ({"difference": -3.0, "relabel_p": 0.095}, UNCLEAR, "not clearly scarcer than"),
    ],
)
def test_whether_spatial_heads_are_scarce_is_decided_by_relabelling_functions(
    study, changes, says, told
) -> None:
    held = study.atlas
    contrast = held.default_scarcity.model_copy(update=changes)
    table = {**held.scarcity, held.default_criterion: contrast}
    changed = study.having(probe=held.model_copy(update={"scarcity": table}))
    assert _of(changed, "scarcity") == [says]
    assert f"Spatial heads are {told} others" in paragraph(changed)


def waked(study: StudyContents, part: str, **changes: Any) -> StudyContents:
    """The study with other numbers in one part of what pointing found."""
    assert study.wake is not None
    held = getattr(study.wake, part)
    return study.having(wake=study.wake.model_copy(update={part: held.model_copy(update=changes)}))


def test_waking_needs_an_interval_above_zero_and_fewer_random_heads_that_do_as_much(
    study: StudyContents,
) -> None:
    assert study.wake is not None
    assert study.wake.waking is not None
    assert _of(study, "wake-heads") == [HOLDS]
    first = study.wake.waking.primary
    for changes, says in (
        ({"p": 0.2}, UNCLEAR),
        ({"p": None}, UNCLEAR),
        ({"ci": (-0.01, 0.3)}, UNCLEAR),
        ({"difference": -0.1, "ci": (-0.2, -0.05), "p": 1.0}, OPPOSITE),
    ):
        changed = waked(study, "waking", primary=first.model_copy(update=changes))
        assert _of(changed, "wake-heads") == [says]
        assert (says == OPPOSITE) == ("wakes spatial heads less" in paragraph(changed))


def test_the_gain_needs_the_spatial_heads_only_if_random_ones_of_their_layers_leave_more(
    study: StudyContents,
) -> None:
    assert _of(study, "wake-apart") == [HOLDS]  # p = 1/21
    assert _of(waked(study, "mediation", p=0.3), "wake-apart") == [UNCLEAR]
    assert _of(waked(study, "mediation", ci=(-1.0, 9.0)), "wake-apart") == [UNCLEAR]
    assert _of(waked(study, "mediation", p=None, reason="no sets"), "wake-apart") == [UNTESTABLE]
    assert _of(waked(study, "mediation", muted=None), "wake-apart") == []


def test_pointing_is_judged_on_what_boxes_do_not_tell_and_says_what_they_do(study: StudyContents) -> None:
    assert study.wake is not None
    (found,) = (f for f in findings(study) if f.anchor == "wake-styles")
    headline = study.wake.summary.pointing.headline
    assert f"n = {headline.n}; where they tell it" in found.measured
    assert "an absent thing gets the box’s place in 85.0 % (plain 12.5 %)" in found.measured


def test_parts_that_were_not_run_are_neither_claimed_nor_told(study: StudyContents) -> None:
    bare = replace(study, results={}, answers=None)
    assert {f.verdict for f in findings(bare)} == {NOT_RUN}
    assert paragraph(bare) == ""


def test_a_model_that_guesses_is_said_to_read_the_data_badly(tmp_path: Path) -> None:
    guessing = read_contents(build_study(tmp_path / "bad", count=60, stages=("capture",), skill=0.0))
    warned = banner(guessing)
    assert warned is not None
    assert warned[1]
    assert warned[0].startswith("This model reads these data badly")


def test_a_model_that_answers_well_gets_no_warning(study: StudyContents) -> None:
    right = tuple({**r, "correct": True} for r in study.answers or ())
    assert banner(replace(study, answers=right)) is None


def test_chance_and_majority_are_what_a_blind_guesser_reaches() -> None:
    rng = np.random.default_rng(0)
    choices = [["a", "b"], ["a", "b", "c", "d"], []]
    rows = [{"choices": choices[i % 3], "truth": "ab"[i % 5 == 0]} for i in range(300)]
    hits = [bool(r["choices"]) and rng.integers(len(r["choices"])) == 0 for r in rows for _ in range(200)]
    assert abs(chance(rows) - np.mean(hits)) < 0.01
    assert majority(rows) == 0.8


@pytest.fixture(scope="module")
def of_unknown_training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of a model that does not state what it was trained on."""
    return build_study(tmp_path_factory.mktemp("unknown") / "study", stated=False)


def test_of_a_model_that_states_nothing_the_page_says_nothing_of_its_training(
    of_unknown_training: Path, study: StudyContents
) -> None:
    told = re.compile(
        r"(the model|it) was trained on|train(ing|ed) range|as trained on|model never saw|new to the model|"
        r"its training|what the model knows|familiar ground|trained on 2"
    )
    for view, expected in ((study, True), (read_contents(of_unknown_training), False)):
        page = write_report(view.folder).read_text("utf-8")
        said = {m[0] for m in told.finditer(page)}
        assert bool(said) == expected, said
    unknown = read_contents(of_unknown_training)
    assert "which of them are new to this model is not known" in page
    assert unknown.wake is not None
    summary = write_summary(of_unknown_training)
    both, shown = summary.wake.both, unknown.wake.test["both"].all
    assert both is not None
    assert shown is not None
    assert "delta_points_in_training_range" not in both.model_fields_set
    assert both.delta_points == shown.delta_points


def test_choices_that_the_model_does_not_want_are_said_on_top_of_the_page(study: StudyContents) -> None:
    rows = tuple({**row, "total": 0.001} for row in study.answers or ())
    said = banner(replace(study, answers=rows))
    assert said is not None
    assert "all choices together have less than 1% of the probability" in said[0]
    before = banner(study)
    assert before is None or "all choices together" not in before[0]
