"""The count of judged chains: drawn alike each time, and a chain that changed is judged no more."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from headscope.data.schema import Case
from judged_sentences import JUDGED, PAGE, STYLES, Drawn, _question, draw, page
from shared_cases import DATA

needs_data = pytest.mark.skipif(
    not (DATA / "vsr").is_dir() or not (DATA / "nlvr").is_dir(), reason="shared/data is not here"
)


@needs_data
def test_the_page_is_what_the_rules_make_now_and_every_chain_is_judged() -> None:
    drawn, judged = draw(DATA), json.loads(JUDGED.read_text("utf-8"))
    assert PAGE.read_text("utf-8") == page(drawn, judged), "run: python tools/judged_sentences.py --data ..."
    assert {d.mark for d in drawn if d.steps} == set(judged["chains"])
    assert len(drawn) == 200
    read = sum(bool(d.steps) for d in drawn)
    assert read / len(drawn) >= 0.6
    steps = sum(len(d.steps) for d in drawn)
    wrong = sum(len(v["wrong"]) for v in judged["chains"].values())
    assert 1 - wrong / steps >= 0.95
    for style in STYLES:
        of_style = [d for d in drawn if d.style == style and d.steps]
        wrong = sum(len(judged["chains"][d.mark]["wrong"]) for d in of_style)
        assert wrong <= 0.05 * sum(len(d.steps) for d in of_style), style


def drawn(text: str, made: Case | str) -> Drawn:
    return Drawn("1/x:1", "VSR's statements", text, made)


CASE = Case(id="a", image="a.png", width=8, height=8, question="?", answer="yes")
STEPS = tuple(CASE.main_step().model_copy(update={"id": f"s{i}", "depends_on": ()}) for i in range(4))


def test_a_chain_that_changed_counts_as_not_judged_and_reasons_are_counted() -> None:
    one = drawn("one", CASE.model_copy(update={"steps": STEPS}))
    verdict = {"where": "1/x:1", "steps": 4, "wrong": ["s3"], "why": "odd"}
    judged = {"reader": "one reader", "chains": {one.mark: verdict}}
    others = [drawn("two", "a comparison"), drawn("three", "a comparison"), drawn("four", "a number")]
    text = page([one, *others], judged)
    assert "| VSR's statements | 4 | 1 (25 %) | 1 | 4 | 75.0 % (30.1 to 95.4) |" in text
    assert "| VSR's statements | a comparison | 2 |" in text
    assert "| 1/x:1 | s3 | odd |" in text
    changed = replace(one, made=CASE.model_copy(update={"steps": STEPS[:3]}))
    assert "| VSR's statements | 4 | 1 (25 %) | 0 | 0 | - |" in page([changed, *others], judged)


def test_statements_become_questions_about_the_same_things() -> None:
    import random

    made = {_question("The cat is on the mat.", random.Random(i)) for i in range(40)}
    assert all("cat" in text and "on the mat?" in text and " is " in f" {text.lower()} " for text in made)
    assert len(made) > 20
    assert _question("The car contains the dog.", random.Random(0)) == ""
