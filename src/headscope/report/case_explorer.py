"""Case by case: test cases to choose from, with every answer of the model; and all of its wrong answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from headscope.data.schema import Case
from headscope.errors import HeadscopeError
from headscope.experiments.waking.questions import BOTH
from headscope.functions import MAIN
from headscope.report.charts.base import words
from headscope.report.contents import StudyContents
from headscope.report.measure import select
from headscope.report.pictures import Picture, case_picture
from headscope.report.theme import number
from headscope.storage import Row

MOST_CASES, MOST_FAILURES = 30, 300
CONTEXTS = ("alone", "own", "gold")
POINTED = "pointed"
HEADER = ("case", "function", "question", "truth", "said", "margin")
Answers = Mapping[str, Mapping[tuple[str, str], Row]]


@dataclass(frozen=True)
class ExploredCases:
    """Cases of test with their answers, for the page's script.

    Attributes:
        cases: each ``id``, ``kind``, ``picture``, ``width``, ``height``, ``boxes`` (x, y, width, height,
            name) and ``steps``; a step has ``function``, ``question``, ``truth`` and ``answers``: context ->
            (said, whether right, margin).
        contexts: those that occur, in order; ``pointed``: asked alone on the picture that points.
        of: how many cases of test there are.
    """

    cases: tuple[Row, ...]
    contexts: tuple[str, ...]
    of: int


def explored(study: StudyContents, most: int = MOST_CASES) -> ExploredCases | None:
    """Cases of test, those with most wrong answers to gold steps and main questions first; ties by id.

    Returns:
        None without cases or answers.
    """
    cases = study.cases
    if cases is None or not study.answers:
        return None
    answers = _answers(study)
    wrong: dict[str, int] = defaultdict(int)
    for (name, _), row in answers["gold"].items():
        wrong[name] += not row["correct"]
    known = [case for case in cases if case.id in wrong]
    shown: list[Row] = []
    for case in sorted(known, key=lambda c: (-wrong[c.id], c.id)):
        if len(shown) == most:
            break
        try:
            picture = case_picture(cases, case)
        except HeadscopeError:
            continue
        shown.append(_explored(case, picture, answers))
    contexts = tuple(c for c in (*CONTEXTS, POINTED) if answers.get(c))
    return ExploredCases(tuple(shown), contexts, len(known)) if shown else None


def _answers(study: StudyContents) -> Answers:
    """Context -> (case, step) -> the row of its answer on test."""
    found: dict[str, dict[tuple[str, str], Row]] = {c: {} for c in (*CONTEXTS, POINTED)}
    for row in study.answers or ():
        if row.get("split") == "test" and row["context"] in CONTEXTS:
            found[row["context"]][row["case"], row["step"]] = row
    for row in study.wake.rows if study.wake else ():
        if row["variant"] == BOTH and row["context"] == "alone" and row["split"] == "test":
            found[POINTED][row["case"], row["step"]] = row
    return found


def _explored(case: Case, picture: Picture, answers: Answers) -> Row:
    steps = []
    for step in (*case.steps, case.main_step()):
        given = {c: _said(row) for c, rows in answers.items() if (row := rows.get((case.id, step.id)))}
        name = "main question" if step.id == MAIN else words(step.function)
        truth = step.answer if step.answered else "unanswered"
        steps.append({"function": name, "question": step.question, "truth": truth, "answers": given})
    return {
        "id": case.id,
        "kind": case.kind,
        "picture": picture.uri,
        "width": picture.width,
        "height": picture.height,
        "boxes": picture.boxes,
        "steps": steps,
    }


def _said(row: Row) -> tuple[str, bool, str]:
    said = row["answer"] if row.get("answer") is not None else row.get("text")
    return str(said or "").strip() or "(nothing)", bool(row["correct"]), number(row.get("margin"), 2, True)


def failures(study: StudyContents, most: int = MOST_FAILURES) -> tuple[list[tuple[str, ...]], int]:
    """Wrong answers on test after true answers to earlier steps, the surest first; and how many there are.

    Returns:
        Rows as ``HEADER`` names them, at most ``most``.
    """
    wrong = [r for r in select(study, context="gold") if not r["correct"]]
    wrong.sort(key=lambda r: (r.get("margin") if r.get("margin") is not None else 0.0, r["case"], r["step"]))
    rows: list[tuple[str, ...]] = []
    for row in wrong[:most]:
        said, _, margin = _said(row)
        name = "main question" if row["step"] == MAIN else words(row["function"])
        rows.append((row["case"], name, row["question"], row["truth"], said, margin))
    return rows, len(wrong)
