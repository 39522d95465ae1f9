"""The import itself: rows to drafts to cases on disk, streaming, with a report of what was done and
refused."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import TextIO, cast

from pydantic import ValidationError

from headscope.benchmarks.importing.files import rows_of
from headscope.benchmarks.importing.import_report import ImportReport
from headscope.benchmarks.importing.picture_copies import UNKNOWN, PictureCopier
from headscope.benchmarks.importing.sources import CaseDraft, ImportPlace, SourceRow
from headscope.data.box_forms import to_pixels, within
from headscope.data.cases import case_line
from headscope.data.checks import Finding, check_case, path_of
from headscope.data.fields import RecordError, box_of
from headscope.data.pictures import show
from headscope.data.schema import Case, Object, Picture
from headscope.data.validation import CASES_FILE, Fault, is_picture_to_come
from headscope.errors import DataError
from headscope.functions import DEFAULT
from headscope.progress import track
from headscope.records import JsonObject
from headscope.storage import disk_error, read_json, write_json

REPORT_FILE = "import.json"
REFUSED_FILE = "refused.jsonl"
_BATCH = 256
_MARK = re.compile(
    r"<image(?:[ _-]?\d+)?>|<img>[^<>\n]{1,300}</img>|<img\b[^<>\n]*>|!\[[^\[\]\n]*\]\([^()\n]*\)|\{image\}"
    r"|<\|image(?:_\d+)?\|>|<\|vision_start\|><\|image_pad\|><\|vision_end\|>"
    r"|<ImageHere>|<image_placeholder>|\[IMAGE\]|\[IMG\]",
    re.IGNORECASE,
)
_LOOKED_AT = 512  # rows of a stream from the hub that a survey sees


def run(
    place: ImportPlace, out: str | Path, limit: int | None = None, rows: Iterator[SourceRow] | None = None
) -> ImportReport:
    """Import a place into a new folder of cases.

    Streams: one batch of records is in memory at a time. ``cases.jsonl`` appears last, whole or not at all;
    beside it ``import.json`` (the report) and ``refused.jsonl`` (every refusal: file, line, field, reason).

    Args:
        place: what to read.
        out: folder for the cases; it must hold none yet, but for the same cases imported without pictures.
        limit: stop after so many rows.
        rows: the rows, where they do not come from the place's files (the hub).

    Raises:
        DataError: the folder holds cases already, or no row could be imported.
        StoreError: the disk is full or the folder cannot be written.
    """
    out = Path(out)
    again = (out / CASES_FILE).exists()
    if again:
        _refuse_unless_waiting(out, place)
    report = ImportReport(place.source.name, str(place.root), place.split, looked=place.looked)
    made = not out.exists()
    found = _surveyed(place, rows)
    temporary = {name: out / f".{name}.{os.getpid()}.tmp" for name in (CASES_FILE, REFUSED_FILE)}
    try:
        out.mkdir(parents=True, exist_ok=True)
        with (
            temporary[CASES_FILE].open("w", encoding="utf-8", newline="\n") as cases,
            temporary[REFUSED_FILE].open("w", encoding="utf-8", newline="\n") as refused,
        ):
            _Run(place, report, PictureCopier(place.images, out), cases, refused).all(
                track(islice(found, limit) if limit else found, "rows", unit="rows")
            )
            for file in (cases, refused):
                file.flush()
                os.fsync(file.fileno())
        report.written = _digest(temporary[CASES_FILE])
        temporary[REFUSED_FILE].replace(out / REFUSED_FILE)
        if report.cases or not again:
            write_json(out / REPORT_FILE, report.as_json())
        if not report.cases:
            first = f"; first: {report.first[0]}" if report.first else ""
            raise DataError(
                f"{place.root}: {report.rows} rows, none became a case{first} (all: {out / REFUSED_FILE})"
            )
        temporary[CASES_FILE].replace(out / CASES_FILE)
    except OSError as exc:
        raise disk_error(out, exc) from exc
    finally:
        for path in temporary.values():
            with suppress(OSError):
                path.unlink(missing_ok=True)
        if made:
            with suppress(OSError):  # nothing could be read: the new folder is empty, and goes
                out.rmdir()
    return report


def _refuse_unless_waiting(out: Path, place: ImportPlace) -> None:
    """Cases that are there may be imported again for one reason: their pictures, which were not there then.

    Raises:
        DataError: they are others, have pictures, or were changed since.
    """
    known = read_json(out / REPORT_FILE) if (out / REPORT_FILE).exists() else {}
    same = known.get("source") == place.source.name and known.get("split", "") == place.split
    same = same and Path(str(known.get("place"))).resolve() == place.root.resolve()
    if not same or not known.get("without_picture"):
        raise DataError(f"{out}: holds cases already; name a new folder by --out")
    if place.images is None:
        raise DataError(
            f"{out}: holds these cases already, imported without their pictures; name the folder of pictures "
            "by --images, or a new folder by --out"
        )
    if known.get("written") != _digest(out / CASES_FILE):
        raise DataError(
            f"{out}: its cases were changed since their import (decomposed, reviewed or by hand), which "
            "a new import would undo; name a new folder by --out"
        )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _asked(draft: CaseDraft) -> CaseDraft:
    """The draft without the mark for the picture in its question, which every model's template writes itself.

    Raises:
        RecordError: several pictures are meant, or nothing else is asked.
    """
    marks = _MARK.findall(draft.question)
    if not marks:
        return draft
    if len(marks) > 1 and not draft.more:
        found = ", ".join(marks[:4])
        raise RecordError("question", "several pictures", found, "one, which is all that the record has")
    if len(marks) > 1:
        numbers = iter(range(1, len(marks) + 1))
        draft.question = _MARK.sub(lambda _: f"(picture {next(numbers)})", draft.question)
        draft.derived += ("question: marks for the pictures replaced by their numbers",)
        return draft
    draft.question = re.sub(r"[ \t]+(?=\n|$)|(?<=\n)[ \t]+", "", _MARK.sub(" ", draft.question)).strip()
    draft.question = re.sub(r"[ \t]{2,}", " ", draft.question)
    draft.derived += ("question: the mark for the picture taken out",)
    return draft


def _boxed(draft: CaseDraft, pictures: Sequence[Picture]) -> tuple[Object, ...]:
    """The objects of a draft with boxes in pixels, which had to wait for the picture's size.

    Raises:
        RecordError: a box is none, or reaches out of its picture by more than rounding (2 pixels, 2 %).
    """
    if not draft.box_form:
        return draft.objects
    out = []
    for thing in draft.objects:
        shown = pictures[thing.picture]
        known = None if (shown.width, shown.height) == UNKNOWN else (shown.width, shown.height)
        if thing.box is not None:
            at = f"box of {thing.id}"
            box, cut = box_of(thing.box, at, draft.box_form, known)
            if cut and known and not within(to_pixels(thing.box, draft.box_form, known), known):
                found = f"({', '.join(f'{v:g}' for v in thing.box)})"
                raise RecordError(
                    at, "box outside the picture", found, f"within {known[0]} x {known[1]} pixels"
                )
            thing = thing.model_copy(update={"box": box})
        out.append(thing)
    return tuple(out)


def _surveyed(place: ImportPlace, rows: Iterator[SourceRow] | None) -> Iterator[SourceRow]:
    """The rows, after the source's look at them: at all of a place's files, at the first of a stream."""

    def read() -> Iterator[SourceRow]:
        return place.source.rows(place) if place.source.rows else rows_of(place)

    survey = place.source.survey
    if rows is None:
        if survey:
            survey((row for row in read() if row.fault is None), place)
        return read()
    if survey:
        first = list(islice(rows, _LOOKED_AT))
        survey((row for row in first if row.fault is None), place)
        rows = chain(first, rows)
    return rows


class _Run:
    """One import under way."""

    def __init__(
        self,
        place: ImportPlace,
        report: ImportReport,
        pictures: PictureCopier,
        cases: TextIO,
        refused: TextIO,
    ) -> None:
        self.place, self.report, self.pictures = place, report, pictures
        self.cases, self.refused = cases, refused
        self.ids: set[str] = set()

    def all(self, rows: Iterator[SourceRow]) -> None:
        """Every row, batch by batch."""
        batch: list[tuple[SourceRow, CaseDraft]] = []
        for row in rows:
            self.report.rows += 1 + row.merged
            draft = self._draft(row)
            if draft is not None:
                batch.append((row, draft))
                self.report.merged += row.merged
            if len(batch) == _BATCH:
                self._write(batch)
                batch = []
        self._write(batch)
        self.report.pictures = self.pictures.written

    def _draft(self, row: SourceRow) -> CaseDraft | None:
        finding = row.fault
        if finding is None:
            try:
                return _asked(self.place.source.build(row, self.place))
            except RecordError as exc:
                finding = exc.finding
        self._refuse(row, finding)
        return None

    def _refuse(self, row: SourceRow, finding: Finding) -> None:
        rows = 1 + row.merged
        fault: Fault = row.refuse(finding)
        self.report.refuse(finding, fault, rows)
        self.refused.write(json.dumps(vars(fault), ensure_ascii=True) + "\n")

    def _write(self, batch: list[tuple[SourceRow, CaseDraft]]) -> None:
        settled = self.pictures.settle([draft for _, draft in batch])
        for (row, draft), pictures in zip(batch, settled, strict=True):
            made = pictures if isinstance(pictures, Finding) else self._made(draft, pictures)
            if isinstance(made, Finding):
                self.report.merged -= row.merged
                self._refuse(row, made)
                continue
            case, line = made
            self.ids.add(case.id)
            self.cases.write(line + "\n")
            self.report.add(draft, case, pictured=self.pictures.there(draft))

    def _made(self, draft: CaseDraft, pictures: Sequence[Picture]) -> tuple[Case, str] | Finding:
        """The case and its line; rows of tables may hold what JSON in UTF-8 cannot."""
        case = self._case(draft, pictures)
        try:
            return case if isinstance(case, Finding) else (case, case_line(case))
        except DataError as exc:
            return Finding("original", "not JSON", show(str(exc.__cause__)), "plain values")

    def _case(self, draft: CaseDraft, pictures: Sequence[Picture]) -> Case | Finding:
        """The draft as a case that breaks no rule, or the first rule that it breaks."""
        first, *more = pictures
        size = (first.width, first.height)
        if draft.size and size not in (draft.size, UNKNOWN):
            return Finding(
                "image", "wrong size", f"{size[0]} x {size[1]}", f"{draft.size[0]} x {draft.size[1]}"
            )
        place = self.place
        try:
            objects = _boxed(draft, pictures)
        except RecordError as exc:
            return exc.finding
        try:
            case = Case(
                id=draft.id,
                image=first.image,
                width=first.width,
                height=first.height,
                more=tuple(more),
                question=draft.question,
                answer=draft.answer,
                choices=draft.choices,
                kind=draft.kind,
                wording=draft.wording,
                objects=objects,
                named=draft.named,
                steps=draft.steps,
                source="/".join(x for x in (place.source.name, place.split) if x),
                original=cast(JsonObject, draft.original),  # proved by the case's own type
            )
        except ValidationError as exc:
            error = exc.errors(include_url=False)[0]
            return Finding(path_of(error["loc"]), "wrong value", show(error["input"]), error["msg"])
        raw = case.model_dump()
        for finding in check_case(raw, DEFAULT):
            if not is_picture_to_come(raw, finding):
                return finding
        if case.id in self.ids:
            return Finding("id", "id given twice", show(case.id), "each record once")
        return case
