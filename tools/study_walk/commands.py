"""A command of headscope in a fork of a process that has imported everything: it costs its own work alone.

The fork is a process like any other, with exit code and output of its own, and is killed by a real SIGKILL.
Two things it does not do again: load the one model of the walk, and wait until the disk has what it wrote,
which no killed process ever needed.
"""

from __future__ import annotations

import gc
import io
import os
import shlex
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer.main
from typer.main import get_command

if TYPE_CHECKING:
    from headscope.models.vlm import VLM

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
CHANGES = frozenset({"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"})
PLAIN = ("cpu", "float32", "pil", "auto", None)
_LOADED: dict[str, VLM] = {}
_COMMANDS: list[Any] = []


class Fault(AssertionError):
    """What a walk must never see."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit code (None: it was killed), and all that it said."""

    code: int | None
    text: str


@dataclass(frozen=True)
class Stop:
    """What stops a command on its way.

    Attributes:
        kind: the signal: SIGKILL, or SIGINT as by Ctrl-C.
        change: before its so manieth change of a file, from 1; the same moment on every machine.
        seconds: instead of ``change``: after so long.
    """

    kind: signal.Signals
    change: int = 0
    seconds: float = 0.0


def preload(model: Path) -> None:
    """Load the model, and build the tree of commands, so that the processes forked from this one do not."""
    from headscope.cli.app import app
    from headscope.models.vlm import load_model

    if str(model) not in _LOADED:
        _LOADED[str(model)] = load_model(model)
        _COMMANDS.append(get_command(app))


def run_here(words: Sequence[str]) -> Outcome:
    """Run a command in this very process: what it imports on its way, no fork imports again."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        try:
            _command(words)
        except SystemExit as exc:
            return Outcome(int(exc.code or 0), said.getvalue())
    return Outcome(0, said.getvalue())


def run(words: Sequence[str], stop: Stop | None = None, limit: float = 600.0) -> Outcome:
    """Run a command to its end, or until it is stopped.

    Args:
        words: what would follow ``headscope`` in a shell.
        limit: seconds after which a command counts as hanging.

    Raises:
        Fault: it did not end.
    """
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        child = os.fork()
        if child == 0:
            _be_the_command(words, stop, said.fileno())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        status = None
        if stop is not None and stop.seconds:
            status = _wait(child, stop.seconds)
            if status is None:
                os.kill(child, stop.kind)
        if status is None:
            status = _wait(child, limit)
        if status is None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        said.seek(0)
        text = said.read()
    if status is None:
        raise Fault(f"headscope {shlex.join(words)}: not done after {limit} s; it said: {text}")
    code = os.waitstatus_to_exitcode(status)
    killed = stop is not None and code == -signal.SIGKILL
    return Outcome(None if killed else code, text)


def _wait(child: int, seconds: float) -> int | None:
    """The wait status of a process that ends within so long; None where it does not."""
    until, pause = time.monotonic() + seconds, 0.001
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        if time.monotonic() > until:
            return None
        time.sleep(pause)
        pause = min(2 * pause, 0.02)


def _be_the_command(words: Sequence[str], stop: Stop | None, said: int) -> NoReturn:
    """In the child: become the command."""
    code = 99
    try:
        os.dup2(said, 1)
        os.dup2(said, 2)
        sys.stdout, sys.stderr = (open(fd, "w", closefd=False) for fd in (1, 2))  # noqa: SIM115
        gc.freeze()  # what was inherited is never garbage here
        _leave_out()
        if stop is not None and stop.change:
            _stop_before(stop)
        _command(words)
        code = 0
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _command(words: Sequence[str]) -> None:
    """What the program does with its words."""
    from headscope.cli.app import main

    before, sys.argv = sys.argv, ["headscope", *words]
    try:
        main()
    finally:
        sys.argv = before


def _leave_out() -> None:
    """Take the model and the commands that are in memory, and let the system write when it will."""
    from headscope.models import vlm

    load = vlm.load_model

    def command(_app: object) -> Any:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # the program, no longer the fork
        return _COMMANDS[0]

    def loaded(name: str | Path, *how: Any, **options: Any) -> VLM:
        plain = all(value in PLAIN for value in (*how, *options.values()))
        return _LOADED[str(name)] if plain and str(name) in _LOADED else load(name, *how, **options)

    for module, name, instead in (
        (vlm, "load_model", loaded),
        (typer.main, "get_command", command),
        (os, "fsync", lambda _file: None),
    ):
        setattr(module, name, instead)


def _stop_before(stop: Stop) -> None:
    """Have this process stopped before one of its changes of a file."""
    left = stop.change

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event in CHANGES or (event == "open" and arguments[2] & WRITES):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), stop.kind)

    sys.addaudithook(count)
