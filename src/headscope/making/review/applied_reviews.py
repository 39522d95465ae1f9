"""What reviews amount to: the cases as a reviewer leaves them, and how far two reviewers agree."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from headscope.data.cases import Cases, case_line, load_cases, save_cases
from headscope.data.schema import Case
from headscope.data.validation import CASES_FILE
from headscope.errors import DataError
from headscope.functions import MAIN
from headscope.making.review.box_changes import boxed
from headscope.making.review.verdicts import FOLDER, Reviews, Verdict, changed, steps_of
from headscope.storage import write_atomic

REJECTED = "rejected.jsonl"


@dataclass(frozen=True)
class AppliedReviews:
    """What writing back did: verdicts by ruling, boxes drawn, moved or removed, and cases left out.

    Attributes:
        stale: ``case/step`` of verdicts on words that somebody changed since, and ``case/box of thing`` of
            boxes: they are kept and do not count.
    """

    cases: Cases
    accepted: int
    fixed: int
    rejected: int
    cases_left_out: int
    stale: tuple[str, ...] = ()
    boxes: int = 0


def apply_reviews(cases: Cases, reviewer: str, out: str | Path | None = None) -> AppliedReviews:
    """Write the cases as a reviewer's verdicts leave them; each file is replaced in one step.

    Accepted and fixed answers become ``reviewed``, rejected steps go, boxes become what was drawn; a case
    whose main question is rejected goes to ``reviews/rejected.jsonl``, so that nothing is lost. What others
    wrote into the folder since the cases were read stays: verdicts and boxes are applied, one by one, to the
    cases as they are now, and one on words or things that were changed since does not count.

    Args:
        out: another folder; by default the cases' own.

    Raises:
        DataError: every case is rejected. StoreError: the disk is full.
    """
    with _one_writer(cases.folder):
        now = (
            load_cases(cases.folder, None, pictures=False) if (cases.folder / CASES_FILE).is_file() else cases
        )
        same = now.fingerprint == cases.fingerprint
        return _applied(cases if same else now, reviewer, Path(out) if out is not None else cases.folder)


@contextmanager
def _one_writer(folder: Path) -> Iterator[None]:
    """One process at a time reads and writes the cases of a folder, where the system can see to it."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    with (folder / FOLDER / ".lock").open("w", encoding="utf-8") as file:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _applied(cases: Cases, reviewer: str, target: Path) -> AppliedReviews:
    reviews = Reviews(cases, reviewer)
    stale: list[str] = []
    kept: list[Case] = []
    lost: list[Case] = []
    rulings: Counter[str] = Counter()
    boxes = 0
    for case in cases:
        verdicts, drawn = reviews.of(case), reviews.boxes_of(case)
        stale += [f"{case.id}/{step}" for step in reviews.stale(case)]
        stale += [f"{case.id}/box of {thing}" for thing in reviews.stale_boxes(case)]
        rulings.update(v.ruling for v in verdicts.values())
        if MAIN in verdicts and verdicts[MAIN].ruling == "reject":
            lost.append(case)
        else:
            boxes += len(drawn)
            kept.append(changed(boxed(case, drawn), verdicts) if verdicts or drawn else case)
    if not kept:
        raise DataError(f"{cases.folder}: {reviewer} rejected every case; nothing would be left")
    if lost:
        _keep_rejected(target / FOLDER / REJECTED, lost)
    saved = save_cases(Cases(cases.folder, kept), target)
    if target.resolve() == cases.folder.resolve():
        for case in cases:
            if drawn := reviews.boxes_of(case):
                reviews.note_written(case, drawn)
    return AppliedReviews(
        saved, rulings["accept"], rulings["fix"], rulings["reject"], len(lost), tuple(stale), boxes
    )


def _keep_rejected(path: Path, lost: Sequence[Case]) -> None:
    before = path.read_text("utf-8").splitlines() if path.exists() else []
    known = {json.loads(line)["id"] for line in before}
    lines = before + [case_line(c) for c in lost if c.id not in known]
    write_atomic(path, "\n".join(lines) + "\n")


def reviewers_of(folder: str | Path) -> list[str]:
    """Names of those who have reviewed the cases of a folder."""
    place = Path(folder) / FOLDER
    return sorted(p.name for p in place.iterdir() if p.is_dir()) if place.is_dir() else []


@dataclass(frozen=True)
class Agreement:
    """How far two reviewers agree on the steps of one function (``main``: main questions; ``all``).

    Attributes:
        n: steps judged by both.
        same: share of equal rulings.
        kappa: Cohen's, of the rulings; None where both gave one and the same ruling to everything: chance
            agreement is then 1 and kappa is not defined.
        answers, answers_n: share of equal answers among steps that neither rejects, and how many these are.
    """

    function: str
    n: int
    same: float
    kappa: float | None
    answers: float | None
    answers_n: int


def agreement(cases: Cases, one: str, other: str) -> list[Agreement]:
    """How far two reviewers agree, by function, on what both have judged; ``all`` last.

    Source: Cohen (1960), A coefficient of agreement for nominal scales.
    """
    first, second = Reviews(cases, one), Reviews(cases, other)
    pairs: dict[str, list[tuple[Verdict, Verdict]]] = {"all": []}
    for case in cases:
        a, b = first.of(case), second.of(case)
        for step in steps_of(case):
            if step.id in a and step.id in b:
                pair = (a[step.id], b[step.id])
                pairs.setdefault(step.function, []).append(pair)
                pairs["all"].append(pair)
    rows = []
    for function, found in sorted(pairs.items(), key=lambda item: (item[0] == "all", item[0])):
        if found:
            kept = [(x, y) for x, y in found if "reject" not in (x.ruling, y.ruling)]
            same = sum(x.answer.casefold() == y.answer.casefold() for x, y in kept)
            rows.append(
                Agreement(
                    function,
                    n=len(found),
                    same=sum(x.ruling == y.ruling for x, y in found) / len(found),
                    kappa=cohen_kappa([x.ruling for x, _ in found], [y.ruling for _, y in found]),
                    answers=same / len(kept) if kept else None,
                    answers_n=len(kept),
                )
            )
    return rows


def cohen_kappa(one: Sequence[str], other: Sequence[str]) -> float | None:
    """Cohen's kappa: agreement beyond chance, 1 perfect, 0 chance; None where chance agreement is 1.

    Example:
        >>> cohen_kappa(["a", "a", "b", "b"], ["a", "b", "b", "b"])
        0.5
    """
    n = len(one)
    if n == 0 or n != len(other):
        return None
    observed = sum(x == y for x, y in zip(one, other, strict=True)) / n
    a, b = Counter(one), Counter(other)
    expected = sum(a[k] * b[k] for k in a) / n**2
    return None if math.isclose(expected, 1.0) else (observed - expected) / (1 - expected)
