"""Mutated values and bytes for the tests of readers.

``HEADSCOPE_FUZZ=100000`` tries so many mutated rows on every reader; without it each tries a few hundred.
"""

from __future__ import annotations

import os
import random
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

GROWTH = 300_000  # KiB that a reader may take on top of what the process held before
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**70, 10**500, 1.5, 1e308, -1e308, "", " ", "A", "(Z)", "a.jpg"),
    *("../../etc/passwd", "/etc/passwd", "C:\\x", "a\x00b", "\ud800", "x" * 300, "true", "64x48", "0x0"),
    *(
        [],
        [[]],
        {},
        {"": {}},
        [1, 2, 3, 4],
        [0, 0, 0, 0],
        ["", ""],
        ["a", "a"],
        {"x": 1e308},
        "select",
        "(-)",
    ),
    *("(-)", "a,b,s (1)", "A. x\nB. y", "1", "nan", "1e400", "\u202e", [None], {"a": [{}]}, -0.0),
)
BYTES = (
    b"",
    b"null",
    b"[]",
    b"{}",
    b"1e999",
    b'"',
    b",",
    b"\\ud800",
    b"\xff",
    b"\t",
    b"[[",
    b"}",
    b"\n",
    b"<",
    b"&",
)


def rows_tried(short: int) -> int:
    """How many mutated rows a test tries on a reader: ``HEADSCOPE_FUZZ``, else ``short``."""
    return int(os.environ.get("HEADSCOPE_FUZZ", short))


def mutated(value: Any, draw: random.Random, odd: Sequence[Any] = ODD) -> Any:
    """A copy with one to three fields replaced, removed, doubled, swapped or added, at any depth."""
    out = deepcopy(value)
    for _ in range(draw.randint(1, 3)):
        place: Any = out
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw.choice(keys)
            if isinstance(place[key], dict | list) and draw.random() < 0.75:
                place = place[key]
                continue
            _change(place, key, keys, draw, odd)
            break
    return out


def _change(place: Any, key: Any, keys: list[Any], draw: random.Random, odd: Sequence[Any]) -> None:
    how = draw.choice(["replace", "replace", "delete", "add", "swap"])
    if how == "delete":
        del place[key]
    elif how == "swap":
        other = draw.choice(keys)
        place[key], place[other] = place[other], place[key]
    elif how == "add" and isinstance(place, list):
        place.append(deepcopy(draw.choice([place[key], *odd])))
    elif how == "add":
        place[draw.choice(["", "x", "row", "scene", "_key", "_merged"])] = deepcopy(draw.choice(odd))
    else:
        place[key] = deepcopy(draw.choice(odd))


def mutated_bytes(whole: bytes, draw: random.Random) -> bytes:
    """One to four pieces of up to six bytes replaced by others, or by what JSON and XML understand."""
    content = bytearray(whole)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(content) + 1)
        content[at : at + draw.randint(0, 6)] = draw.choice([draw.randbytes(draw.randint(0, 6)), *BYTES])
    return bytes(content)


def peak() -> int:
    """The most memory that this process ever held, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@contextmanager
def little_memory() -> Iterator[None]:
    """What is done inside takes less than ``GROWTH`` KiB more than the process had held before."""
    before = peak()
    yield
    assert peak() - before < GROWTH
