"""Views say what the stages' files say, in the units of the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headscope.report.sources import read_study
from headscope.report.views import StudyView
from headscope.storage import read_table


def _json(folder: Path, name: str) -> dict:
    found: dict = json.loads((folder / name).read_text())
    return found


def test_muting_is_read_with_every_control_draw(study: StudyView, study_folder: Path) -> None:
    content = _json(study_folder, "ablation.json")["functions"]["spatial_perception"]
    assert study.ablation is not None
    test = next(t for t in study.ablation.tests if t.function == t.measured == "spatial_perception")
    assert test.drop.value == content["drop_points"]
    assert [test.drop.low, test.drop.high] == content["ci"]
    assert test.before == pytest.approx(content["accuracy_clean"] / 100)
    rows = read_table(study_folder / "ablation.parquet")
    assert list(test.controls) == [r["drop_points"] for r in rows if r["muted"] == "spatial_perception"]
    assert test.p == (1 + sum(c >= test.drop.value for c in test.controls)) / 201
    assert test.excess == pytest.approx(content["drop_points"] - content["control_mean"])


def test_losses_become_changes_with_their_intervals_turned(study: StudyView, study_folder: Path) -> None:
    cell = _json(study_folder, "ablation.json")["specificity"]
    assert study.ablation is not None
    matrix = study.ablation.specificity
    assert matrix is not None
    for i in range(len(matrix.rows)):
        for j in range(len(matrix.columns)):
            found = matrix.change[i][j]
            assert found is not None
            assert found.value == -cell["drop_points"][i][j]
            assert [found.low, found.high] == [-cell["ci"][i][j][1], -cell["ci"][i][j][0]]


def test_exactly_one_candidate_of_each_dose_curve_is_the_frozen_one(study: StudyView) -> None:
    assert study.ablation is not None
    chosen = [p.function for p in study.ablation.dose if p.chosen]
    assert sorted(chosen) == sorted({p.function for p in study.ablation.dose})


def test_heads_lie_where_their_layer_and_number_say(study: StudyView) -> None:
    assert study.atlas is not None
    assert study.atlas.rows == tuple(f"L{i}" for i in range(8))
    for label, (row, column) in zip(study.atlas.heads, study.atlas.places, strict=True):
        assert label == f"L{row}H{column}"
    assert [r.name for r in study.atlas.rankings] == ["joint", "independent", "answer", "causal"]


def test_wake_is_read_by_population_style_and_control(study: StudyView, study_folder: Path) -> None:
    content = _json(study_folder, "wake.json")
    assert study.wake is not None
    both = study.wake.delta("both", "beyond")
    assert both is not None
    assert both.delta.value == content["test"]["both"]["beyond"]["delta_points"]
    contrast = study.wake.delta("both", "all", against="equal_area")
    assert contrast is not None
    assert contrast.delta.value == content["contrasts"]["both - equal_area"]["all"]["delta_points"]
    assert study.wake.population == content["summary"]["population"] == "beyond"
    assert study.run.training.things == study.wake.trained_things == (2, 7)


def test_examples_are_changed_answers_one_a_case_in_turn(study: StudyView) -> None:
    assert study.wake is not None
    examples = study.wake.examples
    assert len({e.case for e in examples}) == len(examples) > 3
    assert all(e.before["correct"] != e.after["correct"] for e in examples)


def test_answers_know_the_picture_of_their_case(study: StudyView) -> None:
    assert study.answers is not None
    assert study.cases is not None
    assert all(r["image"] == study.cases.by_id[r["case"]].image for r in study.answers)


def test_a_taxonomy_brought_by_the_user_is_used(study_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(
        json.dumps({"name": "mine", "functions": {"up": "?"}, "spatial": ["up"]})
    )
    (tmp_path / "study.json").write_text(json.dumps({"taxonomy": "mine.json"}))
    assert read_study(tmp_path).taxonomy.spatial == {"up"}
    (tmp_path / "study.json").write_text(json.dumps({"taxonomy": str(tmp_path / "gone.json")}))
    study = read_study(tmp_path)
    assert study.taxonomy.name == "cogvsr-9"
    assert "taxonomy" in study.problems[0]


def test_an_unfinished_capture_is_said_to_be_so(study_folder: Path, tmp_path: Path) -> None:
    plan = _json(study_folder, "capture/plan.json")
    (tmp_path / "capture" / "shards").mkdir(parents=True)
    (tmp_path / "capture" / "plan.json").write_text(json.dumps(plan))
    study = read_study(tmp_path)
    assert study.answers is None
    assert "shards are missing" in study.problems[0]
