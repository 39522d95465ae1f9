"""From what a model wrote to one of a case's options: a letter, the option itself, or the one that is
mentioned."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_LETTER = re.compile(
    r"^\W*(?:the\s+)?(?:(?:correct\s+|right\s+|final\s+|best\s+)?(?:answer|option|choice)\s*(?:is)?\s*:?\s*)?"
    r"(?:\((?P<a>[a-h])\)|(?P<b>[a-h])(?=[.):,]|\s*$))",
    re.IGNORECASE,
)
_BRACKETED = re.compile(r"\(([a-h])\)", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")
_NAMES = "abcdefgh"
_SAME = {"true": "yes", "false": "no", "yes": "true", "no": "false"}


def plain(text: str) -> str:
    """Lower case, no punctuation, single blanks.

    Example:
        >>> plain(" The Cat, behind: it. ")
        'the cat behind it'
    """
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def option_of(text: str, options: Sequence[str]) -> str | None:
    """The option that a text amounts to, or None where that is not clear.

    In this order: the option to the letter (case and punctuation aside); where options are no letters
    themselves, the letter that the text begins with (``B``, ``(b) ...``, ``Answer: B.``), or the only one in
    brackets anywhere (``... so it is (B) 3``); the only option that is mentioned, longer ones first; of
    several, the one that the text begins with. ``yes`` stands for ``true`` and ``no`` for ``false`` where
    only the other pair is offered.

    Example:
        >>> option_of("(B) the desk", ["the chair", "the desk"])
        'the desk'
        >>> option_of("True, it is.", ["yes", "no"])
        'yes'
    """
    table = {plain(option): option for option in options}
    for word in ("true", "false", "yes", "no"):
        if word in table and _SAME[word] not in table:
            table[_SAME[word]] = table[word]
    said = plain(text)
    if said in table:
        return table[said]
    if not any(len(key) == 1 and key in _NAMES for key in table):
        letter = _LETTER.match(text)
        if letter:
            index = _NAMES.index((letter["a"] or letter["b"]).lower())
            return options[index] if index < len(options) else None
        named = {_NAMES.index(found) for found in _BRACKETED.findall(text.lower())}
        if len(named) == 1 and max(named) < len(options):
            return options[named.pop()]
    return _mentioned(said, table)


def _mentioned(said: str, table: dict[str, str]) -> str | None:
    left, places = f" {said} ", []
    for key in sorted(filter(None, table), key=len, reverse=True):
        at = left.find(f" {key} ")
        while at >= 0:
            places.append((at, table[key]))
            left = left[: at + 1] + "\0" * len(key) + left[at + 1 + len(key) :]
            at = left.find(f" {key} ")
    found = {option for _, option in places}
    if len(found) == 1:
        return found.pop()
    return next((option for at, option in places if at == 0), None)


def chosen(answer: str, text: str, options: Sequence[str]) -> bool:
    """Whether a text amounts to the true answer; without options it has to equal it but for punctuation."""
    return option_of(text, options) == answer if options else plain(text) == plain(answer) != ""
