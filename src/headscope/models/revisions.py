"""What identifies a checkpoint folder: a hash over its files, remembered while the files stay as they are."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from headscope.errors import StoreError
from headscope.storage import read_json, write_json

_SCHEMA = "headscope/revision/1"
# Smaller sets are hashed each time: that takes less than a tenth of a second and leaves nothing behind.
_WORTH_KEEPING = 32 << 20
# A file changed this recently, in seconds, may change again without another time: clocks of files are coarse.
_UNSETTLED = 2.0


def revision(files: Sequence[Path]) -> str:
    """Sixteen hex digits of SHA-256 over files in the order given: a checkpoint's configuration and weights.

    The result for a set of files is kept in the user's cache, under their names, sizes and times, since
    reading a large checkpoint takes minutes. A file that was written since then is read again.
    """
    before = _state(files)
    keep = sum(size for _, size, *_ in before) >= _WORTH_KEEPING
    note = _note(files)
    if keep and (known := _remembered(note, before)):
        return known
    found = _hash(files)
    if keep and _state(files) == before and _settled(before):
        with suppress(StoreError):  # a cache that cannot be written costs time, nothing else
            write_json(note, {"schema": _SCHEMA, "files": before, "revision": found})
    return found


def cache_folder() -> Path:
    """``HEADSCOPE_CACHE``, else ``headscope`` in ``XDG_CACHE_HOME`` or in ``~/.cache``."""
    if own := os.environ.get("HEADSCOPE_CACHE"):
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "headscope"


def _hash(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}:{file.stat().st_size}\n".encode())
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 22):
                digest.update(chunk)
    return digest.hexdigest()[:16]


def _state(files: Sequence[Path]) -> list[list[Any]]:
    """Name, size, times of the last write and of the last change of any kind, inode: of each file.

    The change time cannot be set by hand, so a file that was overwritten and given its old time back differs.
    """
    found = [(file, file.stat()) for file in files]
    return [[f.name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino] for f, s in found]


def _settled(state: list[list[Any]]) -> bool:
    return max(max(mtime, ctime) for _, _, mtime, ctime, _ in state) < time.time_ns() - _UNSETTLED * 1e9


def _note(files: Sequence[Path]) -> Path:
    """Where the result for a set of files is kept: one small file for each folder."""
    where = str(files[0].parent.resolve())
    return cache_folder() / "revisions" / f"{hashlib.sha256(where.encode()).hexdigest()[:32]}.json"


def _remembered(note: Path, state: list[list[Any]]) -> str:
    """What was found for the very same files; empty if nothing was, or it cannot be read."""
    try:
        kept = read_json(note)
    except StoreError:
        return ""
    if not isinstance(kept, dict) or kept.get("schema") != _SCHEMA or kept.get("files") != state:
        return ""
    found = str(kept.get("revision"))
    return found if re.fullmatch("[0-9a-f]{16}", found) else ""
