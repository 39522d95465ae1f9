"""Units of work done by several processes on one machine's processor; the results do not tell who did which.

A worker is a fork of this process: it has the model, the encoded prompts and everything else without loading
them again, computes units with one thread and leaves them where they are kept. Small models gain by it: two
processes of one thread each do more than one of two.
"""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from headscope.errors import StudyError
from headscope.progress import track

log = logging.getLogger(__name__)
Unit = TypeVar("Unit")
MOST = 8  # threads up to which each becomes a worker by default; more serve one run of a large model better
_COUNT: ContextVar[int] = ContextVar("workers", default=1)


def usable() -> bool:
    """Whether processes can be forked here and go on safely."""
    return sys.platform == "linux" and "fork" in multiprocessing.get_all_start_methods()


def default_workers(device: str) -> int:
    """On the CPU as many as torch may use threads, if these are at most ``MOST``; else 1.

    Args:
        device: type of the model's device.
    """
    import torch

    threads = torch.get_num_threads()
    return threads if device == "cpu" and usable() and threads <= MOST else 1


@contextmanager
def sharing_work(count: int, device: str = "cpu") -> Iterator[None]:
    """While inside, :func:`share_out` uses so many processes, this one among them.

    Raises:
        StudyError: more than one with a model on an accelerator, or where processes cannot be forked.

    Example:
        >>> with sharing_work(2):  # doctest: +SKIP
        ...     reader.read_many(head_sets, mute())
    """
    if count < 1:
        raise StudyError(f"asked for {count} workers; expected at least 1")
    if count > 1 and not (device == "cpu" and usable()):
        where = (
            f"the model is on {device}" if device != "cpu" else f"{sys.platform} forks no processes safely"
        )
        raise StudyError(f"asked for {count} workers; {where}: use 1")
    token = _COUNT.set(count)
    try:
        yield
    finally:
        _COUNT.reset(token)


def several() -> bool:
    """Whether :func:`share_out` may use more than one process."""
    return _COUNT.get() > 1


def share_out(
    units: Sequence[Unit],
    work: Callable[[Unit], object],
    done: Callable[[Unit], bool],
    label: str = "",
    unit: str = "unit",
    alone_first: bool = True,
) -> None:
    """Do every unit once, by as many processes as :func:`sharing_work` allows.

    A worker that ends before its time loses the unit in its hands, which is then done here.

    Args:
        units: in the order in which they are taken.
        work: does one and keeps the result on disk.
        done: whether a unit's result is there.
        label: of the progress bar; none without it.
        alone_first: whether the first is done before the others, so that what it finds out about the model is
            known to all.
    """
    ahead = 1 if alone_first else 0
    count = min(_COUNT.get(), len(units) - ahead)
    if count < 2:
        for one in track(units, label, unit=unit) if label else units:
            work(one)
        return
    for one in units[:ahead]:
        work(one)
    rest = units[ahead:]
    with _single_thread(), _alone(), _forked(rest, work, count - 1) as taken:
        done_so_far = _worked(rest, work, taken)
        for _ in track(done_so_far, label, total=len(rest), unit=unit) if label else done_so_far:
            pass
    for one in rest:
        if not done(one):
            work(one)


@contextmanager
def _alone() -> Iterator[None]:
    """Within, work that would itself be shared out is done by the process that does it."""
    token = _COUNT.set(1)
    try:
        yield
    finally:
        _COUNT.reset(token)


@contextmanager
def _single_thread() -> Iterator[None]:
    """Within, torch uses one thread; a pool of threads would not live through a fork."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _forked(units: Sequence[Unit], work: Callable[[Unit], object], count: int) -> Iterator[Any]:
    """Within, so many forks take units too; leaving waits for them, or ends them after an error."""
    taken = multiprocessing.get_context("fork").Value("l", 0)
    children = [_fork(taken, units, work) for _ in range(count)]
    try:
        yield taken
    except BaseException:
        for child in children:
            os.kill(child, signal.SIGKILL)
        raise
    finally:
        for child in children:
            _, status = os.waitpid(child, 0)
            if status:
                log.warning("a worker ended early (status %d); what it had in hand is done again", status)


def _fork(taken: Any, units: Sequence[Unit], work: Callable[[Unit], object]) -> int:
    """A worker's process id; in the worker it does not return."""
    parent = os.getpid()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        _end_with_parent(parent)
        for i in _claims(taken, len(units)):
            work(units[i])
        status = 0
    except BaseException:
        log.debug("worker", exc_info=True)  # the unit is done again by the parent, which then says what it is
    finally:
        os._exit(status)


def _worked(units: Sequence[Unit], work: Callable[[Unit], object], taken: Any) -> Iterator[None]:
    """Do the units that this process takes; yields once for every unit, whoever takes it."""
    shown = 0
    for i in _claims(taken, len(units)):
        work(units[i])
        while shown <= i:
            shown += 1
            yield
    for _ in range(shown, len(units)):
        yield


def _claims(taken: Any, total: int) -> Iterator[int]:
    """Numbers of units that nobody has taken yet, one by one."""
    while True:
        with taken.get_lock():
            i = int(taken.value)
            taken.value = i + 1
        if i >= total:
            return
        yield i


def _end_with_parent(parent: int) -> None:
    """Have the kernel end this process when its parent ends."""
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)
