"""What precedes a question never gives its answer away, and the controls differ where they should only."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from asking.naive import make_case
from headscope.asking.histories import earlier_steps, evidence, like_cases
from headscope.asking.items import Item, history_of, make_items
from headscope.data.schema import Case
from headscope.functions import DEFAULT, MAIN
from headscope.making.decompose.rules import decompose
from headscope.making.scenes.generate import one_case
from made_cases import record

SCENES = [one_case(i, 5)[0] for i in range(400)]


def copies_the_last_turn(history: tuple[tuple[str, str], ...], item: Item) -> bool:
    """Whether a model is right that repeats the last answer it read, and else says the first choice."""
    guess = item.choices[0]
    said = item.parse(history[-1][1]) if history else None
    return (said or guess) == item.truth


def _gain(history_before: dict[str, tuple[tuple[str, str], ...]]) -> float:
    """Points that the copying model gains over the same questions asked alone."""
    items = {i.case.id: i for i in make_items(SCENES, DEFAULT, (), ("alone",))}
    told = [copies_the_last_turn(history_before[c], item) for c, item in items.items()]
    alone = [copies_the_last_turn((), item) for item in items.values()]
    return 100 * (np.mean(told) - np.mean(alone))


def test_a_model_that_copies_the_last_turn_gains_nothing_from_true_steps() -> None:
    whole = {c.id: tuple((s.question, s.answer) for s in c.steps) for c in SCENES}
    assert _gain(whole) > 40  # the verdict step states the answer: why it is left out
    relations = {c: turns[:-1] for c, turns in whole.items()}
    assert _gain(relations) > 10  # "Does left lead from the dog to the horse? yes" gives it as well
    kept = {i.case.id: history_of(i) for i in make_items(SCENES, DEFAULT, (), ("gold",))}
    # "between" keeps two relations of which the last alone says nothing; no other chain ends in yes or no.
    between = {c.id for c in SCENES if c.kind == "between"}
    last = {c.id: evidence(c, DEFAULT)[-1].choices for c in SCENES if c.id not in between}
    assert all(set(choices) & {"yes", "no", "true", "false"} == set() for choices in last.values())
    assert abs(_gain(kept)) <= 100 * len(between) / len(SCENES) / 2
    plain = {c: turns for c, turns in kept.items() if c not in between} | dict.fromkeys(between, ())
    assert _gain(plain) == 0


def test_no_kept_step_alone_tells_the_main_answer_but_that_a_thing_is_absent() -> None:
    said: dict[tuple[str, int, str], dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for case in SCENES:
        for at, step in enumerate(evidence(case, DEFAULT)):
            if set(case.choices) == {"true", "false"} and len(step.choices) == 2:
                said[case.kind, at, step.wording.split("/")[0]][step.answer].append(case.answer == "true")
    for (kind, _, step), by_answer in said.items():
        counts = [max(sum(v), len(v) - sum(v)) for v in by_answer.values()]
        share = sum(counts) / sum(map(len, by_answer.values()))
        if sum(map(len, by_answer.values())) >= 20 and step != "what_pair":  # words of a kind, not of a place
            assert (share > 0.85) == ((kind, step) == ("presence", "present")), (kind, step, share)


def test_the_verdict_the_main_question_in_other_words_and_the_last_conclusion_are_left_out() -> None:
    case = Case.model_validate(record())
    assert [s.id for s in evidence(case, DEFAULT)] == ["s1", "s2", "s3"]  # s4 rests on all others
    again = case.steps[0].model_copy(
        update={"id": "s5", "question": "So: is the dog facing the horse?", "function": "object_recognition"}
    )
    asked = case.model_copy(update={"steps": (again, *case.steps[:3])})
    assert [s.id for s in evidence(asked, DEFAULT)] == ["s1", "s2", "s3"]
    claim = Case(
        id="a",
        image="a.jpg",
        width=8,
        height=8,
        answer="true",
        source="vsr",
        question="Is it true that the dog is facing the horse?",
    )
    made = decompose(claim)
    assert isinstance(made, Case)
    assert "decision_making" not in {s.function for s in evidence(made, DEFAULT)}


def test_which_steps_are_left_out_does_not_depend_on_any_answer() -> None:
    for case in SCENES[:60]:
        other = [s.model_copy(update={"answer": s.choices[-1]}) for s in case.steps]
        turned = case.model_copy(update={"answer": case.choices[-1], "steps": tuple(other)})
        assert [s.id for s in evidence(turned, DEFAULT)] == [s.id for s in evidence(case, DEFAULT)]


def test_a_step_that_asks_the_same_is_no_turn_before_a_step() -> None:
    case = make_case(0)
    twice = case.steps[2].model_copy(update={"id": "s9"})
    case = case.model_copy(update={"steps": (*case.steps[:3], twice)})
    assert [s.id for s in earlier_steps(case, twice, DEFAULT)] == ["s1", "s2"]


def test_in_wrong_one_answer_that_the_question_rests_on_is_another_of_its_choices() -> None:
    gold = {i.case.id: i for i in make_items(SCENES, DEFAULT, (), ("gold",))}
    wrong = make_items(SCENES, DEFAULT, (), ("wrong",))
    assert len(wrong) == len(SCENES)
    for item in wrong:
        true, false = gold[item.case.id].earlier, item.earlier
        changed = [(a, b) for a, b in zip(true, false, strict=True) if a != b]
        ((before, after),) = changed
        assert after.answer in set(before.choices) - {before.answer}
        assert after.model_copy(update={"answer": before.answer}) == before
        if item.case.kind == "facing":  # leading there rests on both places and on the way it looks
            assert before.wording.split("/")[0] in ("where", "look")
    assert [i.earlier for i in make_items(SCENES[::-1], DEFAULT, (), ("wrong",))][::-1] == [
        i.earlier for i in wrong
    ]
    step = make_items([SCENES[0]], DEFAULT, ("wrong",), ())[-1]  # the verdict rests on all steps before it
    assert step.function == "decision_making"
    answers = [(a.answer, b.answer) for a, b in zip(step.earlier, SCENES[0].steps, strict=False)]
    assert sum(a != b for a, b in answers) == 1


def test_in_other_the_turns_are_those_of_another_picture_in_the_same_form() -> None:
    gold = {i.case.id: i for i in make_items(SCENES, DEFAULT, (), ("gold",))}
    others = like_cases(SCENES, DEFAULT)
    items = make_items(SCENES, DEFAULT, (), ("other",))
    assert len(items) > 0.95 * len(SCENES)
    for item in items:
        other = others[item.case.id]
        assert other.kind == item.case.kind
        assert other.image != item.case.image
        assert item.earlier == gold[other.id].earlier
        kinds = [s.function for s in item.earlier]
        assert kinds == [s.function for s in gold[item.case.id].earlier]
    assert like_cases(SCENES[::-1], DEFAULT) == others
    part = make_items(SCENES[:10], DEFAULT, (), ("other",), others)  # as a capture asks for them, by shard
    assert [i.earlier for i in part] == [i.earlier for i in items if i.case.id in {c.id for c in SCENES[:10]}]


@pytest.mark.parametrize("context", ["wrong", "other"])
def test_where_a_control_cannot_be_made_the_question_is_not_asked_in_it(context: str) -> None:
    case = Case(
        id="x", image="x.png", width=8, height=8, question="Is it?", answer="yes", choices=("yes", "no")
    )
    assert make_items([case], DEFAULT, (), (context,)) == []
    assert [i.function for i in make_items([case], DEFAULT, (), (context, "gold"))] == [MAIN]


def test_an_own_chain_is_asked_in_the_order_in_which_answers_come() -> None:
    for case in SCENES[:80]:
        items = make_items([case], DEFAULT, ("own",))
        for item in sorted(items, key=lambda i: i.round):
            needed = {s.id for s in item.earlier}
            done = {i.step.id for i in items if i.round < item.round}
            assert needed <= done, (case.kind, item.id)
