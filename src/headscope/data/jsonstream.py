"""JSON read piece by piece: one record of a long array, member or mapping at a time, each with its line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from headscope.data.checks import Finding, unwritable
from headscope.data.pictures import show
from headscope.records import JsonObject, JsonValue

MAX_RECORD = 64 * 2**20
_CHUNK = 2**18
_BLANK = " \t\r\n"
_NUMERIC = frozenset("0123456789+-.eE")


class BrokenJson(Exception):
    """JSON that cannot be read on from here."""

    def __init__(self, line: int, finding: Finding) -> None:
        super().__init__(str(finding))
        self.line, self.finding = line, finding


class Decoder:
    """JSON to values, with a note of what plain JSON does not allow: NaN, a key twice, endless numbers.

    Example:
        >>> Decoder().loads('{"a": NaN}')
        ({'a': nan}, Finding(field='a', what='not finite', found='nan', expected='a finite number'))
    """

    def __init__(self) -> None:
        self._odd: list[Finding] = []
        self._check = False
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._pairs,
            parse_constant=self._float,
            parse_float=self._float,
            parse_int=self._int,
        )

    def _pairs(self, items: list[tuple[str, JsonValue]]) -> JsonObject:
        out = dict(items)
        if len(out) < len(items):
            again = next(k for i, (k, _) in enumerate(items) if k in dict(items[:i]))
            self._odd.append(Finding(again, "key given twice", show(again), "each key once"))
        return out

    def _float(self, token: str) -> float:
        value = float(token)
        self._check |= not math.isfinite(value)
        return value

    def _int(self, token: str) -> int:
        if len(token) > 400:
            self._odd.append(Finding("json", "number too long", f"{len(token)} digits", "an ordinary number"))
            return 0
        return int(token)

    def raw(self, text: str, at: int) -> tuple[JsonValue, int, Finding | None]:
        """(value, where it ends, first oddity) of the JSON that starts at ``at``; raises what json raises."""
        self._odd.clear()
        self._check = False
        value, end = self._decoder.raw_decode(text, at)
        if self._check or "\\ud" in text[at:end].lower():
            self._odd += unwritable(value)
        return value, end, self._odd[0] if self._odd else None

    def loads(self, text: str) -> tuple[JsonValue, Finding | None]:
        """A whole text: (value, first oddity or fault); the value is None where nothing could be read."""
        start = len(text) - len(text.lstrip(_BLANK))
        try:
            value, end, odd = self.raw(text, start)
        except json.JSONDecodeError as exc:
            return None, broken(text, exc)
        except (RecursionError, ValueError):
            return None, Finding("json", "nested too deeply", "hundreds of levels", "a record")
        if text[end:].strip(_BLANK):
            found = show(text[end : end + 20])
            return None, Finding("json", "more than one value", found, "one record a line")
        return value, odd


def broken(text: str, exc: json.JSONDecodeError) -> Finding:
    """What is wrong with a text that is not JSON."""
    if exc.pos >= len(text.rstrip()):
        return Finding("json", "broken off", "the end", "the rest of the JSON")
    return Finding("json", f"broken at column {exc.colno}", show(text[exc.pos : exc.pos + 20]), "JSON")


class JsonStream:
    """A cursor over a JSON file that keeps one record in memory.

    Raises:
        BrokenJson: the file is not JSON from some line on, or a record is over 64 MiB.
    """

    def __init__(self, file: TextIO) -> None:
        self._file, self._decoder = file, Decoder()
        self._text, self._at, self._line, self._ended = "", 0, 1, False

    def _more(self) -> bool:
        if self._ended:
            return False
        self._line += self._text.count("\n", 0, self._at)
        rest = self._text[self._at :]
        if len(rest) > MAX_RECORD:
            raise self._stop("enormous record", f"over {MAX_RECORD} characters", "one record")
        try:
            chunk = self._file.read(max(_CHUNK, len(rest)))
        except UnicodeDecodeError as exc:
            raise self._stop("not UTF-8", f"byte 0x{exc.object[exc.start]:02X}", "text in UTF-8") from exc
        self._ended = not chunk
        self._text, self._at = rest + chunk, 0
        return bool(chunk)

    def _stop(self, what: str, found: str, expected: str) -> BrokenJson:
        return BrokenJson(self.line, Finding("json", what, found, expected))

    @property
    def line(self) -> int:
        """The line of the cursor, from 1."""
        return self._line + self._text.count("\n", 0, self._at)

    def peek(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _BLANK:
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def skip(self, wanted: str) -> None:
        """Pass one character."""
        found = self.peek()
        if found != wanted:
            what = "broken off" if not found else "broken"
            raise self._stop(what, show(found) if found else "the end", show(wanted))
        self._at += 1

    def value(self) -> tuple[JsonValue, Finding | None]:
        """The next value, and what is odd about it."""
        self.peek()
        while True:
            try:
                value, end, odd = self._decoder.raw(self._text, self._at)
            except json.JSONDecodeError as exc:
                if self._more():
                    continue
                finding = broken(self._text, exc)
                raise BrokenJson(self.line, finding) from exc
            except (RecursionError, ValueError) as exc:
                raise self._stop("nested too deeply", "hundreds of levels", "a record") from exc
            if set(self._text[end : end + 32]) <= _NUMERIC and len(self._text) - end < 32 and self._more():
                # a number may go on in the next piece
                continue
            self._at = end
            return value, odd

    def members(self) -> Iterator[str]:
        """The keys of an object; the caller reads each value before asking for the next key."""
        self.skip("{")
        while self.peek() != "}":
            key, _ = self.value()
            if not isinstance(key, str):
                raise self._stop("broken", show(key), "a key")
            self.skip(":")
            yield key
            if self.peek() != "}":
                self.skip(",")
        self._at += 1

    def items(self) -> Iterator[tuple[int, JsonValue, Finding | None]]:
        """(line, value, oddity) of each item of an array."""
        self.skip("[")
        while self.peek() != "]":
            line = self.line
            value, odd = self.value()
            yield line, value, odd
            if self.peek() != "]":
                self.skip(",")
        self._at += 1


def open_json(path: Path) -> TextIO:
    """The file as text; a byte order mark is passed over."""
    return path.open(encoding="utf-8-sig", newline="")
