"""The report reads the stages' own results; what charts and sentences say is what the files say."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from headscope.functions import Taxonomy
from headscope.report.charts import ablation, heads
from headscope.report.charts.base import interval, negative
from headscope.report.contents import StudyContents, read_contents
from headscope.report.estimates import estimate, gained, lost
from headscope.report.findings import beyond_control, pointed
from headscope.report.pictures import examples
from headscope.storage import read_json, read_table
from headscope.study.record import StudyRecord, TaxonomyRecord


def _json(folder: Path, name: str) -> dict:
    found: dict = read_json(folder / name)
    return found


def test_muting_is_read_with_every_control_draw(study: StudyContents, study_folder: Path) -> None:
    content = _json(study_folder, "ablation.json")["functions"]["spatial_perception"]
    assert study.ablation is not None
    test = study.ablation.functions["spatial_perception"]
    drop = lost(test)
    assert (drop.value, [drop.low, drop.high]) == (content["drop_points"], content["ci"])
    controls = study.ablation.control_points("spatial_perception")
    rows = read_table(study_folder / "ablation.parquet")
    assert list(controls) == [r["drop_points"] for r in rows if r["muted"] == "spatial_perception"]
    assert test.p == (1 + sum(c >= drop.value for c in controls)) / 201
    assert test.excess_points == pytest.approx(content["drop_points"] - content["control_mean"])


def test_losses_become_changes_with_their_intervals_turned(study: StudyContents, study_folder: Path) -> None:
    cell = _json(study_folder, "ablation.json")["specificity"]
    figure = ablation.specificity(study)
    assert figure is not None
    for i, line in enumerate(figure.table):
        for j, text in enumerate(line[1:]):
            low, high = cell["forced_ci"][i][j]
            turned = negative(estimate(cell["forced_drop_points"][i][j], (low, high)))
            assert turned is not None
            assert (turned.value, turned.low, turned.high) == (-cell["forced_drop_points"][i][j], -high, -low)
            assert text == interval(turned, 1, True)


def test_exactly_one_candidate_of_each_dose_curve_is_the_frozen_one(study: StudyContents) -> None:
    figure = ablation.dose(study)
    assert figure is not None
    chosen = [row[0] for row in figure.table if row[-1] == "chosen"]
    assert sorted(chosen) == sorted({row[0] for row in figure.table})


def test_heads_lie_where_their_layer_and_number_say(study: StudyContents) -> None:
    assert study.atlas is not None
    names, places = heads.places(study.atlas)
    assert names == tuple(f"L{i}" for i in range(8))
    for head, (row, column) in zip(study.atlas.heads, places, strict=True):
        assert head.label == f"L{row}H{column}"
    assert [r.name for r in heads.rankings(study.atlas)] == ["joint", "independent", "answer", "causal"]


def test_wake_is_read_by_population_style_and_control(study: StudyContents, study_folder: Path) -> None:
    content = _json(study_folder, "wake.json")
    assert study.wake is not None
    both = pointed(study.wake)
    assert both is not None
    assert both.value == content["test"]["both"]["all"]["delta_points"]
    contrast = beyond_control(study.wake, "equal_area")
    assert contrast is not None
    assert contrast.value == content["contrasts"]["both - equal_area"]["all"]["delta_points"]
    crowded = study.wake.contrasts["both - equal_area"]["beyond"]
    assert crowded is not None
    assert gained(crowded).value == content["contrasts"]["both - equal_area"]["beyond"]["delta_points"]
    assert study.training.things == study.wake.training_things == (2, 7)


def test_examples_are_changed_answers_one_a_case_in_turn(study: StudyContents) -> None:
    assert study.wake is not None
    found = examples(study.wake)
    assert len({e.case for e in found}) == len(found) > 3
    assert all(e.before["correct"] != e.after["correct"] for e in found)


def test_answers_know_the_picture_of_their_case(study: StudyContents) -> None:
    assert study.answers is not None
    assert study.cases is not None
    assert all(r["image"] == study.cases.by_id[r["case"]].image for r in study.answers)


def test_a_taxonomy_brought_by_the_user_is_used(study: StudyContents, tmp_path: Path) -> None:
    mine = Taxonomy("mine", ("up",), frozenset({"up"}), frozenset(), frozenset({"up"}), {"up": "?"})
    assert study.record is not None
    study.record.model_copy(update={"taxonomy": TaxonomyRecord.of(mine)}).save(tmp_path / "study.json")
    assert read_contents(tmp_path).taxonomy == mine
    assert replace(study, record=None).taxonomy.name == "headscope-9"


def test_an_unfinished_capture_is_said_to_be_so(study_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "capture" / "shards").mkdir(parents=True)
    shutil.copyfile(study_folder / "capture" / "plan.json", tmp_path / "capture" / "plan.json")
    study = read_contents(tmp_path)
    assert study.answers is None
    assert "shards are missing" in study.problems[0]


def test_a_record_that_was_edited_is_named_with_its_field(study_folder: Path, tmp_path: Path) -> None:
    found = _json(study_folder, "study.json")
    (tmp_path / "study.json").write_text(json.dumps(found | {"seed": "one"}))
    (problem,) = read_contents(tmp_path).problems
    assert "study.json: seed: input should be a valid integer, found 'one'" in problem
    assert StudyRecord.load(study_folder / "study.json").seed == 1
