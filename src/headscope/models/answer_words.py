"""The words of an answer as they are compared: small letters, no articles, numbers in one form."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from headscope.data.numerals import NUMBER_WORDS
from headscope.models.answer_marks import AFTER_LETTER, WORD

Words = tuple[str, ...]

_TENS: Sequence[str] = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_DIGITS = {str(i): word for i, word in enumerate(NUMBER_WORDS)} | {
    str(10 * i): word for i, word in enumerate(_TENS, start=2)
}
_ARTICLES = frozenset({"a", "an", "the"})
# Choices that are also an article or a pronoun.
PRONOUN_LETTERS = frozenset({"a", "i"})
_BEFORE_LETTER = frozenset({"option", "answer", "choice", "is", "letter"})


def words(text: str) -> Words:
    """Words of a text: lower case, no punctuation, numbers up to 20 in words.

    Example:
        >>> words("Top-left, 2!")
        ('top', 'left', 'two')
    """
    return tuple(word for word, _ in spoken(text))


def normalise(text: str) -> str:
    """An open answer reduced to what counts: no case, punctuation, articles or extra blanks.

    Example:
        >>> normalise(" The  red Car. ")
        'red car'
    """
    return " ".join(bare(text))


def spoken(text: str) -> list[tuple[str, bool]]:
    """(word, whether it is a letter standing for itself) for each word of a text."""
    plain = unicodedata.normalize("NFKC", text)
    found = list(WORD.finditer(plain))
    out: list[tuple[str, bool]] = []
    for i, match in enumerate(found):
        written = match.group()
        word = _number(written) if written[0].isdigit() else written.casefold()
        before = out[-1][0] if out else ""
        if before in _TENS and word in NUMBER_WORDS[1:10] and plain[match.start() - 1] in "- ":
            out[-1] = (str(20 + 10 * _TENS.index(before) + NUMBER_WORDS.index(word)), False)
            continue
        after = found[i + 1].group() if i + 1 < len(found) else ""
        gap = plain[match.end() : found[i + 1].start()] if after else ""
        # "A dog", "I think": an article or a pronoun before a word in small letters.
        plain_word = written in ("A", "I") and gap.isspace() and after[:1].islower()
        meant = after in AFTER_LETTER or before in _BEFORE_LETTER
        out.append((word, written.isupper() and (meant or not plain_word)))
    return out


def _number(written: str) -> str:
    """A number in its one form: "003", "3.0" and "3" are "three", "1,000" is "1000"."""
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", written):
        written = written.replace(",", "")
    if re.fullmatch(r"\d+\.\d+", written):
        written = written.rstrip("0").rstrip(".")
    plain = re.sub(r"^0+(?=\d)", "", written).casefold()
    return _DIGITS.get(plain, plain)


def bare(text: str, letters: Iterable[str] = ()) -> Words:
    """Words without articles; those in ``letters`` (choices such as "A") only where the letter is meant.

    If nothing but articles was said, they stay.
    """
    said = spoken(text)
    kept = frozenset(letters)
    plain = tuple(
        word
        for i, (word, meant) in enumerate(said)
        if (meant or (len(said) == 1 and i == 0) if word in kept else word not in _ARTICLES)
    )
    return plain or tuple(word for word, _ in said if word not in kept or word in _ARTICLES)
