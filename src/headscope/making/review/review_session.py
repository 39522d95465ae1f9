"""What the review page can ask for: cases, verdicts, boxes, undo, and writing back."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from headscope.data.cases import Cases, load_cases
from headscope.data.schema import Case
from headscope.data.validation import jsonl_path
from headscope.errors import DataError
from headscope.functions import DEFAULT, Taxonomy
from headscope.making.review.applied_reviews import apply_reviews
from headscope.making.review.box_changes import mark_of_thing
from headscope.making.review.verdicts import Given, Reviews, mark_of, steps_of
from headscope.records import JsonObject, JsonValue

_SHOWN = {"id", "kind", "source", "named"}  # what the page shows of a case beside its questions and things


@dataclass(frozen=True)
class _Act:
    """One act of the reviewer: what stood in the file of the case before it and after it."""

    case: str
    about: str  # in words
    step: str  # "" for a box
    picture: int | None  # None for a verdict
    before: Given
    after: Given


class ReviewSession:
    """Everything the page can ask for; one lock, since reviewers click faster than disks turn.

    Args:
        folder: the cases.
        reviewer: whose verdicts are given.
    """

    def __init__(self, folder: str | Path, reviewer: str, taxonomy: Taxonomy = DEFAULT) -> None:
        self.folder, self.reviewer, self.taxonomy = Path(folder), reviewer, taxonomy
        self.token = secrets.token_urlsafe(24)
        self._lock = threading.Lock()
        self._acts: list[_Act] = []
        self._load(load_cases(folder, taxonomy))

    def _load(self, cases: Cases) -> None:
        self.cases = cases
        self._read = self._state()
        self.reviews = Reviews(cases, self.reviewer, self.taxonomy)

    def _state(self) -> tuple[int, int]:
        """What tells whether somebody wrote the cases since."""
        found = jsonl_path(self.folder).stat()
        return found.st_mtime_ns, found.st_size

    @contextmanager
    def _now(self) -> Iterator[None]:
        """One request at a time, on the cases as they are on disk now."""
        with self._lock:
            if self._state() != self._read:
                self._load(load_cases(self.folder, self.taxonomy))
            yield

    def overview(self) -> JsonObject:
        """All cases with how far each is judged."""
        with self._now():
            rows: list[JsonValue] = [
                {"id": c.id, "kind": c.kind, "judged": judged, "steps": steps}
                for c, judged, steps in self.reviews.progress()
            ]
        titles = self.taxonomy.titles
        return {
            "cases": rows,
            "functions": [{"name": f, "title": titles[f]} for f in self.taxonomy.functions],
            "spatial": list[JsonValue](sorted(self.taxonomy.spatial)),
            "reviewer": self.reviewer,
            "folder": self.folder.name,
        }

    def case(self, number: int) -> JsonObject:
        """One case as the page shows it: pictures, things and steps with their marks, and what was said."""
        with self._now():
            case = self._case(number)
            verdicts: JsonObject = {k: vars(v) for k, v in self.reviews.of(case).items()}
            boxes: JsonObject = {k: _plain(vars(c)) for k, c in self.reviews.boxes_of(case).items()}
        things: list[JsonValue] = [
            o.model_dump(mode="json") | {"mark": mark_of_thing(o)} for o in case.objects
        ]
        return case.model_dump(mode="json", include=_SHOWN) | {
            "number": number,
            "pictures": [{"width": p.width, "height": p.height} for p in case.pictures],
            "objects": things,
            "boxes": boxes,
            "steps": [s.model_dump(mode="json") | {"mark": mark_of(s)} for s in steps_of(case)],
            "verdicts": verdicts,
        }

    def judge(self, asked: JsonObject) -> JsonObject:
        """Store a verdict, or take one back (``ruling`` null); refused on words that were changed since."""
        with self._now():
            case = self._asked_case(asked)
            step, ruling, wanted = str(asked.get("step")), asked.get("ruling"), asked.get("change")
            change = wanted if isinstance(wanted, dict) else None
            with self._undoable(case, f"the verdict on {step} of {case.id}", step=step):
                if ruling is None:
                    self.reviews.take_back(case, step)
                    return {"verdict": None}
                verdict = self.reviews.give(case, step, str(ruling), change, _text(asked, "about"))
        return {"verdict": vars(verdict)}

    def box(self, asked: JsonObject) -> JsonObject:
        """Store a change of a box, or take it back (``back``); refused where somebody changed the thing."""
        with self._now():
            case = self._asked_case(asked)
            thing, name = _text(asked, "thing"), _text(asked, "name") or ""
            which = asked.get("picture", 0)
            seen = which if isinstance(which, int) else None
            with self._undoable(case, f"the box of {thing or name} of {case.id}", picture=seen):
                if asked.get("back"):
                    self.reviews.take_back_box(case, str(thing))
                    return {"thing": thing, "change": None}
                if "box" not in asked:
                    raise DataError("box: found none, expected four numbers, or null to remove it")
                thing, change = self.reviews.give_box(
                    case, thing, asked["box"], which, name, _text(asked, "about")
                )
        return {"thing": thing, "change": _plain(vars(change))}

    def undo(self) -> JsonObject:
        """Take back the last act of this session: a verdict, a box, or the taking back of one.

        Raises:
            DataError: there is none, the case is gone, or its file was changed elsewhere since.
        """
        with self._now():
            if not self._acts:
                raise DataError("nothing to undo since this page was started or the cases were written")
            act = self._acts.pop()
            number = next((i for i, c in enumerate(self.cases) if c.id == act.case), None)
            if number is None:
                raise DataError(f"case {act.case!r} is gone; nothing is undone")
            case = self.cases[number]
            if self.reviews.given(case) != act.after:
                raise DataError(f"case {act.case!r} was judged elsewhere since; nothing is undone")
            self.reviews.write(case, act.before)
            judged = len(self.reviews.of(case))
        names = [s.id for s in steps_of(case)]
        step = names.index(act.step) if act.step in names else None
        return {
            "number": number,
            "step": step,
            "picture": act.picture,
            "undone": act.about,
            "judged": judged,
        }

    def write_back(self) -> JsonObject:
        """Apply all verdicts and boxes to the cases on disk; what is written is not undone any more."""
        with self._now():
            done = apply_reviews(self.cases, self.reviewer)
            self._acts.clear()
            self._load(done.cases)
        return {k: v for k, v in vars(done).items() if k not in ("cases", "stale")} | {
            "stale": list[JsonValue](done.stale)
        }

    def picture(self, number: int, which: int = 0) -> bytes:
        """The bytes of one of a case's pictures, from inside the folder."""
        with self._now():
            case = self._case(number)
            if not 0 <= which < len(case.pictures):
                raise DataError(
                    f"case {case.id!r}: no picture number {which}; there are {len(case.pictures)}"
                )
            path = self.cases.image_path(case, which)
        return path.read_bytes()

    @contextmanager
    def _undoable(self, case: Case, about: str, step: str = "", picture: int | None = None) -> Iterator[None]:
        """Remember what the block changes; what it refuses is no act."""
        before = self.reviews.given(case)
        yield
        after = self.reviews.given(case)
        if after != before:
            self._acts.append(_Act(case.id, about, step, picture, before, after))

    def _asked_case(self, asked: JsonObject) -> Case:
        case = self._case(asked.get("number"))
        if case.id != asked.get("case"):
            raise DataError("the cases have changed since this page was opened; reload it")
        return case

    def _case(self, number: object) -> Case:
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(self.cases):
            raise DataError(f"no case number {number!r}; there are {len(self.cases)}")
        return self.cases.cases[number]


def _text(asked: JsonObject, key: str) -> str | None:
    value = asked.get(key)
    return None if value is None else str(value)


def _plain(change: JsonObject) -> JsonObject:
    """A change as JSON has it."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in change.items()}
