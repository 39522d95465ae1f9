"""Paired tables and head gains on made-up numbers whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from headscope.experiments.waking.comparison import HeadSums, Readings, gains, head_gains, variant_table
from headscope.experiments.waking.summary import contrasts, summary


def row(item, correct, margin=0.0, **more):
    base = {
        "item": item, "image": f"i{item // 2}", "correct": correct, "margin": margin, "function": "counting",
        "context": "alone", "crowding": "2-3", "range": "trained",
        "pointing": "named", "masked": 0.5, "share": None,
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
    found = summary({"both": table}, {"both": {"all": None}}).content()
    assert found["population"] == "all"
    assert "delta_points_in_training_range" not in found["both"]


def test_contrasts_pair_the_same_questions():
    found = contrasts(planted(), ["equal_area"])
    assert list(found) == ["both - equal_area"]
    assert found["both - equal_area"]["beyond"].delta_points == 50


def test_the_summary_falls_back_to_all_questions_where_none_is_crowded():
    table = variant_table(planted(40, 40), "both", (), ())
    found = summary({"both": table}, {"both": {"all": None}}).content()
    assert found["population"] == "all"
    assert found["both"]["delta_points"] == 0
    assert found["both"]["random_box_delta_points"] is None
    assert found["both"]["head_gain_spatial"] is None


def entry(image, norm, mass, n=1, n_mass=1, **more):
    return {"image": image, "norm": norm, "mass": mass, "n": n, "n_mass": n_mass, **more}


def test_head_gains_recover_what_was_planted():
    rng = np.random.default_rng(0)
    base = rng.uniform(1, 2, (40, 4))
    factor = np.array([1.5, 1.5, 1.1, 1.0])
    plain = HeadSums.of([entry(f"i{i}", b, b / 10) for i, b in enumerate(base)], 4, lambda e: True)
    lit = HeadSums.of([entry(f"i{i}", b * factor, b / 10) for i, b in enumerate(base)], 4, lambda e: True)
    found = gains(plain, lit, np.array([True, True, False, False]), draws=200).content()
    one = found["contribution"]
    assert one["spatial"]["value"] == pytest.approx(0.5)
    assert one["other"]["value"] == pytest.approx(0.05)
    assert one["difference"]["value"] == pytest.approx(0.45)
    assert one["difference"]["ci"] == pytest.approx([0.45, 0.45])
    assert found["attention"]["spatial"]["value"] == pytest.approx(0)
    assert found["images"] == 40


def test_the_interval_of_a_gain_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(100):
        base = rng.uniform(1, 2, (30, 4))
        noise = np.array([1.3, 1.3, 1.0, 1.0]) + rng.normal(0, 0.2, (30, 4))
        plain = HeadSums.of([entry(f"{i:02}", b, b) for i, b in enumerate(base)], 4, lambda e: True)
        lit = HeadSums.of([entry(f"{i:02}", b, b) for i, b in enumerate(base * noise)], 4, lambda e: True)
        found = gains(plain, lit, np.array([1, 1, 0, 0], bool), 300, trial)
        low, high = found.contribution.difference.ci
        hits += low <= 0.3 <= high
    assert 88 <= hits <= 100


def test_sums_go_by_image_and_by_the_test():
    entries = [
        entry("a", [1, 2], [0, 0], range="beyond"),
        entry("a", [3, 4], [1, 1], n=2, range="trained"),
        entry("b", [5, 6], [2, 2], n_mass=0, range="trained"),
    ]
    sums = HeadSums.of(entries, 2, lambda e: True)
    assert sums.images == ("a", "b")
    assert sums.norm.tolist() == [[4, 6], [5, 6]]
    assert sums.count.tolist() == [3, 1]
    assert HeadSums.of(entries, 2, lambda e: e["range"] == "beyond").norm.tolist() == [[1, 2]]


def test_without_images_or_without_two_sets_of_heads_there_is_no_gain():
    none = HeadSums.of([], 2, lambda e: True)
    some = HeadSums.of([entry("a", [1, 2], [0, 0])], 2, lambda e: True)
    assert gains(none, none, np.array([True, False])) is None
    assert gains(some, some, np.array([False, False])) is None
    assert gains(some, some, np.array([True, True])) is None
    assert np.isnan(head_gains(np.array([0.0]), np.array([1.0]))[0])
