"""Verdicts of reviewers: one small file a case and reviewer, checked, complete or absent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from headscope.data.cases import Cases
from headscope.data.checks import check_case, unwritable
from headscope.data.schema import UNANSWERED, Case, Step
from headscope.errors import DataError
from headscope.functions import DEFAULT, MAIN, Taxonomy
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
        return {k: v for k, v in self._given(case).items() if marks.get(k) == v.about}

    def stale(self, case: Case) -> list[str]:
        """Steps with a verdict on words that were changed since, to others than those that it wanted."""
        steps = {s.id: s for s in steps_of(case)}
        found = []
        for name, verdict in self._given(case).items():
            step = steps.get(name)
            if step is None or mark_of(step) == verdict.about:
                continue
            same = all(getattr(step, key) == getattr(verdict, key) for key in _FIELDS)
            if not same or verdict.ruling == "reject":
                found.append(name)
        return found

    def _given(self, case: Case) -> dict[str, Verdict]:
        """Every verdict on a case, those on words that are gone too."""
        path = self._path(case)
        if not path.exists():
            return {}
        try:
            return {str(k): Verdict(**v) for k, v in read_json(path)["verdicts"].items()}
        except (TypeError, KeyError, AttributeError) as exc:
            raise damaged(path, f"verdicts: cannot be read ({exc})") from exc

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
        self._write(case, self._given(case) | {step_id: verdict})
        return verdict

    def take_back(self, case: Case, step_id: str) -> None:
        """Forget the verdict on a step."""
        self._write(case, {k: v for k, v in self._given(case).items() if k != step_id})

    def _write(self, case: Case, verdicts: Mapping[str, Verdict]) -> None:
        content = {k: vars(v) for k, v in verdicts.items()}
        record = {"schema": "headscope/review/1", "case": case.id, "reviewer": self.reviewer}
        write_sealed(self._path(case), record | {"verdicts": content})

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
        raw = changed(case, {step_id: verdict} if verdict.ruling == "fix" else {}).model_dump()
        for fault in (*unwritable(raw), *check_case(raw, self.taxonomy)):
            raise DataError(f"{fault.field}: {fault.what}, found {fault.found}, expected {fault.expected}")

    def progress(self) -> Iterator[tuple[Case, int, int]]:
        """(case, steps judged, steps to judge), in order."""
        for case in self.cases:
            yield case, len(self.of(case)), len(case.steps) + 1


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
