"""All failures on test: every answer that is wrong or cannot be read, with its picture, to be filtered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headscope.errors import HeadscopeError
from headscope.functions import MAIN
from headscope.report.case_explorer import said_of
from headscope.report.charts.base import words
from headscope.report.contents import StudyContents
from headscope.report.measure import select
from headscope.report.pictures import case_picture
from headscope.storage import Row

MOST, MOST_BYTES, SIDE = 1500, 500_000, 128
CONTEXTS: Mapping[str, str] = {
    "gold": "after true steps",
    "alone": "asked alone",
    "own": "after the model’s own steps",
    "wrong": "after steps of which one is wrong (control)",
    "other": "after the steps of another case (control)",
}


@dataclass(frozen=True)
class Failures:
    """What the page shows of failures.

    Attributes:
        rows: (number of the case, function, context, question, truth, said, margin, whether unreadable),
            those after true steps first, in each context the lowest margin first.
        cases: each ``id``, ``kind``, and ``picture`` (empty where it cannot be read).
        of: how many failures there are.
        header, counts: by function and context how many of how many answers failed.
    """

    rows: tuple[tuple[int, str, str, str, str, str, str, bool], ...]
    cases: tuple[Row, ...]
    of: int
    header: tuple[str, ...]
    counts: tuple[tuple[str, ...], ...]

    def data(self) -> Row:
        """As the script reads it."""
        contexts = {name: CONTEXTS[name] for name in CONTEXTS if any(r[2] == name for r in self.rows)}
        return {"rows": self.rows, "cases": self.cases, "contexts": contexts}


def all_failures(study: StudyContents, most: int = MOST, most_bytes: int = MOST_BYTES) -> Failures | None:
    """Failures on test, as many as ``most``, with pictures of at most ``most_bytes`` in all.

    Where a picture does not fit any more, failures of its case are left out; ``of`` counts them.

    Returns:
        None without answers.
    """
    rows = [row for row in select(study) if row["context"] in CONTEXTS]
    if not rows:
        return None
    failed = sorted((row for row in rows if not row["correct"]), key=_order)
    pictures: dict[str, Row] = {}
    numbers: dict[str, int] = {}
    shown = []
    for row in failed[:most]:
        name = row["case"]
        if name not in pictures:
            made = _case(study, row)
            most_bytes -= len(made["picture"])
            pictures[name] = made if most_bytes >= 0 else {}
        if pictures[name]:
            number = numbers.setdefault(name, len(numbers))
            shown.append(_row(number, row))
    cases = tuple(pictures[name] for name in numbers)
    contexts = [c for c in CONTEXTS if any(row["context"] == c for row in rows)]
    header = ("function", *(CONTEXTS[c] for c in contexts))
    return Failures(tuple(shown), cases, len(failed), header, _counts(study, rows, contexts))


def _order(row: Row) -> tuple[int, float, str, str]:
    margin = row.get("margin")
    return list(CONTEXTS).index(row["context"]), 0.0 if margin is None else margin, row["case"], row["step"]


def unreadable(row: Row) -> bool:
    """Whether what was said is neither right nor any choice."""
    return row.get("answer") is None and not row["correct"]


def _name(row: Row) -> str:
    return "main question" if row["step"] == MAIN else words(row["function"])


def _row(number: int, row: Row) -> tuple[int, str, str, str, str, str, str, bool]:
    said, _, margin = said_of(row)
    asked = (_name(row), row["context"], row["question"], row["truth"])
    return (number, *asked, said, margin, unreadable(row))


def _case(study: StudyContents, row: Row) -> Row:
    """A case with its picture in small."""
    case = study.cases.by_id.get(row["case"]) if study.cases is not None else None
    picture = ""
    if case is not None and study.cases is not None:
        try:
            picture = case_picture(study.cases, case, SIDE, exact=False).uri
        except HeadscopeError:
            picture = ""
    return {"id": row["case"], "kind": row.get("kind") or "", "picture": picture}


def _counts(
    study: StudyContents, rows: Sequence[Row], contexts: Sequence[str]
) -> tuple[tuple[str, ...], ...]:
    """Function by context: wrong or unreadable of all."""
    asked: Counter[tuple[str, str]] = Counter()
    failed: Counter[tuple[str, str]] = Counter()
    unread: Counter[tuple[str, str]] = Counter()
    for row in rows:
        key = _name(row), row["context"]
        asked[key] += 1
        failed[key] += not row["correct"]
        unread[key] += unreadable(row)
    names = [words(f) for f in study.functions if any(words(f) == name for name, _ in asked)]
    return tuple(
        (name, *(_cell(failed[name, c], unread[name, c], asked[name, c]) for c in contexts))
        for name in dict.fromkeys([*names, *(name for name, _ in asked)])
    )


def _cell(failed: int, unread: int, asked: int) -> str:
    if not asked:
        return "–"
    return f"{failed:,} of {asked:,}" + (f" ({unread:,} unreadable)" if unread else "")
