"""Whether what a study's stages left is still there, and is as it was written.

One rule: a stage is done if its mark in ``done/`` says so, its result loads, and the checksums hold of the
files that it left. Else it is made again, from those of its units of work that are whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from headscope.capturing.captured import PLAN, CapturePlan
from headscope.capturing.store import CHECKSUMS, broken_shards, missing_shards
from headscope.errors import DamagedError
from headscope.experiments.choices import frozen
from headscope.records import Artefact
from headscope.seals import file_digest, first_change
from headscope.storage import CHANGED, fingerprint, read_json, write_sealed
from headscope.study.stages import STAGES, Stage

DONE = "done"
State = Literal["done", "damaged", "begun", "not run"]


@dataclass(frozen=True)
class StageHealth:
    """How a stage stands.

    Attributes:
        stage: its name.
        state: ``done``; ``damaged``: it was done, and something is missing or changed since; ``begun``;
            ``not run``.
        fault: what is missing or changed.
    """

    stage: str
    state: State
    fault: str = ""


def mark_path(folder: Path, stage: str) -> Path:
    """What says that a stage is done."""
    return folder / DONE / f"{stage}.json"


def mark_done(folder: Path, row: Stage) -> None:
    """Record that a stage is done, with digests of all that it left."""
    files = {p.relative_to(folder).as_posix(): file_digest(p) for p in _files(folder, row)}
    said: dict[str, Any] = {"stage": row.name, "files": files}
    if row.freezes and (choice := frozen(folder, row.freezes)) is not None:
        said["frozen"] = fingerprint(choice)
    write_sealed(mark_path(folder, row.name), said)


def made(folder: Path, row: Stage) -> tuple[Artefact] | None:
    """A stage's result, if it is done.

    Raises:
        DamagedError: it was done, and is not any more: what is missing or changed.
    """
    if not mark_path(folder, row.name).exists():
        return None
    said = _said(folder, row)
    gone = next((name for name in said.get("files", {}) if not (folder / name).exists()), None)
    if gone is not None:
        raise DamagedError(f"{folder / gone}: not found")
    if "frozen" in said and fingerprint(frozen(folder, row.freezes)) != said["frozen"]:
        raise DamagedError(f"{folder / 'choices.json'}: what {row.name} froze is gone, or was changed")
    for name in (n for n in row.keeps if (folder / n / PLAN).exists()):
        missing = missing_shards(folder / name)
        if missing:
            raise DamagedError(f"{folder / name}: shard {missing[0]} is missing")
    return (row.load(folder),)


def check(folder: Path, row: Stage) -> tuple[Artefact] | None:
    """A stage's result, if it is done; every file that it left is read.

    Raises:
        DamagedError: one is missing or changed.
    """
    found = made(folder, row)
    if found is None:
        return None
    changed = first_change(folder, _said(folder, row).get("files", {}))
    if changed is not None:
        raise DamagedError(f"{changed}: {CHANGED}")
    for name in (n for n in row.keeps if (folder / n / PLAN).exists()):
        for fault in broken_shards(folder / name, CapturePlan.load(folder / name / PLAN)).values():
            raise DamagedError(fault)
    return found


def health(folder: Path) -> Iterator[StageHealth]:
    """How every stage of a study stands; every file is read."""
    for row in STAGES:
        fault = ""
        try:
            done = check(folder, row) is not None
        except DamagedError as exc:
            done, fault = True, str(exc).partition("; ")[0]
        begun = any((folder / name).exists() for name in row.keeps)
        state: State = "damaged" if fault else "done" if done else "begun" if begun else "not run"
        yield StageHealth(row.name, state, fault)


def damaged_results(folder: Path) -> list[str]:
    """Results that were done and cannot be read, in words; those that are made anew each time aside."""
    found = []
    for row in STAGES:
        try:
            _ = row.again or made(folder, row)
        except DamagedError as exc:
            found.append(f"{row.name}: {str(exc).partition('; ')[0]}")
    return found


def _said(folder: Path, row: Stage) -> dict[str, Any]:
    """What a stage's mark says; a mark from before marks named files names none."""
    path = mark_path(folder, row.name)
    said = read_json(path)
    if not isinstance(said, dict) or not isinstance(said.get("files", {}), dict):
        raise DamagedError(f"{path}: files: expected an object")
    return said


def _files(folder: Path, row: Stage) -> Iterator[Path]:
    """What a stage left; of a shard its checksums, which stand for the rest."""
    for name in row.keeps:
        place = folder / name
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            within = [above for above in path.parents if above.is_relative_to(place)]
            sealed = any((above / CHECKSUMS).exists() for above in within)
            if path.is_file() and (path.name == CHECKSUMS or not sealed):
                yield path
