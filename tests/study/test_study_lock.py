"""One writer to a folder: a second process is refused or waits, and a dead owner's lock is taken over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headscope.cli.app import app
from headscope.errors import StudyError
from headscope.making.scenes.generate import draw_scenes
from headscope.study import lock as folder_lock
from headscope.study.lock import FILE, FolderLock, process_start, this_process
from headscope.study.study import Study

HOLD = """
    import sys, time
    from headscope.study.lock import FolderLock
    with FolderLock(sys.argv[1], wait=True):
        print("held", flush=True)
        time.sleep(float(sys.argv[2]))
"""
COUNT = """
    import sys
    from pathlib import Path
    from headscope.study.lock import FolderLock
    folder, times = Path(sys.argv[1]), int(sys.argv[2])
    for _ in range(times):
        with FolderLock(folder, wait=True):
            there = int((folder / "count").read_text())
            inside = folder / "inside"
            inside.touch(exist_ok=False)  # fails where another process is inside too
            (folder / "count").write_text(str(there + 1))
            inside.unlink()
"""


def start(code: str, *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def held(folder: Path, seconds: float = 60.0) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of a folder."""
    process = start(HOLD, folder, seconds)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def hidden(folder: Path) -> list[str]:
    """What is left beside the guard, which stays."""
    return sorted(p.name for p in folder.iterdir() if p.name != folder_lock.GUARD)


def test_a_second_process_is_refused_by_the_first_ones_name(tmp_path: Path) -> None:
    with held(tmp_path) as owner:
        with pytest.raises(StudyError, match=rf"process {owner.pid} on .* works on it; wait for it \(--wait"):
            FolderLock(tmp_path).__enter__()
        assert json.loads((tmp_path / FILE).read_text())["pid"] == owner.pid


def test_a_second_process_that_waits_goes_on_when_the_first_is_done(tmp_path: Path) -> None:
    told: list[str] = []
    with held(tmp_path, seconds=1.5) as owner, FolderLock(tmp_path, wait=True, announce=told.append):
        assert owner.wait(timeout=10) == 0
        assert json.loads((tmp_path / FILE).read_text())["pid"] == os.getpid()
    assert len(told) == 1
    assert f"waiting for process {owner.pid} on " in told[0]
    assert hidden(tmp_path) == []


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    told: list[str] = []
    with held(tmp_path) as owner:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        with FolderLock(tmp_path, announce=told.append):
            assert json.loads((tmp_path / FILE).read_text())["pid"] == os.getpid()
    assert told == [f"{tmp_path}: taking over from {told[0].partition('from ')[2]}"]
    assert f"process {owner.pid}" in told[0]
    assert hidden(tmp_path) == []


def test_a_killed_process_that_nobody_has_buried_is_dead_too(tmp_path: Path) -> None:
    with held(tmp_path) as owner:
        owner.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while process_start(owner.pid) is not None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert owner.returncode is None, "not waited for: a zombie"
        with FolderLock(tmp_path):
            pass


def test_of_many_waiting_processes_one_at_a_time_is_inside_though_owners_are_killed(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("0")
    each, many = 15, 4
    with held(tmp_path) as owner:
        workers = [start(COUNT, tmp_path, each) for _ in range(many)]
        time.sleep(1.0)
        owner.send_signal(signal.SIGKILL)
    for worker in workers:
        _, said = worker.communicate(timeout=120)
        assert worker.returncode == 0, said
    assert int((tmp_path / "count").read_text()) == each * many
    assert hidden(tmp_path) == ["count"]


def forged(folder: Path, age: float = 0.0, **changes: object) -> None:
    """A lock of this living process, but for the changes, with a sign of life so long ago."""
    folder.mkdir(parents=True, exist_ok=True)
    owner = replace(this_process(), **changes)  # type: ignore[arg-type]
    (folder / FILE).write_text(json.dumps(asdict(owner)))
    then = time.time() - age
    os.utime(folder / FILE, (then, then))


def test_what_a_killed_process_left_of_its_lock_is_cleared_but_not_that_of_a_waiting_one(
    tmp_path: Path,
) -> None:
    far = {"machine": "elsewhere", "host": "far"}
    for token, changes in {"dead": {"started": "long ago"}, "waits": {}, "far": far}.items():
        forged(tmp_path, **changes)
        (tmp_path / FILE).rename(tmp_path / f".{FILE}.{token}.tmp")
    for name, age in (("empty", 1.0), ("old", folder_lock.STALE + 30)):
        path = tmp_path / f".{FILE}.{name}.tmp"
        path.touch()
        os.utime(path, (time.time() - age, time.time() - age))
    with FolderLock(tmp_path):
        pass
    assert hidden(tmp_path) == [f".{FILE}.{token}.tmp" for token in ("empty", "far", "waits")]


def test_a_process_that_only_has_the_number_of_the_owner_is_not_the_owner(tmp_path: Path) -> None:
    forged(tmp_path)
    with pytest.raises(StudyError, match=f"process {os.getpid()}"):
        FolderLock(tmp_path).__enter__()
    forged(tmp_path, started="long ago")
    with FolderLock(tmp_path):
        pass


def test_the_lock_of_another_machine_is_respected_until_its_heartbeat_is_stale(tmp_path: Path) -> None:
    forged(tmp_path, age=folder_lock.STALE - 30, machine="elsewhere", host="far", pid=1)
    with pytest.raises(
        StudyError, match=r"process 1 on far, .* \(last sign of life 1[45]\d s ago; after 180 s"
    ):
        FolderLock(tmp_path).__enter__()
    forged(tmp_path, age=folder_lock.STALE + 30, machine="elsewhere", host="far", pid=1)
    with FolderLock(tmp_path):
        pass


def test_a_lock_that_cannot_be_read_is_respected_until_it_is_stale(tmp_path: Path) -> None:
    named = asdict(this_process())
    for content in ("", "{", '{"pid": 1}', "[]", *(json.dumps(named | {"pid": p}) for p in ("x", 0, -1))):
        (tmp_path / FILE).write_text(content)
        with pytest.raises(StudyError, match="a process that left no name"):
            FolderLock(tmp_path).__enter__()
        long_ago = time.time() - folder_lock.STALE - 30
        os.utime(tmp_path / FILE, (long_ago, long_ago))
        with FolderLock(tmp_path):
            pass
    assert hidden(tmp_path) == []


def test_the_owner_shows_that_it_lives_and_may_enter_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_lock, "BEAT", 0.05)
    lock = FolderLock(tmp_path)
    with lock, lock:
        os.utime(tmp_path / FILE, (1, 1))
        deadline = time.monotonic() + 5
        while (tmp_path / FILE).stat().st_mtime < time.time() - 60 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert (tmp_path / FILE).stat().st_mtime > time.time() - 60
    assert hidden(tmp_path) == []


def test_an_owner_that_lost_its_lock_is_told_and_leaves_the_other_ones(tmp_path: Path) -> None:
    def lose() -> None:
        with FolderLock(tmp_path):
            forged(tmp_path, token="another")

    with pytest.raises(StudyError, match="another process took over while this one was stopped"):
        lose()
    assert json.loads((tmp_path / FILE).read_text())["token"] == "another"


def test_a_lock_is_released_when_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), FolderLock(tmp_path):
        _ = 1 / 0
    assert hidden(tmp_path) == []


def test_a_living_lock_that_is_moved_away_by_mistake_is_put_back(tmp_path: Path) -> None:
    """As where two processes found a dead owner, and the faster one has its own lock there already."""
    forged(tmp_path, token="fresh")
    dead = replace(this_process(), token="dead")
    assert FolderLock(tmp_path)._bury(dead) is False
    assert json.loads((tmp_path / FILE).read_text())["token"] == "fresh"
    assert hidden(tmp_path) == [FILE]


@pytest.mark.parametrize("missing", ["link", "flock"])
def test_it_works_where_the_file_system_has_no_links_or_no_guard(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_args: object) -> None:
        raise OSError(folder_lock._UNSUPPORTED[1], "not supported")

    monkeypatch.setattr(*((os, "link") if missing == "link" else (folder_lock.fcntl, "flock")), refuses)
    forged(tmp_path, started="long ago")
    with FolderLock(tmp_path):
        assert json.loads((tmp_path / FILE).read_text())["pid"] == os.getpid()
        with pytest.raises(StudyError, match="works on it"):
            FolderLock(tmp_path).__enter__()
    assert hidden(tmp_path) == []


# studies ----------------------------------------------------------------------------------------------------

COMPLETE = """
    import sys, time
    from pathlib import Path
    from headscope.study.lock import FolderLock
    from headscope.storage import write_json
    with FolderLock(sys.argv[1]):
        print("held", flush=True)
        time.sleep(1.0)
        write_json(Path(sys.argv[1]) / "done" / "capture.json", {"stage": "capture"})
"""
CREATE = """
    import sys
    from headscope.study.study import Study
    print(Study.create(sys.argv[1], model=sys.argv[2], data=sys.argv[3], size="quick", wait=True).seed)
"""


@pytest.fixture
def study(tiny_llava_folder: Path, tmp_path: Path) -> Path:
    draw_scenes(tmp_path / "cases", 6, seed=1, card=False)
    return Study.create(tmp_path / "study", model=str(tiny_llava_folder), data=tmp_path / "cases").folder


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Studies whose capture was run, instead of one."""
    run: list[Path] = []
    monkeypatch.setattr(
        "headscope.study.first_stages.capture", lambda context, _settings: run.append(context.folder)
    )
    monkeypatch.setattr("headscope.study.stages.Stage.load", lambda _row, _folder: None)
    return run


@pytest.mark.parametrize("stage", ["run", "capture", "probe", "ablate", "emphasize", "wake", "report"])
def test_every_stage_is_refused_while_another_process_works_on_the_study(
    stage: str, study: Path, captured: list[Path]
) -> None:
    forged(study, machine="elsewhere", host="far", pid=7)
    before = hidden(study)
    done = CliRunner().invoke(app, [stage, "--study", str(study)])
    assert isinstance(done.exception, StudyError)
    assert "process 7 on far" in str(done.exception)
    assert captured == []
    assert hidden(study) == before


def test_a_command_that_waits_goes_on_when_the_owner_is_killed(study: Path, captured: list[Path]) -> None:
    with held(study) as owner:
        threading.Timer(1.0, owner.kill).start()
        done = CliRunner().invoke(app, ["capture", "--study", str(study), "--wait"])
    assert done.exit_code == 0, done.exception
    assert f"waiting for process {owner.pid}" in done.output
    assert f"taking over from process {owner.pid}" in done.output
    assert captured == [study]
    assert FILE not in hidden(study)


def test_a_stage_that_another_process_completed_meanwhile_is_not_repeated(
    study: Path, captured: list[Path]
) -> None:
    owner = start(COMPLETE, study)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "held\n"
    Study(study, wait=True).capture()
    owner.communicate()
    assert captured == []


@pytest.mark.slow
def test_two_processes_that_start_one_study_at_once_begin_one_study(
    tiny_llava_folder: Path, tmp_path: Path
) -> None:
    draw_scenes(tmp_path / "cases", 6, seed=1, card=False)
    both = [start(CREATE, tmp_path / "s", tiny_llava_folder, tmp_path / "cases") for _ in range(2)]
    for process in both:
        said, trouble = process.communicate(timeout=120)
        assert (process.returncode, said) == (0, "0\n"), trouble
    assert FILE not in hidden(tmp_path / "s")
    assert Study(tmp_path / "s").record.size == "quick"


def test_the_next_owner_clears_what_a_killed_process_left_half_written(tmp_path: Path) -> None:
    (tmp_path / "ablate").mkdir()
    (tmp_path / "ablate" / ".unit.json.4242.tmp").write_text("half")
    (tmp_path / "shards" / ".shard.4242.tmp" / "z").mkdir(parents=True)
    (tmp_path / "ablate" / "unit.json").write_text("whole")
    waiting = tmp_path / f".{FILE}.token.tmp"
    waiting.write_text("the lock of a process that waits")
    with FolderLock(tmp_path):
        assert not [p for p in tmp_path.rglob(".*.tmp") if p != waiting]
        assert waiting.exists()
        assert (tmp_path / "ablate" / "unit.json").read_text() == "whole"
