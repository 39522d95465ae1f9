"""Statements about two things and a relation, as the questions and records of cases hold them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from headscope.data.schema import Case
from headscope.making.decompose.relations import FAMILY

_TRUE = {"true": True, "yes": True, "false": False, "no": False}
_LEAD = re.compile(
    r"^(?:so )?is it (?:true|correct|right) that |^(?:true or false|statement):\s*", re.IGNORECASE
)
_FRONT = re.compile(r"^(?:is|are|does|do) (?=the )", re.IGNORECASE)


@dataclass(frozen=True)
class Claim:
    """``the <subject> is <relation> the <object>``, and whether it holds (None: the case does not say)."""

    subject: str
    relation: str
    object: str
    holds: bool | None
    text: str

    @property
    def family(self) -> str:
        """The family of relations that decides the steps."""
        return FAMILY[self.relation]


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern[str]:
    names = "|".join(re.escape(r).replace(r"\ ", r"\s+") for r in sorted(FAMILY, key=len, reverse=True))
    return re.compile(
        rf"^the\s+(?P<s>.+?)\s+(?:(?:is|are)\s+)?(?P<r>{names})\s+the\s+(?P<o>.+?)\s*[.?]?\s*$", re.IGNORECASE
    )


def claim_of(case: Case) -> Claim | str:
    """The claim of a case, or in one line why there is none.

    Read from the record's own statement and relation where it holds them (VSR's ``caption`` and
    ``relation``), else from the question: "Is it true that the dog is on the sofa?".
    """
    record = case.original or {}
    given = record.get("relation")
    for text in (record.get("caption"), record.get("statement"), case.question):
        if not isinstance(text, str):
            continue
        found = parse_claim(text, given if isinstance(given, str) else None)
        if found:
            subject, relation, thing = found
            holds = _TRUE.get(case.answer.strip().casefold())
            return Claim(
                subject, relation, thing, holds, f"the {subject} {verb(relation, subject)} the {thing}"
            )
    return "no statement about two things and a known relation"


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
    plain = _LEAD.sub("", " ".join(text.split()))
    plain = _FRONT.sub("", plain)
    if relation in FAMILY:
        exact = re.match(
            rf"^the (.+?) (?:(?:is|are) )?{re.escape(relation)} the (.+?) ?[.?]? ?$", plain, re.IGNORECASE
        )
        if exact:
            return exact[1].strip(), relation, exact[2].strip()
    found = _pattern().match(plain)
    return (found["s"], " ".join(found["r"].lower().split()), found["o"]) if found else None


_VERBS = frozenset({"contains", "consists of", "has as a part"})


def verb(relation: str, subject: str) -> str:
    """The relation with its verb: ``is left of``, ``contains``, ``are on`` (scissors)."""
    from headscope.making.photographs.nouns import there_is

    if relation in _VERBS:
        return relation
    return f"{there_is(subject).split()[0]} {relation}"
