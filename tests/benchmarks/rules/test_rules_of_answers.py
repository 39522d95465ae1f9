"""SpatialEval's and Spatial457's rules, which differ in what they take for the answer."""

from __future__ import annotations

from typing import Any

import pytest

from headscope.benchmarks import spatial457, spatialeval
from headscope.benchmarks.registry import rule
from headscope.benchmarks.rule import Table
from headscope.data.schema import Case


def case(name: str, answer: str = "yes", choices: tuple[str, ...] = ("yes", "no"), **more: Any) -> Case:
    return Case(
        id=name, image="a.png", width=8, height=8, question="?", answer=answer, choices=choices, **more
    )


def scores(table: Table) -> dict[tuple[str, str], tuple[float | None, int]]:
    return {(r.score, r.group): (r.value, r.n) for r in table}


@pytest.mark.parametrize(
    ("name", "text", "answer", "right"),
    [
        ("spatialmap.vqa.0.0", "A. Northeast. The shop lies ...", "Northeast", True),
        ("spatialmap.vqa.0.0", "It is to the southwest, not northeast.", "Northeast", False),
        ("spatialmap.vqa.0.1", "Oz Oddities is located northeast of it", "Oz Oddities", True),
        ("spatialmap.vqa.0.1", "B. Gale Gifts is in the map.", "Gale Gifts", True),
        ("spatialmap.vqa.0.1", "the answer (B) Gale Gifts", "Gale Gifts", False),  # \\b before a bracket
        ("spatialmap.vqa.0.1", "I choose C, Gale Gifts.", "C", True),  # the mark is what is read
        ("spatialmap.vqa.0.1", "I choose C, Gale Gifts.", "Gale Gifts", False),
        (
            "spatialmap.vqa.0.1",
            "Oz is here. Therefore, the object in the Northeast of Oz Oddities is Gale Gifts",
            "Gale Gifts",
            True,
        ),
        ("mazenav.vqa.0.1", "There are 3 turns left and 2 right. There are 5 total turns", "5", True),
        ("mazenav.vqa.0.1", "a total of 9 turns, so the answer is 8", "8", True),
        ("spatialmap.vqa.0.2", "There are two shops: 1. A, 2. B", "2", True),
        ("mazenav.vqa.0.0", "There are 3 right turns and 5 left turns.", "3", True),
        ("mazenav.vqa.0.1", "a total of 12 turns", "2", True),  # containment: "2" is in "12"
        ("mazenav.vqa.0.2", "No, it is not.", "No", True),
        ("mazenav.vqa.0.2", "Cannot say.", "No", True),  # nothing read is "none", which contains "no"
        ("mazenav.vqa.0.2", "Cannot say.", "Yes", False),
        ("spatialgrid.vqa.0.0", "I count five dogs", "5", True),
        ("spatialgrid.vqa.0.1", "The cell holds a Cat.", "cat", True),
        ("spatialgrid.vqa.0.1", "a horse", "cat", False),
        ("spatialreal.vqa.0.0", "I see three chairs there", "three", True),
    ],
)
def test_spatialeval_finds_the_answer_within_what_it_reads(
    name: str, text: str, answer: str, right: bool
) -> None:
    assert spatialeval.judge(case(name, answer, ()), text) is right


def test_spatialeval_shows_what_is_left_without_containment() -> None:
    cases = [
        case("mazenav.vqa.0.1", "2", (), kind="mazenav"),
        case("spatialgrid.vqa.1.1", "cat", (), kind="spatialgrid"),
    ]
    table = scores(rule("spatialeval/vqa")(cases, {cases[0].id: "12 turns", cases[1].id: "a cat"}))
    assert table["containment", "all"] == (1.0, 2)
    assert table["exact (not official)", "all"] == (0.5, 2)


@pytest.mark.parametrize(
    ("answer", "said", "right"),
    [
        *(("Yes", x, True) for x in ("yes", "YES", "true", "1", "7")),
        *(("Yes", x, False) for x in ("no", "0", "none", "12", "red")),
        *(("No", x, True) for x in ("no", "0", "none", "False")),
        ("True", "Yes", True),
        ("False", "0", True),
        ("2", "two", True),
        ("2", "3", False),
        ("10", "ten", True),
        ("Red", "red", True),
        ("sedan", "truck", True),  # one family
        ("school bus", "double bus", True),
        ("sedan", "jet", False),
        ("left", "right", False),
    ],
)
def test_spatial457_equivalences(answer: str, said: str, right: bool) -> None:
    assert spatial457.same(answer, said) is right


def test_spatial457_reads_the_answer_out_of_its_form() -> None:
    one = case("s", "Red", (), kind="L1_single")
    assert spatial457.judge(one, "{'Reasoning': 'a blue car', 'Answer': 'Red'}")
    assert spatial457.judge(case("n", "3", ()), "{'Reasoning': 'x', 'Answer': 3}")
    assert not spatial457.judge(one, "It is red")  # without the form all of it is the answer
    assert scores(rule("spatial457")([one], {"s": "red"}))["accuracy", "level: L1_single"] == (1.0, 1)
