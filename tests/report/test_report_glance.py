"""The first screen: what was asked, which heads, what silencing them costs, what pointing changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from study_fixture import build_study

from headscope.report.contents import StudyContents, read_contents
from headscope.report.glance import Glance, glance, shown_function
from headscope.report.page import write_report


def with_tests(study: StudyContents, **changes: dict[str, object]) -> StudyContents:
    """The study with fields of some functions' muting tests changed."""
    assert study.ablation is not None
    tests = study.ablation.functions
    changed = {f: tests[f].model_copy(update=update) for f, update in changes.items()}
    return study.having(ablate=study.ablation.model_copy(update={"functions": {**tests, **changed}}))


@pytest.fixture(scope="module")
def shown(study: StudyContents) -> Glance:
    return glance(study)


def test_the_spatial_function_that_loses_most_among_those_that_are_claimed_is_shown(
    study: StudyContents,
) -> None:
    assert study.ablation is not None
    spatial = [f for f in study.ablation.functions if f in study.taxonomy.spatial]
    made = with_tests(
        study,
        **{
            spatial[0]: {"claimed": True, "forced_drop_points": 20.0},
            spatial[1]: {"claimed": True, "forced_drop_points": 30.0},
            spatial[2]: {"claimed": False, "forced_drop_points": 90.0},
            "counting": {"claimed": True, "forced_drop_points": 95.0},
        },
    )
    assert shown_function(made)[0] == spatial[1]
    none = with_tests(made, **{f: {"claimed": False} for f in spatial})
    assert shown_function(none)[0] == spatial[2], "where none is claimed, the one that loses most"


def test_the_map_outlines_the_heads_that_were_muted_and_no_others(
    study: StudyContents, shown: Glance
) -> None:
    _, test = shown_function(study)
    assert test is not None
    assert shown.map is not None
    assert len(shown.map.boxes) == len(test.heads)
    assert f"the {len(test.heads)} of 64" in shown.heads
    assert shown.asks == study.taxonomy.titles[shown_function(study)[0]]


def test_layers_in_which_no_head_may_be_chosen_are_named_with_what_they_cost(study: StudyContents) -> None:
    assert study.ablation is not None
    layers = tuple(
        found.model_copy(update={"left_out": found.layer == 1, "forced_drop_points": 8.1})
        for found in study.ablation.layers
    )
    made = glance(study.having(ablate=study.ablation.model_copy(update={"layers": layers})))
    assert "None is chosen in layer 1, where muting random heads costs 8.1 points, averaged" in made.heads
    none = tuple(found.model_copy(update={"left_out": False}) for found in layers)
    made = glance(study.having(ablate=study.ablation.model_copy(update={"layers": none})))
    assert "None is chosen" not in made.heads


def test_bars_are_as_long_as_what_they_stand_for(study: StudyContents) -> None:
    name, _ = shown_function(study)
    values = {"forced_drop_points": 80.0, "forced_ci": (60.0, 100.0), "forced_control_mean": 5.0}
    _, test = shown_function(study)
    assert test is not None
    assert test.elsewhere is not None
    others = test.elsewhere.model_copy(update={"points": 2.5})
    values |= {"forced_control_max": 10.0, "forced_clean": 98.0, "elsewhere": others}
    made = glance(with_tests(study, **{name: values}))
    own, random = made.bars
    a_point = 300 / 100  # the picture is as wide as the greatest number
    assert own.size == pytest.approx(80 * a_point)
    assert random.size == pytest.approx(5 * a_point)
    assert own.low == pytest.approx(4 + 60 * a_point)
    assert (random.low, random.high) == (pytest.approx(4 + 5 * a_point), pytest.approx(4 + 10 * a_point))
    assert "80.0 [60.0, 100.0] points of forced choice" in made.silenced
    assert "from 98.0 % right to 18.0 %; with as many" in made.silenced
    assert "lose 2.5 on average. That these heads serve" in made.silenced
    assert "random heads of the same layers 5.0, at most 10.0" in made.silenced


def test_a_loss_below_zero_begins_left_of_zero(study: StudyContents) -> None:
    name, _ = shown_function(study)
    values = {"forced_drop_points": 90.0, "forced_ci": (80.0, 95.0), "forced_control_mean": -4.0}
    own, random = glance(with_tests(study, **{name: {**values, "forced_control_max": 1.0}})).bars
    assert random.start == pytest.approx(4)
    assert random.start + random.size == pytest.approx(own.start)


def test_heads_that_are_not_claimed_are_shown_with_the_reason(study: StudyContents) -> None:
    why = {"claimed": False, "verdict": "not functional: random heads hurt as much"}
    made = glance(with_tests(study, **dict.fromkeys(study.taxonomy.spatial, why)))
    assert "Not functional: random heads hurt as much." in made.silenced
    assert made.silenced_verdict in ("not shown", "not testable")


def test_what_was_not_run_is_said_in_its_place(tmp_path: Path) -> None:
    folder = build_study(tmp_path / "half", count=12, stages=("capture", "probe"))
    made = glance(read_contents(folder))
    assert made.walked is not None
    assert made.map is not None
    assert made.bars == ()
    assert made.pair is None
    text = write_report(folder).read_text("utf-8")
    screen = text[text.index('<section id="glance">') : text.index('<section id="summary">')]
    assert screen.count("<b>Not run.</b>") == 2
    assert f"headscope ablate --study {folder}" in screen


def test_the_first_screen_holds_the_question_the_bars_and_both_pictures(page: Path, shown: Glance) -> None:
    text = page.read_text("utf-8")
    screen = text[text.index('<section id="glance">') : text.index('<section id="summary">')]
    assert "64 attention heads in 8 layers. Which of them serve" in text
    assert screen.count('<svg class="scene"') == 3
    assert screen.count('<svg class="map"') == 1
    assert screen.count('<svg class="bars"') == 1
    assert shown.walked is not None
    assert all(bar.value in screen for bar in shown.bars)
