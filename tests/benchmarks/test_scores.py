"""Scores of main questions: by the source's own rule, against guessing, and paired by picture."""

from __future__ import annotations

from typing import Any

import pytest

from headscope.benchmarks.score_types import AnsweredQuestion
from headscope.benchmarks.scores import constant, difference, judged, official, score
from headscope.data.schema import Case


def case(name: str, answer: str = "true", source: str = "vsr/zeroshot/dev", **changes: Any) -> Case:
    base = {"id": name, "image": f"{name[0]}.png", "width": 8, "height": 8, "question": "?", "answer": answer}
    return Case.model_validate(
        base | {"choices": ("true", "false"), "source": source, "kind": "on"} | changes
    )


def row(one: Case, text: str, correct: bool, margin: float = 0.0) -> AnsweredQuestion:
    answer = text or None
    return AnsweredQuestion(
        case=one.id, kind=one.kind, text=text, answer=answer, correct=correct, margin=margin
    )


CASES = {c.id: c for c in (case("a1"), case("a2", "false"), case("b1"), case("c1", kind="under"))}
IMAGES = {name: name[0] for name in CASES}
PLAIN = [row(c, "true", c.answer == "true") for c in CASES.values()]


def test_scores_are_shares_of_questions_with_intervals_by_picture() -> None:
    found = score(judged(PLAIN, CASES), CASES, IMAGES)
    assert found.accuracy.value == 0.75
    assert (found.accuracy.n, found.accuracy.images) == (4, 3)
    assert {r.kind: (r.value, r.n) for r in found.by_kind} == {
        "on": (2 / 3, 3),
        "under": (1.0, 1),
    }
    assert found.unreadable == 0


def test_a_source_is_judged_and_tabled_by_its_own_rule() -> None:
    table = official(PLAIN, CASES)["vsr"].table
    assert table[0].value == 0.75
    assert any("on" in r.group for r in table)
    mine = {"x": case("x", source="mine")}
    assert official([row(mine["x"], "true", True)], mine) == {}


def test_an_answer_that_only_the_own_rule_accepts_counts_as_right() -> None:
    one = case("s", "True", "spatial457/all", choices=())
    (found,) = judged([row(one, "yes", False)], {"s": one})
    assert found.correct is True
    other = case("s", "True", "mine", choices=())
    assert judged([row(other, "yes", False)], {"s": other})[0].correct is False


def test_guessing_is_worth_what_a_constant_answer_or_chance_gets() -> None:
    shared = [case(f"a{i}", "true" if i < 7 else "false") for i in range(10)]
    assert constant(shared) == pytest.approx(0.7)
    changing = [case(f"b{i}", "x", choices=("x", "y", f"z{i}")) for i in range(3)]
    assert constant(changing) == pytest.approx(1 / 3)
    assert constant([case("o", "two", choices=())]) == 0
    assert constant([*shared, *changing]) == pytest.approx((7 + 1) / 13)


def test_differences_are_paired_by_question_and_flipped_by_picture() -> None:
    changed = [r.model_copy(update={"correct": True, "margin": 1.0}) for r in PLAIN]
    found = difference(PLAIN, list(reversed(changed)), IMAGES)
    assert found.accuracy.value == 0.25
    assert (found.to_right, found.to_wrong) == (1, 0)
    assert found.accuracy.images == 3
    assert found.accuracy.p == 1.0  # one picture changed: either sign is as likely
    assert found.margin.value == 1.0
    assert found.margin.p == pytest.approx(2 / 2**3)
    assert difference(PLAIN, changed, IMAGES, {"a2"}).accuracy.value == 1.0


def test_a_share_of_half_a_pair_can_be_reported() -> None:
    names = ("mug_left_of_table", "mug_right_of_table", "cup_left_of_table")
    cases = {
        name: case(name, "x", "whatsup/a", choices=(), original={"image_path": f"a/{name}.jpeg"})
        for name in names
    }
    found = official([row(c, "x", True) for c in cases.values()], cases)["whatsup"]
    assert {line.score: line.n for line in found.table[:3]} == {"individual": 3, "pair": 1.5, "set": 0.75}
