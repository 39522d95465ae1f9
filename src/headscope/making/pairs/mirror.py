"""Pairs of a picture and its mirror image: what is left is right there, and nothing else has changed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import ImageOps

from headscope.data.cases import Cases
from headscope.data.schema import Case, Step
from headscope.errors import DataError
from headscope.functions import MAIN
from headscope.making.pairs.schema import Pair, Pairs, save_pairs
from headscope.progress import track
from headscope.storage import disk_error

_SIDES = re.compile(r"\b(left|right)(?=\b|-|most\b|wards?\b)", re.IGNORECASE)
_OTHER = {"left": "right", "right": "left"}
# In a mirror letters cannot be read, and turns run the other way; "right" may be no side: no answer is known.
_UNKNOWN = re.compile(
    r"\b((anti-?|counter-?)?clockwise|letters?|words?|text|read|says?|all right|that right|"
    r"right (now|away|angles?|side up))\b",
    re.IGNORECASE,
)
_UNREADABLE = ("text_reading",)
# Of a statement about a side only the true one is known in the mirror: it is false there. A false one may be
# false in both.
_HOLDS = {"yes": "no", "true": "false"}
_FAILS = ("no", "false")


@dataclass
class Mirrored:
    """What became of the questions.

    Attributes:
        pairs: the pairs, controls among them; None where there are none.
        left_out: reason -> how many questions.
    """

    pairs: Pairs | None = None
    left_out: Counter[str] = field(default_factory=Counter)


def mirror_answer(step: Step) -> tuple[str | None, str]:
    """The true answer of a question in the mirror image, and why there is none.

    Args:
        step: an answered question.

    Returns:
        The answer, or None with the reason in words.

    Example:
        >>> place = Step(id="s1", question="Where is it?", answer="top left", function="spatial_perception")
        >>> mirror_answer(place)
        ('top right', '')
        >>> mirror_answer(place.model_copy(update={"question": "Is it on the left?", "answer": "no"}))
        (None, 'a false statement about a side may be false in the mirror too')
    """
    texts = (step.question, step.answer, *step.choices)
    if not step.answered:
        return None, "unanswered"
    if step.function in _UNREADABLE or any(_UNKNOWN.search(text) for text in texts):
        return None, "letters and turns have no known answer in a mirror"
    answer = _swapped(step.answer)
    if answer != step.answer:
        if step.choices and answer not in step.choices:
            return None, "the mirrored answer is none of the choices"
        if _SIDES.search(step.question):
            return None, "question and answer both name a side"
        return answer, ""
    if not _SIDES.search(step.question):
        return step.answer, ""
    said = step.answer.strip().lower()
    if said in _HOLDS:
        opposite = _HOLDS[said]
        known = next((c for c in step.choices if c.strip().lower() == opposite), None)
        return (known or _cased(step.answer, opposite)), ""
    if said in _FAILS:
        return None, "a false statement about a side may be false in the mirror too"
    return None, "another thing may be there on that side of the mirror"


def _swapped(text: str) -> str:
    def other(found: re.Match[str]) -> str:
        return _cased(found[0], _OTHER[found[0].lower()])

    return _SIDES.sub(other, text)


def _cased(like: str, word: str) -> str:
    """A word with the capitals of another."""
    return word.upper() if like.isupper() else word.capitalize() if like[:1].isupper() else word


def mirror_pairs(cases: Cases, out: str | Path, functions: Sequence[str] | None = None) -> Mirrored:
    """Mirror every picture and pair each answered question with itself in the mirror.

    Questions whose answer must not change are kept as controls. A top-down flip is not offered: it turns
    things on their heads.

    Args:
        cases: with pictures.
        out: a new folder: both pictures of each case, cases.jsonl, pairs.jsonl.
        functions: of the questions; None: all, main questions among them.

    Raises:
        DataError: the folder holds cases already, or a picture cannot be read. StoreError: the disk is full.
    """
    out = Path(out)
    if (out / "cases.jsonl").exists():
        raise DataError(f"{out}: already holds cases.jsonl; name another folder or delete this one")
    found = Mirrored()
    both: list[Case] = []
    pairs: list[Pair] = []
    splits = cases.splits
    try:
        (out / "images").mkdir(parents=True, exist_ok=True)
        for number, case in enumerate(track(list(cases), "mirroring pictures", unit="cases")):
            every = (*case.steps, case.main_step())
            asked = [s for s in every if functions is None or s.function in functions]
            made = {s.id: answer for s in asked if (answer := _known(s, found.left_out)) is not None}
            if not made:
                continue
            first = case.model_copy(update={"image": f"images/{number:06d}.png", "split": splits[case.id]})
            second = mirrored(first, made)
            picture = cases.image(case)
            picture.save(out / first.image)
            ImageOps.mirror(picture).save(out / second.image)
            both += [first, second]
            pairs += [_pair(first, s, made[s.id], second) for s in asked if s.id in made]
    except OSError as exc:
        raise disk_error(out, exc) from exc
    if pairs:
        found.pairs = save_pairs(both, pairs, out)
    return found


def _known(step: Step, left_out: Counter[str]) -> str | None:
    answer, reason = mirror_answer(step)
    if answer is None:
        left_out[reason] += 1
    return answer


def _pair(first: Case, step: Step, answer: str, second: Case) -> Pair:
    return Pair(
        id=f"{first.id}/{step.id}", function=step.function, fact="mirror", first=first.id, second=second.id,
        question=step.id, control=answer == step.answer,
    )  # fmt: skip


def mirrored(case: Case, answers: dict[str, str]) -> Case:
    """The case of the mirror image: boxes turned over, answers as given, other steps unanswered.

    Args:
        case: the case.
        answers: step id (or ``main``) -> its answer in the mirror.
    """
    objects = tuple(
        o.model_copy(
            update={
                "box": o.box and (case.width - o.box[2], o.box[1], case.width - o.box[0], o.box[3]),
                "attributes": {k: _swapped(v) for k, v in o.attributes.items()},
            }
        )
        for o in case.objects
    )
    steps = tuple(
        s.model_copy(
            update={"answer": answers[s.id]} if s.id in answers else {"answer": "", "origin": "unanswered"}
        )
        for s in case.steps
    )
    return case.model_copy(
        update={
            "id": f"{case.id}-mirror",
            "image": case.image.replace(".png", "-mirror.png"),
            "objects": objects,
            "steps": steps,
            "answer": answers.get(MAIN, case.answer),
            "original": None,
        }
    )
