"""What every importer is made of: rows, drafts of cases, refusals, and the description of a source."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from headscope.benchmarks.rule import ACCURACY, Rule
from headscope.data.box_forms import FORMS, BoxSurvey
from headscope.data.checks import Finding
from headscope.data.fields import Cell, ForeignRecord
from headscope.data.pictures import show
from headscope.data.schema import Object, Step
from headscope.data.validation import Fault
from headscope.errors import DataError


class SourceRow(NamedTuple):
    """One record of a source: where it stands, and what it holds (a fault where it cannot be read).

    ``at`` names the record within the file, for messages: ``questions[3].``; empty where a line is a record.
    ``merged`` counts the rows that a reader put into this one.
    """

    file: str
    line: int
    value: ForeignRecord
    at: str = ""
    fault: Finding | None = None
    merged: int = 0

    def refuse(self, finding: Finding) -> Fault:
        """The finding with its place, on one line whatever the record holds."""
        field = f"{self.at}{finding.field or '(no name)'}"
        return Fault(self.file, self.line, field if field.isprintable() else show(field), *finding[1:])


def number_of(row: SourceRow, place: ImportPlace) -> str:
    """What stands for a row that has no id: its number in an array (from 0), its key, or else its line.

    Of several files with the name of its own.
    """
    inside = re.search(r"\[(.+)\]\.$", row.at)
    number = inside[1].strip("'\"") if inside else str(row.line)
    return number if len(place.files) < 2 else f"{Path(row.file).stem}-{number}"


@dataclass
class CaseDraft:
    """A case before its picture is known.

    Attributes:
        picture: name under the folder of pictures, or the bytes of the file.
        more: further pictures in the same way, in order.
        size: (width, height) in pixels where the record says so.
        box_form: the form of the objects' boxes where they have to wait for the picture's size.
        derived, guessed, left_out: what the importer did, in a few words each, for the report.
    """

    id: str
    question: str
    answer: str
    picture: str | bytes
    more: tuple[str | bytes, ...] = field(default=(), kw_only=True)
    original: Mapping[str, Cell]
    choices: tuple[str, ...] = ()
    kind: str = ""
    wording: str = ""
    objects: tuple[Object, ...] = ()
    named: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    size: tuple[int, int] | None = None
    box_form: str = ""
    derived: tuple[str, ...] = ()
    guessed: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def derived_step(
    number: int,
    question: str,
    answer: str,
    function: str,
    *,
    choices: tuple[str, ...] = (),
    objects: tuple[str, ...] = (),
    depends_on: tuple[str, ...] = (),
    wording: str = "",
) -> Step:
    """The step of this number (from 1), whose answer follows from the source by a rule."""
    return Step(
        id=f"s{number}",
        question=question,
        answer=answer,
        choices=choices,
        function=function,
        objects=objects,
        depends_on=depends_on,
        wording=wording,
        origin="derived",
    )


@dataclass(frozen=True)
class ImportPlace:
    """Where an import reads: its files, the folder they lie in, and what was asked for.

    ``images`` is the folder of pictures, None where there is none. ``boxes`` is how boxes are written
    (:data:`headscope.data.box_forms.FORMS`), empty: as the source says. ``found`` is what a look
    at all rows showed, for sources that take one (``Source.survey``); ``looked``: where pictures were
    looked for.
    """

    source: Source
    root: Path
    files: tuple[Path, ...]
    split: str = ""
    images: Path | None = None
    columns: dict[str, str] = field(default_factory=dict)
    boxes: str = ""
    found: dict[str, str] = field(default_factory=dict)
    looked: tuple[str, ...] = ()

    @property
    def box_form(self) -> str:
        """How boxes are written: as the user says, else as the source does."""
        return self.boxes or self.source.box_form

    def refuse_doubtful_boxes(self, look: BoxSurvey, file: str | Path) -> None:
        """Stop where a look at all boxes of a file says that they are not what they are taken for.

        Raises:
            DataError: so it is, with the option that says what they are.
        """
        doubt = look.doubt()
        if doubt:
            what, form = doubt
            raise DataError(
                f"{file}: {look.boxes} boxes taken for {self.box_form}, found numbers {what}; "
                f"say --boxes {form} (forms: {', '.join(FORMS)})"
            )


@dataclass(frozen=True)
class Source:
    """A source of cases: what it is, and how one of its records becomes a case.

    Attributes:
        fields: what a record holds.
        box_form: how the source writes boxes, where the user may say another form; empty: no say.
        boxes, steps: what of these the import gives; ``none`` with the reason where it gives none.
        scored: the source's own rule of scoring.
        get: how to get it.
        files: where records lie in a folder; ``{split}`` stands for the split.
        named: names of files by split, where the split does not say it.
        layout: how a file holds records: ``lines``, ``array``, ``member:NAME``, ``mapping`` or ``table``.
        many: all matching files are read, not just one.
        mapped: the fields that ``--map`` can name a column for.
        pictures: folders of pictures beside the records, first found.
        hub: hub id, with ``{split}`` where it depends on the split; empty: not on the hub.
        hub_config, hub_split: names there; ``{split}`` as above.
        build: a row to the draft of a case.
        rows: reads the rows, where the layout does not say enough.
        survey: looks at all rows before the first is built (on the hub at the first 512), and notes what they
            show in ``ImportPlace.found``.
        rule: how answers are scored; plain accuracy where the source has no rule of its own.
    """

    name: str
    title: str
    licence: str
    size: str
    fields: str
    scored: str
    get: str
    files: tuple[str, ...]
    build: Callable[[SourceRow, ImportPlace], CaseDraft]
    boxes: str = "none"
    steps: str = "none"
    box_form: str = ""
    layout: str = "lines"
    many: bool = False
    mapped: tuple[str, ...] = ()
    named: dict[str, str] = field(default_factory=dict)
    splits: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ("images",)
    hub: str = ""
    hub_config: str = ""
    hub_split: str = "{split}"
    rows: Callable[[ImportPlace], Iterator[SourceRow]] | None = None
    survey: Callable[[Iterator[SourceRow], ImportPlace], None] | None = None
    rule: Rule = ACCURACY
