"""Checksums: the last member of a JSON file, and one digest for any other file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from xxhash import xxh3_128

MEMBER = "checksum"
_SEAL = re.compile(
    r'(?:,|(?<=\{))[ \t\r\n]*"checksum":[ \t]*"([0-9a-f]{32})(?: ([0-9a-f]{32}))?"[ \t\r\n]*\}[ \t\r\n]*\Z'
)
_LAST = re.compile(r',\n "([^"\n]*)": "[^"\n]{32}(?:[^"\n]{33})?"\n\}\n\Z')
_CHUNK = 1 << 22


class Unsealed(NamedTuple):
    """The text of a JSON file without its checksum.

    Attributes:
        text: what was written beside the checksum.
        holds: whether the checksum is that of the text; None: there is none.
        beside: digest of the file that was written beside it; empty: there was none.
    """

    text: str
    holds: bool | None
    beside: str = ""


def sealed(text: str, beside: str = "") -> str:
    """JSON text of an object with a checksum of all of it as its last member.

    Args:
        text: an object over several lines, as ``json.dumps(value, indent=1)`` writes it.
        beside: digest of a file that belongs to it.

    Example:
        >>> unsealed(sealed('{\\n "a": 1\\n}')).holds
        True
    """
    body = text.rstrip().removesuffix("}").rstrip()
    comma = "" if body == "{" else ","
    digest = _digest(body, beside)
    return f'{body}{comma}\n "{MEMBER}": "{digest}{f" {beside}" if beside else ""}"\n}}\n'


def unsealed(text: str) -> Unsealed:
    """The text without its checksum, and whether that holds."""
    found = _SEAL.search(text)
    if found is not None:
        body, beside = text[: found.start()], found[2] or ""
        return Unsealed(f"{body}\n}}\n", found[1] == _digest(body, beside), beside)
    last = _LAST.search(text)
    if last is not None and _nearly(last[1]):
        return Unsealed(f"{text[: last.start()]}\n}}\n", False)
    if f'"{MEMBER}"' in text:  # written again by somebody else
        value = json.loads(text)
        if isinstance(value, dict) and value.pop(MEMBER, None) is not None:
            return Unsealed(json.dumps(value), False)
    return Unsealed(text, None)


def _nearly(name: str) -> bool:
    """Whether one sign of the member's name was changed."""
    return len(name) == len(MEMBER) and sum(a != b for a, b in zip(name, MEMBER, strict=True)) == 1


def file_digest(path: Path) -> str:
    """32 hex digits over the bytes of a file.

    Raises:
        OSError: it cannot be read.
    """
    digest = xxh3_128()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def tree_digests(folder: Path) -> dict[str, str]:
    """Path in a folder -> digest, of every file under it."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): file_digest(p) for p in files}


def first_change(folder: Path, digests: Mapping[str, str]) -> Path | None:
    """The first of a folder's files that is not there, or is not as its digest says; None: all are."""
    for name, digest in digests.items():
        path = folder / name
        if not path.is_file() or file_digest(path) != digest:
            return path
    return None


def _digest(body: str, beside: str) -> str:
    return xxh3_128(f"{body}\n{beside}".encode()).hexdigest()
