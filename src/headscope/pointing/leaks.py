"""Whether boxes or the window alone tell a question's answer: such questions are no test of pointing.

A box has a place, a size and a window, but no name. So, by rule (docs/visual-prompting.md):

- ``count``: the question counts things; boxes on them tell how many.
- ``presence``: it asks whether, or which of some, things are there; the window shows a thing or nothing.
  Likewise wherever a box stands in for a thing that is absent.
- ``place``: it asks where something is; or it is about one boxed thing, and its answer is a word for a place
  ("left", also of a look: a report of the box's place cannot be told from an answer) or it names a place.
- ``size``: it asks how big one boxed thing is.
- ``arrangement``: it asks for a relation that stays the same when the boxes trade their names ("on the same
  side", "next to"). Where they may not trade ("left of", "nearer than"), boxes without names do not tell.
"""

from __future__ import annotations

import re

from headscope.data.schema import Step
from headscope.pointing.boxes import Target
from headscope.pointing.naming import asks_for_a_set

COUNT, PRESENCE, PLACE, SIZE, ARRANGEMENT = "count", "presence", "place", "size", "arrangement"
LEAKS = (COUNT, PRESENCE, PLACE, SIZE, ARRANGEMENT)
"""Every kind of leak, in the order in which they are looked for."""

_BY_FUNCTION = {"counting": COUNT, "object_recognition": PRESENCE, "spatial_perception": PLACE}
_PICTURE = r"(?:picture|image|photo|photograph|scene)"
_ANY = r"(?:a|an|any|some)"
_PRESENT = re.compile(
    rf"\b(?:is|are) there {_ANY}\s+\w|\bthere (?:is|are) {_ANY}\s+\w|\b(?:do|can) you see {_ANY}\s+\w"
    rf"|\bdoes the {_PICTURE} (?:show|contain|have)\b"
    rf"|\b(?:is|are) {_ANY}\s+[\w ]+ (?:there|present|visible|in the {_PICTURE})\s*\?",
    re.IGNORECASE,
)
_WHERE = re.compile(
    r"\bwhere\b|\b(?:which|what) (?:part|side|half|corner|quarter|quadrant|third|area|region|position)\b"
    r"|\bwhat (?:is|are) the (?:place|position|location|whereabouts)\b",
    re.IGNORECASE,
)
_LOOKS = re.compile(r"\b(?:look|fac(?:e|ing)|turn|point)", re.IGNORECASE)
_PLACE_WORDS = frozenset({
    "left", "right", "top", "bottom", "upper", "lower", "middle", "centre", "center", "central", "above",
    "below", "over", "under", "higher", "up", "down", "front", "behind", "back", "foreground", "background",
    "corner", "edge", "north", "south", "east", "west",
})  # fmt: skip
_NEUTRAL = frozenset({
    "the", "a", "an", "of", "in", "on", "at", "to", "and", "or", "side", "half", "part", "from", "it", "is",
    "far", "very", "picture", "image",
})  # fmt: skip
_PLACED = re.compile(rf"\b(?:{'|'.join(sorted(_PLACE_WORDS))})\b", re.IGNORECASE)
_SIZES = "small|big|large|tiny|huge|tall|wide|short|little|medium"
_SIZE_WORDS = frozenset(_SIZES.split("|"))
_SIZED = re.compile(
    rf"\bhow (?:{_SIZES})\b|\b(?:what|which) size\b|\bsize (?:is|of|has)\b"
    rf"|\b(?:{_SIZES})(?: or (?:{_SIZES}))?(?: in the {_PICTURE})?\s*\?",
    re.IGNORECASE,
)
_UNNAMED_RELATION = re.compile(
    r"\bsame (?:side|place|part|half|corner|row|column|height|level|size)\b|\bshares? a (?:side|place|row)\b"
    r"|\b(?:side|place|height|size) the same\b|\bside of\b.*\bside of\b|\b(?:on|at) the side of\b"
    r"|\bnear\b|\bclose to\b|\bfar (?:away )?from\b|\bnext to\b|\bbeside\b|\bby the side\b|\badjacent\b"
    r"|\btouch\w*|\boverlap\w*|\bapart\b|\bdistance\b|\bside by side\b|\bopposite (?:side|corner)s?\b",
    re.IGNORECASE,
)


def leak_of(step: Step, target: Target) -> str:
    """What of the answer boxes or window tell: one of :data:`LEAKS`, or empty where they do not.

    Goes by the step's function, words, answer and choices, and by how many boxes there are; never by what a
    model says.

    Args:
        step: the question.
        target: what is boxed for it.

    Example:
        >>> from headscope.data.schema import Step
        >>> dog, both = Target(((0, 0, 9, 9),), "named"), Target(((0, 0, 9, 9), (20, 0, 29, 9)), "named")
        >>> leak_of(Step(id="s", question="Where is the dog?", answer="left", function="main"), dog)
        'place'
        >>> near = Step(id="s", question="Is the dog next to the cat?", answer="yes", function="main")
        >>> left = Step(id="s", question="Is the dog left of the cat?", answer="yes", function="main")
        >>> leak_of(near, both), leak_of(left, both)
        ('arrangement', '')
    """
    if not target.boxes:
        return ""
    question, alone = step.question, len(target.boxes) == 1
    told = _BY_FUNCTION.get(step.function, "")
    if told == COUNT or asks_for_a_set(question):
        return COUNT
    if told == PRESENCE or target.decoys or _PRESENT.search(question):
        return PRESENCE
    answers = step.choices or (step.answer,)
    about_place = any(_only(a, _PLACE_WORDS) for a in (*answers, step.answer)) or _PLACED.search(question)
    if told == PLACE or _WHERE.search(question) or (alone and about_place):
        return PLACE
    if alone and (_SIZED.search(question) or any(_only(a, _SIZE_WORDS) for a in answers)):
        return SIZE
    return ARRANGEMENT if not alone and _UNNAMED_RELATION.search(question) else ""


def asks_where(step: Step) -> bool:
    """Whether a question asks for the place of something, not which way it looks."""
    asks = _BY_FUNCTION.get(step.function) == PLACE or bool(_WHERE.search(step.question))
    return asks and not _LOOKS.search(step.question)


def _only(answer: str, words: frozenset[str]) -> bool:
    """Whether an answer says one of these words, and nothing else that matters."""
    said = set(re.findall(r"[a-z]+", answer.lower())) - _NEUTRAL
    return bool(said) and said <= words
