"""The wake experiment on a tiny model: what is read, when, and whether its numbers are those of its rows."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from headscope.errors import StoreError, StudyError
from headscope.experiments.choices import frozen
from headscope.experiments.context import ExperimentContext
from headscope.experiments.waking import measuring
from headscope.experiments.waking.experiment import spatial_heads, wake
from headscope.experiments.waking.questions import WakeSettings, choose, questions_of, show
from headscope.experiments.waking.wake_result import WakeResult
from headscope.functions import DEFAULT
from headscope.models.geometry import Head
from headscope.models.vlm import VLM
from headscope.pointing.boxes import CaseBoxes, GivenBoxes
from headscope.storage import read_json, read_table

SETTINGS = WakeSettings(
    max_items=60, select_items=18, max_new_tokens=3, unit_items=25, draws=200,
    training_things=(2, 7),
)  # fmt: skip


SIMPLE = ("equal_area", "other_boxes", "empty_window")


class StubAtlas:
    """Ranks heads as given."""

    def top(self, function, k, by=None):
        order = {
            "spatial_perception": [Head(0, 1), Head(1, 2)],
            "relational_reasoning": [Head(1, 2), Head(2, 0)],
        }
        return order.get(function, [Head(2, 3), Head(0, 1)])[:k]


@pytest.fixture(scope="module")
def cases(tmp_path_factory, make_cases):
    return make_cases(tmp_path_factory.mktemp("cases"))


def run(vlm, cases, folder, settings=SETTINGS):
    """The content of ``wake.json``."""
    context = ExperimentContext(vlm, cases, cases.splits, folder, seed=5, batch_size=16)
    result = wake(context, StubAtlas(), settings=settings)
    assert WakeResult.load(folder / "wake.json") == result
    return read_json(folder / "wake.json")


@pytest.fixture(scope="module")
def study(tiny, cases, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return run(tiny, cases, folder), folder


def test_every_number_of_a_variant_is_that_of_its_rows(study):
    found, folder = study
    rows = read_table(folder / "wake.parquet")
    plain = {r["item"]: r for r in rows if r["variant"] == "plain"}
    checked = 0
    for variant, table in found["test"].items():
        mine = [r for r in rows if r["variant"] == variant]
        assert {r["item"] for r in mine} <= set(plain)
        assert len(mine) == len(plain) or variant in ("other_boxes", "empty_window")
        for name, kept in (("in_training_range", range(2, 8)), ("beyond", range(8, 99)), ("all", range(99))):
            named = [r for r in mine if r["pointing"] == "named" and r["things"] in kept]
            part = [r for r in named if not r["leak"]]
            if not part:  # no empty ground between eight things of this size
                assert (variant, table[name]) == ("empty_window", None)
                continue
            change = [r["correct"] - plain[r["item"]]["correct"] for r in part]
            margins = [r["margin"] - plain[r["item"]]["margin"] for r in part]
            assert table[name]["n"] == len(part) > 0
            assert table[name]["delta_points"] == pytest.approx(100 * np.mean(change))
            assert table[name]["margin_delta"] == pytest.approx(np.mean(margins))
            assert table[name]["ci"][0] <= table[name]["delta_points"] <= table[name]["ci"][1]
            checked += 1
    assert checked >= 15
    contrast = found["contrasts"]["both - equal_area"]["all"]["delta_points"]
    all_deltas = {v: t["all"]["delta_points"] for v, t in found["test"].items()}
    assert contrast == pytest.approx(all_deltas["both"] - all_deltas["equal_area"])


def test_the_summary_is_over_all_that_tests_pointing_and_has_every_field(study):
    found, _ = study
    both = found["summary"]["both"]
    assert set(both) == {
        "delta_points", "ci", "random_box_delta_points", "equal_area_delta_points",
        "reverse_mask_delta_points", "delta_points_in_training_range", "head_gain_spatial", "head_gain_other",
    }  # fmt: skip
    assert all(v is not None for v in both.values())
    assert both["delta_points"] == found["test"]["both"]["all"]["delta_points"]
    gain = found["gains"]["both"]["all"]["contribution"]["spatial"]["value"]
    assert both["head_gain_spatial"] == gain
    pointing = found["summary"]["pointing"]
    assert pointing["headline"]["n"] == found["test"]["both"]["all"]["n"]
    controls = {name: found["test"][name]["all"]["delta_points"] for name in SIMPLE}
    assert {name: pointing["controls"][name] for name in SIMPLE} == controls
    assert pointing["leaky"]["delta_points"] == found["test"]["both"]["leaky"]["delta_points"]
    assert pointing["with_spatial_heads_muted"] is None  # no ablation was given
    assert found["mediation"]["reason"] == "no heads are frozen for a spatial function"


def test_of_a_model_that_states_no_training_range_nothing_is_said_of_one(tiny, cases, tmp_path):
    few = replace(SETTINGS, training_things=None, max_items=12, select_items=6, controls=("equal_area",))
    found = run(tiny, cases, tmp_path, few)
    assert found["settings"]["training_things"] is None
    assert "delta_points_in_training_range" not in found["summary"]["both"]
    sets = [found["test"]["both"], found["gains"]["both"], found["contrasts"]["both - equal_area"]]
    sets += [found["test"]["both"][k] for k in ("masked", "share_of_spotlight_area")]
    assert all("all" in one for one in sets)
    assert not {"beyond", "in_training_range", "beyond_by_function"} & {name for one in sets for name in one}
    assert not any("trained" in line for line in found["caveats"])
    assert {r["range"] for r in read_table(tmp_path / "wake.parquet")} == {None}


def test_only_questions_that_name_something_are_read_and_steps_alone(study):
    found, folder = study
    rows = [r for r in read_table(folder / "wake.parquet") if r["variant"] == "plain"]
    assert {r["pointing"] for r in rows} == {"named", "unnamed needed"}
    assert all(r["context"] == "alone" for r in rows if r["function"] != "main")
    assert {r["context"] for r in rows if r["function"] == "main"} == {"alone", "gold"}
    assert not any(r["function"] in ("counting", "decision_making") for r in rows)
    leaks = {(r["function"], r["leak"]) for r in rows if r["pointing"] == "named"}
    assert leaks == {
        ("main", ""),
        ("spatial_perception", "place"),
        ("object_recognition", "presence"),  # "Is there a cake?"
    }
    assert (
        found["questions"]["test"]["found"]["nothing named"] == 16
    )  # "How many things are there?", 16 cases
    assert set(found["test"]["both"]["by_crowding"]) == {"2-3", "4-7", "8+"}


def test_gains_of_heads_are_ratios_of_mean_norms(study, tiny, cases):
    found, folder = study
    assert found["spatial_heads"] == ["L0H1", "L1H2", "L2H3"]  # the top one of each spatial function
    rows = [r for r in read_table(folder / "wake.parquet") if r["pointing"] == "named"]
    names = [h["head"] for h in found["heads"]]
    spatial = [h for h in found["heads"] if h["spatial"]]
    assert [h["head"] for h in spatial] == ["L0H1", "L1H2", "L2H3"]
    for variant in ("plain", "both"):
        mean = np.mean([r["norm_spatial"] for r in rows if r["variant"] == variant])
        assert mean == pytest.approx(np.mean([h[f"contribution_{variant}"] for h in spatial]), rel=1e-4)
        mean = np.mean(
            [r["mass_other"] for r in rows if r["variant"] == variant and r["mass_other"] is not None]
        )
        others = [h[f"attention_{variant}"] for h in found["heads"] if not h["spatial"]]
        assert mean == pytest.approx(np.mean(others), rel=1e-4)
    for part, want in (("spatial", True), ("other", False)):
        median = np.median([h["contribution_gain"] for h in found["heads"] if h["spatial"] == want])
        assert found["gains"]["both"]["all"]["contribution"][part]["value"] == pytest.approx(median, rel=1e-6)
    assert found["waking"]["primary"]["difference"] == pytest.approx(
        found["gains"]["both"]["all"]["contribution"]["difference"]["value"]
    )
    assert names == [str(h) for h in tiny.geometry.heads]


def test_the_style_is_frozen_before_test_is_read(study):
    found, folder = study
    choice = frozen(folder, "wake")
    accuracies = {s: t["accuracy"] for s, t in found["select"].items()}
    assert set(accuracies) == {"box", "spotlight", "both", "crop"}
    assert accuracies[choice["style"]] == max(accuracies.values())
    units = list((folder / "wake").glob("test-*.json"))
    assert units
    assert (folder / "choices.json").stat().st_mtime_ns < min(p.stat().st_mtime_ns for p in units)


def test_a_killed_run_ends_with_the_same_bytes_and_repeats_no_finished_unit(
    study, tiny, cases, tmp_path, monkeypatch
):
    _, folder = study
    real, calls = measuring.ask, []

    def counted(*args, **kwargs):
        calls.append(1)
        if len(calls) == 14:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(measuring, "ask", counted)
    with pytest.raises(KeyboardInterrupt):
        run(tiny, cases, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "wake").glob("*.json")}
    assert len(before) > 3
    run(tiny, cases, tmp_path)
    assert all(p.stat().st_mtime_ns == t for p, t in before.items())
    done = len(calls)
    run(tiny, cases, tmp_path)
    assert len(calls) == done
    for name in ("wake.json", "wake.parquet", "choices.json"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_other_settings_in_the_same_folder_are_refused(study, tiny, cases):
    _, folder = study
    with pytest.raises(StoreError, match="other settings"):
        run(tiny, cases, folder, WakeSettings(max_items=30))


def test_unknown_styles_and_controls_are_refused():
    with pytest.raises(StudyError, match="style 'halo'; there are: box"):
        WakeSettings(styles=("halo",))
    with pytest.raises(StudyError, match="control 'halo'; there are: random_box"):
        WakeSettings(controls=("halo",))


def test_cases_without_boxes_end_in_a_result_that_says_so(tiny, make_cases, tmp_path):
    cases = make_cases(tmp_path / "cases", 6, boxes=False)
    found = run(tiny, cases, tmp_path / "study")
    assert found["questions"]["test"] == {
        "read": 0, "found": {"no boxes known": 24}, "ids": found["questions"]["test"]["ids"],
    }  # fmt: skip
    assert found["summary"]["both"]["delta_points"] is None
    assert found["choice"]["style"] == "both"
    assert read_json(tmp_path / "study" / "wake.json")["test"]["both"]["all"] is None


def test_without_an_atlas_there_are_no_gains_but_all_else(tiny, cases, tmp_path):
    few = WakeSettings(
        max_items=12, select_items=6, max_new_tokens=2, attention=False, draws=50, styles=("both",),
        controls=("equal_area",),
    )  # fmt: skip
    found = wake(ExperimentContext(tiny, cases, cases.splits, tmp_path), None, settings=few)
    assert found.gains["both"]["all"] is None
    assert found.test["both"].all.n > 0
    assert set(found.test) == {"both", "equal_area"}


def test_boxes_by_hand_can_take_the_place_of_those_of_the_cases(tiny, cases, tmp_path):
    few = WakeSettings(max_items=12, select_items=6, max_new_tokens=2, draws=50, styles=("box",), controls=())
    context = ExperimentContext(tiny, cases, cases.splits, tmp_path)
    found = wake(context, None, settings=few, boxes=GivenBoxes(((1, 1, 20, 20),)))
    assert found.boxes == {"source": "GivenBoxes", "given": [[1, 1, 20, 20]]}
    rows = [r for r in read_table(tmp_path / "wake.parquet") if r["variant"] == "both"]
    assert all(json.loads(r["boxes"]) == [[1, 1, 20, 20]] for r in rows)


def test_the_choice_of_questions_is_seeded_even_and_blind_to_order(cases):
    everything = questions_of(cases, cases.splits, "test", DEFAULT, CaseBoxes(), SETTINGS)
    chosen = choose(everything, 30, seed=1)
    assert choose(list(reversed(everything)), 30, seed=1) == chosen
    assert choose(everything, 30, seed=2) != chosen
    assert len(chosen) == 30
    kinds = Counter(q.kind for q in chosen)
    assert kinds == {"named": 21, "leaky": 6, "unnamed needed": 3}
    for kind, count in (("named", 6), ("leaky", 6)):  # main in two contexts, or two functions; three bins
        strata = Counter((q.item.function, q.item.context, q.crowding) for q in chosen if q.kind == kind)
        assert len(strata) == count
        assert max(strata.values()) - min(strata.values()) <= 1
    assert len(choose(everything, 1000, seed=1)) == sum(q.kind != "nothing named" for q in everything)


def test_an_unknown_variant_is_refused(cases):
    question = questions_of(cases, cases.splits, "test", DEFAULT, CaseBoxes(), SETTINGS)[0]
    with pytest.raises(StudyError, match="variant 'halo'; there are: plain, box"):
        show("halo", cases.image(question.item.case), question, SETTINGS.look, 0)


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(StudyError, match="max_items is 0"):
        WakeSettings(max_items=0)


def test_data_without_spatial_steps_have_no_spatial_heads(tiny: VLM) -> None:
    class Judged:
        functions = ("object_recognition", "decision_making")

        def top(self, function: str, k: int) -> list[Head]:
            assert function in self.functions
            return list(tiny.geometry.heads[:k])

    assert spatial_heads(tiny, Judged(), DEFAULT, WakeSettings()) == ()
