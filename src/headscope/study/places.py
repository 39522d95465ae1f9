"""Where a study's data and model lie: recorded so that a study that was moved finds them again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from headscope.data.cases import Cases, load_cases
from headscope.data.validation import CASES_FILE, jsonl_path
from headscope.errors import DataError, StudyError, command_line
from headscope.functions import SHIPPED
from headscope.study.record import StudyData, StudyModel, StudyRecord


def recorded(place: str | Path, folder: Path) -> str:
    """A place as ``study.json`` names it: from the study's folder where it lies inside, else absolute.

    Example:
        >>> recorded("/runs/demo/data", Path("/runs/demo")), recorded("/data", Path("/runs/demo"))
        ('data', '/data')
    """
    full, study = Path(place).expanduser().resolve(), Path(folder).resolve()
    return full.relative_to(study).as_posix() if full.is_relative_to(study) else str(full)


def beside(place: str | Path, folder: Path) -> str | None:
    """The way from the study's folder to a place outside of it; None where there is none, or none needed."""
    try:
        way = Path(os.path.relpath(Path(place).expanduser().resolve(), Path(folder).resolve()))
    except ValueError:  # another drive
        return None
    return way.as_posix() if way.parts[:1] == ("..",) else None


def placed(record: StudyRecord, folder: Path) -> StudyRecord:
    """The record with its places as a study that may be moved names them."""
    data = record.data.model_copy(
        update={"path": recorded(record.data.path, folder), "beside": beside(record.data.path, folder)}
    )
    update: dict[str, object] = {"data": data}
    name = record.load_
    if name is not None and name != "embedded" and (place := Path(name).expanduser()).is_dir():
        model = {"local": True, "beside": beside(place, folder)}
        update |= {"load_": recorded(place, folder), "model": record.model.model_copy(update=model)}
    if record.taxonomy_file and record.taxonomy_file not in SHIPPED:
        update["taxonomy_file"] = recorded(record.taxonomy_file, folder)
    return record.model_copy(update=update)


def possible(about: StudyData | StudyModel, place: str, folder: Path) -> Iterator[Path]:
    """Where a place may be now: as it was recorded, from the study's folder, and beside it."""
    path = Path(place)
    yield folder / path  # an absolute one stays itself
    if about.beside is not None:
        yield folder / about.beside
    yield path  # of studies that recorded it from where they were begun
    for home in (folder, folder.parent, Path.cwd()):
        yield home / path.name


def find_cases(record: StudyRecord, folder: Path) -> Cases:
    """The cases that a study began with, in its taxonomy, found by their fingerprint where they were moved.

    Raises:
        StudyError: they are not there, or were changed.
    """
    began = record.data
    named = {(folder / began.path).absolute(), Path(began.path).absolute()}
    looked: list[str] = []
    other: Cases | None = None
    fault: DataError | None = None
    for place in dict.fromkeys(p.absolute() for p in possible(began, began.path, folder)):
        if not jsonl_path(place).is_file():
            looked.append(str(place))
            continue
        try:
            found = load_cases(place, None).in_taxonomy(record.taxonomy.taxonomy)
        except DataError as exc:
            fault = fault or (exc if place in named else None)
            continue
        if found.fingerprint == began.fingerprint:
            return found
        other = other or (found if place in named else None)  # elsewhere, others of that name may lie
    if other is not None:
        refuse_changed(other, record, folder)
    if fault is not None:
        raise fault
    raise StudyError(
        f"{folder}: its cases ({began.path}) are not there; looked for {CASES_FILE} in {', '.join(looked)}; "
        f"say where they are: {command_line('study', 'move', folder, '--data', 'FOLDER')}"
    )


def refuse_changed(found: Cases, record: StudyRecord, folder: Path) -> None:
    """Raise for cases that are not those that the study began with."""
    began = record.data
    raise StudyError(
        f"{found.folder}: the cases changed, or are others, since the study in {folder} began with those of "
        f"{began.path} (fingerprint {found.fingerprint}, then {began.fingerprint}); start a new study"
    )


def find_model(record: StudyRecord, folder: Path) -> str:
    """What loads the study's model: its name, or its folder, found by its revision where it was moved.

    Raises:
        StudyError: the study was begun on a model in memory, or the folder is not there.
    """
    from headscope.models.checkpoints import folder_revision

    name, began = record.load_, record.model
    if name is None:
        raise StudyError(
            f"{folder}: was begun on a model in memory, {began.name} (revision {began.revision}); open it "
            "with that model: Study.create(folder, model=hs.wrap(model, processor, name), data=...)"
        )
    if not began.local or (Path(name).is_dir() and Path(name).is_absolute()):
        return name
    looked = list(dict.fromkeys(p.absolute() for p in possible(began, name, folder)))
    there = [place for place in looked if (place / "config.json").is_file()]
    same = [p for p in there if began.revision.startswith(folder_revision(p))]
    if not same:
        raise StudyError(
            f"{folder}: its model ({name}, revision {began.revision}) is in none of "
            f"{', '.join(map(str, looked))}; say where it is: "
            f"{command_line('study', 'move', folder, '--model', 'FOLDER')}"
        )
    return str(same[0])
