"""CLEVR programs run by hand-worked examples, and by brute force over the scene."""

from __future__ import annotations

import published as p
import pytest

from headscope.benchmarks.clevr import program_steps
from headscope.benchmarks.importing.programs import Phrase, UnknownFunction, execute, scene_of
from headscope.data.fields import RecordError

SCENE = scene_of(
    p.SCENE
)  # 0: large red metal cube, 1: small blue rubber sphere, 2: small red rubber cylinder


@pytest.mark.parametrize(
    ("program", "value"),
    [
        ([p.node("scene"), p.node("count", 0)], 3),
        ([p.node("scene"), p.node("filter_color", 0, value="red"), p.node("count", 1)], 2),
        ([p.node("scene"), p.node("filter_color", 0, value="green"), p.node("exist", 1)], False),
        (
            [
                p.node("scene"),
                p.node("filter_shape", 0, value="cube"),
                p.node("unique", 1),
                p.node("query_size", 2),
            ],
            "large",
        ),
        (
            [
                p.node("scene"),
                p.node("filter_shape", 0, value="cube"),
                p.node("unique", 1),
                p.node("same_color", 2),
                p.node("unique", 3),
                p.node("query_shape", 4),
            ],
            "cylinder",
        ),
        (
            [
                p.node("scene"),
                p.node("filter_size", 0, value="small"),
                p.node("scene"),
                p.node("filter_color", 2, value="red"),
                p.node("union", 1, 3),
                p.node("count", 4),
            ],
            3,
        ),
        (
            [
                p.node("scene"),
                p.node("filter_size", 0, value="small"),
                p.node("scene"),
                p.node("filter_color", 2, value="red"),
                p.node("intersect", 1, 3),
                p.node("count", 4),
            ],
            1,
        ),
        (
            [
                p.node("scene"),
                p.node("filter_color", 0, value="red"),
                p.node("count", 1),
                p.node("scene"),
                p.node("filter_color", 3, value="blue"),
                p.node("count", 4),
                p.node("greater_than", 2, 5),
            ],
            True,
        ),
    ],
)
def test_programs_find_what_a_person_finds(program: list, value: object) -> None:
    assert execute(program, SCENE)[-1].value == value


def test_steps_rest_on_the_steps_before_and_leave_the_question_out() -> None:
    program = [
        p.node("scene"),
        p.node("filter_color", 0, value="red"),
        p.node("count", 1),
        p.node("scene"),
        p.node("filter_color", 3, value="blue"),
        p.node("count", 4),
        p.node("less_than", 2, 5),
    ]
    steps = program_steps(execute(program, SCENE))
    assert [(s.question, s.answer, s.function) for s in steps] == [
        ("How many red things are there?", "2", "counting"),
        ("How many blue things are there?", "1", "counting"),
    ]


def test_words_keep_the_order_of_adjectives_and_know_their_plural() -> None:
    words = Phrase(("large", "red", "metal"), "bus", " left of the cube")
    assert words.one == "large red metal bus left of the cube"
    assert words.many == "large red metal buses left of the cube"


@pytest.mark.parametrize(
    ("program", "field"),
    [
        ([p.node("scene"), p.node("unique", 0)], "program[1].inputs"),
        ([p.node("count", 0)], "program[0].inputs"),
        ([p.node("scene"), p.node("filter_taste", 0, value="sweet")], "program[1].inputs"),
        ([{"inputs": []}], "program[0].function"),
    ],
)
def test_programs_that_do_not_run_say_where(program: list, field: str) -> None:
    with pytest.raises(RecordError) as found:
        execute(program, SCENE)
    assert found.value.finding.field == field


def test_functions_of_other_data_sets_are_told_apart() -> None:
    with pytest.raises(UnknownFunction):
        execute([p.node("scene"), p.node("occluded", 0)], SCENE)
