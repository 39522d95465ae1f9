"""What ``make demo`` runs: scenes, then the whole study on the embedded model."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headscope.data.cases import Cases, load_cases
from headscope.data.validation import CASES_FILE
from headscope.errors import StudyError, command_line
from headscope.making.scenes.balance import Balance
from headscope.making.scenes.generate import draw_scenes
from headscope.storage import write_sealed
from headscope.study.kept_record import SECONDS, has_study, read_record, read_seconds
from headscope.study.lock import FolderLock
from headscope.study.record import StudyRecord
from headscope.study.study import Study

CASES, SEED = 400, 1
MORE = {"counting": 300}  # the one function with room for a gain, which emphasis tests


def run_demo(
    folder: str | Path,
    *,
    cases: int | None = None,
    seed: int | None = None,
    size: str | None = None,
    model: str | None = None,
    announce: Callable[[str], None] | None = None,
    wait: bool = False,
    workers: int | None = None,
) -> Study:
    """Draw ``cases`` scenes into ``folder/data``, then run every stage; resumes like any study.

    By default 400, and more for ``test`` until every function has 100 questions from 60 pictures there
    (counting 300), and for ``select`` until it has 60 from 36.

    Raises:
        StudyError: the folder holds a study of other cases, or a demo with other scenes or settings than
            those that are given; or another process works on it and ``wait`` is not set.
    """
    folder = Path(folder)
    data = folder / "data"
    start = time.perf_counter()
    with FolderLock(folder, wait, announce):
        if (data / "cases.jsonl").exists():
            found = load_cases(data)
            _refuse_others(found, cases, seed)
        else:
            began = _begun(folder, data)
            more = Balance(more=MORE) if cases is None else None
            found = draw_scenes(data, cases or CASES, SEED if seed is None else seed, balance=more)
            _refuse_lost(found, began)
    if seed is None and not has_study(folder):
        seed = SEED
    seconds = round(time.perf_counter() - start, 2)
    telling: dict[str, Any] = {"announce": announce, "wait": wait, "workers": workers}
    study = Study.create(folder, model=model, data=found, size=size, seed=seed, **telling)
    with study.lock:
        write_sealed(folder / SECONDS, {"data": seconds, **read_seconds(folder)})
        study.run()
    return study


def _begun(folder: Path, data: Path) -> StudyRecord | None:
    """The record of the demo whose scenes are lost; None in a new folder.

    Raises:
        StudyError: the folder holds another study.
    """
    if not has_study(folder):
        return None
    record = read_record(folder)
    if (folder / record.data.path).resolve() != data.resolve():
        raise StudyError(
            f"{folder}: holds a study of the cases in {record.data.path}, no demo; "
            f"{command_line('run', '--study', folder)} goes on with it, or name another folder for the demo"
        )
    return record


def _refuse_lost(drawn: Cases, began: StudyRecord | None) -> None:
    """Scenes that are drawn again must be those that the demo began with; others are no cases of it."""
    if began is not None and drawn.fingerprint != began.data.fingerprint:
        (drawn.folder / CASES_FILE).unlink()
        raise StudyError(
            f"{drawn.folder}: the scenes are lost, and {len(drawn)} drawn anew are others than those that "
            f"the demo began with (seed {began.seed}); give --cases and --seed as then, or another folder"
        )


def _refuse_others(found: Cases, cases: int | None, seed: int | None) -> None:
    """Scenes that are there must be those that are asked for."""
    there, first = len(found), found[0].id
    if cases not in (None, there):
        raise StudyError(
            f"{found.folder}: holds {there} scenes, asked for {cases}; leave --cases out to go on with "
            "these, or name another folder"
        )
    if seed is not None and not first.startswith(f"scene-{seed}-"):
        raise StudyError(
            f"{found.folder}: holds scenes such as {first}, asked for those of seed {seed}; leave --seed out "
            "to go on with these, or name another folder"
        )
