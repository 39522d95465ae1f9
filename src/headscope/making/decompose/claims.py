"""Statements about two things and a relation, as the questions and records of cases hold them.

A sentence is read whole or not at all: every word of it has a place in the grammar, or the case is left alone
with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from headscope.data.schema import Case
from headscope.making.decompose.bare_sentences import bare
from headscope.making.decompose.relations import FAMILY
from headscope.making.decompose.thing_names import is_one_of, may_be_said_of, odd_word
from headscope.making.decompose.thing_words import CLOTHES
from headscope.making.photographs.nouns import plural, there_is

DECIDED = frozenset({"true", "false", "yes", "no"})
# Other words for the relations of the table.
_ALSO = {
    "on the left of": "to the left of",
    "on the right of": "to the right of",
    "at the left of": "to the left of",
    "at the right of": "to the right of",
    "on the left side of": "at the left side of",
    "on the right side of": "at the right side of",
    "to the left side of": "at the left side of",
    "to the right side of": "at the right side of",
    "on the left-hand side of": "at the left side of",
    "on the right-hand side of": "at the right side of",
    "to the left-hand side of": "at the left side of",
    "to the right-hand side of": "at the right side of",
    "to the immediate left of": "to the left of",
    "to the immediate right of": "to the right of",
    "underneath": "beneath",
    "underneath of": "beneath",
    "atop": "on top of",
    "on the top of": "on top of",
    "upon": "on",
    "in back of": "behind",
    "inside of": "inside",
    "outside of": "outside",
    "in the center of": "in the middle of",
    "in the centre of": "in the middle of",
    "on the edge of": "at the edge of",
    "by the side of": "at the side of",
    "near to": "near",
    "in contact with": "touching",
    "in between": "between",
    "facing towards": "facing",
    "facing toward": "facing",
    "looking away from": "facing away from",
    "turned away from": "facing away from",
    "leaning against": "against",
    "close by": "near",
    "alongside of": "alongside",
    "opposite": "opposite to",
    "opposite from": "opposite to",
}
# verb -> relation: in the third person, and as it follows "does".
_VERBS = {
    "touches": "touching",
    "touch": "touching",
    "faces": "facing",
    "face": "facing",
    "surrounds": "surrounding",
    "surround": "surrounding",
    "contains": "contains",
    "contain": "contains",
    "consists of": "consists of",
    "consist of": "consists of",
    "has as a part": "has as a part",
    "have as a part": "has as a part",
}
_PLAIN = frozenset({"contains", "consists of", "has as a part"})
# Taken for a relation only where the record says that they are one: "from the right", "the girl with a hat".
BY_RECORD = frozenset({"with", "to", "from", "after", "congruent"})
# Ways of speaking: who is on the phone does not stand on it.
_IDIOMS = frozenset({("on", "phone"), ("on", "telephone"), ("on", "call"), ("in", "crowd"), ("at", "phone")})
_POSTURE = (
    "sitting|seated|standing|lying|laying|resting|placed|located|positioned|parked|hanging|situated|set|found"
    "|mounted|perched|floating|stacked|kneeling|crouching|squatting|leaning|lying down|sitting down"
    "|standing up|visible"
)
_STANDS = "sits|stands|lies|rests|hangs|kneels|crouches"
_STAND = "sit|stand|lie|rest|hang|kneel|crouch"


@dataclass(frozen=True)
class Claim:
    """``the <subject> is <relation> the <object>``, and the statement in its own words.

    Attributes:
        text: the whole statement, negation included, as the verdict asks for it.
        count: the number word of an object that is several alike ("two", for "between two bowls").
        further: other claims that the statement makes.
    """

    subject: str
    relation: str
    object: str
    text: str
    count: str = ""
    further: tuple[Claim, ...] = ()

    @property
    def family(self) -> str:
        """The family of relations that decides the steps."""
        return FAMILY[self.relation]


def claim_of(case: Case) -> Claim | str:
    """The claim of a case, or in one line why there is none.

    Read from the record's own statement and relation where it holds them (VSR's ``caption`` and
    ``relation``), else from the question: "Is it true that the dog is on the sofa?".
    """
    if case.answer.strip().rstrip(".").casefold() not in DECIDED:
        return "the answer is not yes, no, true or false"
    record = case.original or {}
    given = record.get("relation")
    reason = ""
    for text in (record.get("caption"), record.get("statement"), case.question):
        if not isinstance(text, str):
            continue
        found = read_claim(text, given if isinstance(given, str) else None)
        if isinstance(found, Claim):
            return found
        reason = found
    return reason or "no statement about two things and a known relation"


def parse_claim(text: str, relation: str | None = None) -> tuple[str, str, str] | None:
    """(subject, relation, object) of a statement or a yes/no question, or None.

    Args:
        relation: the relation that the record names; the longest one that fits is taken otherwise.

    Example:
        >>> parse_claim("The potted plant is at the right side of the bench.")
        ('potted plant', 'at the right side of', 'bench')
        >>> parse_claim("Is the dog facing away from the horse?")
        ('dog', 'facing away from', 'horse')
    """
    found = read_claim(text, relation)
    return (found.subject, found.relation, found.object) if isinstance(found, Claim) else None


def read_claim(text: str, relation: str | None = None) -> Claim | str:
    """The claim that a statement or yes/no question makes, or why it cannot be read whole."""
    plain = bare(text)
    if relation in FAMILY:
        exact = re.match(rf"^the (.+?) (?:(?:is|are) )?{re.escape(relation)} the (.+)$", plain, re.IGNORECASE)
        if exact and not odd_word(exact[1], ends=True) and not odd_word(exact[2], ends=True):
            s, o = exact[1].strip(), exact[2].strip()
            return Claim(s, relation, o, f"the {s} {verb(relation, s)} the {o}")
    return _whole(plain) or _joined(plain) or _why(plain)


def _whole(plain: str) -> Claim | None:
    """A sentence of one claim."""
    for pattern in _patterns():
        match = pattern.match(plain)
        if not match:
            continue
        part = match.groupdict()
        words = " ".join(part["r"].casefold().split())
        name = _VERBS.get(words) or _ALSO.get(words, words)
        count = (part.get("two") or "").casefold()
        o = _one_of(part["o"]) if count else part["o"]
        if o and _are_things(part, o, name):
            return Claim(part["s"], name, o, _stated(plain, part), count)
    return None


def _are_things(part: dict[str, str | None], o: str, relation: str) -> bool:
    """Whether the words for subject and object are names and nothing more."""
    asked = part.get("ask") or ""
    bounded = not asked and not part.get("there")  # else nothing says where the subject ends
    if odd_word(str(part["s"]), ends=bounded) or odd_word(o):
        return False
    if asked and not part.get("there") and may_be_said_of(o, several=asked.casefold() == "are"):
        return False
    if (relation, o.casefold()) in _IDIOMS:
        return False
    return relation != "in" or not is_one_of(o.casefold().split()[-1], CLOTHES)


def _joined(plain: str) -> Claim | None:
    """Two claims: "... and a fork to its right", "... and the dog is under the table"."""
    for found in re.finditer(r",? and ", plain, re.IGNORECASE):
        first = _whole(plain[: found.start()])
        if first is None:
            continue
        rest = plain[found.end() :]
        beside = re.match(
            r"^(?:there is )?(?:a|an|the) (.+?) (?:is )?(?:to|on) its (left|right)$", rest, re.I
        )
        if beside and not odd_word(beside[1]):
            name = f"to the {beside[2].casefold()} of"
            second: Claim | None = Claim(beside[1], name, first.subject, rest)
        else:
            second = _whole(rest)
        if second is not None and not second.further:
            return replace(first, text=f"{first.text} and {second.text}", further=(second,))
    return None


@lru_cache(maxsize=1)
def _patterns() -> tuple[re.Pattern[str], ...]:
    """Every form of sentence; of relations at one place the longest is tried first."""

    def one_of(names: Iterable[str]) -> str:
        longest = sorted(names, key=len, reverse=True)
        return rf"(?P<r>{'|'.join(re.escape(n).replace(chr(92) + ' ', r'[ ]+') for n in longest)})"

    s, o = (rf"(?:the|a|an|this|that) (?P<{who}>[a-z][\w'’ -]*?)" for who in "so")
    near = r"(?: (?:directly|immediately|just|right))?"
    negated, lead = r"(?P<no> not|n['’]t)?", rf"(?: (?:{_POSTURE}))?{near}"
    relation = one_of([*(n for n in FAMILY if n not in _PLAIN | BY_RECORD), *_ALSO])
    third = [v for v in _VERBS if v.split()[0].endswith("s")]
    between = rf"{near} (?P<r>in between|between|among) (?P<two>two) (?P<o>[a-z][\w -]*?)"
    ends = (rf"{lead} {relation} {o}", f"{lead}{between.removeprefix(near)}")
    found = [rf"{s} (?P<r>{'|'.join(map(re.escape, third))}) {o}"]
    for who, does in ((rf"(?P<ask>does|do) {s}(?P<no> not)?", ""), (s, rf" (?:does|do){negated}")):
        found.append(rf"{who}{does} {one_of(v for v in _VERBS if v not in third)} {o}")
        found.append(rf"{who}{does} (?:{_STAND}){near} {relation} {o}")
    found.append(rf"{s} (?:{_STANDS}|can be seen){near} {relation} {o}")
    for end in ends:
        found += [
            rf"(?P<there>there) (?:is|are){negated} {s}(?: (?:that|which) (?:is|are))?{end}",
            rf"(?P<ask>is|are)(?P<there> there) {s}(?: (?:that|which) (?:is|are))?{end}",
            rf"(?P<ask>is|are) {s}(?P<no> not)?{end}",
            rf"{s} (?:is|are){negated}{end}",
        ]
    return tuple(re.compile(f"{form}$", re.IGNORECASE) for form in found)


def _stated(plain: str, part: dict[str, str | None]) -> str:
    """The sentence as a statement: a question's verb behind its subject, negation kept."""
    said = plain[0].lower() + plain[1:]
    if not part.get("ask"):
        return said
    if part.get("there"):
        return re.sub(r"^(is|are) there", r"there \1", said)
    no = " not" if part.get("no") else ""
    subject = re.escape(str(part["s"]))
    form = rf"^(\w+) ((?:the|a|an|this|that) {subject})(?: not)? (.*)$"
    return re.sub(form, rf"\2 \1{no} \3", said, count=1, flags=re.IGNORECASE)


def _one_of(several: str | None) -> str:
    """The name of one of several: ``bowls`` is ``bowl``; empty where that is not clear."""
    words = (several or "").split()
    if not words:
        return ""
    for cut, end in ((1, ""), (2, ""), (3, "y")):
        name = " ".join((*words[:-1], words[-1][:-cut] + end))
        if words[-1][:-cut] and plural(name).split()[-1] == words[-1]:
            return name
    return ""


def _why(plain: str) -> str:
    """Why a sentence is not read."""
    lower = plain.casefold()
    if not re.match(r"^(?:the|a|an|this|that|there|is|are|isn|aren|does|do|doesn)\b", lower):
        return "no statement about two things and a known relation"
    if re.search(r"\b(?:\w+est|most|least|more|less|fewer|\w+er than|than)\b", lower):
        return "a comparison, which the rules do not know"
    if re.search(r"\b(?:two|three|four|five|six|seven|exactly|all|every|each|only|both|\d+)\b", lower):
        return "a number of things, which the rules do not count"
    if re.search(r"\b(?:first|second|third|fourth|last|leftmost|rightmost)\b", lower):
        return "a thing named by its place in a row, which the rules do not know"
    if re.search(r"\b(?:and|or)\b", lower):
        return "several statements in one, which the rules do not part"
    return "words left over beside two things and a known relation"


def verb(relation: str, subject: str) -> str:
    """The relation with its verb: ``is left of``, ``contains``, ``are on`` (scissors)."""
    if relation in _PLAIN:
        return relation
    return f"{there_is(subject).split()[0]} {relation}"
