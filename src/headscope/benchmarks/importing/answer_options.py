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


_INLINE = re.compile(r"(?:^|(?<=[\s,;.?(]))\(?([A-H])[.):]\s*")


def inline_options(question: str) -> tuple[str, ...]:
    """The options that a question lists by letters in its own text, from A on; empty where it lists none.

    Example:
        >>> inline_options("What is behind me? A. Sofa B. Door C. The red chair")
        ('Sofa', 'Door', 'The red chair')
    """
    marks = list(_INLINE.finditer(question))
    for start in (i for i, mark in enumerate(marks) if mark[1] == "A"):
        found: list[re.Match[str]] = []
        for mark in marks[start:]:
            if mark[1] == LETTERS[len(found) : len(found) + 1]:
                found.append(mark)
        if len(found) < 2:
            continue
        ends = [*(m.start() for m in found[1:]), len(question)]
        texts = [question[m.end() : end].strip(" \t\r\n,;") for m, end in zip(found, ends, strict=True)]
        if all(texts):
            return tuple(t.rstrip(".") or t for t in texts)
    return ()


def listed(question: str, options: Sequence[str]) -> str:
    """The question with its options in lines, by letters.

    Example:
        >>> listed("Where is it?", ["left", "right"])
        'Where is it?\\nA. left\\nB. right'
    """
    return "\n".join([question.strip(), *(f"{c}. {o}" for c, o in zip(LETTERS, options, strict=False))])


def as_it_stands(question: str, options: Sequence[str], index: int, *left_out: str) -> QuestionFields:
    """A question that lists its options itself, left in its own words."""
    choices = distinct(options)
    left = left_out if choices else (*left_out, SAME_OPTIONS)
    return {
        "question": question.strip(),
        "answer": options[index],
        "choices": choices,
        "left_out": left,
    }
