from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from counted import calls_of
from headscope.data.blind import blind_table
from headscope.data.schema import Case, Step
from headscope.functions import DEFAULT

KINDS = ["dog", "cat", "horse", "cow", "pig", "sheep", "rabbit", "duck", "car", "truck", "tree", "cup"]
COLOURS = ("red", "blue", "green", "yellow", "black", "white")
Draw = Callable[[random.Random], tuple[str, str, tuple[str, ...]]]


def table(
    draw: Draw, function: str = "spatial_perception", count: int = 600, per_picture: int = 2
) -> dict[str, Any]:
    """The row of one function whose questions, answers and choices ``draw`` makes."""
    rng = random.Random(7)
    cases = []
    for i in range(count // per_picture):
        steps = []
        for n in range(per_picture):
            question, answer, choices = draw(rng)
            steps.append(
                Step(id=f"s{n}", question=question, answer=answer, choices=choices, function=function)
            )
        cases.append(
            Case(
                id=f"c{i}",
                image=f"{i}.png",
                width=9,
                height=9,
                question="So?",
                answer="?",
                steps=tuple(steps),
            )
        )
    rows = {r.function: r for r in blind_table(cases)}
    assert rows["main"].steps == len(cases)
    return rows[function]


def fair(rng: random.Random) -> tuple[str, str, tuple[str, ...]]:
    return (
        f"Is the {rng.choice(KINDS)} on the {rng.choice(COLOURS)} side?",
        rng.choice(["yes", "no"]),
        ("yes", "no"),
    )


def test_fair_questions_give_nothing_away() -> None:
    row = table(fair)
    assert row.used == row.steps == 600
    assert row.chance == 0.5
    assert abs(row.difference) < 5
    assert not row.flag


def test_a_word_that_betrays_the_answer_is_found() -> None:
    def leaky(rng: random.Random) -> tuple[str, str, tuple[str, ...]]:
        kind = rng.choice(KINDS)
        likely = "yes" if KINDS.index(kind) % 2 else "no"
        answer = likely if rng.random() < 0.8 else {"yes": "no", "no": "yes"}[likely]
        return f"Is the {kind} on the left?", answer, ("yes", "no")

    row = table(leaky)
    assert row.blind == pytest.approx(0.8, abs=0.05)
    assert row.difference > 20
    assert row.flag
    assert row.clear


def test_a_pair_of_words_that_betrays_the_answer_is_found() -> None:
    def leaky(rng: random.Random) -> tuple[str, str, tuple[str, ...]]:
        colour, kind = rng.randrange(4), rng.randrange(4)
        return (
            f"Where is the {COLOURS[colour]} {KINDS[kind]}?",
            ["left", "right"][(colour + kind) % 2],
            ("left", "right"),
        )

    assert table(leaky).difference > 30


def test_a_lopsided_answer_is_the_majority_and_no_leak() -> None:
    row = table(lambda rng: (fair(rng)[0], "yes" if rng.random() < 0.8 else "no", ("yes", "no")))
    assert row.majority == pytest.approx(0.8, abs=0.04)
    assert row.chance == 0.5
    assert not row.flag


def test_answer_types_mixed_in_one_function_are_each_held_against_their_own_majority() -> None:
    def mixed(rng: random.Random) -> tuple[str, str, tuple[str, ...]]:
        if rng.random() < 0.5:
            return fair(rng)
        kind = rng.choice(KINDS)
        return f"What colour is the {kind}?", rng.choice(COLOURS), tuple(rng.sample(COLOURS, 6))

    row = table(mixed, count=1500)
    assert row.majority == pytest.approx((1 / 2 + 1 / 6) / 2, abs=0.05)
    assert abs(row.difference) < 5
    assert not row.flag


def test_two_named_things_are_held_against_the_first_named() -> None:
    def pick(rng: random.Random, first_wins: float) -> tuple[str, str, tuple[str, ...]]:
        a, b = rng.sample(KINDS, 2)
        answer = a if rng.random() < first_wins else b
        return f"Which is nearer, the {a} or the {b}?", answer, tuple(sorted((a, b)))

    even = table(lambda rng: pick(rng, 0.5), count=1000)
    assert even.majority == pytest.approx(0.5, abs=0.05)
    assert even.difference < 5
    often = table(lambda rng: pick(rng, 0.75), count=1000)
    assert often.majority == pytest.approx(0.75, abs=0.05)
    assert often.difference < 5


def test_a_thing_that_mostly_wins_wherever_it_is_named_is_the_majority_of_changing_choices() -> None:
    def size(rng: random.Random) -> tuple[str, str, tuple[str, ...]]:
        a, b = rng.sample(range(len(KINDS)), 2)
        return f"Which is bigger, the {KINDS[a]} or the {KINDS[b]}?", KINDS[max(a, b)], (KINDS[a], KINDS[b])

    row = table(size, count=1000)
    assert row.majority > 0.9
    assert row.chance == 0.5


def test_changing_choices_that_the_question_does_not_name_leak_only_through_its_words() -> None:
    def other(rng: random.Random, leak: bool) -> tuple[str, str, tuple[str, ...]]:
        kind = rng.randrange(len(KINDS))
        asked = KINDS[kind - 1] if leak else rng.choice(KINDS)
        choices = [*rng.sample([k for i, k in enumerate(KINDS) if i != kind], 3), KINDS[kind]]
        return f"What is beside the thing near the {asked}?", KINDS[kind], tuple(choices)

    fair_row = table(lambda rng: other(rng, False), count=1000)
    assert fair_row.chance == 0.25
    assert fair_row.majority == pytest.approx(0.25, abs=0.07)
    assert abs(fair_row.difference) < 5
    assert table(lambda rng: other(rng, True), count=1000).difference > 50


def test_open_answers_are_held_against_the_most_frequent_one() -> None:
    row = table(lambda rng: (fair(rng)[0], rng.choice(["a dog", "a dog", "a cat", "a cow"]), ()))
    assert row.majority == pytest.approx(0.5, abs=0.05)
    assert not row.flag


def test_knowledge_may_be_told_from_the_question_and_is_not_flagged() -> None:
    def fact(rng: random.Random) -> tuple[str, str, tuple[str, ...]]:
        kind = rng.choice(KINDS)
        return f"Is a {kind} alive?", "yes" if KINDS.index(kind) < 8 else "no", ("yes", "no")

    row = table(fact, function="knowledge_recall")
    assert row.difference > 20
    assert not row.from_picture
    assert not row.flag


def test_questions_about_one_picture_never_help_each_other() -> None:
    # Answers depend on the picture, each picture has a word of its own: only a leak across folds could tell.
    counter = iter(range(100_000))

    def own(rng: random.Random) -> tuple[str, str, tuple[str, ...]]:
        picture = next(counter) // 4
        return (
            f"Is it there on picture{picture}?",
            "yes" if random.Random(picture).random() < 0.5 else "no",
            ("yes", "no"),
        )

    assert table(own, per_picture=4, count=800).difference < 5


def test_main_questions_are_flagged_too_and_rows_follow_the_taxonomy() -> None:
    rng = random.Random(1)
    cases = []
    for i in range(300):
        kind = rng.choice(KINDS)
        steps = tuple(
            Step(
                id=str(n),
                question=fair(rng)[0],
                answer=rng.choice(["yes", "no"]),
                choices=("yes", "no"),
                function=f,
            )
            for n, f in enumerate(["extra", *reversed(DEFAULT.functions)])
        )
        answer = "yes" if KINDS.index(kind) < 6 else "no"
        cases.append(
            Case(
                id=str(i),
                image=f"{i}",
                width=9,
                height=9,
                question=f"Does the {kind} face us?",
                answer=answer,
                choices=("yes", "no"),
                steps=steps,
            )
        )
    rows = blind_table(cases)
    assert [r.function for r in rows] == [*DEFAULT.functions, "extra", "main"]
    assert rows[-1].flag
    assert rows[-1].error < 5
    assert rows == blind_table(cases[::-1])


def test_a_gain_within_its_error_is_flagged_but_not_clear() -> None:
    rows = [table(fair, count=n) for n in range(24, 60, 2)]
    lucky = [r for r in rows if r.flag]
    assert lucky, "so few questions give some gain over 5 points by chance"
    assert all(r.clear == (r.difference > 2 * r.error) for r in rows)
    assert not all(r.clear for r in lucky)


def test_too_few_questions_are_said_to_be_unused() -> None:
    row = table(fair, count=10)
    assert (row.steps, row.used, row.blind, row.difference) == (10, 0, None, None)
    assert row.flag is False


def test_the_work_grows_with_the_cases_and_no_faster() -> None:
    rng = random.Random(3)
    cases = []
    for i in range(1600):
        steps = tuple(
            Step(id=str(n), question=f"What colour is the {rng.choice(KINDS)} by the {rng.choice(KINDS)}?",
                 answer=rng.choice(COLOURS), choices=COLOURS, function=DEFAULT.functions[n])
            for n in range(5)
        )  # fmt: skip
        cases.append(Case(id=str(i), image=f"{i}", width=9, height=9, question="?", answer="x", steps=steps))
    assert calls_of(lambda: blind_table(cases)) < 10 * calls_of(lambda: blind_table(cases[:200]))
