"""What work says while it goes on: a bar in a terminal or a notebook, else a line a minute."""

from __future__ import annotations

import html
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")
MINUTE = 60.0
_REDRAW = 0.25  # seconds between two states of a notebook's bar
_PRESSED = threading.Event()


@dataclass
class _Loop:
    """A loop that is under way."""

    label: str
    total: int | None
    unit: str
    bar: bool
    done: int = 0

    def __str__(self) -> str:
        of = "" if self.total is None else f" of {self.total:,}"
        return f"{self.label}: {self.done:,}{of} {self.unit}"


@dataclass
class _Work:
    """What this process is at: loops within loops, finished units, and whether somebody tells of it."""

    loops: list[_Loop] = field(default_factory=list)
    units: int = 0
    told: bool = False

    def line(self, name: str, seconds: float) -> str:
        """What is said of it; empty while a bar shows it."""
        if any(loop.bar for loop in self.loops):
            return ""
        minutes = f"{name}: {seconds / MINUTE:.0f} min so far"
        units = [f"{self.units:,} units of work done"] if self.units else []
        return "; ".join([minutes, *(str(loop) for loop in self.loops), *units])


_WORK = _Work()


def unit_done() -> None:
    """Count a finished unit of work."""
    _WORK.units += 1


@contextmanager
def telling(name: str, wait: Callable[[threading.Event], bool] | None = None) -> Iterator[None]:
    """While inside, a line a minute says how far the work is, where no bar does.

    Args:
        name: of the work.
        wait: waits a minute, or until the event is set; returns whether it is set.
    """
    if _WORK.told:
        yield
        return
    begun, stop = time.monotonic(), threading.Event()
    pause = wait or (lambda event: event.wait(MINUTE))

    def beat() -> None:
        while not pause(stop):
            if line := _WORK.line(name, time.monotonic() - begun):
                print(line, file=sys.stderr, flush=True)

    _WORK.told, _WORK.units = True, 0
    thread = threading.Thread(target=beat, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        _WORK.told = False


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

    Without a terminal or a notebook, a line a minute says how much is done.

    Example:
        >>> list(track([1, 2], "steps"))
        [1, 2]
    """
    count = total if total is not None else (len(items) if isinstance(items, Sized) else None)
    loop = _Loop(label, count, unit, bar=_can_draw() and not any(outer.bar for outer in _WORK.loops))
    _WORK.loops.append(loop)
    try:
        if loop.bar:
            yield from (_displayed if _in_notebook() else _drawn)(items, loop)
            return
        with telling(label):
            for item in _heeded(items):
                yield item
                loop.done += 1
    finally:
        _WORK.loops.remove(loop)


def _can_draw() -> bool:
    """Whether there is a terminal or a notebook."""
    return _in_notebook() or bool(getattr(sys.stderr, "isatty", lambda: False)())


def _in_notebook() -> bool:
    """Whether this runs in a notebook's kernel, which shows what is displayed."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and hasattr(shell, "kernel")


def _displayed(items: Iterable[T], loop: _Loop) -> Iterator[T]:
    """The items, and a notebook's bar of how many are done, which is gone when they are.

    It is plain HTML that is displayed anew a few times a second: it needs no widgets.
    """
    from IPython.display import HTML, display

    begun = last = time.monotonic()
    shown = display(HTML(_bar_in_html(loop, 0.0)), display_id=True)
    try:
        for item in _heeded(items):
            yield item
            loop.done += 1
            now = time.monotonic()
            if now - last >= _REDRAW:
                last = now
                shown.update(HTML(_bar_in_html(loop, now - begun)))
    finally:
        shown.update(HTML(""))


def _bar_in_html(loop: _Loop, seconds: float) -> str:
    """A bar, how much is done, the rate and the time left."""
    rate = loop.done / seconds if seconds and loop.done else 0.0
    said = str(loop)
    if rate:
        said += f", {rate:.1f} {loop.unit}/s"
        said += f", {(loop.total - loop.done) / rate / MINUTE:.1f} min left" if loop.total else ""
    ends = f' value="{loop.done}" max="{loop.total}"' if loop.total else ""
    return f"<progress{ends}></progress> {html.escape(said)}"


def _drawn(items: Iterable[T], loop: _Loop) -> Iterator[T]:
    """The items, and a bar of how many are done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(loop.label, total=loop.total, rate="")
        for item in _heeded(items):
            yield item
            loop.done += 1
            speed = bar.tasks[0].speed
            bar.update(task, advance=1, rate=f"{speed:.1f} {loop.unit}/s" if speed else "")
