"""Example pictures for the page: a case step by step, and questions before and after pointing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headscope.data.schema import Case
from headscope.errors import HeadscopeError
from headscope.functions import MAIN
from headscope.report.headmap import data_uri
from headscope.report.stage_views import WakeExample
from headscope.report.views import StudyView

LONGEST = 384  # side of an example picture in pixels
Box = Sequence[float]


@dataclass(frozen=True)
class Picture:
    """A picture in the page; boxes are drawn over it, in its own pixels."""

    uri: str
    width: int
    height: int
    boxes: tuple[tuple[float, float, float, float, str], ...]  # x, y, width, height, name
    alt: str


@dataclass(frozen=True)
class BeforeAfter:
    """One question on the plain and on the marked picture."""

    example: WakeExample
    plain: Picture
    marked: Picture


@dataclass(frozen=True)
class WalkedCase:
    """A case with the model's answer to each step."""

    case: Case
    picture: Picture
    rows: tuple[dict[str, Any], ...]  # function, question, truth (None: unanswered), answer, correct, margin


def before_after(study: StudyView, most: int = 6) -> list[BeforeAfter]:
    """The study's wake examples whose pictures can be read."""
    from headscope.pointing.styles import STYLES, point

    found: list[BeforeAfter] = []
    cases = study.cases
    if study.wake is None or cases is None:
        return found
    for example in study.wake.examples:
        case = cases.by_id.get(example.case)
        if case is None or example.style not in STYLES or len(found) == most:
            continue
        try:
            image = cases.image(case)
            marked = point(example.style, image, [tuple(b) for b in example.boxes]).image  # type: ignore[misc]
        except HeadscopeError:
            continue
        boxes = [(*box, "") for box in example.boxes]
        alt = f"The picture of case {example.case}"
        found.append(
            BeforeAfter(
                example,
                _picture(image, boxes, f"{alt}, boxes of the named objects drawn over it"),
                _picture(marked, (), f"{alt} as the model saw it, marked in style {example.style}"),
            )
        )
    return found


def walked_case(study: StudyView) -> WalkedCase | None:
    """A test case with many steps (the first in order among the longest), and what the model answered."""
    cases = study.cases
    if cases is None or not study.answers:
        return None
    answers: dict[str, dict[str, dict[str, Any]]] = {}
    for row in study.answers:
        if row.get("split") == "test" and row["context"] in ("gold", "alone"):
            held = answers.setdefault(row["case"], {})
            if row["context"] == "gold" or row["step"] not in held:
                held[row["step"]] = row
    # Without boxes nothing is known of how crowded a picture is; with them, few things are easier to follow.
    known = [c for c in cases if c.id in answers and (not c.things or 2 <= c.things <= 5) and c.steps]
    for case in sorted(known, key=lambda c: (-len(c.steps), c.id)):
        try:
            image = cases.image(case)
        except HeadscopeError:
            continue
        boxes = [(*o.box, o.name) for o in case.objects if o.box is not None]
        rows = []
        for step in [*case.steps, case.main_step()]:
            row = answers[case.id].get(step.id if step.id != MAIN else MAIN, {})
            truth = step.answer if step.answered else None
            rows.append({"function": step.function, "question": step.question, "truth": truth, **_given(row)})
        return WalkedCase(case, _picture(image, boxes, f"The picture of case {case.id}"), tuple(rows))
    return None


def _given(row: dict[str, Any]) -> dict[str, Any]:
    """What the model answered; the text it wrote where no answer could be read from it."""
    answer = row.get("answer")
    return {
        "answer": row.get("text") if answer is None else answer,
        "correct": row.get("correct"),
        "margin": row.get("margin"),
    }


def _picture(image: Any, boxes: Sequence[tuple[Any, ...]], alt: str) -> Picture:
    """Large photographs are made smaller; small scenes are kept and enlarged by the browser."""
    from PIL import Image

    factor = min(1.0, LONGEST / max(image.size))
    if factor < 1:
        size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    drawn = tuple(
        (x0 * factor, y0 * factor, (x1 - x0) * factor, (y1 - y0) * factor, str(name))
        for x0, y0, x1, y1, name in boxes
    )
    return Picture(data_uri(image), image.width, image.height, drawn, alt)
