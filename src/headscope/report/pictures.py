"""Example pictures for the page: a case step by step, and questions before and after pointing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from headscope.data.cases import Cases
from headscope.data.schema import Case
from headscope.errors import HeadscopeError
from headscope.experiments.patching.result import FollowedPair, PatchResult
from headscope.experiments.waking.questions import BOTH, PLAIN
from headscope.experiments.waking.wake_result import WakeResult
from headscope.functions import MAIN
from headscope.report.contents import StudyContents
from headscope.report.headmap import data_uri
from headscope.storage import Row

if TYPE_CHECKING:
    from PIL.Image import Image

LONGEST = 384  # side of an example picture in pixels
_GAP = 8  # pixels between several pictures of a case
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
class WakeExample:
    """One question before and after marking.

    Attributes:
        before, after: ``answer``, ``margin``, ``correct``.
        woken: group of heads -> relative growth of its mean contribution on this question.
    """

    case: str
    question: str
    truth: str
    style: str
    before: Row
    after: Row
    boxes: tuple[tuple[float, float, float, float], ...]
    woken: dict[str, float]
    function: str = ""


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
    rows: tuple[Row, ...]  # function, question, truth (None: unanswered), answer, correct, margin


def before_after(study: StudyContents, most: int = 6) -> list[BeforeAfter]:
    """The study's wake examples whose pictures can be read."""
    from headscope.pointing.styles import STYLES, point

    found: list[BeforeAfter] = []
    cases = study.cases
    if study.wake is None or cases is None:
        return found
    for example in examples(study.wake):
        case = cases.by_id.get(example.case)
        if case is None or example.style not in STYLES or len(found) == most:
            continue
        try:
            image = cases.image(case)
            marked = point(example.style, image, example.boxes).image
        except HeadscopeError:
            continue
        alt = f"The picture of case {example.case}"
        found.append(
            BeforeAfter(
                example,
                picture_of(image, (), f"{alt}, plain"),
                picture_of(marked, (), f"{alt} as the model saw it, marked in style {example.style}"),
            )
        )
    return found


@dataclass(frozen=True)
class ShownPair:
    """Two pictures that differ in one fact, and their answers before and after patching.

    Attributes:
        heads: labels of the sufficient set.
        sides: picture, own answer, own margin before, answer and margin after; of both.
    """

    function: str
    followed: FollowedPair
    heads: tuple[str, ...]
    sides: tuple[tuple[Picture, str, float | None, str, float | None], ...]


def followed_pairs(study: StudyContents) -> list[ShownPair]:
    """A pair of each function whose pictures can still be read where they were."""
    from headscope.making.pairs.schema import load_pairs

    result = study.of(PatchResult)
    found: list[ShownPair] = []
    if result is None:
        return found
    try:
        pairs = load_pairs(str(result.settings["pairs"]))
    except HeadscopeError:
        return found
    by_id = {pair.id: pair for pair in pairs}
    for name, patched in result.functions.items():
        shown, held = patched.followed, patched.sufficient
        pair = by_id.get(shown.pair) if shown else None
        if shown is None or held is None or pair is None:
            continue
        sides = []
        for i, case_id in enumerate((pair.first, pair.second)):
            case = pairs.cases.by_id[case_id]
            boxes = [(*o.box, "") for o in case.objects if o.box is not None and o.id in pair.changed]
            try:
                picture = picture_of(pairs.cases.image(case), boxes, f"The picture of case {case_id}")
            except HeadscopeError:
                break
            own, other = shown.answers[i], shown.answers[1 - i]
            sides.append((picture, own, shown.clean[i], other, shown.patched[i]))
        if len(sides) == 2:
            found.append(ShownPair(name, shown, held.heads, tuple(sides)))
    return found


def examples(wake: WakeResult, most: int = 24) -> list[WakeExample]:
    """Questions that name all they need, in the order of the greatest change of margin on changed answers.

    Answers that pointing put right and answers that it spoilt in turn, as far as there are any; one per case.
    """
    plain = {r["item"]: r for r in wake.rows if r["variant"] == PLAIN and r.get("pointing") == "named"}
    both = {r["item"]: r for r in wake.rows if r["variant"] == BOTH and r["item"] in plain}
    righted: list[tuple[float, str]] = []
    spoilt: list[tuple[float, str]] = []
    for item, after in both.items():
        before = plain[item]
        if bool(before["correct"]) != bool(after["correct"]):
            change = (after.get("margin") or 0.0) - (before.get("margin") or 0.0)
            (righted if after["correct"] else spoilt).append((-abs(change), item))
    order = [i for pair in zip(sorted(righted), sorted(spoilt), strict=False) for _, i in pair]
    order += [i for _, i in sorted(righted)[len(spoilt) :]] + [i for _, i in sorted(spoilt)[len(righted) :]]
    found: dict[str, WakeExample] = {}
    for item in order:
        case = plain[item]["case"]
        if case not in found and len(found) < most:
            found[case] = _example(plain[item], both[item])
    return list(found.values())


def _example(before: Row, after: Row) -> WakeExample:
    boxes = json.loads(after.get("boxes") or "[]")
    woken = {}
    for group in ("spatial", "other"):
        one, two = before.get(f"norm_{group}"), after.get(f"norm_{group}")
        if one and two is not None:
            woken[group] = two / one - 1
    return WakeExample(
        case=after["case"],
        question=after["question"],
        truth=after["truth"],
        style=BOTH,
        before=_said(before),
        after=_said(after),
        boxes=tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in boxes),
        woken=woken,
        function=after["function"],
    )


def _said(row: Row) -> Row:
    answer = row["answer"] if row.get("answer") is not None else row.get("text") or "–"
    return {"answer": answer, "margin": row.get("margin"), "correct": bool(row["correct"])}


def walked_case(study: StudyContents) -> WalkedCase | None:
    """A test case with many steps (the first in order among the longest), and what the model answered."""
    cases = study.cases
    if cases is None or not study.answers:
        return None
    answers: dict[str, dict[str, Row]] = {}
    for row in study.answers:
        if row.get("split") == "test" and row["context"] in ("gold", "alone"):
            held = answers.setdefault(row["case"], {})
            if row["context"] == "gold" or row["step"] not in held:
                held[row["step"]] = row
    # Without boxes nothing is known of how crowded a picture is; with them, few things are easier to follow.
    known = [c for c in cases if c.id in answers and (not c.things or 2 <= c.things <= 5) and c.steps]
    for case in sorted(known, key=lambda c: (-len(c.steps), c.id)):
        try:
            picture = case_picture(cases, case)
        except HeadscopeError:
            continue
        rows = []
        for step in [*case.steps, case.main_step()]:
            row = answers[case.id].get(step.id if step.id != MAIN else MAIN, {})
            truth = step.answer if step.answered else None
            rows.append({"function": step.function, "question": step.question, "truth": truth, **_given(row)})
        return WalkedCase(case, picture, tuple(rows))
    return None


def _given(row: Row) -> Row:
    """What the model answered; the text it wrote where no answer could be read from it."""
    answer = row.get("answer")
    return {
        "answer": row.get("text") if answer is None else answer,
        "correct": row.get("correct"),
        "margin": row.get("margin"),
    }


def case_picture(cases: Cases, case: Case, longest: int = LONGEST, exact: bool = True) -> Picture:
    """A case as the page shows it, with its boxes; several pictures side by side in their order.

    Args:
        longest: side in pixels that it is made smaller to.
        exact: whether pixels are kept as they are; else they may change a little, which takes a third of the
            room.

    Raises:
        DataError: a picture is missing or damaged.
    """
    from PIL import Image

    shown = cases.images(case)
    starts = list(accumulate((p.width + _GAP for p in shown), initial=0))
    if len(shown) == 1:
        sheet, alt = shown[0], f"The picture of case {case.id}"
    else:
        sheet = Image.new("RGB", (starts[-1] - _GAP, max(p.height for p in shown)), "white")
        for picture, left in zip(shown, starts, strict=False):
            sheet.paste(picture, (left, 0))
        alt = f"The {len(shown)} pictures of case {case.id}, side by side"
    boxes = []
    for thing in case.objects:
        if thing.box is not None:
            left, (x0, y0, x1, y1) = starts[thing.picture], thing.box
            boxes.append((x0 + left, y0, x1 + left, y1, thing.name))
    return picture_of(sheet, boxes, alt, longest, exact)


def picture_of(
    image: Image, boxes: Sequence[tuple[Any, ...]], alt: str, longest: int = LONGEST, exact: bool = True
) -> Picture:
    """A picture for the page with boxes (x0, y0, x1, y1, name) in its pixels.

    Large photographs are made smaller; small scenes are kept and enlarged by the browser. What is not to be
    exact is written as WebP instead of PNG.
    """
    from PIL import Image

    factor = min(1.0, longest / max(image.size))
    if factor < 1:
        size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    drawn = tuple(
        (x0 * factor, y0 * factor, (x1 - x0) * factor, (y1 - y0) * factor, str(name))
        for x0, y0, x1, y1, name in boxes
    )
    uri = data_uri(image) if exact else data_uri(image, "WEBP")
    return Picture(uri, image.width, image.height, drawn, alt)
