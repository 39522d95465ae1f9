"""One writer to a folder: a lock that names its owner, shows that the owner lives, and ends with it.

The lock is a file that is put in place in one step, with its owner's host, process and token in it; its
modification time is a heartbeat. An owner on this machine is dead when its process is gone (or another has
its number); one on another machine when the heartbeat has stopped for ``STALE`` seconds, by the clock of
the file system. Changes of owner are made under a short ``flock`` beside it, which the system releases.

Limits: where a network file system has neither ``flock`` nor hard links, two processes that take over a
dead owner's lock within the same few milliseconds may both believe that they hold it; and an owner on another
machine that is suspended for longer than ``STALE`` loses the lock, which it is told when it goes on.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from headscope.errors import StudyError
from headscope.storage import disk_error

try:
    import fcntl
except ImportError:  # Windows: without the guard
    fcntl = None  # type: ignore[assignment]

FILE = "lock.json"
GUARD = ".lock-guard"
BEAT = 15.0  # seconds between two signs of life
STALE = 180.0  # seconds without one after which another machine's owner is dead
_POLL = 0.5
_GUARDED = 10.0  # seconds after which a guard that is held is somebody's who was stopped just then
_UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.EMLINK, errno.ENOSYS)


@dataclass(frozen=True)
class LockOwner:
    """Who holds a lock.

    Attributes:
        host: its name, for people.
        machine: what tells whether a process number means anything here: boot and process namespace.
        pid, started: the process, and when it began (in the system's own words; empty: not known).
        token: of this very holding.
        since: when it began, in UTC.
    """

    host: str
    machine: str
    pid: int
    started: str
    token: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


def this_process() -> LockOwner:
    """This process as the owner of a lock that it is about to take."""
    pid = os.getpid()
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return LockOwner(socket.gethostname(), _machine(), pid, process_start(pid) or "", uuid.uuid4().hex, since)


def _machine() -> str:
    """Boot and process namespace: where they are equal, process numbers mean the same."""
    parts = [sys.platform, socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))  # noqa: PTH115  (names no file)
    return " ".join(parts)


def process_start(pid: int) -> str | None:
    """When a process began, in the system's own words; empty: not known; None: it is gone."""
    if sys.platform == "win32":
        return ""  # there is no harmless way to ask
    with suppress(FileNotFoundError, ProcessLookupError):
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    try:
        os.kill(pid, 0)  # asks only; a process of somebody else may be hidden in /proc
    except ProcessLookupError:
        return None
    except PermissionError:
        return ""
    if Path("/proc/self/stat").exists():
        return ""
    words = ["ps", "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


class FolderLock:
    """The lock of a folder; a context that may be entered again by its owner.

    Args:
        folder: made if it is not there.
        wait: whether to wait while another process holds the lock; else it is refused.
        announce: gets a line when there is somebody to wait for, or a dead owner to take over from.

    Raises:
        StudyError: on entering, another process holds the lock; on leaving, the lock was lost meanwhile.
        StoreError: the folder cannot be written.

    Example:
        ``with FolderLock("runs/mine", wait=True): ...``
    """

    def __init__(
        self, folder: str | Path, wait: bool = False, announce: Callable[[str], None] | None = None
    ) -> None:
        self.folder, self.wait = Path(folder), wait
        self.announce = announce or (lambda _: None)
        self.path = self.folder / FILE
        self._depth = 0
        self._owner: LockOwner | None = None
        self._stop = threading.Event()
        self._lost = threading.Event()

    def __enter__(self) -> FolderLock:
        if self._depth == 0:
            self._acquire()
            self._clear_half_written()
        self._depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth or self._owner is None or self._owner.pid != os.getpid():
            return
        self._stop.set()
        lost = self._lost.is_set() or not self._release()
        self._owner = None
        if lost and kind is None:
            raise StudyError(
                f"{self.folder}: another process took over while this one was stopped for over {STALE:.0f} "
                "seconds, and both may have written; run the same command again: what is complete is kept"
            )

    def _clear_half_written(self) -> None:
        """Delete the temporary files of killed processes: the holder of the lock alone writes."""
        now = self.path.stat().st_mtime
        for path in self.folder.rglob(".*.tmp"):
            if path.name.startswith(f".{FILE}."):
                found = self._read(path, now)
                if found is None or self._alive(*found):
                    continue  # of a process that waits for the lock
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    # taking -----------------------------------------------------------------------------------------------

    def _acquire(self) -> None:
        mine, told = this_process(), ""
        while True:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                with self._guard():
                    other = self._try(mine)
            except OSError as exc:
                raise disk_error(self.path, exc) from exc
            if other is None:
                break
            if not self.wait:
                raise StudyError(
                    f"{self.folder}: {other} works on it; wait for it (--wait; wait=True), or stop it first"
                )
            if other != told:
                self.announce(f"{self.folder}: waiting for {other}")
                told = other
            time.sleep(_POLL)
        self._owner, self._stop, self._lost = mine, threading.Event(), threading.Event()
        beating = threading.Thread(target=self._beat, args=(mine, self._stop, self._lost), daemon=True)
        beating.start()

    def _try(self, mine: LockOwner) -> str | None:
        """Take the lock if it is free, or its owner dead; else who holds it, in words."""
        with self._written(mine) as ready:
            if _put(ready, self.path):
                return None
            found = self._read(self.path, now=ready.stat().st_mtime)
            if found is None:  # released just now
                return None if _put(ready, self.path) else "another process"
            owner, age = found
            if self._alive(owner, age):
                return str(owner or "a process that left no name") + _sign_of_life(owner, mine, age)
            if not self._bury(owner):
                return str(owner or "another process")
            self.announce(f"{self.folder}: taking over from {owner or 'an unknown process'}, which is gone")
            return None if _put(ready, self.path) else "another process"

    @contextmanager
    def _written(self, owner: LockOwner) -> Iterator[Path]:
        """The content of the lock in a file beside it."""
        ready = self.folder / f".{FILE}.{owner.token}.tmp"
        try:
            with ready.open("w", encoding="utf-8") as file:
                json.dump(asdict(owner), file)
                file.flush()
                os.fsync(file.fileno())
            yield ready
        finally:
            ready.unlink(missing_ok=True)

    @staticmethod
    def _read(path: Path, now: float) -> tuple[LockOwner | None, float] | None:
        """The owner (None: not to be read) and seconds since the last sign of life; None without a lock."""
        try:
            with path.open("r", encoding="utf-8", errors="replace") as file:
                age = now - os.fstat(file.fileno()).st_mtime  # asked of an open file, so never out of a cache
                return _parsed(file.read()), age
        except FileNotFoundError:
            return None

    @staticmethod
    def _alive(owner: LockOwner | None, age: float) -> bool:
        if owner is None or owner.machine != _machine():
            return age < STALE
        found = process_start(owner.pid)
        return found is not None and (not found or not owner.started or found == owner.started)

    def _bury(self, owner: LockOwner | None) -> bool:
        """Move a dead owner's lock away, and no other one; False where somebody else was faster."""
        grave = self.folder / f".{FILE}.{uuid.uuid4().hex}.tmp"
        try:
            self.path.rename(grave)
        except FileNotFoundError:
            return True
        same = _parsed(grave.read_text("utf-8", "replace")) == owner
        if not same:  # a living one took its place since it was read: back with it
            _put(grave, self.path)
        grave.unlink(missing_ok=True)
        return same

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Held while the lock changes hands; the system releases it with the process."""
        if fcntl is None:
            yield
            return
        descriptor = os.open(self.folder / GUARD, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            deadline = time.monotonic() + _GUARDED
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as exc:
                    if exc.errno in _UNSUPPORTED or time.monotonic() > deadline:
                        break
                    if exc.errno not in (errno.EAGAIN, errno.EACCES, errno.EINTR):
                        raise
                    time.sleep(0.01)
            yield
        finally:
            os.close(descriptor)

    # holding ----------------------------------------------------------------------------------------------

    def _beat(self, mine: LockOwner, stop: threading.Event, lost: threading.Event) -> None:
        """Show that the owner lives, until it lets go or the lock is another's."""
        while not stop.wait(BEAT):
            try:
                if not self._holds(mine):
                    lost.set()
                    return
                os.utime(self.path)
            except OSError:
                continue  # a file system that is away for a moment; the next beat tries again

    def _holds(self, mine: LockOwner) -> bool:
        found = self._read(self.path, now=0.0)
        return found is not None and found[0] is not None and found[0].token == mine.token

    def _release(self) -> bool:
        """Take the lock away; False where it was no longer this process's."""
        assert self._owner is not None
        with self._guard():
            held = self._holds(self._owner)
            if held:
                self.path.unlink(missing_ok=True)
        return held


def _parsed(text: str) -> LockOwner | None:
    """The owner that a lock names; None where it cannot be read."""
    try:
        owner = LockOwner(**json.loads(text))
    except (ValueError, TypeError):
        return None
    return owner if isinstance(owner.pid, int) and owner.pid > 0 else None


def _put(ready: Path, path: Path) -> bool:
    """Put a written file in its place in one step, if nothing is there."""
    try:
        os.link(ready, path)
        return True
    except FileExistsError:
        return _linked(ready)
    except OSError as exc:
        if exc.errno not in _UNSUPPORTED:
            raise
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "wb") as file:
        file.write(ready.read_bytes())
    return True


def _linked(ready: Path) -> bool:
    """Over a network the answer to a link that was made may be lost, and the second try finds it there."""
    return ready.stat().st_nlink > 1


def _sign_of_life(owner: LockOwner | None, mine: LockOwner, age: float) -> str:
    if owner is not None and owner.machine == mine.machine:
        return ""
    return f" (last sign of life {max(age, 0):.0f} s ago; after {STALE:.0f} s it counts as dead)"
