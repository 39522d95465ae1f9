"""The benchmarks by name: one row each, the call that imports any of them, and each one's rule of scoring."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from pathlib import Path

from headscope.benchmarks.importing.files import hub_rows
from headscope.benchmarks.importing.import_report import ImportReport
from headscope.benchmarks.importing.importer import run
from headscope.benchmarks.importing.sources import ImportPlace, Source
from headscope.benchmarks.rule import ACCURACY, Rule
from headscope.data.box_forms import FORMS
from headscope.data.pictures import show
from headscope.errors import DataError

MODULES = (
    "vsr",
    "nlvr",
    "clevr",
    "gqa",
    "coco",
    "whatsup",
    "spatialeval",
    "srbench",
    "spatial457",
    "cvbench",
    "blink",
    "embspatial",
    "sphere",
    "multihop",
    "viewspatial",
    "omnispatial",
    "robospatial",
    "mindcube",
    "mmsi",
    "vsibench",
    "spatialviz",
    "pointing_masks",
    "vlmeval",
    "table",
)

_SPLIT = re.compile(r"\w[\w./ -]*")


@cache
def _sources() -> dict[str, Source]:
    found = [s for m in MODULES for s in import_module(f"headscope.benchmarks.{m}").SOURCES]
    return {source.name: source for source in found}


def sources() -> dict[str, Source]:
    """Every source by name, in the order of the documentation."""
    return dict(_sources())


def rule(source: str) -> Rule:
    """The official rule of a source; plain accuracy, over all and by kind, where it has none of its own.

    Args:
        source: name of a source, or the ``source`` of a case (``vsr/zeroshot/dev``).

    Example:
        >>> rule("vsr/zeroshot/dev").name, rule("something else").name
        ('VSR', 'accuracy')
    """
    found = _sources().get(source.partition("/")[0])
    return found.rule if found else ACCURACY


def source(name: str) -> Source:
    """The source of this name.

    Raises:
        DataError: there is none.
    """
    known = sources()
    if name not in known:
        raise DataError(f"asked for source {name!r}, found none of that name; known are {', '.join(known)}")
    return known[name]


def import_cases(
    name: str,
    out: str | Path,
    *,
    place: str | Path | None = None,
    split: str = "",
    images: str | Path | None = None,
    limit: int | None = None,
    columns: dict[str, str] | None = None,
    boxes: str = "",
) -> ImportReport:
    """Import a source into a new folder of cases.

    Args:
        name: name of the source (``headscope data list``).
        out: folder for the cases.
        place: a folder, a file or a hub id; None: the source's own place on the hub.
        split: which part, as the source names it.
        images: folder of pictures; by default the one beside the records; where there is none, cases have
            no picture yet.
        limit: read so many rows at most.
        columns: for ``table``: which column is what.
        boxes: how boxes are written, where that is another form than the source's own
            (:data:`headscope.data.box_forms.FORMS`).

    Raises:
        DataError: nothing is there, or nothing of it can be imported.

    Example:
        >>> import_cases("vsr", "cases", place="/nowhere")
        Traceback (most recent call last):
        ...
        headscope.errors.DataError: /nowhere: asked to import vsr from here, found no such file or folder; ...
    """
    found = source(name)
    if split and (not _SPLIT.fullmatch(split) or ".." in split):
        raise DataError(f"--split: found {show(split)}, expected words like zeroshot/dev, without .. or *")
    if images is not None and not Path(images).is_dir():
        raise DataError(f"{images}: asked for pictures here, found no such folder")
    if boxes and (not found.box_form or boxes not in FORMS):
        expected = (
            f"one of {', '.join(FORMS)}" if found.box_form else f"no such option: boxes of {name} are fixed"
        )
        raise DataError(f"--boxes: found {show(boxes)}, expected {expected}")
    if columns and not found.mapped:
        raise DataError(
            f"--map: found {', '.join(columns)}, but columns of {name} are fixed; --map is for table"
        )
    where = str(place) if place is not None else _own_hub(found, split)
    if place is not None and Path(where).exists():
        return run(_local(found, Path(where), split, images, columns or {}, boxes), out, limit)
    if not _is_hub_id(where):
        raise DataError(
            f"{where}: asked to import {name} from here, found no such file or folder; {found.get}"
        )
    at = ImportPlace(found, Path(where), (), split, Path(images) if images else None, columns or {}, boxes)
    config = (
        _filled(found.hub_config, split) if found.hub else split.partition("/")[0] if "/" in split else ""
    )
    part = _filled(found.hub_split, split) if found.hub else split.rpartition("/")[2]
    return run(at, out, limit, hub_rows(where, config, part))


def _own_hub(found: Source, split: str) -> str:
    if not found.hub:
        raise DataError(f"{found.name}: is on no hub in a form that can be read; {found.get}")
    return _filled(found.hub, split)


def _filled(pattern: str, split: str) -> str:
    """``{split}`` is the whole, ``{0}`` what stands before its slash, ``{1}`` what stands after."""
    head, _, tail = split.partition("/")
    return re.sub(r"\*{2,}", "*", pattern.format(head, tail or head, split=split))


def _any_case(split: str) -> str:
    """A glob for a split in capitals or small letters: CV-Bench's 2D lies in test_2d.parquet."""
    return "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in split)


def _is_hub_id(text: str) -> bool:
    return text.count("/") == 1 and not text.startswith((".", "/", "~")) and "\\" not in text


def _local(
    found: Source,
    where: Path,
    split: str,
    images: str | Path | None,
    columns: dict[str, str],
    boxes: str,
) -> ImportPlace:
    files = (where,) if where.is_file() else _files(found, where, split)
    root = where.parent if where.is_file() else where
    part = split or _split_of(found, files)
    others = {s for s in found.splits if s != part} if part else set()
    named = [root / _filled(p, part or "*") for p in found.pictures if p not in others]
    pictures = Path(images) if images else next((p for p in named if p.is_dir()), None)
    looked = tuple(str(p) for p in ([images] if images else named))
    return ImportPlace(found, root, files, split, pictures, columns, boxes, looked=looked)


def _split_of(found: Source, files: tuple[Path, ...]) -> str:
    """The split that the only file's name tells, where just one of the source's splits stands in it."""
    told = [s for s in found.splits if len(files) == 1 and s.lower() in files[0].stem.lower()]
    return told[0] if len(told) == 1 else ""


_SHARD = re.compile(r"^(.*)-(\d+)-of-(\d+)(\..*)$")


def _shards(files: tuple[Path, ...]) -> bool:
    """Whether the files are all shards of one table (``train-00000-of-00003.parquet`` ...).

    Raises:
        DataError: they are shards of one table, but some are missing.
    """
    marks = [m for f in files if (m := _SHARD.match(f.name))]
    if not files or len(marks) != len(files) or len({(m[1], m[3], m[4]) for m in marks}) != 1:
        return False
    if missing := sorted({*range(int(marks[0][3]))} - {int(m[2]) for m in marks}):
        raise DataError(
            f"{files[0].parent}: asked to import {len(files)} shards of {marks[0][1]}, found none of number "
            f"{', '.join(map(str, missing[:8]))}; {marks[0][3]} belong together"
        )
    return True


def _files(found: Source, folder: Path, split: str) -> tuple[Path, ...]:
    """The files of a split; without one the only ones that there are."""
    for pattern in (found.named[split],) if split in found.named else found.files:
        if split and split not in found.named and "{" not in pattern and found.splits:
            continue
        wanted = _filled(pattern, _any_case(split) or "*")
        files = tuple(sorted(p for p in folder.glob(wanted) if p.is_file()))
        if len(files) == 1 or (files and found.many) or _shards(files):
            return files
        if files:
            names = ", ".join(str(f.relative_to(folder)) for f in files[:8])
            raise DataError(
                f"{folder}: asked to import {found.name}, found {len(files)} files ({names}); "
                f"say which by --split ({', '.join(found.splits) or 'part of its name'}), or name the file"
            )
    looked = ", ".join(_filled(p, split or "*") for p in found.files)
    what = f"{found.name} split {split}" if split else found.name
    raise DataError(f"{folder}: asked to import {what}, found none of {looked}; {found.get}")
