"""One parser from what a model wrote to the choice that it amounts to."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

from headscope.models.answer_echoes import before_next_turn, only_repeats_options
from headscope.models.answer_marks import (
    BOLD,
    BOXED,
    CONCLUDED,
    LAST,
    LATEX,
    LETTER_WORD,
    ROLE,
    STATED,
    TAGGED,
    TAGS,
    with_letters,
)
from headscope.models.answer_words import PRONOUN_LETTERS, Words, bare, normalise, words
from headscope.models.thinking import without_thoughts

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
# Words that turn what follows within a few words into its opposite.
_NOT = frozenset(
    {"not", "never", "neither", "nor", "isn", "aren", "wasn", "weren", "doesn", "don", "didn", "won"}
    | {"wouldn", "couldn", "shouldn", "cannot", "without"}
    | {"isnt", "arent", "wasnt", "doesnt", "dont", "ain", "hardly", "unlikely"}
)
_INSTEAD = frozenset({("rather", "than"), ("instead", "of")})
_REACH = 4
# Words of somebody who takes back what was just said.
_TAKEN_BACK = frozenset({"no", "wait", "actually", "sorry", "correction"})
_BETWEEN = frozenset({"or", "and", "nor", "versus", "vs"})
_NO_ANSWER = re.compile(
    r"\bno (?:idea|clue|way|information|answer|comment)\b|\b(?:can't|can’t|cannot|can not|unable to)"
    r" (?:tell|say|determine|see|answer|know|decide)\b"
    r"|\b(?:partly|partially|half|mostly|not (?:entirely|necessarily|completely|quite|fully|always)) "
    r"(?:true|false|correct|right|accurate)\b",
    re.IGNORECASE,
)
# "No" is an answer at the end of a sentence, and at the beginning before these; else it counts things.
_AFTER_NO = frozenset(
    {"the", "a", "an", "there", "it", "its", "this", "that", "these", "those", "he", "she", "they", "i", "we"}
    | {"you", "because", "since", "as", "not", "and", "but", "is", "are", "was", "in", "on", "at", "to"}
    | {"no", "yes", "true", "false", "or"}
)
_COUNTING_NO = "zerothings"
# What says of a whole statement that it holds or not, where an answer has neither yes nor no.
_HOLDS = re.compile(
    r"(?:^\W*|\b(?:this|that|it|statement|claim|sentence|description|caption|assertion)(?: \w+){0,2}?"
    r"(?: is| was| would be|['’]s|(?P<isnt> (?:is|was)n['’]?t)) )(?P<no>not )?"
    r"(?:actually |definitely |indeed )?"
    r"(?:(?P<holds>true|correct|accurate|yeah|yep|yup)|(?P<fails>false|incorrect|inaccurate|untrue|wrong|nope))"
    r"(?=\s*(?:$|[.,!;:]|because|since|as\b|and\b|that\b))",
    re.IGNORECASE,
)
_SHORT = {"y": "yes", "n": "no", "t": "true", "f": "false"}
_OWN_LETTER = re.compile(r"^\s*\(?([A-Ha-h])[).:]\s+(?=\S)")
_NAMES = "abcdefgh"


def parse_answer(text: str, choices: Sequence[str], lettered: bool = False) -> str | None:
    """The one choice that a text amounts to, or None; never raises.

    A text that is a choice to the letter is that choice. Otherwise:

    - a finished thought (``<think>`` and other families' marks, :data:`headscope.models.thinking.STYLES`)
      does not count; of an unfinished one nothing does;
    - where a text states its answer (``<answer>``, "The answer is (B).", ``\\boxed{...}``, bold type, or a
      sentence that begins with "So" or "Therefore"),
      that counts alone; two statements that differ amount to nothing;
    - marks of tokenizers and templates (``</s>``, ``<|im_end|>``), case, punctuation and articles do not
      count; full-width characters are plain ones; number words and digits are the same, and so are 3, 3.0
      and 003;
    - "true" stands for "yes", "false" for "no", and back, if the choices use only the other pair; "no" before
      a thing ("there is no bed") counts things and is no answer;
    - "upper" and "top", "lower" and "bottom", "middle" and "center", two spellings of a word stand for each
      other if the choices use only one of them;
    - of a text without yes, no, true and false that says whether the statement holds ("That is correct.", "It
      is not true"), what it says; ``Y``, ``N``, ``T`` and ``F`` alone stand for the words;
    - where the prompt is repeated, what stands behind the last mark of the speaker ("ASSISTANT:") counts;
      where the model goes on with a question of its own ("no\\nQuestion: ..."), what stands before it;
    - the options said again ("(A) yes (B) no") are no answer, nor are letters that no option has;
    - of choices within each other the longest counts: "top left", not "left";
    - a choice that is denied ("not left", "isn't left") does not count;
    - a text that mentions several choices amounts to the one that it begins with, else to none; "left or
      right" amounts to none, and so does "No idea";
    - where the question showed letters, a letter that names an option stands for it: ``B``, ``(b)``, ``B)
      the desk``, ``**B**``, "Option B", "The answer is A because ...", a last line ``B``.

    Without choices the answer is open: the text normalised, or None if nothing is left of it.

    Args:
        lettered: the question showed its choices as A, B, C ...; no matter where they are letters themselves,
            and taken for granted where each of them begins with its own ("(b) the desk").

    Example:
        >>> parse_answer("It is at the top left.", ["left", "top left"])
        'top left'
        >>> parse_answer("There are 3", ["two", "three"])
        'three'
        >>> parse_answer("**B**", ["the chair", "the desk"], lettered=True)
        'the desk'
    """
    if not choices:
        said = without_thoughts(text)
        tagged = [m["said"] or m["more"] or "" for m in TAGGED.finditer(said)]
        return normalise(TAGS.sub(" ", tagged[-1] if tagged else said)) or None
    for same in (lambda c: c == text, lambda c: c.strip() == text.strip()):
        exact = next((c for c in choices if same(c)), None)
        if exact is not None:
            return exact
    targets, lettered = _targets(choices, lettered)
    said = unicodedata.normalize("NFKC", without_thoughts(text))
    said = ROLE.split(said)[-1]
    if (first := before_next_turn(said)) and (found := parse_answer(first, choices, lettered)):
        return found
    if only_repeats_options(said, choices, lettered):
        return None
    for way in (TAGGED, *((LAST,) if lettered else ()), STATED, BOXED, BOLD, CONCLUDED):
        stated = {
            _amounts(m["said"] or m.groupdict().get("more") or "", targets, choices, lettered)
            for m in way.finditer(said)
        }
        if several := stated - {None}:
            return several.pop() if len(several) == 1 else None
    return _amounts(said, targets, choices, lettered)


def parser_of(question: str, choices: Sequence[str]) -> Callable[[str], str | None]:
    """How answers to a question are read; letters count where the question shows them.

    Example:
        >>> parser_of("Is it dark? (A) yes (B) no", ["yes", "no"])("B")
        'no'
    """
    return partial(parse_answer, choices=choices, lettered=shows_letters(question, choices))


def shows_letters(question: str, choices: Sequence[str]) -> bool:
    """Whether a question lists these choices by letters: "(A) yes (B) no", "A. yes\nB. no".

    Example:
        >>> shows_letters("Is it dark? (A) yes (B) no", ["yes", "no"])
        True
        >>> shows_letters("Is it dark? Choose one: yes; no.", ["yes", "no"])
        False
    """
    text = " ".join(question.split()).casefold()
    listed = zip(_NAMES, choices, strict=False)
    return 2 <= len(choices) <= len(_NAMES) and all(
        any(f"{letter}{mark} {' '.join(choice.split()).casefold()}" in text for mark in (")", ".", ":"))
        for letter, choice in listed
    )


def _amounts(text: str, targets: dict[Words, str], choices: Sequence[str], lettered: bool) -> str | None:
    """The choice that a passage amounts to by the choices that it mentions."""
    plain = re.sub(r"[*`$\"“”«»_]+", " ", LATEX.sub(" ", TAGS.sub(" ", text))).strip()
    plain = re.sub(r"(?<!\w)['‘’]([A-Za-z])['‘’](?!\w)", r" \1 ", plain)
    plain = re.sub(r"\bcan['’]?t\b|\bcan not\b", "cannot", plain, flags=re.IGNORECASE)
    if lettered:
        plain = with_letters(plain, choices)
    plain = _without_counting_no(plain, targets)
    kept = {key[0] for key in targets if len(key) == 1} & PRONOUN_LETTERS
    said = _translated(bare(plain, kept), {word for choice in choices for word in words(choice)})
    if said in targets:
        return targets[said]
    if _NO_ANSWER.search(text):
        return None
    mentions = _mentions(said, targets)
    found = {choice for _, choice in mentions}
    if len(found) == 1:
        return found.pop()
    if not mentions:
        return _held(plain, said, targets)
    if len(mentions) < 2 or _joined(said, mentions, targets):
        return None
    if mentions[0][0] == 0:
        return mentions[0][1]
    letters = {choice for at, choice in mentions if said[at].startswith(LETTER_WORD)}
    spelt = {choice for at, choice in mentions if not said[at].startswith(LETTER_WORD)}
    return spelt.pop() if len(spelt) == 1 and spelt <= letters else None


def _held(text: str, said: Words, targets: dict[Words, str]) -> str | None:
    """The one of yes and no, or of true and false, that a text without these words amounts to."""
    pair = [targets[(yes,)] for yes, true in _YES_NO.items() if (yes,) in targets and (true,) in targets]
    if len(pair) < 2 or pair != [targets[(true,)] for true in _TRUE_FALSE]:
        return None
    if len(said) == 1 and said[0] in _SHORT:
        return pair[said[0] in "nf"]
    found = {(m["holds"] is None) != bool(m["no"] or m["isnt"]) for m in _HOLDS.finditer(text)}
    return pair[found.pop()] if len(found) == 1 else None


def _without_counting_no(text: str, targets: dict[Words, str]) -> str:
    """The text without each "no" that says how many there are: "there is no bed"."""
    if ("no",) not in targets or any("no" in key for key in targets if len(key) > 1):
        return text

    def word(found: re.Match[str]) -> str:
        answers = found[2].casefold() in _AFTER_NO or found[2].startswith(LETTER_WORD)
        return found[0] if answers else f"{_COUNTING_NO} {found[2]}"

    return re.sub(r"\b(no)[ \t]+(\w+)", word, text, flags=re.IGNORECASE)


def _joined(said: Words, mentions: list[tuple[int, str]], targets: dict[Words, str]) -> bool:
    """Whether the first two mentions stand as "this or that", or the second takes back the first."""
    (place, first), (second, _) = mentions[:2]
    if _TAKEN_BACK & set(said[place + 1 : second]) and first != mentions[1][1]:
        return True
    return first != mentions[1][1] and said[second - 1] in _BETWEEN and (said[second - 1],) not in targets


def _targets(choices: Sequence[str], lettered: bool) -> tuple[dict[Words, str], bool]:
    """Words that stand for each choice, and whether letters do.

    Words that would stand for two choices stand for neither.
    """
    own = [_OWN_LETTER.match(choice) for choice in choices]
    numbered = [m[1].casefold() for m in own if m] == list(_NAMES[: len(choices)])
    letters = {c.strip().strip("().").casefold() for c in choices} & set(_NAMES)
    lettered = (lettered or numbered) and not letters
    table: dict[Words, str] = {}
    clash: set[Words] = set()
    for choice, mark in zip(choices, own, strict=True):
        key = bare(choice[mark.end() :] if mark and numbered else choice)
        if key and table.setdefault(key, choice) != choice:
            clash.add(key)
    plain = {key[0] for key in table if len(key) == 1}
    for pair, other in ((_YES_NO, _TRUE_FALSE), (_TRUE_FALSE, _YES_NO)):
        if plain & set(pair) and not plain & set(other):
            table |= {(pair[word],): table[(word,)] for word in plain & set(pair)}
            clash |= {(pair[key[0]],) for key in clash if len(key) == 1 and key[0] in pair}
    if lettered:
        named = zip(_NAMES, choices, strict=False)
        table |= {(f"{LETTER_WORD}{letter}",): choice for letter, choice in named}
    return {key: choice for key, choice in table.items() if key not in clash}, lettered


def _translated(said: Words, used: set[str]) -> Words:
    """What was said, in the choices' own words for places and colours."""
    table = {
        word: next((other for other in group if other in used), word)
        for group in _SAME
        for word in group
        if word not in used
    }
    return tuple(table.get(word, word) for word in said)


def _denies(before: Words) -> bool:
    """Whether words before a choice deny it; "not sure, but yes" does not."""
    while "but" in before:
        before = before[before.index("but") + 1 :]
    return bool(_NOT & set(before)) or not _INSTEAD.isdisjoint(pairwise(before))


def _mentions(said: Words, targets: dict[Words, str]) -> list[tuple[int, str]]:
    """(place, choice) of every choice in a text, the longest at each place, none inside another.

    Those that are denied shortly before are left out.
    """
    found: list[tuple[int, str]] = []
    denied: tuple[int, str] | None = None  # where the last denied choice ended, and which it was
    longest = sorted(targets, key=len, reverse=True)
    place = end = 0
    while place < len(said):
        key = next((k for k in longest if said[place : place + len(k)] == k), None)
        if key is not None:
            # A denial reaches no further back than the choice before: "not left but right"; but the letter
            # and the words of one choice are denied together: "neither (A) yes nor (B) no".
            no = _denies(said[max(end, place - _REACH) : place]) or denied == (place, targets[key])
            end = place + len(key)
            if no:
                denied = (end, targets[key])
            else:
                found.append((place, targets[key]))
        place += len(key) if key else 1
    return found
