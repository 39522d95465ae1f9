"""Validation of a folder of cases: every fault, each as ``file:line: field: what, found X, expected Y``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from headscope.data.box_forms import BoxSurvey
from headscope.data.checks import Finding, check_case, parse
from headscope.data.near_duplicates import Appearance, NearDuplicate, ShownPicture, look_at, near_duplicates
from headscope.data.pictures import (
    PictureError,
    content_keys,
    key_of,
    locate,
    quiet_bombs,
    read_size,
    show,
)
from headscope.data.schema import SPLITS, Case, Split
from headscope.functions import DEFAULT, Taxonomy
from headscope.progress import track
from headscope.records import JsonObject, JsonValue

CASES_FILE = "cases.jsonl"
MAX_LINE = 32 * 2**20
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_WIDEST = 10**6  # pixels of a side; what claims more is no picture, and tells nothing of its boxes
_MANY = 64  # from so many pictures on, threads pay


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a folder of cases.

    Example:
        >>> print(Fault("d/cases.jsonl", 3, "objects[0].box", "empty box", "(1, 1, 1, 5)", "x0 < x1"))
        d/cases.jsonl:3: objects[0].box: empty box, found (1, 1, 1, 5), expected x0 < x1
    """

    file: str
    line: int
    field: str
    what: str
    found: str
    expected: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: {self.field}"
        return f"{place}: {self.what}, found {self.found}, expected {self.expected}"


class _Picture(NamedTuple):
    """What one line says about one of its pictures; ``at`` names it, where it is a further one."""

    line: int
    at: str
    case: str
    image: str
    size: tuple[JsonValue, JsonValue]
    split: Split | None


@dataclass
class Inspection:
    """What reading a folder gave: good cases in order, every fault by line, pictures that look alike."""

    file: Path
    cases: list[Case] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    near: list[NearDuplicate] = field(default_factory=list)

    def add(self, line: int, found: Finding) -> None:
        """Note a fault at a line."""
        self.faults.append(Fault(str(self.file), line, *found))


def jsonl_path(folder: str | Path) -> Path:
    """The JSONL file meant by a folder or by the file itself."""
    path = Path(folder)
    return path if path.suffix in (".jsonl", ".json") and not path.is_dir() else path / CASES_FILE


def wanted_split(split: object, held_out: object) -> Split | None:
    """The split that a case asks for: its own, else ``test`` where anything in it is held out, else none."""
    if split in SPLITS:
        wanted: Split = split
        return wanted
    return "test" if split is None and isinstance(held_out, list | tuple) and held_out else None


def validate(folder: str | Path, taxonomy: Taxonomy | None = DEFAULT) -> list[Fault]:
    """Every fault of a folder of cases; an empty list means that all of it can be used.

    Reads line by line and decodes every picture. Never raises for what the folder holds.

    Args:
        folder: the folder that holds ``cases.jsonl``, or that file.
        taxonomy: the functions that steps may have; None: any.

    Example:
        >>> print(validate("/nowhere")[0])
        /nowhere/cases.jsonl:1: file: no cases, found no such file, expected one case in JSON per line
    """
    return inspect(folder, taxonomy, keep=False, decode=True).faults


def inspect(
    folder: str | Path, taxonomy: Taxonomy | None, *, keep: bool, decode: bool, pictures: bool = True
) -> Inspection:
    """Read a folder of cases and check it.

    Args:
        folder: the folder, or its JSONL file.
        taxonomy: the functions that steps may have; None: any.
        keep: keep the good cases in memory.
        decode: decode every picture, compare contents and looks; else read headers only.
        pictures: look at pictures at all; False: cases whose pictures are not there yet (0 x 0 pixels) pass.
    """
    out = Inspection(jsonl_path(folder))
    shown: list[_Picture] = []
    first: dict[str, int] = {}
    lines = 0
    look = BoxSurvey("xyxy")
    try:
        for line, content in read_lines(out.file):
            lines += 1
            if line == 1 and content and content.startswith(_UTF_16):
                out.add(1, Finding("file", "not UTF-8", "UTF-16", "text in UTF-8"))
                break
            raw, case = _read_case(out, line, content, taxonomy, pictures)
            if isinstance(raw, dict):
                _note(out, line, raw, first, shown)
                _look_at_boxes(look, raw)
            if keep and case is not None:
                out.cases.append(case)
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the path
        missing = isinstance(exc, FileNotFoundError | NotADirectoryError)
        found = "no such file" if missing else show(getattr(exc, "strerror", None) or str(exc))
        out.add(1, Finding("file", "no cases", found, "one case in JSON per line"))
        return out
    if not lines:
        out.add(1, Finding("file", "no cases", "an empty file", "one case in JSON per line"))
    if pictures:
        _check_pictures(out, shown, decode)
    doubt = look.doubt() if decode else None
    if doubt:
        found = f"{look.boxes} boxes that seem to be {doubt[0]}"
        out.add(1, Finding("objects[].box", "doubtful boxes", found, "x0, y0, x1, y1 in pixels"))
    out.faults.sort(key=lambda f: f.line)
    return out


def read_lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """(number from 1, bytes) of each line that is not blank; None in place of one over ``MAX_LINE``."""
    number = 0
    with path.open("rb") as file:
        while chunk := file.readline(MAX_LINE + 1):
            number += 1
            if len(chunk) > MAX_LINE:
                while chunk and not chunk.endswith(b"\n"):
                    chunk = file.readline(MAX_LINE)
                yield number, None
            elif chunk.strip():
                yield number, chunk


def _read_case(
    out: Inspection, line: int, content: bytes | None, taxonomy: Taxonomy | None, pictures: bool
) -> tuple[JsonValue, Case | None]:
    if content is None:
        out.add(line, Finding("json", "enormous line", f"over {MAX_LINE} bytes", "one case"))
        return None, None
    before = len(out.faults)
    if line == 1 and content.startswith(b"\xef\xbb\xbf"):
        out.add(1, Finding("file", "byte order mark", "EF BB BF", "UTF-8 without a mark"))
        content = content[3:]
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as exc:
        found = f"byte 0x{content[exc.start]:02X} at column {exc.start + 1}"
        out.add(line, Finding("json", "not UTF-8", found, "text in UTF-8"))
        return None, None
    raw, case, findings = parse(text.rstrip("\r\n"))
    for finding in (*findings, *check_case(raw, taxonomy)):
        if pictures or not is_picture_to_come(raw, finding):
            out.add(line, finding)
    return raw, case if len(out.faults) == before else None


def is_picture_to_come(raw: object, finding: Finding) -> bool:
    """Whether a finding says only that a case's picture is not there yet: 0 x 0 pixels."""
    if not isinstance(raw, dict):
        return False
    more = raw.get("more")
    further = enumerate(more if isinstance(more, list | tuple) else ())
    shown = [("", raw), *((f"more[{i}].", p) for i, p in further)]
    empty = [at for at, p in shown if isinstance(p, dict) and (p.get("width"), p.get("height")) == (0, 0)]
    return finding.field in {f"{at}{side}" for at in empty for side in ("width", "height")}


def _note(
    out: Inspection, line: int, raw: JsonObject, first: dict[str, int], pictures: list[_Picture]
) -> None:
    """Keep what must be compared with other lines."""
    name = raw.get("id")
    if isinstance(name, str) and first.setdefault(name, line) != line:
        out.add(line, Finding("id", "id given twice", show(name), f"an id unlike that of line {first[name]}"))
    more = raw.get("more")
    further = enumerate(more if isinstance(more, list) else ())
    for at, shown in (("", raw), *((f"more[{i}].", p) for i, p in further)):
        image = shown.get("image") if isinstance(shown, dict) else None
        if isinstance(image, str) and isinstance(shown, dict):
            size = shown.get("width"), shown.get("height")
            split = wanted_split(raw.get("split"), raw.get("held_out"))
            pictures.append(_Picture(line, at, str(name), image, size, split))


def _look_at_boxes(look: BoxSurvey, raw: JsonObject) -> None:
    """Add a case's boxes; what is of another type is reported where it stands."""
    width, height, things = raw.get("width"), raw.get("height"), raw.get("objects")
    if type(width) is not int or type(height) is not int or not isinstance(things, list):
        return
    if max(width, height) > _WIDEST:
        return
    for thing in things:
        if isinstance(thing, dict) and thing.get("picture"):
            continue  # of another picture, whose size may be another
        box = thing.get("box") if isinstance(thing, dict) else None
        values = box if isinstance(box, list) and len(box) == 4 else []
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) == 4:
            look.add([float(max(-1e13, min(1e13, v))) for v in numbers], (width, height))


def _check_pictures(out: Inspection, pictures: list[_Picture], decode: bool) -> None:
    """Missing, damaged, enormous and mislabelled pictures, and those that straddle splits."""
    folder = out.file.parent
    places = _each({p.image for p in pictures}, lambda image: locate(folder, image))
    found = {p for p in places.values() if isinstance(p, Path)}
    with quiet_bombs():
        read = _each(found, look_at if decode else read_size)
    for picture in pictures:
        place = places[picture.image]
        result = read[place] if isinstance(place, Path) else place
        if isinstance(result, PictureError):
            if result.what not in _KNOWN:
                out.add(
                    picture.line, Finding(f"{picture.at}image", result.what, result.found, result.expected)
                )
            continue
        size = result.size if isinstance(result, Appearance) else result
        for name, wanted, real in zip(("width", "height"), picture.size, size, strict=True):
            if isinstance(wanted, int) and not isinstance(wanted, bool) and wanted != real:
                out.add(
                    picture.line,
                    Finding(f"{picture.at}{name}", "not the picture's size", show(wanted), str(real)),
                )
    contents = content_keys(found) if decode else {}
    _check_splits(out, pictures, places, contents)
    if decode:
        out.near = _near(out, pictures, places, contents, read)


# What check_case has reported already, from the path alone.
_KNOWN = frozenset({"no path", "control character in the path", "absolute path", "backslash in the path"}) | {
    "path leaves the folder"
}


def _check_splits(
    out: Inspection,
    pictures: list[_Picture],
    places: dict[str, Path | PictureError],
    contents: dict[Path, str],
) -> None:
    first: dict[str, _Picture] = {}
    for picture in pictures:
        if picture.split is None:
            continue
        place = places[picture.image]
        key = contents.get(place, str(place)) if isinstance(place, Path) else key_of(picture.image)
        other = first.setdefault(key, picture)
        if other.split != picture.split:
            found = f"{show(picture.split)} for the picture of line {other.line}"
            out.add(picture.line, Finding("split", "picture in two splits", found, show(other.split)))


def _near(
    out: Inspection,
    pictures: list[_Picture],
    places: dict[str, Path | PictureError],
    contents: dict[Path, str],
    read: dict[Path, Appearance | tuple[int, int] | PictureError],
) -> list[NearDuplicate]:
    """Pictures of different content that look the same."""
    shown: dict[Any, ShownPicture] = {}
    looks: dict[Any, Appearance] = {}
    for picture in pictures:
        place = places[picture.image]
        if isinstance(place, Path) and isinstance(look := read[place], Appearance):
            shown.setdefault(
                contents[place], ShownPicture(picture.line, picture.case, picture.image, picture.split)
            )
            looks.setdefault(contents[place], look)
    return near_duplicates(str(out.file), shown, looks)


def _each(items: Iterable[Any], read: Any) -> dict[Any, Any]:
    """{item: what ``read`` gave, or the PictureError it raised}; in threads when there are many."""

    def attempt(item: Any) -> Any:
        try:
            return read(item)
        except PictureError as exc:
            return exc

    todo = sorted(items)
    if len(todo) < _MANY:
        return {item: attempt(item) for item in todo}
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return dict(zip(todo, track(pool.map(attempt, todo), "pictures", len(todo), "pictures"), strict=True))
