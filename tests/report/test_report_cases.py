"""Case by case: the cases with most wrong answers first, each answer as the study holds it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from headscope.report.case_explorer import HEADER, explored, failures
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
                    said, right, _ = given["answers"][context]
                    assert (said, right) == (row["answer"], row["correct"])
                    seen += 1
    assert seen > 20


def test_all_wrong_answers_stand_in_the_list_the_surest_first(study: StudyContents) -> None:
    rows, count = failures(study)
    wrong = [
        r for r in study.answers or () if r["split"] == "test" and r["context"] == "gold" and not r["correct"]
    ]
    assert count == len(rows) == len(wrong) > 0
    assert all(len(row) == len(HEADER) for row in rows)
    lowest = min(wrong, key=lambda r: r["margin"])
    assert rows[0][:3] == (lowest["case"], rows[0][1], lowest["question"])
    few, same = failures(study, most=2)
    assert few == rows[:2]
    assert same == count


def test_without_cases_or_answers_nothing_is_explored(study: StudyContents) -> None:
    assert explored(replace(study, cases=None)) is None
    assert explored(replace(study, answers=None)) is None
    assert failures(replace(study, answers=None)) == ([], 0)
