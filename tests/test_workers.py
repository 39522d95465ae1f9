"""Units shared by processes: each is done once, whoever does it, and nothing is lost with a worker."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from headscope.errors import StudyError
from headscope.workers import default_workers, several, share_out, sharing_work, usable

pytestmark = pytest.mark.skipif(not usable(), reason="processes are forked on Linux alone")


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def who(folder: Path) -> dict[str, list[int]]:
    """Unit -> processes that did it."""
    return {p.name: [int(x) for x in p.read_text().split()] for p in sorted(folder.iterdir())}


def do(folder: Path, unit: str) -> None:
    with (folder / unit).open("a") as file:
        file.write(f"{os.getpid()} ")
    time.sleep(0.02)  # long enough that the others get their share


def test_every_unit_is_done_once_and_by_more_than_one_process(tmp_path: Path) -> None:
    units = [f"{i:02d}" for i in range(20)]
    with sharing_work(3):
        share_out(units, lambda u: do(tmp_path, u), lambda u: (tmp_path / u).exists())
    found = who(tmp_path)
    assert list(found) == units
    assert all(len(pids) == 1 for pids in found.values())
    assert found["00"] == [os.getpid()], "the first unit is done here, alone"
    assert len({pids[0] for pids in found.values()}) == 3


def test_without_workers_everything_is_done_here(tmp_path: Path) -> None:
    assert not several()
    share_out(["a", "b", "c"], lambda u: do(tmp_path, u), lambda u: (tmp_path / u).exists())
    assert {pid for pids in who(tmp_path).values() for pid in pids} == {os.getpid()}


def test_a_worker_that_is_killed_loses_its_unit_alone_and_that_is_done_again(tmp_path: Path) -> None:
    units, here = [f"{i:02d}" for i in range(12)], os.getpid()

    def work(unit: str) -> None:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        do(tmp_path, unit)

    with sharing_work(2):
        share_out(units, work, lambda u: (tmp_path / u).exists())
    assert {u: len(pids) for u, pids in who(tmp_path).items()} == dict.fromkeys(units, 1)


def test_an_error_in_a_worker_is_raised_here_when_its_unit_is_done_again(tmp_path: Path) -> None:
    def work(unit: str) -> None:
        if unit == "05":
            raise StudyError("this one cannot be done")
        do(tmp_path, unit)

    with sharing_work(2), pytest.raises(StudyError, match="cannot be done"):
        share_out([f"{i:02d}" for i in range(8)], work, lambda u: (tmp_path / u).exists())


def test_no_worker_outlives_an_error_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, fork = os.getpid(), os.fork
    workers: list[int] = []

    def noted() -> int:
        workers.append(fork())
        return workers[-1]

    def work(unit: str) -> None:
        do(tmp_path, unit)
        if os.getpid() == here and unit != "00":
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "fork", noted)
    with sharing_work(2), pytest.raises(KeyboardInterrupt):
        share_out([f"{i:02d}" for i in range(50)], work, lambda u: (tmp_path / u).exists())
    assert len(who(tmp_path)) < 50
    assert len(workers) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(workers[0], 0)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(StudyError, match="at least 1"), sharing_work(0):
        pass
    with pytest.raises(StudyError, match="the model is on cuda"), sharing_work(2, "cuda"):
        pass


def test_by_default_there_is_a_worker_a_thread_on_the_cpu_and_one_elsewhere() -> None:
    torch.set_num_threads(2)
    assert default_workers("cpu") == 2
    assert default_workers("cuda") == 1
    torch.set_num_threads(1)
    assert default_workers("cpu") == 1


def test_progress_counts_every_unit_whoever_does_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from headscope import workers

    counted: list[int] = []

    def track(items, label, total, unit):  # type: ignore[no-untyped-def]
        assert (label, total, unit) == ("work", 11, "thing")
        for item in items:
            counted.append(1)
            yield item

    monkeypatch.setattr(workers, "track", track)
    with sharing_work(3):
        share_out(
            [f"{i:02d}" for i in range(12)],
            lambda u: do(tmp_path, u),
            lambda u: (tmp_path / u).exists(),
            "work",
            "thing",
        )
    assert len(counted) == 11  # the first is done before the others
    assert len(who(tmp_path)) == 12


def test_work_within_shared_work_starts_no_further_processes(tmp_path: Path) -> None:
    def work(unit: str) -> None:
        assert not several()
        share_out([f"{unit}{x}" for x in "abc"], lambda u: do(tmp_path, u), lambda _: True)

    with sharing_work(2):
        share_out(["1", "2", "3", "4"], work, lambda u: (tmp_path / f"{u}c").exists(), alone_first=False)
        assert several()
    found = who(tmp_path)
    assert len(found) == 12
    for unit in "1234":
        assert len({pid for x in "abc" for pid in found[f"{unit}{x}"]}) == 1
