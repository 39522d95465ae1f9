"""Captures that are interrupted, killed or out of disk, and end with the same bytes all the same."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asking.naive import SETTINGS, SPLITS, tree
from headscope.asking.ask import ask
from headscope.capturing import run, store
from headscope.capturing.captured import read_plan
from headscope.capturing.run import capture
from headscope.capturing.store import missing_shards, open_answers
from headscope.data.cases import Cases
from headscope.errors import StoreError
from headscope.models.vlm import VLM


def interrupted(where: str, after: int, exc: BaseException, capture: Callable[[], None]) -> None:
    """Run a capture whose n-th batch, or n-th shard's array, fails."""
    with pytest.MonkeyPatch.context() as patch:
        _interrupt(patch, after, exc, where)
        capture()


def _interrupt(monkeypatch: pytest.MonkeyPatch, after: int, exc: BaseException, where: str) -> None:
    """Make the n-th batch, or the n-th shard's array, fail."""
    module, name = {"ask": (run, "ask"), "write": (store, "_write_zarr")}[where]
    real: Callable[..., Any] = getattr(module, name)
    calls = iter(range(10**9))

    def failing(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == after:
            if where == "write":
                args[0].mkdir(parents=True)
                (args[0] / "half").write_text("half")
            raise exc
        return real(*args, **kwargs)

    monkeypatch.setattr(module, name, failing)


@pytest.mark.parametrize(
    ("where", "points", "exc"),
    [
        ("ask", (0, 20, 8), KeyboardInterrupt()),
        ("write", (0, 1, 1), RuntimeError("out of luck")),
    ],
)
def test_interrupted_captures_resume_and_end_with_the_same_bytes(
    tiny: VLM,
    cases: Cases,
    finished: Path,
    tmp_path: Path,
    where: str,
    points: tuple[int, ...],
    exc: BaseException,
) -> None:
    for point in points:
        with pytest.raises(type(exc)):
            interrupted(where, point, exc, lambda: capture(tiny, cases, SPLITS, tmp_path, **SETTINGS))
        assert not list((tmp_path / "shards").glob(".*")) if (tmp_path / "shards").exists() else True
        with pytest.raises(StoreError, match="missing"):
            open_answers(tmp_path)
    capture(tiny, cases, SPLITS, tmp_path, **SETTINGS)
    assert tree(tmp_path) == tree(finished)


def test_complete_shards_are_never_computed_again(
    tiny: VLM, cases: Cases, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted(
            "ask", 25, KeyboardInterrupt(), lambda: capture(tiny, cases, SPLITS, tmp_path, **SETTINGS)
        )
    left = missing_shards(tmp_path)
    plan = read_plan(tmp_path)
    assert 0 < len(left) < len(plan.shards)
    asked: list[str] = []

    def counting(vlm: VLM, encoded: Any, items: Any, **kwargs: Any) -> Any:
        asked.extend(i.id for i in items)
        return ask(vlm, encoded, items, **kwargs)

    monkeypatch.setattr(run, "ask", counting)
    capture(tiny, cases, SPLITS, tmp_path, **SETTINGS)
    assert asked == [i for s in plan.shards if s.name in left for b in s.batches for i in b]
    capture(tiny, cases, SPLITS, tmp_path, **SETTINGS)
    assert len(asked) == sum(len(b) for s in plan.shards if s.name in left for b in s.batches)
    assert tree(tmp_path) == tree(finished)


CHILD = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
from pathlib import Path
from headscope.capturing import run, store
from headscope.data.cases import Cases
from headscope.models.vlm import load_model
from asking.naive import SETTINGS, SPLITS, make_case
from capturing.test_resume import kill_at

kill_at(store, "_write_zarr", 1)
cases = Cases({cases!r}, [make_case(i) for i in range(5)])
run.capture(load_model({model!r}, prove=False), cases, SPLITS, {folder!r}, **SETTINGS)
"""


def kill_at(module: Any, name: str, after: int) -> None:
    """From the n-th call on, the process dies at once, as by kill -9; its own work is done half."""
    real = getattr(module, name)
    calls = iter(range(10**9))

    def dying(*args: Any, **kwargs: Any) -> Any:
        result = real(*args, **kwargs)
        if next(calls) == after:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(module, name, dying)


@pytest.mark.slow
def test_a_capture_killed_by_the_system_resumes_to_the_same_bytes(
    tiny: VLM, tiny_llava_folder: Path, cases: Cases, finished: Path, tmp_path: Path
) -> None:
    code = CHILD.format(
        tests=str(Path(__file__).parents[1]),
        cases=str(cases.folder),
        model=str(tiny_llava_folder),
        folder=str(tmp_path),
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert list((tmp_path / "shards").glob(".*.tmp")), "the kill should have left a half-written shard"
    assert 0 < len(missing_shards(tmp_path)) < len(read_plan(tmp_path).shards)
    capture(tiny, cases, SPLITS, tmp_path, **SETTINGS)
    assert tree(tmp_path) == tree(finished)


def test_a_full_disk_ends_in_one_message_and_leaves_complete_shards_only(
    tiny: VLM, cases: Cases, finished: Path, tmp_path: Path
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(StoreError, match="the disk is full"):
        interrupted("write", 2, full, lambda: capture(tiny, cases, SPLITS, tmp_path, **SETTINGS))
    assert sorted(p.name for p in (tmp_path / "shards").iterdir()) == ["00000", "00001"]
    capture(tiny, cases, SPLITS, tmp_path, **SETTINGS)
    assert tree(tmp_path) == tree(finished)
