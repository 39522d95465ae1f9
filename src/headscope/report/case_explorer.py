"""Case by case: test cases to choose from, with every answer of the model, heads muted and pointed at too."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from headscope.data.schema import Case
from headscope.errors import HeadscopeError
from headscope.experiments.waking.questions import BOTH, PLAIN
from headscope.functions import MAIN
from headscope.report.charts.base import words
from headscope.report.contents import StudyContents
from headscope.report.pictures import Picture, case_picture
from headscope.report.theme import number
from headscope.storage import Row

MOST_CASES = 30
CONTEXTS = ("alone", "own", "gold")
MUTED, POINTED = "muted", "pointed"
Said = tuple[str, bool, str]
Answers = Mapping[str, Mapping[tuple[str, str], Row]]


@dataclass(frozen=True)
class ExploredCases:
    """Cases of test with their answers, for the page's script.

    Attributes:
        cases: each ``id``, ``kind``, ``picture``, ``width``, ``height``, ``boxes`` (x, y, width, height,
            name) and ``steps``; a step has ``function``, ``question``, ``truth`` and ``answers``: context ->
            (said, whether right, margin, what heads wrote).
        contexts: those that occur, in order; ``muted``: after true steps, the heads of the step's function
            muted; ``pointed``: asked alone on the picture that points.
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
            picture = case_picture(cases, case, exact=False)
        except HeadscopeError:
            continue
        shown.append(_explored(case, picture, answers))
    contexts = tuple(c for c in (*CONTEXTS, MUTED, POINTED) if answers.get(c))
    return ExploredCases(tuple(shown), contexts, len(known)) if shown else None


def _answers(study: StudyContents) -> Answers:
    """Context -> (case, step) -> the row of its answer on test."""
    found: dict[str, dict[tuple[str, str], Row]] = {c: {} for c in (*CONTEXTS, MUTED, POINTED)}
    for row in study.answers or ():
        if row.get("split") == "test" and row["context"] in CONTEXTS:
            found[row["context"]][row["case"], row["step"]] = row
    found[MUTED] |= _muted(study)
    woken = [r for r in (study.wake.rows if study.wake else ()) if r["split"] == "test"]
    plain = {r["item"]: r for r in woken if r["variant"] == PLAIN}
    for row in woken:
        if row["variant"] == BOTH and row["context"] == "alone":
            wrote = _wrote(plain.get(row["item"]), row)
            found[POINTED][row["case"], row["step"]] = {**row, "wrote": wrote}
    return found


def _muted(study: StudyContents) -> dict[tuple[str, str], Row]:
    """(case, step) -> how a step was answered after true steps with its function's heads muted."""
    try:
        rows = study.ablation.answers().to_dict("records") if study.ablation else []
    except HeadscopeError:  # made before answers were kept
        return {}
    found = {}
    for row in rows:
        own = row["muted"] == row["function"] and (row["edit"], row["scope"]) == ("zero", "all")
        if own and row["context"] == "gold":
            said = "right" if row["correct"] else "wrong" if row["readable"] else "unreadable"
            step = str(row["item"]).removeprefix(f"{row['case']}/").rpartition("/")[0]
            found[row["case"], step] = {**row, "answer": said}
    return found


def _wrote(before: Row | None, after: Row) -> str:
    """How much more the heads wrote on the picture that points."""
    told = []
    for group in ("spatial", "other"):
        one, two = (before or {}).get(f"norm_{group}"), after.get(f"norm_{group}")
        if one and two is not None:
            told.append(f"{group} heads {number(100 * (two / one - 1), 0, True)} %")
    return ", ".join(told)


def _explored(case: Case, picture: Picture, answers: Answers) -> Row:
    steps = []
    for step in (*case.steps, case.main_step()):
        given = {
            c: (*said_of(row), row.get("wrote", ""))
            for c, rows in answers.items()
            if (row := rows.get((case.id, step.id)))
        }
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


def said_of(row: Row) -> Said:
    """What was said (the text where no answer can be read from it), whether it is right, and the margin."""
    said = row["answer"] if row.get("answer") is not None else row.get("text")
    return str(said or "").strip() or "(nothing)", bool(row["correct"]), number(row.get("margin"), 2, True)
