"""``study.json`` and ``splits.json`` on disk: the settings of a study, kept twice, and read or refused."""

from __future__ import annotations

import logging
from pathlib import Path

from headscope.data.schema import SPLITS as NAMES
from headscope.errors import DamagedError, StudyError, command_line
from headscope.storage import damaged, read_json
from headscope.study.record import FILE, StudyRecord

log = logging.getLogger(__name__)
COPY = "study-copy.json"
SPLITS = "splits.json"
SECONDS = "timings.json"


def has_study(folder: Path) -> bool:
    """Whether a folder holds a study, be its record lost."""
    return (folder / FILE).exists() or (folder / COPY).exists()


def save_record(record: StudyRecord, folder: Path) -> None:
    """Write the record, and its copy first: one of them is whole at any time."""
    record.save(folder / COPY)
    record.save(folder / FILE)


def read_record(folder: Path) -> StudyRecord:
    """The settings of a study.

    Raises:
        StudyError: the folder holds none.
        DamagedError: they are lost, cut off or were changed.
    """
    if not has_study(folder):
        raise StudyError(
            f"{folder}: holds no study ({FILE} is not there); start one with "
            "`headscope run --model MODEL --data FOLDER --study FOLDER`"
        )
    path = folder / FILE
    try:
        return StudyRecord.load(path)
    except DamagedError as exc:
        fault = str(exc).partition("; ")[0]
        if (folder / COPY).exists():
            raise DamagedError(
                f"{fault}; {command_line('study', 'repair', folder)} puts back what the study began with"
            ) from exc
        raise DamagedError(
            f"{fault}; put it back as it was, or take the study's cases and model into a new study"
        ) from exc


def restore_record(folder: Path) -> str:
    """Put the record back from its copy, or the copy from the record; what was wrong, empty if nothing.

    Raises:
        DamagedError: both are damaged.
    """
    record, copy = folder / FILE, folder / COPY
    try:
        held = StudyRecord.load(record)
    except DamagedError as exc:
        StudyRecord.load(copy).save(record)
        return str(exc).partition("; ")[0]
    try:
        StudyRecord.load(copy)
    except DamagedError as exc:
        held.save(copy)
        return str(exc).partition("; ")[0]
    return ""


def read_seconds(folder: Path) -> dict[str, float]:
    """Stage -> its seconds; nothing where they are lost: no result rests on them."""
    try:
        found = read_json(folder / SECONDS) if (folder / SECONDS).exists() else {}
    except DamagedError as exc:
        log.warning("%s", exc)
        found = {}
    known = found.items() if isinstance(found, dict) else ()
    return {str(k): float(v) for k, v in known if isinstance(v, int | float)}


def read_splits(path: Path) -> dict[str, str]:
    """Case id -> fit, select or test.

    Raises:
        DamagedError: the file is lost, cut off, or holds something else; file and field are named.
    """
    found = read_json(path)
    if not isinstance(found, dict) or not found:
        raise damaged(path, f"expected an object of case -> split, found {str(found)[:40]!r}")
    for case, split in found.items():
        if split not in NAMES:
            raise damaged(path, f"{case}: found {str(split)[:40]!r}, expected one of {', '.join(NAMES)}")
    return dict(found)
