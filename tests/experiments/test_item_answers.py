"""Answers item by item: what the result says of functions follows from them, and asking again gives them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

import headscope as hs
from edits.fixtures import make_atlas
from experiments.test_ablation import KNOBS
from headscope.data.cases import Cases
from headscope.errors import DamagedError, StudyError
from headscope.experiments.ablation import ablate
from headscope.experiments.ablation_result import AblationResult
from headscope.experiments.context import ExperimentContext
from headscope.models.vlm import VLM


@pytest.fixture(scope="module")
def folder(tiny: VLM, cases: Cases, splits: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds one whole experiment."""
    made = tmp_path_factory.mktemp("answers")
    ablate(ExperimentContext(tiny, cases, splits, made), make_atlas(tiny), KNOBS)
    return made


@pytest.fixture
def result(folder: Path) -> AblationResult:
    return AblationResult.load(folder / "ablation.json")


def own(table: pd.DataFrame, function: str, edit: str, muted: str | None, scope: str = "all") -> pd.DataFrame:
    """The rows of a function's own questions in gold context under one edit."""
    rows = table[(table.function == function) & (table.context == "gold") & (table.edit == edit)]
    return rows[rows.muted.isna()] if muted is None else rows[(rows.muted == muted) & (rows.scope == scope)]


def test_what_muting_costs_follows_from_the_answers(result: AblationResult) -> None:
    table = result.answers()
    assert {"item", "edit", "correct", "margin", "readable"} <= set(table.columns)
    for name, found in result.functions.items():
        plain = own(table, name, "none", None).set_index("item")
        assert len(plain) == found.n
        for way, effect in found.mutes.items():
            muted = own(table, name, way, name).set_index("item")
            assert len(muted) == effect.n
            before = plain.loc[muted.index]
            lost = 100 * (before.correct.mean() - muted.correct.mean())
            assert lost == pytest.approx(effect.drop_points)
            assert (before.margin - muted.margin).mean() == pytest.approx(effect.margin_drop)
        for scope, effect in found.scopes.items():
            muted = own(table, name, "zero", name, scope)
            assert (plain.margin.mean() - muted.margin.mean()) == pytest.approx(effect.margin_drop)
    matrix = result.specificity
    assert matrix is not None
    for i, muted_name in enumerate(matrix.muted):
        for j, measured in enumerate(matrix.measured):
            lost = own(table, measured, "none", None).correct.mean()
            lost -= own(table, measured, "zero", muted_name).correct.mean()
            assert 100 * lost == pytest.approx(matrix.drop_points[i][j])


def test_no_question_stands_twice_under_one_edit(result: AblationResult) -> None:
    table = result.answers()
    assert not table.duplicated(["item", "edit", "muted", "scope"]).any()
    alone, main = (table[table.context == "alone"], table[table.function == "main"])
    assert not alone.empty
    assert not main.empty


def test_asking_the_model_again_gives_the_same_answers(
    result: AblationResult, tiny: VLM, cases: Cases
) -> None:
    name, found = next(iter(result.functions.items()))
    table = own(result.answers(), name, "zero", name).set_index("case")
    plain = own(result.answers(), name, "none", None).set_index("case")
    for case in (c for c in cases if c.id in table.index):
        index, step = next((i, s) for i, s in enumerate(case.steps) if s.function == name)
        before = [(s.question, s.answer) for s in case.steps[:index]]
        image = cases.image(case)
        read = hs.read(tiny, image, step.question, step.choices or (step.answer,), history=before)
        assert (read.answer == step.answer) == plain.loc[case.id, "correct"]
        with hs.edit(tiny, found.heads, hs.mute()):
            muted = hs.read(tiny, image, step.question, step.choices or (step.answer,), history=before)
        if len(step.choices) > 1:
            wrong = max(v for c, v in muted.logprobs.items() if c != step.answer)
            margin = muted.logprobs[step.answer] - wrong
            assert table.loc[case.id, "margin"] == pytest.approx(margin, abs=1e-4)


def test_answers_that_are_not_there_or_were_changed_are_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "study")
    file = tmp_path / "study" / "ablation-answers.parquet"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(DamagedError, match=r"ablation-answers\.parquet"):
        AblationResult.load(tmp_path / "study" / "ablation.json").answers()
    file.unlink()
    file.with_suffix(".json").unlink()
    older = AblationResult.load(tmp_path / "study" / "ablation.json")
    with pytest.raises(StudyError, match=r"made before answers were kept: delete .*ablate\.json and run"):
        older.answers()
    with pytest.raises(StudyError, match="in memory alone"):
        AblationResult(settings={}, functions={}).answers()
