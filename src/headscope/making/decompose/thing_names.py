"""Whether some words of a sentence are the name of a thing, or hold a word that no such name holds."""

from __future__ import annotations

import re

from headscope.making.decompose.thing_nouns import NOUNS
from headscope.making.decompose.thing_words import (
    ADJECTIVES,
    ADVERBS,
    COMPARED,
    FUNCTION_WORDS,
    MASSES,
    MEASURES,
    NO_THINGS,
    NOUNS_IN_ED,
    NOUNS_IN_EST,
    NOUNS_IN_ING,
    NOUNS_IN_LY,
    RELATION_WORDS,
)
from headscope.making.photographs.nouns import PAIRS, plural

_LONGEST = 4  # words of a name
_GLASSES = frozenset({"wine", "beer", "water", "shot", "drinking", "cocktail", "champagne", "martini"})
_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*['’]?")
_ANYTHING = frozenset({"shape", "object", "thing", "item"})
_NO_KIND = frozenset({("hot", "dog")})  # no dog that is hot
_SEVERAL = frozenset(
    {"people", "men", "women", "children", "mice", "geese", "knives", "wolves", "calves", "leaves", "shelves"}
)
_OF_A_QUALITY = re.compile(r"(?:able|ible|ful|less|ous|(?<!f)(?<!d)ish|like|proof|shaped|sized|ward)$")


def odd_word(name: str, *, ends: bool = False) -> str:
    """The word that keeps some words from being the name of a thing; empty where nothing does.

    Args:
        ends: something behind the words says that the name ends there (a verb); else their last one could be
            said of the thing before it ("the plate broken"), and several words are a name only where the last
            is a known noun or all others are adjectives.

    Example:
        >>> odd_word("old wooden chair"), odd_word("plate broken"), odd_word("second giraffe")
        ('', 'broken', 'second')
        >>> odd_word("bowl of soup"), odd_word("man on the left")
        ('', 'on')
    """
    words = _WORD.findall(name.casefold())
    if not words:
        return name or "(nothing)"
    if "of" in words[1:-1]:
        place = words.index("of")
        if is_one_of(words[place - 1], MEASURES):
            return odd_word(" ".join(words[:place]), ends=True) or odd_word(
                " ".join(words[place + 1 :]), ends=ends
            )
    if odd := next((w for w in words if _in_no_name(w)), ""):
        return odd
    if len(words) > _LONGEST:
        return name
    last = words[-1]
    if _says_how(last) or last in NO_THINGS:
        return last
    while len(words) > 1 and _modifies(words[0]):
        words = words[1:]
    return "" if ends or len(words) == 1 or is_one_of(last, NOUNS) else last


def may_be_said_of(name: str, *, several: bool) -> bool:
    """Whether the last word of a name may say what another thing is: "Is the liquid in the glass water?".

    Args:
        several: the sentence asks what several things are ("Are the animals on the grass dogs?").
    """
    words = _WORD.findall(name.casefold())
    if len(words) < 2 or all(w in ADJECTIVES or w.endswith(("ed", "ing")) for w in words[:-1]):
        return False
    if words[-1] == "glass":
        return words[-2] not in _GLASSES
    return words[-1] in MASSES or (several and words[-1].endswith("s") and not words[-1].endswith("ss"))


def may_be_one(one: str, other: str) -> bool:
    """Whether one name may mean what the other names, so that "the ..." would not tell two things apart.

    Example:
        >>> may_be_one("shape", "red shape"), may_be_one("red shape", "red circle")
        (True, True)
        >>> may_be_one("red cup", "blue cup"), may_be_one("dog", "hot dog")
        (False, False)
    """
    first, second = one.casefold().split(), other.casefold().split()
    if not first or not second:
        return False
    for less, more in ((first, second), (second, first)):
        same = less[-1] == more[-1] or less[-1] in _ANYTHING
        described = all(w in ADJECTIVES for w in more[:-1]) or less == more
        if same and described and set(less[:-1]) <= set(more[:-1]) and tuple(more) not in _NO_KIND:
            return True
    return False


def names_several(name: str) -> bool:
    """Whether a name is that of several things ("the dogs"), about which no step would ask as about one.

    Example:
        >>> names_several("brown dogs"), names_several("children"), names_several("bus")
        (True, True, False)
    """
    last = name.casefold().split()[-1] if name.split() else ""
    if last in _SEVERAL:
        return True
    if last in PAIRS or last.endswith("ss") or not last.endswith("s"):
        return False
    ones = {
        last[:-1],
        last[:-2] if last.endswith("es") else "",
        f"{last[:-3]}y" if last.endswith("ies") else "",
    }
    return any(one in NOUNS and plural(one).split()[-1] == last for one in ones if one)


def is_one_of(word: str, known: frozenset[str]) -> bool:
    """Whether a word, or the one of which it is the plural, is known."""
    ones = {word, word.removesuffix("s"), word.removesuffix("es")}
    ones |= {f"{word[:-3]}y"} if word.endswith("ies") else set()
    ones |= {f"{word[:-3]}f", f"{word[:-3]}fe"} if word.endswith("ves") else set()
    return not known.isdisjoint(ones)


def _in_no_name(word: str) -> bool:
    plain = re.sub(r"['’]s?$", "", word)
    if word[0].isdigit() or {word, plain} & (FUNCTION_WORDS | RELATION_WORDS | ADVERBS | COMPARED):
        return True
    return len(word) > 4 and word.endswith("est") and not is_one_of(word, NOUNS_IN_EST)


def _says_how(word: str) -> bool:
    """Whether a word, behind a name, says how a thing is or what it does."""
    if is_one_of(word, NOUNS):
        return False
    if word in ADJECTIVES:
        return True
    if word.endswith("ing") and len(word) > 4:
        return word not in NOUNS_IN_ING
    if word.endswith("ed") and len(word) > 4:
        return word not in NOUNS_IN_ED
    if word.endswith("ly"):
        return word not in NOUNS_IN_LY
    return _OF_A_QUALITY.search(word) is not None


def _modifies(word: str) -> bool:
    """Whether a word before a noun is surely no noun that a predicate could follow."""
    owns = word.endswith(("'s", "’s", "s'", "s’"))
    return (
        owns
        or "-" in word
        or word in ADJECTIVES
        or word in MASSES
        or (word.endswith(("ed", "ing")) and word not in NOUNS_IN_ING | NOUNS_IN_ED)
    )
