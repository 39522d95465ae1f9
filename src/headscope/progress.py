"""Progress bars with a rate and an ETA, on standard error, silent where nobody looks."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
_PRESSED = threading.Event()


@contextmanager
def heeding_ctrl_c() -> Iterator[None]:
    """While inside, a Ctrl-C that a library swallows (a bare ``except``) ends the work at its next step.

    A handler of somebody else's, or a process that was told to ignore Ctrl-C, is left alone.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield
        return

    def pressed(_signal: int, _frame: Any) -> None:
        _PRESSED.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, pressed)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        _PRESSED.clear()


def _heeded(items: Iterable[T]) -> Iterator[T]:
    """The items, until Ctrl-C was pressed."""
    for item in items:
        if _PRESSED.is_set():
            raise KeyboardInterrupt
        yield item


def track(items: Iterable[T], label: str, total: int | None = None, unit: str = "it") -> Iterator[T]:
    """Iterate with a bar that shows how much is done, the rate and the time left.

    Without a terminal nothing is drawn.

    Example:
        >>> list(track([1, 2], "steps"))
        [1, 2]
    """
    if not sys.stderr.isatty():
        yield from _heeded(items)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    count = total if total is not None else (len(items) if isinstance(items, Sized) else None)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=count, rate="")
        for item in _heeded(items):
            yield item
            speed = bar.tasks[0].speed
            bar.update(task, advance=1, rate=f"{speed:.1f} {unit}/s" if speed else "")
