"""Artefacts that are complete or absent: atomic writes, and a ledger of finished units of work."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from headscope.errors import DamagedError, StoreError
from headscope.progress import unit_done
from headscope.seals import sealed, unsealed

Row = dict[str, Any]
"""One row of a table, or one JSON object."""
CHANGED = "was changed since it was written (its checksum does not hold)"
log = logging.getLogger(__name__)


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
    write_atomic(path, _text(value))


def write_sealed(path: str | Path, value: Row, beside: str = "") -> None:
    """Write a JSON object with its checksum, which :func:`read_json` verifies.

    Args:
        beside: digest of a file that belongs to it.
    """
    write_atomic(path, sealed(_text(value), beside))


def _text(value: Any) -> str:
    return json.dumps(plain(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_text(path: str | Path) -> str:
    """The text of an artefact.

    Raises:
        StoreError: the file is missing or is no text.
    """
    path = Path(path)
    try:
        return path.read_text("utf-8")
    except FileNotFoundError as exc:
        raise missing(path) from exc
    except OSError as exc:
        raise read_error(path, exc) from exc
    except ValueError as exc:
        raise damaged(path, f"cannot be read ({exc})") from exc


def missing(path: Path) -> DamagedError:
    """The one message for an artefact that is not there."""
    return DamagedError(f"{path}: not found; run the stage that writes it first")


def damaged(path: Path, why: str) -> DamagedError:
    """The one message for an artefact that is not as it was written."""
    return DamagedError(f"{path}: {why}; run its stage again, which makes anew what is damaged")


def read_json(path: str | Path) -> Any:
    """Read a JSON artefact; its checksum is verified where there is one, and left out.

    Raises:
        StoreError: the file is missing or damaged.
    """
    try:
        found = unsealed(read_text(path))
        value = json.loads(found.text)
    except ValueError as exc:
        raise damaged(Path(path), f"cannot be read ({exc})") from exc
    if found.holds is False:
        raise damaged(Path(path), CHANGED)
    return value


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
        raise missing(path)
    try:
        rows: list[Row] = pq.read_table(path).to_pylist()
        return rows
    except (OSError, pa.ArrowException) as exc:
        if isinstance(exc, OSError) and exc.errno is not None:  # pyarrow's own, on a damaged file, has none
            raise read_error(path, exc) from exc
        raise damaged(path, f"cannot be read ({exc})") from exc


class Ledger:
    """Finished units of work in a folder, one JSON file each, so that a killed stage never repeats one.

    A unit's key says everything that its result depends on within the stage; ``settings`` says the rest.
    A ledger opened with other settings than those it was started with is refused. A unit that is damaged, or
    was made with other settings, is none, and is made again.

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
        self._settings = fingerprint(wanted)
        if (found := _read_settings(mark)) is not None:
            if found != wanted:
                raise StoreError(
                    f"{self.folder}: holds work made with other settings ({_differences(found, wanted)}); "
                    "use another study folder, or delete this folder to start the stage afresh"
                )
        else:
            (write_sealed if isinstance(wanted, dict) else write_json)(mark, wanted)

    def _path(self, key: str) -> Path:
        stem = re.sub(r"[^A-Za-z0-9_.=-]+", "-", key)[:80]
        return self.folder / f"{stem}-{fingerprint(key)[:8]}.json"

    def __contains__(self, key: str) -> bool:
        return bool(self._finished(key))

    def _finished(self, key: str) -> list[Any]:
        """The result of a unit in a list; empty where it is not there, or not as it was written."""
        try:
            return [self.get(key)] if self._path(key).exists() else []
        except DamagedError as exc:
            log.warning("%s", exc)
            return []

    def get(self, key: str) -> Any:
        """The finished result of a unit.

        Raises:
            StoreError: it is not there, or not as it was written.
        """
        path = self._path(key)
        unit = read_json(path)
        if not isinstance(unit, dict) or "value" not in unit:
            raise damaged(path, "value: field required")
        for name, wanted in (("key", key), ("settings", self._settings)):
            if unit.get(name, wanted) != wanted:
                raise damaged(path, f"{name}: found {unit[name]!r}, expected {wanted!r}")
        return unit["value"]

    def put(self, key: str, value: Any) -> Any:
        """Store a unit's result; what comes back is what a restart would read."""
        unit_done()
        write_sealed(self._path(key), {"key": key, "settings": self._settings, "value": value})
        return self.get(key)

    def get_or(self, key: str, compute: Any) -> Any:
        """The stored result of a unit, computed and stored first if it is not there."""
        found = self._finished(key)
        return found[0] if found else self.put(key, compute())


def _read_settings(mark: Path) -> Any:
    """What a ledger was started with; None where that is not known, and its units have to say it."""
    try:
        return read_json(mark) if mark.exists() else None
    except DamagedError as exc:
        log.warning("%s", exc)
        return None


def _differences(found: Any, wanted: Any) -> str:
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = [k for k in {**found, **wanted} if found.get(k) != wanted.get(k)]
        return "; ".join(f"{k}: there {found.get(k)!r}, asked {wanted.get(k)!r}" for k in keys[:4])
    return f"there {found!r}, asked {wanted!r}"
