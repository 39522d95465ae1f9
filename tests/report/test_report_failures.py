"""All failures: each wrong or unreadable answer of test, counted by function, with its picture."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

from PIL import Image

from headscope.report.contents import StudyContents
from headscope.report.failures import CONTEXTS, all_failures
from headscope.storage import Row


def failed_rows(study: StudyContents) -> list[Row]:
    return [r for r in study.answers or () if r["split"] == "test" and not r["correct"]]


def test_every_failure_of_test_is_there_once_with_what_was_said(study: StudyContents) -> None:
    found = all_failures(study)
    assert found is not None
    wrong = failed_rows(study)
    assert found.of == len(found.rows) == len(wrong) > 50
    mine = sorted((found.cases[r[0]]["id"], r[2], r[3], r[5]) for r in found.rows)
    assert mine == sorted((r["case"], r["context"], r["question"], r["answer"]) for r in wrong)
    places = [list(CONTEXTS).index(r[2]) for r in found.rows]
    assert places == sorted(places)
    lowest = min((r for r in wrong if r["context"] == "gold"), key=lambda r: r["margin"])
    assert (found.cases[found.rows[0][0]]["id"], found.rows[0][3]) == (lowest["case"], lowest["question"])


def test_the_table_counts_failures_of_all_answers_by_function_and_context(study: StudyContents) -> None:
    found = all_failures(study)
    assert found is not None
    rows = [r for r in study.answers or () if r["split"] == "test"]
    line = dict(zip(found.header, next(r for r in found.counts if r[0] == "counting"), strict=True))
    for context in ("gold", "alone", "own"):
        asked = [r for r in rows if r["function"] == "counting" and r["context"] == context]
        wrong = sum(not r["correct"] for r in asked)
        assert line[CONTEXTS[context]] == f"{wrong} of {len(asked)}"
    assert line[CONTEXTS["wrong"]] == "–"


def test_an_answer_that_is_none_of_the_choices_is_unreadable_and_shown_as_it_was_written(
    study: StudyContents,
) -> None:
    first = failed_rows(study)[0]
    rows = [
        {**r, "answer": None, "text": "well, <b>maybe</b>"} if r["item"] == first["item"] else r
        for r in study.answers or ()
    ]
    found = all_failures(replace(study, answers=tuple(rows)))
    assert found is not None
    unread = [r for r in found.rows if r[7]]
    assert [(found.cases[r[0]]["id"], r[5]) for r in unread] == [(first["case"], "well, <b>maybe</b>")]
    assert sum("(1 unreadable)" in cell for row in found.counts for cell in row) == 1


def test_pictures_are_small_and_what_does_not_fit_is_counted(study: StudyContents) -> None:
    found = all_failures(study)
    assert found is not None
    head, _, body = found.cases[0]["picture"].partition(",")
    assert head == "data:image/webp;base64"
    assert max(Image.open(io.BytesIO(base64.b64decode(body))).size) <= 128
    room = len(found.cases[0]["picture"])
    few = all_failures(study, most_bytes=room)
    assert few is not None
    assert [c["id"] for c in few.cases] == [found.cases[0]["id"]]
    assert 0 < len(few.rows) < few.of == found.of
    seven = all_failures(study, most=7)
    assert seven is not None
    assert seven.rows == found.rows[:7]


def test_without_cases_failures_stand_without_pictures_and_without_answers_not_at_all(
    study: StudyContents,
) -> None:
    bare = all_failures(replace(study, cases=None))
    assert bare is not None
    assert {case["picture"] for case in bare.cases} == {""}
    assert all_failures(replace(study, answers=None)) is None
