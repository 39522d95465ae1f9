"""Which objects a question names: decided from the question's words, never from its answer alone."""

from __future__ import annotations

import re

from headscope.data.schema import Case, Object, Step
from headscope.functions import MAIN

NAMED = "named"
UNNAMED = "unnamed needed"
NOTHING = "nothing named"
UNPLACED = "no boxes known"

# "How many dogs are left of the cup?", "Are there 3 dogs left of the cup?": the dogs are asked about, the cup
# is named. Boxing the dogs would tell the count. The set ends where the sentence goes on.
_SET = re.compile(
    r"\b(?:(?:how many|number of|count(?:ing)?(?: of)?)\s+|(?:are|is|be|see|stand|lie)\s+(?:there\s+)?"
    r"(?:\d+|no|zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\s+(?=\w))"
    r"(?:of\s+)?(?:the\s+)?.*?"
    r"(?=\b(?:are|is|do|does|have|has|can|stand|lie|sit|face|there|in|to|on|left|right|above|below|over|under|"
    r"near|next|behind|between|you|facing|whose|that|with)\b|[?.,;]|$)",
    re.IGNORECASE,
)
# "the thing that barks", "the animal which faces left"
_HINT = re.compile(r"\bthe\s+(?:\w+\s+)?\w+\s+(?:that|which|who)\b", re.IGNORECASE)
_COUNTING = "counting"
_ADJECTIVES = 3  # words before a name that can be its attributes


def without_sets(question: str) -> str:
    """The question without the noun phrase whose members it counts.

    Example:
        >>> without_sets("How many red dogs are left of the cup?")
        'are left of the cup?'
    """
    return _SET.sub(" ", question).strip()


def asks_for_a_set(question: str) -> bool:
    """Whether the question counts things."""
    return _SET.search(question) is not None


def mentions(question: str, thing: Object, case: Case) -> bool:
    """Whether the words name this object in the singular, with attributes that fit it.

    Of the words right before the name, those that are attributes of some object of the case have to be this
    object's own: "the red dog" does not name a blue dog.
    """
    known = {v.lower(): k for o in case.objects for k, v in o.attributes.items()}
    own = {v.lower() for v in thing.attributes.values()}
    name = r"\s+".join(re.escape(w) for w in thing.name.lower().split())
    for found in re.finditer(rf"\b{name}\b", question.lower()):
        before = re.findall(r"\w+", question.lower()[: found.start()])[-_ADJECTIVES:]
        phrase = before[_last_break(before) :]
        if all(word in own for word in phrase if word in known):
            return True
    return False


def _last_break(words: list[str]) -> int:
    """Index after the last word that starts a noun phrase: earlier words belong to another one."""
    breaks = ("the", "a", "an", "is", "are", "of", "and", "or", "to", "from", "than")
    return max((i + 1 for i, word in enumerate(words) if word in breaks), default=0)


def named_objects(case: Case, step: Step) -> list[Object]:
    """The objects that a step's question names, in the order of ``step.objects``.

    A step's own objects, and those that the case lists as absent, count where its question says their name,
    or where it paraphrases ("the thing that barks") one that the case's ``named`` lists; for the main
    question ``named`` is taken at its word. Left out are sets that are counted, and an object that *is* the
    answer, unless the question itself offers it beside other objects that are boxed too ("Which is nearer to
    the cup, the dog or the horse?").
    """
    text = without_sets(step.question)
    main = step.function == MAIN
    wanted = list(case.named if main and case.named else step.objects)
    # Absent things are candidates whatever the step lists: else a box would tell that a thing is there.
    wanted += [o.id for o in case.objects if o.box is None and o.id not in wanted and mentions(text, o, case)]
    candidates = [o for o in case.objects if o.id in wanted]
    candidates.sort(key=lambda o: wanted.index(o.id))
    said = [o for o in candidates if mentions(text, o, case)]
    counted = asks_for_a_set(step.question)
    hinted = [o for o in candidates if o not in said and o.id in case.named]
    if counted:
        said = [o for o in said if sum(p.name == o.name for p in said) == 1]
        hinted = [o for o in hinted if not _counted_word(step.question, o)]
    hinted = hinted[: len(_HINT.findall(text))] if not main else hinted
    named = [o for o in candidates if o in said or o in hinted]
    return _without_answer(step, text, named, said)


def _without_answer(step: Step, text: str, named: list[Object], said: list[Object]) -> list[Object]:
    answer = _plain(step.answer)
    told = [o for o in named if _plain(o.name) == answer]
    if not told:
        return named
    offered = {_plain(c) for c in step.choices if re.search(rf"\b{re.escape(c.lower())}\b", text.lower())}
    boxed = {_plain(o.name) for o in said}
    if len(offered) > 1 and offered <= boxed:
        return named
    return [o for o in named if _plain(o.name) not in (offered | {answer})]


def needs_unnamed(case: Case, step: Step, named: list[Object]) -> bool:
    """Whether the answer also lies in things the question does not name, so that masking hides it.

    True where the question counts; where it, or for the main question one of its steps that does not count,
    is about a present object that is not named; and where the answer is the name of such an object.
    """
    if step.function == _COUNTING or asks_for_a_set(step.question):
        return True
    ids = {o.id for o in named}
    parts = [step, *(s for s in case.steps if step.function == MAIN and s.function != _COUNTING)]
    about = {i for p in parts for i in p.objects}
    unnamed = [o for o in case.objects if o.box is not None and o.id not in ids]
    return any(o.id in about or _plain(o.name) == _plain(step.answer) for o in unnamed)


def _counted_word(question: str, thing: Object) -> bool:
    """Whether the object's name, in the singular or a usual plural, is among the things counted."""
    name = thing.name.lower()
    forms = {name, f"{name}s", f"{name}es", f"{name[:-1]}ies", f"{name[:-2]}i", f"{name[:-1]}ves"}
    counted = " ".join(m.group(0) for m in _SET.finditer(question)).lower()
    return any(re.search(rf"\b{re.escape(form)}\b", counted) for form in forms)


def _plain(text: str) -> str:
    words = re.findall(r"\w+", text.lower())
    return " ".join(w for w in words if w not in ("a", "an", "the"))
