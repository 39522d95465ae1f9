"""Steps without an answer are named on the page as such, with the reason, and counted by function."""

from __future__ import annotations

from dataclasses import replace

from headscope.data.cases import Cases
from headscope.data.schema import Case
from headscope.report import unanswered
from headscope.report.contents import StudyContents
from headscope.report.page import render
from headscope.report.pictures import walked_case
from headscope.report.run_facts import facts
from headscope.report.sections import sections
from headscope.report.svg import draw


def emptied(case: Case) -> Case:
    """The case with its second step unanswered."""
    steps = list(case.steps)
    steps[1] = steps[1].model_copy(update={"answer": "", "origin": "unanswered"})
    return case.model_copy(update={"steps": tuple(steps)})


def page_of(study: StudyContents) -> str:
    return render(study, parts := sections(study), {f.name: draw(f.spec()) for s in parts for f in s.figures})


def test_the_worked_case_says_unanswered_and_why(study: StudyContents) -> None:
    walked = walked_case(study)
    assert walked is not None
    assert study.cases is not None
    cases = Cases(study.cases.folder, [emptied(c) if c.id == walked.case.id else c for c in study.cases])
    lacking = replace(study, cases=cases)
    text = page_of(lacking)
    figure = text[text.index('<figure id="case">') :].partition("</figure>")[0]
    assert figure.count("<td>unanswered</td><td>not asked</td>") == 1
    assert "nobody has looked at the picture for it yet" in figure
    every = sum(len(c.steps) for c in cases)
    function = walked.case.steps[1].function
    of = sum(s.function == function for c in cases for s in c.steps)
    (note,) = unanswered.note(lacking)
    assert note.startswith(f"1 of {every:,} steps have no answer in the data and were left out")
    assert f"{function.replace('_', ' ')} 1 of {of}." in note
    assert note in text
    assert dict(facts(lacking))["Steps"].endswith(", 1 of them unanswered and left out")


def test_a_page_of_answered_steps_says_nothing_of_it(study: StudyContents) -> None:
    assert unanswered.note(study) == []
    assert "unanswered" not in page_of(study)
    assert "unanswered" not in dict(facts(study)).get("Steps", "")


def test_cases_without_boxes_are_walked_through_too(study: StudyContents) -> None:
    assert study.cases is not None
    bare = [
        c.model_copy(
            update={
                "objects": (),
                "named": (),
                "steps": tuple(s.model_copy(update={"objects": ()}) for s in c.steps),
            }
        )
        for c in study.cases
    ]
    found = replace(study, cases=Cases(study.cases.folder, bare))
    walked = walked_case(found)
    assert walked is not None
    assert walked.picture.boxes == ()
    assert "hover for names" not in page_of(found)
