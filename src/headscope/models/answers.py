"""One parser from what a model wrote to the choice that it amounts to."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import partial

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
    r"\b(?:answer|option|choice|conclusion)\b[*_\"']*\s*(?:(?:is|was|would be|must be)\b|:|=)[:*_\"'\s]*"
    r"(?P<said>[^\n.;!?]+)",
    re.IGNORECASE,
)
# Marks around an answer, as reasoning models are trained to set them; the last may be cut off.
_TAGGED = re.compile(
    r"<(?P<tag>answer|ans|final_answer|conclusion|response|output|result)>(?P<said>.*?)(?:</(?P=tag)>|$)"
    r"|<\|begin_of_box\|>(?P<more>.*?)(?:<\|end_of_box\|>|$)",
    re.DOTALL | re.IGNORECASE,
)
# What tokenizers, chat templates and web pages put around what is said.
_TAGS = re.compile(
    r"</?(?:answer|ans|final_answer|conclusion|response|output|result|s|bos|eos|pad|unk|b|i|em|strong|p|br"
    r"|span|div|code|pre|image|end_of_turn|start_of_turn|end_of_utterance)\s*/?>"
    r"|<\|[^|<>\n]{1,40}\|>|<｜[^｜<>\n]{1,40}｜>|\[/?INST\]",
    re.IGNORECASE,
)
_BOXED = re.compile(r"\\f?boxed\s*\{(?P<said>(?:[^{}]|\{[^{}]*\})*)\}")
_LATEX = re.compile(r"\\(?:text|mathrm|mathbf|textbf|textit|mbox|rm|bf)\b")
_BOLD = re.compile(r"\*\*(?P<said>[^*\n]+)\*\*|__(?P<more>[^_\n]+)__")
# The last line alone, where it is a letter; what a model says after an echo of the options.
_LAST = re.compile(r"\n[^\w\n]{0,8}(?P<said>[A-H])\W{0,8}$")
# Words that turn what follows within a few words into its opposite.
_NOT = frozenset(
    {"not", "never", "neither", "nor", "isn", "aren", "wasn", "weren", "doesn", "don", "didn", "won"}
    | {"wouldn", "couldn", "shouldn", "cannot", "without", "rather", "instead"}
    | {"isnt", "arent", "wasnt", "doesnt", "dont"}
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
# "No" is an answer at the end of a sentence, and at the beginning before these; else it counts things.
_AFTER_NO = frozenset(
    {"the", "a", "an", "there", "it", "its", "this", "that", "these", "those", "he", "she", "they", "i", "we"}
    | {"you", "because", "since", "as", "not", "and", "but", "is", "are", "was", "in", "on", "at", "to"}
    | {"no", "yes", "true", "false", "or"}
)
# A letter that names an option: (B), B), B. at the start of a line, alone, after "answer is".
_OPTION_LETTER = re.compile(
    r"[(\[{]\s*(?P<bracketed>[A-Ha-h])\s*[)\]}]"
    r"|(?<![\w'’.])(?P<closed>[A-Ha-h])\)"
    r"|^\W*(?P<first>[A-Ha-h])\s*(?=[.:](?!\w)|$)"
    r"|(?:^|\n)[ \t]*(?P<line>[A-H])\s*(?=[.:,;](?!\w)|[-–—]\s|\n|$)"
    r"|\b(?:answer|option|choice|letter)\b\W{0,4}(?:(?:is|was|would be|must be|should be)\b)?\W{0,4}"
    r"(?P<named>[A-Ha-h])(?=\s*(?:$|[.,:;)\]\n]|(?:because|since|as|and|or|is)\b))"
    r"|(?<![\w'’.&-])(?P<alone>[A-H])(?![\w'’&-]|\.\w)"
)
_LETTER_WORD, _COUNTING_NO = "optionletter", "zerothings"
# Words that show, before or after a lone capital, that an option is meant.
_NAMING = frozenset(
    {"is", "be", "option", "answer", "choice", "letter", "choose", "chose", "pick", "select", "so", "thus"}
    | {"therefore", "hence", "both", "either", "neither", "and", "or", "nor", "not"}
)
_OWN_LETTER = re.compile(r"^\s*\(?([A-Ha-h])[).:]\s+(?=\S)")
_NAMES = "abcdefgh"


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


def parse_answer(text: str, choices: Sequence[str], lettered: bool = False) -> str | None:
    """The one choice that a text amounts to, or None; never raises.

    A text that is a choice to the letter is that choice. Otherwise:

    - a finished thought (``<think>`` and other families' marks, :data:`headscope.models.thinking.STYLES`)
      does not count; of an unfinished one nothing does;
    - where a text states its answer (``<answer>``, "The answer is (B).", ``\\boxed{...}``, or bold type),
      that counts alone; two statements that differ amount to nothing;
    - marks of tokenizers and templates (``</s>``, ``<|im_end|>``), case, punctuation and articles do not
      count; full-width characters are plain ones; number words and digits are the same;
    - "true" stands for "yes", "false" for "no", and back, if the choices use only the other pair; "no" before
      a thing ("there is no bed") counts things and is no answer;
    - "upper" and "top", "lower" and "bottom", "middle" and "center", two spellings of a word stand for each
      other if the choices use only one of them;
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
        tagged = [m["said"] or m["more"] or "" for m in _TAGGED.finditer(said)]
        return normalise(_TAGS.sub(" ", tagged[-1] if tagged else said)) or None
    for same in (lambda c: c == text, lambda c: c.strip() == text.strip()):
        exact = next((c for c in choices if same(c)), None)
        if exact is not None:
            return exact
    targets, lettered = _targets(choices, lettered)
    said = unicodedata.normalize("NFKC", without_thoughts(text))
    for way in (_TAGGED, *((_LAST,) if lettered else ()), _STATED, _BOXED, _BOLD):
        stated = {
            _amounts(m["said"] or m.groupdict().get("more") or "", targets, choices, lettered)
            for m in way.finditer(said)
        }
        if found := stated - {None}:
            return found.pop() if len(found) == 1 else None
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
    plain = re.sub(r"[*`$\"“”«»_]+", " ", _LATEX.sub(" ", _TAGS.sub(" ", text))).strip()
    plain = re.sub(r"(?<!\w)['‘’]([A-Za-z])['‘’](?!\w)", r" \1 ", plain)
    if lettered:
        plain = _with_letters(plain, choices)
    plain = _without_counting_no(plain, targets)
    kept = {key[0] for key in targets if len(key) == 1} & _LETTERS
    said = _translated(_bare(plain, kept), {word for choice in choices for word in words(choice)})
    if said in targets:
        return targets[said]
    if _NO_ANSWER.search(text):
        return None
    mentions = _mentions(said, targets)
    found = {choice for _, choice in mentions}
    if len(found) == 1:
        return found.pop()
    if len(mentions) < 2 or _joined(said, mentions, targets):
        return None
    if mentions[0][0] == 0:
        return mentions[0][1]
    letters = {choice for at, choice in mentions if said[at].startswith(_LETTER_WORD)}
    spelt = {choice for at, choice in mentions if not said[at].startswith(_LETTER_WORD)}
    return spelt.pop() if len(spelt) == 1 and spelt <= letters else None


def _with_letters(text: str, choices: Sequence[str]) -> str:
    """The text with every letter that names an option as a word of its own."""
    own = {word for choice in choices for word in re.findall(r"(?<![\w'’])[A-H](?![\w'’])", choice[1:])}
    own |= {choice[0] for choice in choices if re.match(r"[B-H]\b|A (?:is|or|and)\b", choice)}

    def word(found: re.Match[str]) -> str:
        letter = next(g for g in found.groups() if g)
        if found["alone"] and (own or not _names_an_option(text, *found.span("alone"))):
            return found[0]
        return f" {_LETTER_WORD}{letter.lower()} "

    return _OPTION_LETTER.sub(word, text)


def _names_an_option(text: str, start: int, end: int) -> bool:
    """Whether a lone capital in a text is an option's letter: by its place or by the words beside it."""
    before = _WORD.findall(text[max(0, start - 40) : start])
    after = _WORD.match(text[end:].lstrip(" "))
    if text[start] == "A" and after and after[0].casefold() not in _AFTER_LETTER:
        return False  # an article
    if not text[:start].strip(" \n([{") or not text[end:].strip(" \n.)]}"):
        return True
    known = (before[-1:] or [""])[0].casefold() in _NAMING
    return known or (after is not None and after[0].casefold() in _AFTER_LETTER)


def _without_counting_no(text: str, targets: dict[Words, str]) -> str:
    """The text without each "no" that says how many there are: "there is no bed"."""
    if ("no",) not in targets or any("no" in key for key in targets if len(key) > 1):
        return text

    def word(found: re.Match[str]) -> str:
        return found[0] if found[2].casefold() in _AFTER_NO else f"{_COUNTING_NO} {found[2]}"

    return re.sub(r"\b(no)[ \t]+(\w+)", word, text, flags=re.IGNORECASE)


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
        key = _bare(choice[mark.end() :] if mark and numbered else choice)
        if key and table.setdefault(key, choice) != choice:
            clash.add(key)
    plain = {key[0] for key in table if len(key) == 1}
    for pair, other in ((_YES_NO, _TRUE_FALSE), (_TRUE_FALSE, _YES_NO)):
        if plain & set(pair) and not plain & set(other):
            table |= {(pair[word],): table[(word,)] for word in plain & set(pair)}
            clash |= {(pair[key[0]],) for key in clash if len(key) == 1 and key[0] in pair}
    if lettered:
        named = zip(_NAMES, choices, strict=False)
        table |= {(f"{_LETTER_WORD}{letter}",): choice for letter, choice in named}
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
            no = bool(_NOT & set(said[max(end, place - _REACH) : place])) or denied == (place, targets[key])
            end = place + len(key)
            if no:
                denied = (end, targets[key])
            else:
                found.append((place, targets[key]))
        place += len(key) if key else 1
    return found
