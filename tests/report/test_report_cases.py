"""Case by case: the cases with most wrong answers first, each answer as the study holds it."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

from headscope.experiments.ablation_result import AblationResult
from headscope.experiments.item_answers import ItemAnswers
from headscope.report.case_explorer import MUTED, POINTED, explored
from headscope.report.contents import StudyContents


def test_cases_with_most_wrong_answers_come_first(study: StudyContents) -> None:
    found = explored(study, most=8)
    assert found is not None
    wrong = Counter(
        r["case"]
        for r in study.answers or ()
        if r["split"] == "test" and r["context"] == "gold" and not r["correct"]
    )
    assert len(found.cases) == 8
    counts = [wrong[c["id"]] for c in found.cases]
    assert counts == sorted(wrong.values(), reverse=True)[:8]
    tested = {r["case"] for r in study.answers or () if r["split"] == "test" and r["context"] == "gold"}
    assert found.of == len(tested)


def test_every_answer_is_that_of_its_step_and_context(study: StudyContents) -> None:
    found = explored(study, most=4)
    assert found is not None
    assert study.cases is not None
    rows = {(r["case"], r["step"], r["context"]): r for r in study.answers or ()}
    seen = 0
    for shown in found.cases:
        case = study.cases.by_id[shown["id"]]
        assert [s["question"] for s in shown["steps"]] == [
            s.question for s in (*case.steps, case.main_step())
        ]
        for step, given in zip((*case.steps, case.main_step()), shown["steps"], strict=True):
            for context in ("alone", "own", "gold"):
                row = rows.get((case.id, step.id, context))
                assert (row is None) == (context not in given["answers"])
                if row is not None:
                    said, right, *_ = given["answers"][context]
                    assert (said, right) == (row["answer"], row["correct"])
                    seen += 1
    assert seen > 20


def test_heads_muted_stand_beside_the_plain_answer_where_the_study_kept_them(
    study: StudyContents, study_folder: Path, tmp_path: Path
) -> None:
    before = explored(study)
    assert before is not None
    assert MUTED not in before.contexts
    for name in ("ablation.json", "ablation.parquet"):
        shutil.copy(study_folder / name, tmp_path / name)
    about = {"context": "gold", "question": "?", "truth": "left", "muted": "spatial_perception"}
    rows = [
        {
            **{"item": f"{case.id}/{step.id}/gold", "case": case.id, "function": step.function, **about},
            **{"edit": edit, "scope": scope, "correct": edit == "zero", "margin": 1.25, "readable": True},
        }
        for case in study.cases or ()
        for step in case.steps
        for edit, scope in (("mean", "all"), ("zero", "last"), ("zero", "all"))
    ]
    ItemAnswers(questions=1, edits=3).with_rows(rows).save(tmp_path / "ablation-answers.json")
    found = explored(study.having(ablate=AblationResult.load(tmp_path / "ablation.json")))
    assert found is not None
    assert MUTED in found.contexts
    for case in found.cases:
        for step in case["steps"]:
            own = step["function"] == "spatial perception"  # other steps' own heads were not muted
            assert step["answers"].get(MUTED) == (("right", True, "+1.25", "") if own else None)


def test_what_heads_write_where_the_picture_points_is_that_of_the_same_question(
    study: StudyContents,
) -> None:
    found = explored(study)
    assert found is not None
    assert study.wake is not None
    norms = {(r["variant"], r["item"]): r for r in study.wake.rows if r["split"] == "test"}
    told = 0
    for case in found.cases:
        for step, given in zip((*study.cases.by_id[case["id"]].steps, None), case["steps"], strict=True):
            name = f"{case['id']}/{step.id if step else 'main'}/alone"
            if POINTED in given["answers"]:
                before, after = norms["plain", name], norms["both", name]
                growth = 100 * (after["norm_spatial"] / before["norm_spatial"] - 1)
                assert f"spatial heads {growth:+.0f} %".replace("-", "−") in given["answers"][POINTED][3]
                told += 1
    assert told > 5


def test_without_cases_or_answers_nothing_is_explored(study: StudyContents) -> None:
    assert explored(replace(study, cases=None)) is None
    assert explored(replace(study, answers=None)) is None
