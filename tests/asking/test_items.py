"""Which questions are asked in which context, and what precedes them."""

from __future__ import annotations

import pytest

from asking.naive import make_case
from headscope.asking.batches import plan_batches
from headscope.asking.items import history_of, make_items
from headscope.data.schema import Case
from headscope.errors import DataError, StudyError
from headscope.functions import DEFAULT, MAIN


def test_the_verdict_is_never_asked_alone_and_the_main_question_in_every_context() -> None:
    ids = [i.id for i in make_items([make_case(0)], DEFAULT, ("gold", "own", "alone"))]
    assert ids == [
        "c0/s1/gold", "c0/s2/gold", "c0/s3/gold", "c0/s4/gold",
        "c0/s1/own", "c0/s2/own", "c0/s3/own", "c0/s4/own",
        "c0/s1/alone", "c0/s2/alone", "c0/s3/alone",
        "c0/main/gold", "c0/main/own", "c0/main/alone",
    ]  # fmt: skip


def test_main_questions_after_own_steps_bring_those_steps_along() -> None:
    items = make_items([make_case(0)], DEFAULT, ("gold",), main_contexts=("alone", "own"))
    assert [i.id for i in items if i.context == "own"] == [
        f"c0/{s}/own" for s in ("s1", "s2", "s3", "s4", "main")
    ]
    assert [i.id for i in items if i.function == MAIN] == ["c0/main/alone", "c0/main/own"]


def test_history_is_the_earlier_steps_with_the_answers_of_the_context() -> None:
    case = make_case(1)
    items = {i.id: i for i in make_items([case], DEFAULT, ("gold", "own", "alone"))}
    truth = tuple((s.question, s.answer) for s in case.steps)
    assert history_of(items["c1/s3/gold"]) == truth[:2]
    assert history_of(items["c1/main/gold"]) == truth[:3]  # not the verdict
    assert history_of(items["c1/main/alone"]) == ()
    own = {"c1/s1/own": "9", "c1/s2/own": ""}
    assert history_of(items["c1/s3/own"], own) == (
        (case.steps[0].question, "9"),
        (case.steps[1].question, ""),
    )
    with pytest.raises(StudyError, match="c1/s3/own"):
        history_of(items["c1/s4/own"], own)


def test_a_case_without_steps_has_its_main_question_only() -> None:
    case = Case(id="x", image="x.png", width=8, height=8, question="Is it?", answer="yes")
    items = make_items([case], DEFAULT, ("gold", "own"))
    assert [(i.id, history_of(i, {})) for i in items] == [("x/main/gold", ()), ("x/main/own", ())]


def test_unknown_contexts_and_clashing_ids_are_refused() -> None:
    with pytest.raises(StudyError, match="golden"):
        make_items([make_case(0)], DEFAULT, ("golden",))
    with pytest.raises(StudyError, match="no context"):
        make_items([make_case(0)], DEFAULT, ())
    case = make_case(0)
    clash = case.model_copy(update={"steps": (case.steps[0].model_copy(update={"id": "main"}),)})
    with pytest.raises(DataError, match="c0/main/gold"):
        make_items([clash], DEFAULT, ("gold",))


def test_the_batch_plan_does_not_depend_on_the_order_of_items_and_puts_equal_lengths_together() -> None:
    items = make_items([make_case(i) for i in range(5)], DEFAULT, ("gold", "alone"))
    plan = plan_batches(items, 4)
    assert plan == plan_batches(items[::-1], 4)
    assert sorted(i.id for b in plan for i in b) == sorted(i.id for i in items)
    assert [len(b) for b in plan] == [4] * (len(items) // 4) + [len(items) % 4] * (len(items) % 4 > 0)
    turns = [len(i.earlier) for b in plan for i in b]
    assert turns == sorted(turns)
    with pytest.raises(StudyError, match="batches of 0"):
        plan_batches(items, 0)
