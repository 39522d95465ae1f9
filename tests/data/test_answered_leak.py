"""Which steps are answered must not tell the main answer: planted leaks are found, imports have none."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from headscope.benchmarks.registry import import_cases
from headscope.data.answered_leak import answered_leak
from headscope.data.cases import load_cases
from headscope.data.schema import Case, Object, Step
from headscope.making.decompose.rules import decompose_all
from shared_cases import DATA


def case(number: int, answer: str, answered: tuple[bool, ...]) -> Case:
    steps = [
        Step(
            id=f"s{i}", question=f"{i}?", answer="yes" if known else "", function="counting",
            wording=f"w/{i}", origin="derived" if known else "unanswered",
        )
        for i, known in enumerate(answered)
    ]  # fmt: skip
    last = Step(id="v", question="So?", answer=answer, function="decision_making")
    return Case(
        id=str(number), image="a.png", width=9, height=9, question="?", answer=answer, steps=(*steps, last)
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_leak_is_found_and_chance_is_left_alone(seed: int) -> None:
    draw = random.Random(seed)

    def made(leaking: float) -> list[Case]:
        out = []
        for i in range(200):
            holds = draw.random() < 0.6
            known = holds if draw.random() < leaking else draw.random() < 0.5
            out.append(case(i, "yes" if holds else "no", (known, draw.random() < 0.5)))
        return out

    leaks, fair = answered_leak(made(0.5)), answered_leak(made(0.0))
    assert leaks is not None
    assert leaks.p < 0.01
    assert leaks.guessed > leaks.chance + 0.05
    assert fair is not None
    assert fair.p > 0.01
    assert abs(fair.guessed - fair.chance) < 0.1


def test_chances_p_is_that_of_a_test() -> None:
    """Over sets without a leak at most as many p below 0.1 as there should be."""
    draw = random.Random(1)
    ps = []
    for _ in range(60):
        cases = [case(i, draw.choice(["yes", "no"]), (draw.random() < 0.4,)) for i in range(40)]
        found = answered_leak(cases, draws=99)
        ps.append(found.p if found else 1.0)
    assert sum(p <= 0.1 for p in ps) <= 13


def test_nothing_to_compare_says_so() -> None:
    assert answered_leak([]) is None
    assert answered_leak([case(0, "yes", (True,)), case(1, "yes", (False,))]) is None


@pytest.mark.skipif(not DATA.is_dir(), reason="shared/data is not here")
@pytest.mark.parametrize(
    ("source", "place", "split"),
    [
        ("vsr", "vsr", "zeroshot/dev"), ("vsr", "vsr_photos", ""), ("nlvr", "nlvr", "dev"),
        ("coco", "tiny_coco", ""), ("super_clevr", "super_clevr", ""),
        ("super_clevr", "super_clevr", "scenes"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("other_name", [True, False])
def test_no_import_tells_the_answer_by_what_is_answered(
    source: str, place: str, split: str, other_name: bool, tmp_path: Path
) -> None:
    import_cases(source, tmp_path / "out", place=DATA / place, split=split)
    cases = list(load_cases(tmp_path / "out", pictures=False))
    if other_name:  # as anybody's statements, of which nothing is known
        cases = [c.model_copy(update={"source": "mine"}) for c in cases]
    found = answered_leak(decompose_all(cases).cases)
    assert found is None or found.p > 0.01


def test_statements_with_and_without_boxes_do_not_tell_their_truth() -> None:
    draw = random.Random(0)
    cases = []
    for i in range(300):
        things = tuple(
            Object(id=n, name=n, box=(x, 5, x + 20, 30) if draw.random() < 0.5 else None)
            for x, n in ((5, "dog"), (60, "cup"))
        )
        relation = draw.choice(["touching", "facing", "far from", "on", "left of"])
        cases.append(
            Case(
                id=str(i), image="a.png", width=100, height=40, objects=things,
                question=f"Is the dog {relation} the cup?", answer=draw.choice(["yes", "no"]),
                choices=("yes", "no"),
            )
        )  # fmt: skip
    made = decompose_all(cases)
    assert made.kept == {}
    found = answered_leak(made.cases)
    assert found is not None
    assert found.p > 0.01
    assert json.dumps(vars(found))
