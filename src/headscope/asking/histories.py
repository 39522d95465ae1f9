"""Which turns precede a question: earlier steps that do not give its answer away, and controls for them."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence

from headscope.data.schema import Case, Step
from headscope.data.splits import picture_groups
from headscope.functions import MAIN, Taxonomy
from headscope.models.answer_words import words


def evidence(case: Case, taxonomy: Taxonomy) -> tuple[Step, ...]:
    """The answered steps that may precede the main question: those that neither state nor give its answer.

    Left out are, by the question and never by the answer: steps of a function that only draws the verdict
    (``taxonomy.chain_only``); steps that ask the main question in its own words; and conclusions, from which
    the answer follows without looking: steps that rest on others and are about everything that the main
    question names, or that come last and rest on all others.

    Example:
        >>> from headscope.functions import DEFAULT
        >>> from headscope.making.scenes.generate import one_case
        >>> [step.question for step in evidence(one_case(0, 1)[0], DEFAULT)]
        ['What is there?', 'Where is the dog?', 'Where is the horse?', 'Which way does the dog look?']
    """
    left_out = _conclusions(case, taxonomy)
    left_out += [s for s in case.steps if s.function in taxonomy.chain_only or _asks(s, case.question)]
    ids = {s.id for s in left_out}
    return tuple(s for s in case.steps if s.answered and s.id not in ids)


def earlier_steps(case: Case, step: Step, taxonomy: Taxonomy) -> tuple[Step, ...]:
    """The turns before a step, or before the main question; a step that asks the same is never among them."""
    if step.function == MAIN:
        return evidence(case, taxonomy)
    before = case.steps[: [s.id for s in case.steps].index(step.id)]
    return tuple(s for s in before if s.answered and not _asks(s, step.question))


def with_one_wrong(case: Case, step: Step, taxonomy: Taxonomy) -> tuple[Step, ...] | None:
    """The turns before a step, one that it rests on with a wrong one of its choices as its answer.

    The main question rests on what the conclusions left out of its history rest on; where there are none, on
    all of it. Which turn and which answer is drawn by the ids.

    Returns:
        None where no turn that it rests on has a choice to be replaced by.
    """
    turns = earlier_steps(case, step, taxonomy)
    rests = set(step.depends_on)
    if step.function == MAIN:
        rests = {r for s in _conclusions(case, taxonomy) for r in s.depends_on} & {t.id for t in turns}
        rests = rests or {t.id for t in turns}
    wrong = [(t, [c for c in t.choices if c != t.answer]) for t in turns if t.id in rests]
    able = [(t, others) for t, others in wrong if others]
    if not able:
        return None
    draw = random.Random(f"{case.id}/{step.id}/wrong")
    replaced, others = draw.choice(able)
    said = replaced.model_copy(update={"answer": draw.choice(others)})
    return tuple(said if t is replaced else t for t in turns)


def like_cases(cases: Sequence[Case], taxonomy: Taxonomy) -> dict[str, Case]:
    """Case id -> another case, of another picture, whose chain asks the same kinds of questions in order.

    Drawn by the ids, whatever order the cases come in; cases without such another are left out.
    """
    picture = picture_groups(cases)
    groups: dict[tuple[object, ...], list[Case]] = defaultdict(list)
    for case in cases:
        groups[_form(case, taxonomy)].append(case)
    found = {}
    for group in groups.values():
        ordered = sorted(group, key=lambda c: hashlib.sha256(c.id.encode()).hexdigest())
        for at, case in enumerate(ordered):
            others = ordered[at + 1 :] + ordered[:at]
            other = next((c for c in others if picture[c.id] != picture[case.id]), None)
            if other is not None:
                found[case.id] = other
    return found


def of_another(
    case: Case, step: Step, taxonomy: Taxonomy, others: Mapping[str, Case]
) -> tuple[Step, ...] | None:
    """Turns of another case (:func:`like_cases`) in the place of those before a step; None: there is none."""
    turns = earlier_steps(case, step, taxonomy)
    if case.id not in others or not turns:
        return None
    ids = {t.id for t in turns}
    theirs = _answered(others[case.id])
    return tuple(theirs[at] for at, s in enumerate(_answered(case)) if s.id in ids)


def _answered(case: Case) -> Sequence[Step]:
    return [s for s in case.steps if s.answered]


def _asks(step: Step, question: str) -> bool:
    """Whether a step's question holds another one word for word: "So is it a dog?", "Is it a dog?"."""
    said, asked = f" {' '.join(words(step.question))} ", f" {' '.join(words(question))} "
    return asked in said


def _conclusions(case: Case, taxonomy: Taxonomy) -> list[Step]:
    """Steps that draw together all that the main question is about."""
    steps = [s for s in case.steps if s.function not in taxonomy.chain_only and not _asks(s, case.question)]
    named = set(case.named)
    found = [s for s in steps if s.depends_on and named and named <= set(s.objects)]
    others = {s.id for s in steps[:-1]}
    if len(others) > 1 and steps[-1] not in found and others <= _behind(case, steps[-1]):
        found.append(steps[-1])
    return found


def _behind(case: Case, step: Step) -> set[str]:
    """Ids of the steps that a step rests on, directly or through others."""
    rests = {s.id: s.depends_on for s in case.steps}
    found: set[str] = set()
    todo = list(step.depends_on)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += rests.get(name, ())
    return found


def _form(case: Case, taxonomy: Taxonomy) -> tuple[object, ...]:
    """What cases have in common whose turns can stand for each other's: kind, and the kind of every step."""
    kept = {s.id for s in evidence(case, taxonomy)}
    steps = [(s.function, s.wording.split("/")[0], s.id in kept) for s in _answered(case)]
    return (case.kind, *steps)
