"""Questions with options, as cases hold them: the options in words within the question, the answer one of
them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import TypedDict

from headscope.data.fields import RecordError
from headscope.data.pictures import show

LETTERS = "ABCDEFGH"
_LETTER = re.compile(r"^\(?([A-Ha-h])\)?[.:)]?$")
SAME_OPTIONS = "choices: two options are the same text"


def letter_index(text: str, count: int, field: str = "answer") -> int:
    """The option that ``A``, ``(A)``, ``a.`` stands for, from 0.

    Raises:
        RecordError: it is no letter of one of the options.

    Example:
        >>> letter_index("(B)", 4)
        1
    """
    found = _LETTER.match(text.strip())
    index = LETTERS.index(found.group(1).upper()) if found else count
    if index >= count:
        allowed = f"a letter from A to {LETTERS[count - 1]}" if 0 < count <= len(LETTERS) else "a letter"
        raise RecordError(field, "no such option", show(text), allowed)
    return index


def asked(question: str, options: Sequence[str]) -> str:
    """The question with its options in words.

    Example:
        >>> asked("Which is closer?", ["the chair", "the desk"])
        'Which is closer? Choose one: the chair; the desk.'
    """
    listed = "; ".join(o.rstrip(" .;") or o for o in options)
    return f"{question.strip()} Choose one: {listed}."


def distinct(options: Sequence[str]) -> tuple[str, ...]:
    """The options as choices, or none where two read the same (they could not be told apart)."""
    plain = {" ".join(o.casefold().split()) for o in options}
    return tuple(options) if len(plain) == len(options) >= 2 else ()


class QuestionFields(TypedDict):
    """What a question with options gives to a :class:`headscope.benchmarks.importing.sources.CaseDraft`."""

    question: str
    answer: str
    choices: tuple[str, ...]
    left_out: tuple[str, ...]


def one_of(question: str, options: Sequence[str], index: int, *left_out: str) -> QuestionFields:
    """A multiple-choice question, its options in words.

    Example:
        >>> one_of("Which?", ["cat", "dog"], 1)["answer"]
        'dog'
    """
    choices = distinct(options)
    left = left_out if choices else (*left_out, SAME_OPTIONS)
    return {
        "question": asked(question, options),
        "answer": options[index],
        "choices": choices,
        "left_out": left,
    }


def mixed(options: Sequence[str], key: str) -> tuple[str, ...]:
    """The options in an order that only ``key`` decides, for sources that put the right one first."""
    return tuple(
        sorted(options, key=lambda o: hashlib.sha256(f"{key}\0{o}".encode(errors="replace")).digest())
    )
