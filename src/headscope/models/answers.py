"""One parser from what a model wrote to the choice that it amounts to."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from headscope.data.numerals import NUMBER_WORDS
from headscope.models.thinking import without_thoughts

Words = tuple[str, ...]

_TENS: Sequence[str] = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_DIGITS = {str(i): word for i, word in enumerate(NUMBER_WORDS)} | {
    str(10 * i): word for i, word in enumerate(_TENS, start=2)
}
_ARTICLES = frozenset({"a", "an", "the"})
# Choices that are also an article or a pronoun.
_LETTERS = frozenset({"a", "i"})
_YES_NO = {"yes": "true", "no": "false"}
_TRUE_FALSE = {"true": "yes", "false": "no"}
# Words that mean the same: one that no choice uses stands for the first of its group that some choice uses.
_SAME = (
    ("top", "upper"),
    ("bottom", "lower"),
    ("center", "centre", "middle"),
    ("below", "beneath", "underneath", "under"),
    ("grey", "gray"),
)
# A number with a point is one word: "3.5" mentions neither three nor five.
_WORD = re.compile(r"\d+(?:[.,]\d+)+|[^\W_]+")
# Where a text itself says what its answer is: a statement up to the end of its sentence, a box, bold type.
_STATED = re.compile(
    r"\b(?:answer|option|choice|conclusion)\b[*_]*\s*(?:is|was|would be|must be|:|=)[*_]*\s*"
    r"(?P<said>[^\n.;!?]+)",
    re.IGNORECASE,
)
# Marks around an answer, as reasoning models are trained to set them.
_TAGGED = re.compile(
    r"<answer>(?P<said>.*?)</answer>|<\|begin_of_box\|>(?P<more>.*?)<\|end_of_box\|>",
    re.DOTALL | re.IGNORECASE,
)
_TAGS = re.compile(
    r"</?answer>|<\|(?:begin|end)_of_box\|>|<\|(?:START|END)_RESPONSE\|>|<\|return\|>", re.IGNORECASE
)
_BOXED = re.compile(r"\\boxed\{\s*(?:\\text\{)?(?P<said>[^{}]*)\}")
_BOLD = re.compile(r"\*\*(?P<said>[^*\n]+)\*\*|__(?P<more>[^_\n]+)__")
# Words that turn what follows within a few words into its opposite.
_NOT = frozenset(
    {"not", "never", "neither", "nor", "isn", "aren", "wasn", "doesn", "don", "cannot", "without"}
)
_REACH = 4
_BETWEEN = frozenset({"or", "and", "nor", "versus", "vs"})
_NO_ANSWER = re.compile(
    r"\bno (?:idea|clue|way|information|answer|comment)\b|\b(?:can't|can’t|cannot|can not|unable to)"
    r" (?:tell|say|determine|see|answer|know|decide)\b",
    re.IGNORECASE,
)
# After a lone capital A or I, these words say that the letter was meant and no article or pronoun.
_AFTER_LETTER = frozenset({"is", "because", "since", "seems", "looks", "would", "or", "and"})
_BEFORE_LETTER = frozenset({"option", "answer", "choice", "is", "letter"})


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

    - a finished thought (``<think>`` and other families' marks, :data:`headscope.models.thinking.STYLES`)
      does not count; of an unfinished one nothing does;
    - where a text states its answer (``<answer>``, "The answer is (B).", ``\\boxed{...}``, or bold type),
      that counts alone; two statements that differ amount to nothing;
    - case, punctuation and articles do not count; number words and digits are the same;
    - "true" stands for "yes", "false" for "no", and back, if the choices use only the other pair;
    - "upper" and "top", "lower" and "bottom", "middle" and "center", two spellings of a word stand for each
      other if the choices use only one of them;
    - of choices within each other the longest counts: "top left", not "left";
    - a choice that is denied ("not left") does not count;
    - a text that mentions several choices amounts to the one that it begins with, else to none; "left or
      right" amounts to none, and so does "No idea".

    Without choices the answer is open: the text normalised, or None if nothing is left of it.

    Example:
        >>> parse_answer("It is at the top left.", ["left", "top left"])
        'top left'
        >>> parse_answer("There are 3", ["two", "three"])
        'three'
    """
    if not choices:
        said = without_thoughts(text)
        tagged = [m["said"] or m["more"] or "" for m in _TAGGED.finditer(said)]
        return normalise(_TAGS.sub(" ", tagged[-1] if tagged else said)) or None
    for same in (lambda c: c == text, lambda c: c.strip() == text.strip()):
        exact = next((c for c in choices if same(c)), None)
        if exact is not None:
            return exact
    targets = _targets(choices)
    said = without_thoughts(text)
    for way in (_TAGGED, _STATED, _BOXED, _BOLD):
        stated = {
            _amounts(m["said"] or m.groupdict().get("more") or "", targets, choices)
            for m in way.finditer(said)
        }
        if found := stated - {None}:
            return found.pop() if len(found) == 1 else None
    return _amounts(_TAGS.sub(" ", said), targets, choices)


def _amounts(text: str, targets: dict[Words, str], choices: Sequence[str]) -> str | None:
    """The choice that a passage amounts to by the choices that it mentions."""
    kept = {key[0] for key in targets if len(key) == 1} & _LETTERS
    said = _translated(_bare(text, kept), {word for choice in choices for word in words(choice)})
    if said in targets:
        return targets[said]
    if _NO_ANSWER.search(text):
        return None
    mentions = _mentions(said, targets)
    found = {choice for _, choice in mentions}
    if len(found) == 1:
        return found.pop()
    if len(mentions) < 2 or mentions[0][0] != 0 or _joined(said, mentions, targets):
        return None
    return mentions[0][1]


def _joined(said: Words, mentions: list[tuple[int, str]], targets: dict[Words, str]) -> bool:
    """Whether the first two mentions stand as "this or that"."""
    (_, first), (second, _) = mentions[:2]
    return first != mentions[1][1] and said[second - 1] in _BETWEEN and (said[second - 1],) not in targets


def _spoken(text: str) -> list[tuple[str, bool]]:
    """(word, whether it is a letter standing for itself) for each word of a text."""
    plain = unicodedata.normalize("NFKC", text)
    found = list(_WORD.finditer(plain))
    spoken: list[tuple[str, bool]] = []
    for i, match in enumerate(found):
        written = match.group()
        word = _DIGITS.get(written.casefold(), written.casefold())
        before = spoken[-1][0] if spoken else ""
        if before in _TENS and word in NUMBER_WORDS[1:10] and plain[match.start() - 1] in "- ":
            spoken[-1] = (str(20 + 10 * _TENS.index(before) + NUMBER_WORDS.index(word)), False)
            continue
        after = found[i + 1].group() if i + 1 < len(found) else ""
        gap = plain[match.end() : found[i + 1].start()] if after else ""
        # "A dog", "I think": an article or a pronoun before a word in small letters.
        plain_word = written in ("A", "I") and gap.isspace() and after[:1].islower()
        meant = after in _AFTER_LETTER or before in _BEFORE_LETTER
        spoken.append((word, written.isupper() and (meant or not plain_word)))
    return spoken


def _bare(text: str, letters: Iterable[str] = ()) -> Words:
    """Words without articles; those in ``letters`` (choices such as "A") only where the letter is meant.

    If nothing but articles was said, they stay.
    """
    spoken = _spoken(text)
    kept = frozenset(letters)
    bare = tuple(
        word
        for i, (word, meant) in enumerate(spoken)
        if (meant or (len(spoken) == 1 and i == 0) if word in kept else word not in _ARTICLES)
    )
    return bare or tuple(word for word, _ in spoken if word not in kept or word in _ARTICLES)


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
    """(place, choice) of every choice in a text, the longest at each place, none inside another.

    Those that are denied shortly before are left out.
    """
    found: list[tuple[int, str]] = []
    longest = sorted(targets, key=len, reverse=True)
    place = end = 0
    while place < len(said):
        key = next((k for k in longest if said[place : place + len(k)] == k), None)
        if key is not None:
            # A denial reaches no further back than the choice before: "not left but right".
            if not _NOT & set(said[max(end, place - _REACH) : place]):
                found.append((place, targets[key]))
            end = place + len(key)
        place += len(key) if key else 1
    return found
