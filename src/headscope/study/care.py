"""Care of a study folder: how it stands, what is damaged made again, and where its data lie now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from headscope.data.cases import load_cases
from headscope.errors import DamagedError, HeadscopeError, StudyError
from headscope.experiments.choices import FILE as CHOICES
from headscope.models.ways import FILE as WAYS
from headscope.storage import fingerprint, read_json
from headscope.study.health import StageHealth, health, mark_path
from headscope.study.kept_record import (
    COPY,
    SECONDS,
    SPLITS,
    has_study,
    read_record,
    read_splits,
    restore_record,
    save_record,
)
from headscope.study.lock import FolderLock
from headscope.study.places import find_cases, find_model, placed, refuse_changed
from headscope.study.record import FILE, StudyRecord
from headscope.study.study import Study


@dataclass(frozen=True)
class StudyHealth:
    """How a study stands.

    Attributes:
        stages: each stage.
        files: faults of the files that all stages share.
        places: of cases and model: where they are, or why they are not found.
        lost: whether one of these is not found.
    """

    stages: tuple[StageHealth, ...]
    files: tuple[str, ...]
    places: tuple[str, ...]
    lost: bool

    @property
    def damaged(self) -> bool:
        """Whether something is not as it was written."""
        return bool(self.files) or any(s.state == "damaged" for s in self.stages)


def status(folder: str | Path) -> StudyHealth:
    """Read every file of a study and see whether it is as it was written.

    Raises:
        StudyError: the folder holds no study.
    """
    folder = Path(folder)
    if not has_study(folder):
        read_record(folder)
    files = tuple(_shared_faults(folder))
    try:
        record = _readable(folder)
    except DamagedError:
        return StudyHealth(tuple(health(folder)), files, (), lost=False)
    lost = False
    places: list[str] = []
    for name, find in (
        ("cases", lambda: find_cases(record, folder).folder),
        ("model", lambda: _model(record, folder)),
    ):
        try:
            places.append(f"{name}: {find()}")
        except HeadscopeError as exc:
            places.append(f"{name}: {exc}")
            lost = True
    return StudyHealth(tuple(health(folder)), files, tuple(places), lost)


def repair(
    folder: str | Path, *, announce: Callable[[str], None] = lambda _: None, wait: bool = False
) -> list[str]:
    """Put back the record and the splits, and make again the stages that were done and are damaged.

    What is whole of them is kept: shards, finished units of work. What was not run is not run now.

    Returns:
        What was mended, in words.

    Raises:
        HeadscopeError: something cannot be mended, or a stage cannot be made again; the rest is kept.
    """
    folder = Path(folder)
    mended: list[str] = []
    if not has_study(folder):
        read_record(folder)
    with FolderLock(folder, wait, announce):
        if fault := restore_record(folder):
            mended.append(fault)
    study = Study(folder, announce=announce, wait=wait)
    with study.lock:
        before = [fault for fault in _shared_faults(folder) if SPLITS in fault]
        _ = study.splits  # made again from the cases where they are lost
        mended += before
        for name in (CHOICES, WAYS, SECONDS):
            if fault := _fault(folder / name):
                (folder / name).unlink()
                mended.append(fault)
        broken = [stage for stage in health(folder) if stage.state == "damaged"]
        for stage in broken:
            announce(f"{stage.stage}: {stage.fault}")
            mark_path(folder, stage.stage).unlink(missing_ok=True)
        for stage in broken:
            study.stage(stage.stage)
            mended.append(f"{stage.stage}: {stage.fault}")
    return mended


def move(folder: str | Path, data: str | Path | None = None, model: str | Path | None = None) -> StudyRecord:
    """Record where a study's cases and model lie now; they must be the very same.

    Args:
        folder: of the study, where it is now.
        data: of the cases; None: where they are found.
        model: of the checkpoint; None: where it is found.

    Raises:
        StudyError: they are others, or are not found.
    """
    folder = Path(folder)
    record = read_record(folder)
    if data is not None:
        found = load_cases(data, None).in_taxonomy(record.taxonomy.taxonomy)
        if found.fingerprint != record.data.fingerprint:
            refuse_changed(found, record, folder)
    else:
        found = find_cases(record, folder)
    name = _moved_model(record, folder, model)
    moved = record.data.model_copy(update={"path": str(found.folder)})
    record = placed(record.model_copy(update={"data": moved, "load_": name}), folder)
    with FolderLock(folder):
        save_record(record, folder)
    return record


def _moved_model(record: StudyRecord, folder: Path, model: str | Path | None) -> str | None:
    from headscope.models.checkpoints import folder_revision, local_folder

    if model is None:
        return None if record.load_ is None else find_model(record, folder)
    place = local_folder(str(model))
    found = "" if place is None else folder_revision(place)
    if not found or not record.model.revision.startswith(found):
        raise StudyError(
            f"{model}: has revision {found or 'unknown (no folder here)'}, the study in {folder} began with "
            f"{record.model.revision} of {record.model.name}; name the folder of that very checkpoint"
        )
    return str(place)


def _model(record: StudyRecord, folder: Path) -> str:
    if record.load_ is None:
        return f"{record.model.name}, given by whoever opens the study"
    return find_model(record, folder)


def _readable(folder: Path) -> StudyRecord:
    """The record, or else its copy."""
    try:
        return read_record(folder)
    except DamagedError:
        return StudyRecord.load(folder / COPY)


def _shared_faults(folder: Path) -> Iterator[str]:
    """What is wrong with files that no stage owns."""
    for name in (FILE, COPY):
        try:
            StudyRecord.load(folder / name)
        except DamagedError as exc:
            if name == FILE or (folder / name).exists():
                yield str(exc).partition("; ")[0]
    try:
        splits, record = read_splits(folder / SPLITS), _readable(folder)
        if record.splits not in (None, fingerprint(splits)):
            yield f"{folder / SPLITS}: are other splits than those that the study began with"
    except DamagedError as exc:
        yield str(exc).partition("; ")[0]
    yield from filter(None, (_fault(folder / name) for name in (CHOICES, WAYS, SECONDS)))


def _fault(path: Path) -> str:
    """Why a file cannot be read; empty if it can, or is not there."""
    try:
        if path.exists():
            read_json(path)
    except DamagedError as exc:
        return str(exc).partition("; ")[0]
    return ""
