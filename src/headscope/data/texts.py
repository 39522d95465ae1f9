"""Texts of cases that nobody can read: too long, or with characters that a terminal or a page would obey."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from headscope.data.pictures import show
from headscope.data.schema import LONGEST_TEXT
from headscope.errors import UNSEEN
from headscope.records import JsonObject

# What the source said is kept as it is and never shown; paths of pictures have checks of their own.
_LEFT_ALONE = ("original", "image")


class OddText(NamedTuple):
    """A text that cannot be used: where it stands, what is wrong, what was found, what was expected."""

    place: tuple[int | str, ...]
    what: str
    found: str
    expected: str


def odd_texts(raw: JsonObject) -> Iterator[OddText]:
    """The texts of a case, keys among them, that are too long or hold control characters, in order.

    Example:
        >>> [odd.what for odd in odd_texts({"id": "a\\x1b[2J", "question": "Where?"})]
        ['control character']
    """
    todo: list[tuple[tuple[int | str, ...], object]] = [
        ((k,), v) for k, v in reversed(raw.items()) if k not in _LEFT_ALONE
    ]
    while todo:
        place, value = todo.pop()
        if isinstance(value, dict):
            todo += [((*place, k), v) for k, v in reversed(value.items())]
            todo += [((*place, k), k) for k in value]
        elif isinstance(value, list | tuple):
            todo += [((*place, i), v) for i, v in reversed(list(enumerate(value)))]
        elif isinstance(value, str) and len(value) > LONGEST_TEXT:
            most = f"at most {LONGEST_TEXT:,} characters"
            yield OddText(place, "too long", f"{len(value):,} characters", most)
        elif isinstance(value, str) and (unseen := UNSEEN.search(value)):
            found = f"U+{ord(unseen[0]):04X} in {show(value)}"
            yield OddText(place, "control character", found, "text without control characters")
