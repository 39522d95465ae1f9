"""One parser from what a model wrote to the choice that it amounts to."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

Words = tuple[str, ...]

_NUMBERS: Sequence[str] = (
    *(
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
    ),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_DIGITS = {str(i): word for i, word in enumerate(_NUMBERS)}
_ARTICLES = frozenset({"a", "an", "the"})
_YES_NO = {"yes": "true", "no": "false"}
_TRUE_FALSE = {"true": "yes", "false": "no"}
# Words that mean the same: one that no choice uses stands for the first of its group that some choice uses.
_SAME = (("top", "upper"), ("bottom", "lower"), ("center", "centre", "middle"), ("grey", "gray"))
_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> Words:
    """Words of a text: lower case, no punctuation, numbers up to 20 in words.

    Example:
        >>> words("Top-left, 2!")
        ('top', 'left', 'two')
    """
    return tuple(word for word, _ in _spoken(text))


def normalise(text: str) -> str:
    """An open answer reduced to what counts: no case, punctuation, articles or extra blanks.

    Example:
        >>> normalise(" The  red Car. ")
        'red car'
    """
    return " ".join(_bare(text))


def parse_answer(text: str, choices: Sequence[str]) -> str | None:
    """The one choice that a text amounts to, or None; never raises.

    A text that is a choice to the letter is that choice. Otherwise:

    - case, punctuation and articles do not count; number words and digits are the same;
    - "true" stands for "yes", "false" for "no", and back, if the choices use only the other pair;
    - "upper" and "top", "lower" and "bottom", "middle" and "center", two spellings of a word stand for each
      other if the choices use only one of them;
    - of choices within each other the longest counts: "top left", not "left";
    - a text that mentions several choices amounts to the one that it begins with, else to none.

    Without choices the answer is open: the text normalised, or None if nothing is left of it.

    Example:
        >>> parse_answer("It is at the top left.", ["left", "top left"])
        'top left'
        >>> parse_answer("There are 3", ["two", "three"])
        'three'
    """
    if not choices:
        return normalise(text) or None
    for same in (lambda c: c == text, lambda c: c.strip() == text.strip()):
        exact = next((c for c in choices if same(c)), None)
        if exact is not None:
            return exact
    targets = _targets(choices)
    kept = {key[0] for key in targets if len(key) == 1} & _ARTICLES
    said = _translated(_bare(text, kept), {word for choice in choices for word in words(choice)})
    if said in targets:
        return targets[said]
    mentions = _mentions(said, targets)
    found = {choice for _, choice in mentions}
    if len(found) == 1:
        return found.pop()
    return next((choice for place, choice in mentions if place == 0), None)


def _spoken(text: str) -> list[tuple[str, bool]]:
    """(word, whether it was written in capitals) for each word of a text."""
    plain = unicodedata.normalize("NFKC", text)
    return [(_DIGITS.get(w.casefold(), w.casefold()), w.isupper()) for w in _WORD.findall(plain)]


def _bare(text: str, letters: Iterable[str] = ()) -> Words:
    """Words without articles; those in ``letters`` (choices such as "A") stay where written in capitals.

    If nothing but articles was said, they stay.
    """
    spoken = _spoken(text)
    bare = tuple(w for w, capital in spoken if w not in _ARTICLES or (w in letters and capital))
    return bare or tuple(w for w, _ in spoken)


def _targets(choices: Sequence[str]) -> dict[Words, str]:
    """Words that stand for each choice; words that would stand for two choices stand for neither."""
    table: dict[Words, str] = {}
    clash: set[Words] = set()
    for choice in choices:
        key = _bare(choice)
        if key and table.setdefault(key, choice) != choice:
            clash.add(key)
    plain = {key[0] for key in table if len(key) == 1}
    for pair, other in ((_YES_NO, _TRUE_FALSE), (_TRUE_FALSE, _YES_NO)):
        if plain & set(pair) and not plain & set(other):
            table |= {(pair[word],): table[(word,)] for word in plain & set(pair)}
            clash |= {(pair[key[0]],) for key in clash if len(key) == 1 and key[0] in pair}
    return {key: choice for key, choice in table.items() if key not in clash}


def _translated(said: Words, used: set[str]) -> Words:
    """What was said, in the choices' own words for places and colours."""
    table = {
        word: next((other for other in group if other in used), word)
        for group in _SAME
        for word in group
        if word not in used
    }
    return tuple(table.get(word, word) for word in said)


def _mentions(said: Words, targets: dict[Words, str]) -> list[tuple[int, str]]:
    """(place, choice) of every choice in a text, the longest at each place, none inside another."""
    found: list[tuple[int, str]] = []
    longest = sorted(targets, key=len, reverse=True)
    place = 0
    while place < len(said):
        key = next((k for k in longest if said[place : place + len(k)] == k), None)
        if key is not None:
            found.append((place, targets[key]))
        place += len(key) if key else 1
    return found
