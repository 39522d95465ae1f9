"""Cases on disk: a folder with ``cases.jsonl`` and its pictures, read safely, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import overload

from PIL import Image

from headscope.data.checks import check_case, unwritable
from headscope.data.picture_files import picture_target, put_picture
from headscope.data.pictures import PictureError, key_of, locate, read_rgb
from headscope.data.schema import Case, Picture, Split, Step
from headscope.data.splits import assign_splits, group_by_content
from headscope.data.validation import CASES_FILE, inspect
from headscope.errors import DataError, command_line
from headscope.functions import DEFAULT, Taxonomy
from headscope.storage import write_atomic

IMAGES = "images"


class Cases(Sequence[Case]):
    """Cases in order, with the folder that their pictures lie in.

    Attributes:
        folder: pictures are found relative to it.
        cases: the cases.

    Raises:
        DataError: two cases have the same id.

    Example:
        >>> import headscope as hs
        >>> case = hs.Case(id="a", image="a.png", width=8, height=8, question="?", answer="no")
        >>> cases = hs.Cases("my-data", [case])
        >>> cases[0].id, len(cases), cases.by_id["a"].answer
        ('a', 1, 'no')
    """

    def __init__(self, folder: str | Path, cases: Iterable[Case], whole: Cases | None = None) -> None:
        self.folder = Path(folder)
        self.cases = tuple(cases)
        self._whole = whole
        if len(self.by_id) < len(self.cases):
            seen: set[str] = set()
            again = next(c.id for c in self.cases if c.id in seen or seen.add(c.id))  # type: ignore[func-returns-value]
            raise DataError(f"{self.folder}: two cases have the id {again!r}; ids must differ")

    @cached_property
    def by_id(self) -> dict[str, Case]:
        """Cases by their id."""
        return {c.id: c for c in self.cases}

    @cached_property
    def splits(self) -> dict[str, Split]:
        """Case id to split, by ``assign_splits`` with seed 0; a subset keeps the splits of its whole."""
        if self._whole is not None:
            return {c.id: self._whole.splits[c.id] for c in self.cases}
        return assign_splits(self)

    @cached_property
    def picture_groups(self) -> dict[str, str]:
        """Case id to the name of its picture: :func:`headscope.data.splits.picture_groups`."""
        if self._whole is not None:
            return {c.id: self._whole.picture_groups[c.id] for c in self.cases}
        return group_by_content(self, self.folder)

    @cached_property
    def fingerprint(self) -> str:
        """64 hex digits: SHA-256 over the lines that ``save_cases`` writes and every picture's name and size.

        Sizes in bytes stand for the pictures' contents, so that thousands of photographs cost
        milliseconds; a picture replaced by another of exactly as many bytes goes unnoticed. Layout of
        the JSON (key order, spaces) and modification times do not count.
        """
        sha = hashlib.sha256()
        for case in self.cases:
            sha.update(case_line(case).encode() + b"\n")
        for image in sorted({key_of(p.image) for c in self.cases for p in c.pictures}):
            try:
                size = (self.folder / image).stat().st_size
            except (OSError, ValueError):
                size = -1
            sha.update(f"{image}\0{size}\n".encode())
        return sha.hexdigest()

    def image_path(self, case: Case | str, number: int = 0) -> Path:
        """The file of a case's picture, proved to lie inside the folder.

        Args:
            number: which of the case's pictures, from 0.

        Raises:
            DataError: it is missing, or its path leaves the folder.
        """
        case = self.by_id[case] if isinstance(case, str) else case
        shown = case.pictures[number]
        try:
            return locate(self.folder, shown.image)
        except PictureError as exc:
            raise self._trouble(case, shown, exc) from exc

    def image(self, case: Case | str) -> Image.Image:
        """The one picture of a case: RGB, width x height pixels as the case says.

        Transparent parts are laid over white; of an animation the first frame is taken.

        Raises:
            DataError: missing, damaged, over 50 million pixels, of another size than the case says, or one of
                several.
        """
        case = self.by_id[case] if isinstance(case, str) else case
        refuse_several_pictures((case,), self.folder)
        return self.images(case)[0]

    def images(self, case: Case | str) -> list[Image.Image]:
        """All pictures of a case, as :meth:`image` reads one.

        Raises:
            DataError: as there, but for their number.
        """
        case = self.by_id[case] if isinstance(case, str) else case
        return [self.picture(case, number) for number in range(len(case.pictures))]

    def shown(self, case: Case | str) -> Image.Image | list[Image.Image]:
        """What a model is shown of a case: its one picture, or the list of all of them.

        Raises:
            DataError: as :meth:`image`, but for their number.
        """
        case = self.by_id[case] if isinstance(case, str) else case
        return self.images(case) if case.more else self.image(case)

    def picture(self, case: Case | str, number: int) -> Image.Image:
        """One of the pictures of a case, by its number from 0, as :meth:`image` reads one.

        Raises:
            DataError: as there, but for their number.
        """
        case = self.by_id[case] if isinstance(case, str) else case
        shown = case.pictures[number]
        try:
            picture = read_rgb(locate(self.folder, shown.image))
        except PictureError as exc:
            raise self._trouble(case, shown, exc) from exc
        if picture.size != (shown.width, shown.height):
            size, wanted = (f"{w} x {h}" for w, h in (picture.size, (shown.width, shown.height)))
            raise self._trouble(case, shown, PictureError("wrong size", size, f"{wanted}, as the case says"))
        return picture

    def _trouble(self, case: Case, shown: Picture, exc: PictureError) -> DataError:
        return DataError(
            f"{self.folder / shown.image}: the picture of case {case.id!r}: {exc}; "
            f"{command_line('data', 'validate', self.folder)} lists every fault"
        )

    def subset(self, which: Iterable[str] | Callable[[Case], bool]) -> Cases:
        """Some of the cases, in the same order: by id, or those for which a predicate holds.

        Raises:
            DataError: an id that is not there.
        """
        if callable(which):
            kept = [c for c in self.cases if which(c)]
        else:
            wanted = {which} if isinstance(which, str) else set(which)
            if missing := sorted(wanted - set(self.by_id)):
                raise DataError(f"{self.folder}: asked for cases {missing[:5]}, found none of that id")
            kept = [c for c in self.cases if c.id in wanted]
        return Cases(self.folder, kept, whole=self._whole or self)

    def in_taxonomy(self, taxonomy: Taxonomy) -> Cases:
        """The same cases, every step labelled with the taxonomy's own function (``Taxonomy.own``).

        Splits and pictures stay those of the cases as they were; where no label changes, so do they.
        """
        if all(taxonomy.own(s.function) == s.function for c in self.cases for s in c.steps):
            return self
        renamed = (
            c.model_copy(update={"steps": tuple(_owned(s, taxonomy) for s in c.steps)}) for c in self.cases
        )
        return Cases(self.folder, renamed, whole=self._whole or self)

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases)

    @overload
    def __getitem__(self, index: int) -> Case: ...
    @overload
    def __getitem__(self, index: slice) -> Cases: ...
    def __getitem__(self, index: int | slice) -> Case | Cases:
        if isinstance(index, slice):
            return Cases(self.folder, self.cases[index], whole=self._whole or self)
        return self.cases[index]

    def __repr__(self) -> str:
        return f"Cases({len(self)} cases, {str(self.folder)!r})"


def refuse_several_pictures(cases: Iterable[Case], folder: str | Path) -> None:
    """Refuse cases with several pictures where one picture is asked about.

    Raises:
        DataError: there are some, with the first of them and how many they are.
    """
    several = [c for c in cases if c.more]
    if several:
        first = several[0]
        raise DataError(
            f"{folder}: case {first.id!r} has {len(first.pictures)} pictures ({len(several)} such cases); "
            "one picture is asked about here: take these cases out; `headscope evaluate` and `headscope "
            "capture` show a model all pictures, and `headscope score` reads answers that others saved"
        )


def _owned(step: Step, taxonomy: Taxonomy) -> Step:
    return step.model_copy(update={"function": taxonomy.own(step.function)})


def load_cases(folder: str | Path, taxonomy: Taxonomy | None = DEFAULT, *, pictures: bool = True) -> Cases:
    """Read the cases of a folder; picture headers are checked, pixels are not decoded.

    Args:
        folder: the folder that holds ``cases.jsonl``, or that file.
        taxonomy: the functions that steps may have; None: any.
        pictures: look at pictures; False: for cases imported without theirs, to be read but not asked.

    Raises:
        DataError: anything is wrong, with the first fault and how many there are.

    Example:
        >>> import headscope as hs
        >>> made = hs.draw_scenes("data", 3)
        >>> hs.load_cases("data").fingerprint == made.fingerprint
        True
        >>> hs.load_cases("/nowhere")
        Traceback (most recent call last):
        ...
        headscope.errors.DataError: /nowhere/cases.jsonl:1: file: no cases, found no such file, ...
    """
    out = inspect(folder, taxonomy, keep=True, decode=False, pictures=pictures)
    if out.faults:
        every = command_line("data", "validate", folder)
        more = f"\n({len(out.faults)} faults; {every} lists every one)" if len(out.faults) > 1 else ""
        raise DataError(f"{out.faults[0]}{more}")
    return Cases(out.file.parent, out.cases)


def save_cases(cases: Iterable[Case], folder: str | Path) -> Cases:
    """Write ``cases.jsonl`` and the pictures, so that ``load_cases`` gives the same cases back.

    Pictures of ``Cases`` from elsewhere are copied byte for byte; those of plain cases must lie in
    ``folder`` already. ``cases.jsonl`` is written last: where it is, the pictures are.

    Raises:
        DataError: a case that ``load_cases`` would refuse, or a picture that is missing.
        StoreError: the disk is full or the folder cannot be written.
    """
    folder = Path(folder)
    out = Cases(folder, cases)
    if not out.cases:
        raise DataError(f"{folder}: asked to save no cases; expected at least one")
    lines = [_checked_line(case) for case in out]
    source = cases.folder if isinstance(cases, Cases) else folder
    for image in sorted({key_of(p.image) for c in out for p in c.pictures}):
        _copy_picture(source, folder, image)
    write_atomic(folder / CASES_FILE, "\n".join(lines) + "\n")
    return out


def case_line(case: Case) -> str:
    """The case as one line of JSON, without the line's end; empty fields of later versions are not written.

    Raises:
        DataError: ``original`` holds what JSON cannot.
    """
    try:
        value = case.model_dump(warnings=False)
        for step in value["steps"]:
            if not step["origin"]:  # lines, and so fingerprints, are those of the time before this field
                del step["origin"]
        for thing in value["objects"]:
            if not thing["picture"]:
                del thing["picture"]
        if not value["more"]:
            del value["more"]
        line = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        line.encode()
    except (TypeError, ValueError, RecursionError) as exc:
        raise DataError(
            f"case {case.id!r}: cannot be written as JSON ({exc}); keep plain values only"
        ) from exc
    return line


def _checked_line(case: Case) -> str:
    raw = case.model_dump(warnings=False)
    for found in (*unwritable(raw), *check_case(raw, None)):
        raise DataError(
            f"case {case.id!r}: {found.field}: {found.what}, found {found.found}, expected {found.expected}"
        )
    return case_line(case)


def _copy_picture(source: Path, folder: Path, image: str) -> None:
    """Copy one picture between folders under the same relative path; within one folder only look at it."""
    try:
        old = locate(source, image)
    except PictureError as exc:
        raise DataError(f"{source / image}: {exc}") from exc
    if source.resolve() != folder.resolve():
        put_picture(old, picture_target(folder, image))
