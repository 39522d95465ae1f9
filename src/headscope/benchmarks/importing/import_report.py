"""What an import did, for people and for ``import.json``."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from headscope.benchmarks.importing.sources import CaseDraft
from headscope.data.checks import Finding
from headscope.data.schema import Case
from headscope.data.validation import Fault
from headscope.records import JsonObject

_SHOWN = 20


@dataclass
class ImportReport:
    """What an import did; ``rows == cases + refused + merged`` always.

    Attributes:
        merged: rows that became part of another row's case (a step).
        reasons: refusals by field and fault; ``first`` holds the first of them whole.
        derived, guessed, left_out: what the importer did, with the number of cases.
        written: digest of the cases as they were written, which tells whether somebody changed them since.
    """

    source: str
    place: str
    split: str = ""
    rows: int = 0
    cases: int = 0
    refused: int = 0
    merged: int = 0
    pictures: int = 0
    looked: tuple[str, ...] = ()
    without_picture: int = 0
    several_pictures: int = 0
    written: str = ""
    steps: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    first: list[str] = field(default_factory=list)
    derived: Counter[str] = field(default_factory=Counter)
    guessed: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)

    def refuse(self, finding: Finding, fault: Fault, rows: int) -> None:
        """Count a refusal of so many rows."""
        self.refused += rows
        self.reasons[f"{re.sub(r'[0-9]+', '', finding.field)}: {finding.what}"] += rows
        if len(self.first) < _SHOWN:
            self.first.append(str(fault))

    def add(self, draft: CaseDraft, case: Case, *, pictured: bool) -> None:
        """Count a case that was made; ``pictured``: its picture is there."""
        self.cases += 1
        self.steps += len(case.steps)
        self.without_picture += not pictured
        self.several_pictures += bool(case.more)
        for counter, notes in (
            (self.derived, draft.derived),
            (self.guessed, draft.guessed),
            (self.left_out, draft.left_out),
        ):
            counter.update(dict.fromkeys(notes, 1))

    def as_json(self) -> JsonObject:
        """The report as ``import.json`` holds it, commonest first."""
        ordered = ("reasons", "derived", "guessed", "left_out")
        counts = {key: dict(getattr(self, key).most_common()) for key in ordered}
        return vars(self) | counts | {"looked": list(self.looked)}

    def lines(self) -> list[str]:
        """The report for people."""
        split = f" {self.split}" if self.split else ""
        out = [
            f"{self.source}{split}: {self.rows} rows in = {self.cases} cases + {self.refused} refused + "
            f"{self.merged} merged; {self.steps} steps, {self.pictures} pictures"
        ]
        for title in ("derived", "guessed", "left_out"):
            out += [
                f"  {title.replace('_', ' ')}: {what} ({n})" for what, n in getattr(self, title).most_common()
            ]
        out += [f"  refused: {what} ({n})" for what, n in self.reasons.most_common(_SHOWN)]
        out += [f"    {line}" for line in self.first[:5]]
        if self.several_pictures:
            out.append(
                f"  {self.several_pictures} cases have several pictures: a model that takes one picture a "
                "prompt refuses them (`headscope score` reads answers that others saved)"
            )
        if self.without_picture:
            out.append(
                f"  {self.without_picture} cases have no picture yet: they can be decomposed and read, "
                f"not asked; looked for in {', '.join(self.looked) or 'the records'}; "
                "import them again into the same folder, with --images FOLDER"
            )
        return out
