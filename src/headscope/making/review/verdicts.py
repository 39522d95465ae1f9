"""Verdicts of reviewers, and their boxes: one small file a case and reviewer, checked, complete or absent."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from headscope.data.cases import Cases
from headscope.data.checks import check_case, unwritable
from headscope.data.schema import UNANSWERED, Case, Step
from headscope.errors import DataError
from headscope.functions import DEFAULT, MAIN, Taxonomy
from headscope.making.review.box_changes import (
    BoxChange,
    boxed,
    change_of,
    is_done,
    mark_of_thing,
    new_id,
    thing_of,
)
from headscope.records import JsonValue
from headscope.storage import damaged, fingerprint, read_json, write_sealed

FOLDER = "reviews"
Ruling = Literal["accept", "fix", "reject"]
RULINGS: tuple[Ruling, ...] = get_args(Ruling)
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")
_FIELDS = ("question", "answer", "function")
_LONGEST = 2000


@dataclass(frozen=True)
class Verdict:
    """What a reviewer says of a step (``main``: of the main question).

    Attributes:
        about: fingerprint of the step as it was shown; a verdict on other words does not count.
        question, answer, function: as the reviewer wants them; those of the step unless it is a fix.
    """

    ruling: Ruling
    about: str
    question: str
    answer: str
    function: str


class Given(NamedTuple):
    """All that a reviewer has said of a case: step id -> verdict, and thing id -> change of its box."""

    verdicts: dict[str, Verdict]
    boxes: dict[str, BoxChange]


def steps_of(case: Case) -> tuple[Step, ...]:
    """What is judged in a case: its steps, then the main question."""
    return (*case.steps, case.main_step())


def mark_of(step: Step) -> str:
    """Fingerprint of the words of a step."""
    return fingerprint([step.question, step.answer, step.function, step.origin])


class Reviews:
    """The verdicts of one reviewer on the cases of a folder.

    Raises:
        DataError: a reviewer's name that is no plain word.
    """

    def __init__(self, cases: Cases, reviewer: str, taxonomy: Taxonomy = DEFAULT) -> None:
        if not _NAME.match(reviewer):
            raise DataError(
                f"reviewer {reviewer!r}: expected at most 40 letters, digits, '_', '.', '-', and no sign "
                "in front"
            )
        self.cases, self.reviewer, self.taxonomy = cases, reviewer, taxonomy
        self.folder = cases.folder / FOLDER / reviewer

    def _path(self, case: Case) -> Path:
        stem = re.sub(r"[^A-Za-z0-9_-]+", "-", case.id)[:60]
        return self.folder / f"{stem}-{fingerprint(case.id)[:8]}.json"

    def of(self, case: Case) -> dict[str, Verdict]:
        """Step id -> verdict, as far as the steps still read as they did.

        Raises:
            StoreError: the file is damaged.
        """
        marks = {s.id: mark_of(s) for s in steps_of(case)}
        return {k: v for k, v in self.given(case).verdicts.items() if marks.get(k) == v.about}

    def boxes_of(self, case: Case) -> dict[str, BoxChange]:
        """Thing id -> change of its box, as far as the things still are as they were shown.

        Raises:
            StoreError: the file is damaged.
        """
        waiting = {k: c for k, c in self.given(case).boxes.items() if not c.written}
        return {k: c for k, c in waiting.items() if mark_of_thing(thing_of(case, k)) == c.about}

    def stale(self, case: Case) -> list[str]:
        """Steps with a verdict on words that were changed since, to others than those that it wanted."""
        steps = {s.id: s for s in steps_of(case)}
        found = []
        for name, verdict in self.given(case).verdicts.items():
            step = steps.get(name)
            if step is None or mark_of(step) == verdict.about:
                continue
            same = all(getattr(step, key) == getattr(verdict, key) for key in _FIELDS)
            if not same or verdict.ruling == "reject":
                found.append(name)
        return found

    def stale_boxes(self, case: Case) -> list[str]:
        """Things that were changed since their box was, to something else than the reviewer wanted."""
        count = self.boxes_of(case)
        waiting = {k: c for k, c in self.given(case).boxes.items() if not c.written and k not in count}
        return [k for k, c in waiting.items() if not is_done(case, k, c)]

    def given(self, case: Case) -> Given:
        """All that was said of a case, also of words and things that are gone.

        Raises:
            StoreError: the file is damaged.
        """
        path = self._path(case)
        if not path.exists():
            return Given({}, {})
        try:
            record = read_json(path)
            verdicts = {str(k): Verdict(**v) for k, v in record["verdicts"].items()}
            boxes = {str(k): BoxChange.read(v) for k, v in record.get("boxes", {}).items()}
        except (TypeError, KeyError, AttributeError, IndexError, ValueError) as exc:
            raise damaged(path, f"verdicts: cannot be read ({exc})") from exc
        return Given(verdicts, boxes)

    def give(
        self,
        case: Case,
        step_id: str,
        ruling: str,
        change: Mapping[str, JsonValue] | None = None,
        about: str | None = None,
    ) -> Verdict:
        """Store a verdict; the file is replaced in one step.

        Args:
            step_id: of the case, or ``main``.
            ruling: ``accept``, ``fix`` or ``reject``.
            change: for a fix, any of ``question``, ``answer``, ``function``.
            about: the step's mark as it was shown to the reviewer; None: as it is now.

        Raises:
            DataError: no such step or ruling, or a fix that breaks the schema.
        """
        step = next((s for s in steps_of(case) if s.id == step_id), None)
        if step is None:
            raise DataError(f"case {case.id!r}: no step {step_id!r}")
        if about not in (None, mark_of(step)):
            raise DataError(
                f"case {case.id!r}: somebody changed step {step_id!r} since it was shown; look at it again"
            )
        if ruling not in RULINGS:
            raise DataError(f"asked for ruling {ruling!r}; there are: {', '.join(RULINGS)}")
        words = {key: getattr(step, key) for key in _FIELDS}
        if ruling == "fix":
            words |= self._fixed(change or {})
            if words == {key: getattr(step, key) for key in _FIELDS}:
                raise DataError("nothing is changed; accept it instead")
        verdict = Verdict(ruling=ruling, about=mark_of(step), **words)
        self._check(case, step_id, verdict)
        given = self.given(case)
        self.write(case, given._replace(verdicts=given.verdicts | {step_id: verdict}))
        return verdict

    def take_back(self, case: Case, step_id: str) -> None:
        """Forget the verdict on a step."""
        given = self.given(case)
        self.write(case, given._replace(verdicts={k: v for k, v in given.verdicts.items() if k != step_id}))

    def give_box(
        self,
        case: Case,
        thing_id: str | None,
        box: JsonValue,
        picture: JsonValue = 0,
        name: str = "",
        about: str | None = None,
    ) -> tuple[str, BoxChange]:
        """Store what is wanted of the box of a thing; the file is replaced in one step.

        Args:
            thing_id: of the case, or of a thing that this reviewer drew; None: a new one.
            box: x0, y0, x1, y1 in pixels of the picture; None: the box is to go.
            picture: number of the picture that it lies in, from 0.
            name: of a new thing.
            about: the thing's mark as it was shown to the reviewer; None: as it is now.

        Returns:
            The thing's id, and the change.

        Raises:
            DataError: no such thing, a box that breaks the schema (outside its picture, without size), or
                nothing that is changed.
        """
        given = self.given(case)
        drawn = {k for k, c in given.boxes.items() if not c.about}
        known = {o.id for o in case.objects} | given.boxes.keys()
        if thing_id is None:
            thing_id = new_id(name, known)
        elif thing_of(case, thing_id) is None:
            if thing_id not in drawn:
                raise DataError(f"case {case.id!r}: no thing {thing_id!r}")
            name = name or given.boxes[thing_id].name
        change = change_of(case, thing_id, name, box, picture, about)
        _refuse_faults(boxed(case, {thing_id: change}), self.taxonomy)
        self.write(case, given._replace(boxes=given.boxes | {thing_id: change}))
        return thing_id, change

    def take_back_box(self, case: Case, thing_id: str) -> None:
        """Forget what was wanted of the box of a thing."""
        given = self.given(case)
        self.write(case, given._replace(boxes={k: c for k, c in given.boxes.items() if k != thing_id}))

    def note_written(self, case: Case, things: Collection[str]) -> None:
        """Note that these changes of boxes are in the cases now."""
        given = self.given(case)
        boxes = {k: replace(c, written=True) if k in things else c for k, c in given.boxes.items()}
        self.write(case, given._replace(boxes=boxes))

    def write(self, case: Case, given: Given) -> None:
        """Replace all that was said of a case."""
        record: dict[str, Any] = {"schema": "headscope/review/2", "case": case.id, "reviewer": self.reviewer}
        record["verdicts"] = {k: vars(v) for k, v in given.verdicts.items()}
        record["boxes"] = {k: vars(c) for k, c in given.boxes.items()}
        write_sealed(self._path(case), record)

    def _fixed(self, change: Mapping[str, JsonValue]) -> dict[str, str]:
        out = {}
        for key, value in change.items():
            if key not in _FIELDS:
                raise DataError(f"asked to change {key!r}; what can be changed: {', '.join(_FIELDS)}")
            if not isinstance(value, str) or len(value) > _LONGEST:
                raise DataError(f"{key}: expected text of at most {_LONGEST} characters")
            out[key] = value.strip()
        return out

    def _check(self, case: Case, step_id: str, verdict: Verdict) -> None:
        """Refuse a verdict that would leave a case that cannot be loaded."""
        _refuse_faults(changed(case, {step_id: verdict} if verdict.ruling == "fix" else {}), self.taxonomy)

    def progress(self) -> Iterator[tuple[Case, int, int]]:
        """(case, steps judged, steps to judge), in order."""
        for case in self.cases:
            yield case, len(self.of(case)), len(case.steps) + 1


def _refuse_faults(case: Case, taxonomy: Taxonomy) -> None:
    """Refuse a case that could not be loaded."""
    raw = case.model_dump(warnings=False)
    for fault in (*unwritable(raw), *check_case(raw, taxonomy)):
        raise DataError(f"{fault.field}: {fault.what}, found {fault.found}, expected {fault.expected}")


def changed(case: Case, verdicts: Mapping[str, Verdict]) -> Case:
    """The case as the verdicts leave it: fixed steps changed, rejected ones gone, answers ``reviewed``.

    A fixed answer outside the choices joins them. Steps that rested on a rejected one no longer do. A case
    whose main question is rejected is for the caller to leave out.
    """
    gone = {k for k, v in verdicts.items() if v.ruling == "reject"}
    steps = []
    for step in case.steps:
        if step.id in gone:
            continue
        verdict = verdicts.get(step.id)
        if verdict is not None:
            origin = "reviewed" if verdict.answer else UNANSWERED
            step = _worded(step, verdict).model_copy(update={"origin": origin})
        rests = tuple(d for d in step.depends_on if d not in gone)
        steps.append(step.model_copy(update={"depends_on": rests}))
    case = case.model_copy(update={"steps": tuple(steps)})
    if (verdict := verdicts.get(MAIN)) is None or verdict.ruling != "fix":
        return case
    main = _worded(case.main_step(), verdict)
    update = {"question": main.question, "answer": main.answer, "choices": main.choices}
    return case.model_copy(update=update)


def _worded(step: Step, verdict: Verdict) -> Step:
    """The step in the verdict's words; an answer outside its choices joins them."""
    added = () if not step.choices or verdict.answer in ("", *step.choices) else (verdict.answer,)
    words = {"question": verdict.question, "answer": verdict.answer, "function": verdict.function}
    return step.model_copy(update={**words, "choices": (*step.choices, *added)})
