"""Artefacts that are complete or absent: atomic writes, and a ledger of finished units of work."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from headscope.errors import StoreError

Row = dict[str, Any]
"""One row of a table, or one JSON object."""


def fingerprint(value: Any) -> str:
    """Sixteen hex digits of SHA-256 over canonical JSON of ``value``."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_atomic(path: str | Path, content: bytes | str) -> None:
    """Write a file so that a reader, or a restart after a kill, sees all of it or nothing.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as exc:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise disk_error(path, exc) from exc


def disk_error(path: Path, exc: OSError) -> StoreError:
    """The one message for a write of ``path`` that failed, or for the file that it was to be copied from."""
    if exc.errno in _FULL:
        return StoreError(
            f"{path}: could not write: the disk is full; free space or name another folder, then run the "
            "same command again: finished work is kept"
        )
    named = Path(exc.filename) if isinstance(exc.filename, str) else path
    if exc.filename2 is None and not _written_for(path, named):
        return read_error(named, exc)
    return StoreError(
        f"{path}: could not write: {_reason(exc)}; name a folder that can be written, then run the same "
        "command again: finished work is kept"
    )


def read_error(path: Path, exc: OSError) -> StoreError:
    """The one message for a file that could not be read."""
    return StoreError(f"{path}: cannot be read: {_reason(exc)}; check the path and its permissions")


def file_error(exc: OSError) -> StoreError:
    """The message for an error of the system that may come from reading or from writing."""
    if exc.errno in _FULL:
        return disk_error(Path(exc.filename or "."), exc)
    if exc.filename is None:
        return StoreError(f"the system refused: {_reason(exc)}")
    return StoreError(f"{exc.filename}: cannot be opened: {_reason(exc)}; check the path and its permissions")


_FULL = (errno.ENOSPC, errno.EDQUOT)


def _written_for(path: Path, named: Path) -> bool:
    """Whether a file is ``path``, its temporary twin, a part of either, or a folder that it lies in."""
    if named.is_relative_to(path) or path.is_relative_to(named):
        return True
    twins = (p for p in (named, *named.parents) if p.parent == path.parent)
    return any(p.name.startswith(f".{path.name}.") for p in twins)


def _reason(exc: OSError) -> str:
    return exc.strerror or str(exc)


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON atomically, keys in the order given, floats as Python prints them, NaN as null."""
    write_atomic(path, json.dumps(plain(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_text(path: str | Path) -> str:
    """The text of an artefact.

    Raises:
        StoreError: the file is missing or is no text.
    """
    path = Path(path)
    try:
        return path.read_text("utf-8")
    except FileNotFoundError as exc:
        raise StoreError(f"{path}: not found; run the stage that writes it first") from exc
    except OSError as exc:
        raise read_error(path, exc) from exc
    except ValueError as exc:
        raise StoreError(f"{path}: cannot be read ({exc}); delete it and run its stage again") from exc


def read_json(path: str | Path) -> Any:
    """Read a JSON artefact.

    Raises:
        StoreError: the file is missing or damaged.
    """
    try:
        return json.loads(read_text(path))
    except ValueError as exc:
        raise StoreError(f"{path}: cannot be read ({exc}); delete it and run its stage again") from exc


def plain(value: Any) -> Any:
    """Numpy scalars, arrays and tuples to plain Python; NaN and infinities to None."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


def write_table(path: str | Path, rows: list[Row] | Any) -> None:
    """Write rows (dicts, or a pyarrow Table) as Parquet, atomically and with the same bytes each time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist([plain(r) for r in rows])
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_atomic(path, sink.getvalue().to_pybytes())


def read_table(path: str | Path) -> list[Row]:
    """Read a Parquet artefact as a list of dicts.

    Raises:
        StoreError: the file is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    if not path.exists():
        raise StoreError(f"{path}: not found; run the stage that writes it first")
    try:
        rows: list[Row] = pq.read_table(path).to_pylist()
        return rows
    except (OSError, pa.ArrowException) as exc:
        if isinstance(exc, OSError) and exc.errno is not None:  # pyarrow's own, on a damaged file, has none
            raise read_error(path, exc) from exc
        raise StoreError(f"{path}: cannot be read ({exc}); delete it and run its stage again") from exc


class Ledger:
    """Finished units of work in a folder, one JSON file each, so that a killed stage never repeats one.

    A unit's key says everything that its result depends on within the stage; ``settings`` says the rest.
    A ledger opened with other settings than those it was started with is refused.

    Example:
        >>> import tempfile
        >>> ledger = Ledger(tempfile.mkdtemp(), settings={"seed": 1})
        >>> ledger.get_or("k=8", lambda: {"drop": 0.25})
        {'drop': 0.25}
        >>> "k=8" in ledger
        True
    """

    def __init__(self, folder: str | Path, settings: Any) -> None:
        self.folder = Path(folder)
        mark = self.folder / "settings.json"
        wanted = json.loads(json.dumps(plain(settings), default=str))
        if mark.exists():
            found = read_json(mark)
            if found != wanted:
                raise StoreError(
                    f"{self.folder}: holds work made with other settings ({_differences(found, wanted)}); "
                    "use another study folder, or delete this folder to start the stage afresh"
                )
        else:
            write_json(mark, wanted)

    def _path(self, key: str) -> Path:
        stem = re.sub(r"[^A-Za-z0-9_.=-]+", "-", key)[:80]
        return self.folder / f"{stem}-{fingerprint(key)[:8]}.json"

    def __contains__(self, key: str) -> bool:
        return self._path(key).exists()

    def get(self, key: str) -> Any:
        """The finished result of a unit."""
        return read_json(self._path(key))["value"]

    def put(self, key: str, value: Any) -> Any:
        """Store a unit's result; what comes back is what a restart would read."""
        write_json(self._path(key), {"key": key, "value": value})
        return self.get(key)

    def get_or(self, key: str, compute: Any) -> Any:
        """The stored result of a unit, computed and stored first if it is not there."""
        return self.get(key) if key in self else self.put(key, compute())


def _differences(found: Any, wanted: Any) -> str:
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = [k for k in {**found, **wanted} if found.get(k) != wanted.get(k)]
        return "; ".join(f"{k}: there {found.get(k)!r}, asked {wanted.get(k)!r}" for k in keys[:4])
    return f"there {found!r}, asked {wanted!r}"
