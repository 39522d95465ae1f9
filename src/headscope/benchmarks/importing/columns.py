"""Columns of tables as people have them: nested and templated names, options in every form, answers.

A name is a column's; ``a.b.0`` goes into objects, lists and JSON text; ``{a} {b}`` puts several together.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping, Sequence

from headscope.benchmarks.importing.answer_options import LETTERS
from headscope.data.fields import Cell, RecordError, plain_text
from headscope.data.pictures import show

_FIELD = re.compile(r"\{([^{}]+)\}")
_MARKED = re.compile(r"(?:^|(?<=[\s;,|]))\(?([A-Ha-h])[).:]\s*")
_INTEGER = re.compile(r"[+-]?\d{1,9}(?:\.0)?")
_BRACKETS = re.compile(r"^\W*(?:option\s+|answer:?\s*)?\(?([A-Ha-h])\)?(?:[.:)]\s*(.*))?\W*$", re.I | re.S)
PAIRS = (("yes", "no"), ("true", "false"), ("correct", "incorrect"))
_TEXTS, _LABELS = ("text", "option", "content", "value"), ("label", "id", "key", "letter")
READINGS = ("text", "letter", "index", "index1", "truth")


def value_of(record: Mapping[str, Cell], name: str) -> Cell:
    """What a column name stands for in a record; None where it is not there.

    Example:
        >>> value_of({"meta": {"tags": ["x", "y"]}}, "meta.tags.1"), value_of({"a": 1, "b": 2}, "{a} or {b}")
        ('y', '1 or 2')
    """
    if name in record:
        return record[name]
    if _FIELD.search(name):
        parts = {found: value_of(record, found) for found in _FIELD.findall(name)}
        if any(v is None for v in parts.values()):
            return None
        return _FIELD.sub(lambda m: plain_text(parts[m[1]], m[1]), name)
    value: Cell = record
    for part in name.split("."):
        value = opened(value)
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list | tuple) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def opened(value: Cell) -> Cell:
    """A text that is JSON (or Python's way of writing the same) as what it holds."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{"):
        return value
    for read in (json.loads, ast.literal_eval):
        try:
            found: Cell = read(value)
            return found
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return value


def options_of(value: Cell, field: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(options, their labels) of a list (of texts, or of objects with text and label), an object (``{"A":
    "cup"}``, or texts with labels) or text.

    Texts are split at letters (``A. cup B. plate``), lines, ``|`` and ``;``, else at commas.

    Raises:
        RecordError: it is none of these, or an option is empty.

    Example:
        >>> options_of("(A) cup (B) plate", "choices")
        (('cup', 'plate'), ('A', 'B'))
    """
    value = opened(value)
    labels: Sequence[str] = ()
    if isinstance(value, Mapping):
        texts, names = value.get("text"), value.get("label")
        if isinstance(texts, list) and isinstance(names, list):
            labels, value = [str(x) for x in names], texts
        else:
            kept = {str(k): v for k, v in value.items() if v is not None}
            if _are_labels(kept.values()) and not _are_labels(kept):  # {"cup": "A"}: the other way round
                kept = {str(v).upper(): k for k, v in sorted(kept.items(), key=lambda x: str(x[1]).upper())}
            labels, value = list(kept), list(kept.values())
    elif isinstance(value, str):
        labels, value = _split(value)
    elif isinstance(value, list | tuple):
        labels, value = _listed(value)
    if not isinstance(value, list | tuple) or not value:
        raise RecordError(field, "wrong value", show(value), "a list, an object or text of options")
    options = tuple(plain_text(v, f"{field}[{i}]") for i, v in enumerate(value))
    marks = [re.match(r"\(?([A-H])[).:]\s+(?=\S)", o) for o in options]
    if [m[1] for m in marks if m] == list(LETTERS[: len(options)]):
        options = tuple(o[m.end() :] for o, m in zip(options, marks, strict=True) if m)
    return options, tuple(labels) if len(labels) == len(options) else tuple(LETTERS[: len(options)])


def _listed(value: Sequence[Cell]) -> tuple[list[str], list[Cell]]:
    """(labels, options) of a list of texts, or of objects such as ``{"id": "A", "text": "cup"}``.

    Nothing at its end is no option: lists of one length are padded with it.
    """
    kept = list(value)
    while kept and kept[-1] is None:
        kept.pop()
    rows = [v for v in kept if isinstance(v, Mapping)]
    text = next((k for k in _TEXTS if rows and all(k in r for r in rows)), "")
    if not text or len(rows) < len(kept):
        return [], kept
    name = next((k for k in _LABELS if all(isinstance(r.get(k), str) for r in rows)), "")
    return [str(r[name]) for r in rows] if name else [], [r[text] for r in rows]


def _are_labels(texts: Iterable[Cell]) -> bool:
    """Whether texts are the letters from A on, each once, in any order."""
    found = sorted(str(t).strip().upper() for t in texts)
    return len(found) > 1 and found == list(LETTERS[: len(found)])


def _split(text: str) -> tuple[list[str], list[str]]:
    marks = list(_MARKED.finditer(text))
    letters = [m[1].upper() for m in marks]
    if len(marks) >= 2 and letters == list(LETTERS[: len(marks)]) and not text[: marks[0].start()].strip():
        ends = [*(m.start() for m in marks[1:]), len(text)]
        return letters, [text[m.end() : e].strip(" \t\r\n,;|") for m, e in zip(marks, ends, strict=True)]
    for mark in ("\n", "|", ";", ","):
        if mark in text.strip():
            parts = [part.strip() for part in text.strip().strip(mark).split(mark)]
            listed = [re.match(r"[-*•–]\s+(?=\S)", part) for part in parts]
            return [], [p[m.end() :] if all(listed) and m else p for p, m in zip(parts, listed, strict=True)]
    raise RecordError("choices", "single choice", show(text), "options apart by lines, |, ; or commas")


def lettered_options(record: Mapping[str, Cell]) -> tuple[str, ...]:
    """The options in columns ``A``, ``B`` ... up to the first that is empty; none where there is no ``A``."""
    found = []
    for letter in LETTERS:
        value = record.get(letter)
        if value is None or (isinstance(value, str) and value.strip().lower() in ("", "nan")):
            break
        if isinstance(value, float) and value != value:
            break
        found.append(plain_text(value, letter))
    return tuple(found)


def readings(value: Cell, options: Sequence[str], labels: Sequence[str]) -> dict[str, int]:
    """Every way to take an answer for one of the options: reading -> its number from 0.

    Example:
        >>> readings(2, ["1", "2", "3"], "ABC")
        {'text': 1, 'index': 2, 'index1': 1}
    """
    text = plain_text(value, "answer")
    found: dict[str, int] = {}
    same = [i for i, o in enumerate(options) if o == text] or [
        i for i, o in enumerate(options) if _loose(o) == _loose(text)
    ]
    if len(same) == 1:
        found["text"] = same[0]
    names = [label.casefold() for label in labels]
    mark = _BRACKETS.match(text)
    if text.casefold() in names:
        found["letter"] = names.index(text.casefold())
    elif mark and mark[1].casefold() in names:
        index = names.index(mark[1].casefold())
        if not mark[2] or _loose(mark[2]) == _loose(options[index]):
            found["letter"] = index
    if not isinstance(value, bool) and _INTEGER.fullmatch(text):
        number = int(float(text))
        found |= {"index": number} if 0 <= number < len(options) else {}
        found |= {"index1": number - 1} if 1 <= number <= len(options) else {}
    return found


def _loose(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(" .")


def chosen(
    value: Cell, options: Sequence[str], labels: Sequence[str], reading: str = "", field: str = "answer"
) -> int:
    """The number of the option that an answer means, from 0: by its text, its letter, or its number from 0.

    Args:
        reading: what the whole file showed or the user said an answer to be, one of :data:`READINGS`.

    Raises:
        RecordError: none, or two that differ.
    """
    found = readings(value, options, labels)
    if reading in found:
        return found[reading]
    told = {k: v for k, v in found.items() if k != "index1"}
    if not told:
        expected = f"one of the options, its letter up to {labels[-1]}" if labels else "an option"
        raise RecordError(field, "no such option", show(value), f"{expected}, or its number")
    if len(set(told.values())) > 1:
        ways = ", ".join(f"{options[i]!r} as {k}" for k, i in told.items())
        how = f"--map answer_is={'|'.join(READINGS)}"
        raise RecordError(
            field, "ambiguous answer", f"{show(value)}: {ways[:160]}", f"one meaning; say {how}"
        )
    return next(iter(told.values()))


def pair_of(answer: str) -> tuple[str, tuple[str, str]] | None:
    """(the answer in small letters, its pair) of yes, no, true, false, correct, incorrect; None for others.

    Example:
        >>> pair_of("No.")
        ('no', ('yes', 'no'))
    """
    word = answer.strip().rstrip(".!").casefold()
    return next(((word, pair) for pair in PAIRS if word in pair), None)
