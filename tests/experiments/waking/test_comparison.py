"""Paired tables and head gains on made-up numbers whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from headscope.experiments.waking.comparison import Readings, variant_table
from headscope.experiments.waking.summary import contrasts, summary
from headscope.experiments.waking.wake_result import Mediation, WrongName

NOT_READ = WrongName(), Mediation()


def row(item, correct, margin=0.0, **more):
    base = {
        "item": item, "image": f"i{item // 2}", "correct": correct, "margin": margin, "function": "counting",
        "context": "alone", "crowding": "2-3", "range": "trained",
        "pointing": "named", "leak": "", "masked": 0.5, "share": None,
    }  # fmt: skip
    return {**base, **more}


def planted(n=200, help_from=100):
    """Plain answers alternate; ``both`` is right on all crowded items, ``equal_area`` changes nothing."""
    crowded = [{"crowding": "8+", "range": "beyond"} if i >= help_from else {} for i in range(n)]
    plain = [row(i, i % 2 == 0, **c) for i, c in enumerate(crowded)]
    both = [row(i, i >= help_from or i % 2 == 0, margin=1.0, **c) for i, c in enumerate(crowded)]
    return Readings({"plain": plain, "both": both, "equal_area": plain}, draws=300, seed=1)


def test_a_planted_gain_on_crowded_pictures_is_found_there_and_only_there():
    table = variant_table(planted(), "both", ("2-3", "8+"), ("counting",)).content()
    assert table["beyond"]["delta_points"] == 50
    assert table["beyond"]["p"] < 0.001
    assert table["in_training_range"]["delta_points"] == 0
    assert table["in_training_range"]["p"] == 1
    assert table["all"]["delta_points"] == 25
    assert list(table["by_crowding"]) == ["2-3", "8+"]
    assert table["by_crowding"]["8+"] == table["beyond"]
    assert table["beyond"]["margin_delta"] == 1
    assert table["beyond"]["accuracy_before"] == 50
    assert table["beyond"]["images"] == 50
    assert table["masked"] == {"all": 0.5, "in_training_range": 0.5, "beyond": 0.5}
    assert table["share_of_spotlight_area"]["all"] is None


def test_items_that_need_unnamed_things_stay_out_of_the_comparison_but_are_shown():
    readings = planted()
    for variant, rows in readings.rows.items():
        for r in rows[:20]:
            r["pointing"] = "unnamed needed"
            if variant == "both":
                r["correct"] = False
    table = variant_table(readings, "both", (), ()).content()
    assert table["all"]["n"] == 180
    assert table["by_pointing"]["unnamed needed"]["delta_points"] == -50


def test_margins_that_are_missing_are_left_out_of_the_margin_alone():
    readings = planted(20, 10)
    readings.rows["both"][3]["margin"] = None
    found = readings.compare("both", "plain", np.ones(20, bool))
    assert found is not None
    assert found.n == 20
    assert found.margin_delta == 1
    assert readings.compare("both", "plain", np.zeros(20, bool)) is None


def test_where_no_range_is_known_there_is_no_set_of_questions_by_range():
    readings = planted()
    for r in (r for rows in readings.rows.values() for r in rows):
        r["range"] = None
    table = variant_table(readings, "both", ("2-3", "8+"), ("counting",))
    assert not {"beyond", "in_training_range", "beyond_by_function"} & set(table.content())
    assert table.masked == {"all": 0.5}
    assert set(contrasts(readings, ["equal_area"])["both - equal_area"]) == {"all"}
    found = summary({"both": table}, {"both": {"all": None}}, *NOT_READ).content()
    assert "delta_points_in_training_range" not in found["both"]


def test_contrasts_pair_the_same_questions():
    found = contrasts(planted(), ["equal_area"])
    assert list(found) == ["both - equal_area"]
    assert found["both - equal_area"]["beyond"].delta_points == 50


def test_questions_that_a_box_answers_are_left_out_of_the_headline_and_shown_apart():
    readings = planted()
    for variant, rows in readings.rows.items():
        for r in rows[150:]:
            r["leak"] = "place" if r["item"] < 180 else "size"
            r["correct"] = variant == "both"
    table = variant_table(readings, "both", (), ())
    assert table.all.n == 150
    assert table.all.delta_points == pytest.approx(100 * 25 / 150)
    assert table.leaky.n == 50
    assert table.leaky.delta_points == 100
    assert {name: found.n for name, found in table.by_leak.items()} == {"place": 30, "size": 20}
    said = summary({"both": table}, {"both": {"all": None}}, *NOT_READ).pointing
    assert (said.headline.n, said.headline.pictures, said.headline.plain) == (150, 75, 50)
    assert said.headline.delta_points == table.all.delta_points
    assert (said.leaky.n, said.leaky.delta_points) == (50, 100)


def test_forced_choice_goes_by_the_sign_of_the_margin():
    readings = planted(40, 20)
    for i, r in enumerate(readings.rows["plain"]):
        r["margin"] = -1.0 if i % 4 else 0.5
    found = readings.compare("both", "plain", np.ones(40, bool))
    assert found.forced_points == 75  # both: all margins are 1; plain: every fourth is above 0
    assert found.forced_ci[0] <= 75 <= found.forced_ci[1]


def test_a_control_that_some_pictures_have_no_room_for_is_held_against_the_same_questions():
    readings = planted(40, 20)
    few = Readings({**readings.rows, "empty_window": readings.rows["plain"][10:30]}, 300, 1)
    on = few.on("empty_window")
    assert [r["item"] for r in on.rows["both"]] == list(range(10, 30))
    found = contrasts(few, ["empty_window", "equal_area"])
    assert found["both - empty_window"]["all"].n == 20
    assert found["both - empty_window"]["all"].delta_points == 25  # 5 of the ten crowded questions of 20
    assert found["both - equal_area"]["all"].n == 40


def test_the_summary_is_over_all_questions_whatever_their_crowding():
    table = variant_table(planted(40, 20), "both", (), ())
    found = summary({"both": table}, {"both": {"all": None}}, *NOT_READ).content()
    assert found["both"]["delta_points"] == 25
    assert found["both"]["random_box_delta_points"] is None
    assert found["both"]["head_gain_spatial"] is None
