"""Rules: every relation of VSR, what each family asks, and nothing answered that nobody knows."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from headscope.data.checks import check_case
from headscope.data.schema import Case, Object
from headscope.functions import DEFAULT
from headscope.making.decompose.agreement import compare
from headscope.making.decompose.claims import claim_of, parse_claim
from headscope.making.decompose.relations import FAMILIES, FAMILY
from headscope.making.decompose.rules import decompose, decompose_all
from headscope.making.photographs.instances import read_instances
from headscope.making.photographs.nouns import a, has_front, plural, there_is

SHARED = Path(__file__).parents[3].parent / "shared" / "data"
VSR = SHARED / "vsr"
here = pytest.mark.skipif(not VSR.is_dir(), reason="the rows of shared/data/vsr are not here")


def statement(relation: str, holds: bool = True, s: str = "dog", o: str = "horse", **changes: Any) -> Case:
    middle = relation if relation in ("contains", "consists of", "has as a part") else f"is {relation}"
    base = {
        "id": "c",
        "image": "c.jpg",
        "width": 600,
        "height": 400,
        "question": f"Is it true that the {s} {middle} the {o}?",
        "answer": "true" if holds else "false",
        "choices": ("true", "false"),
        "source": "vsr/zeroshot/dev",
    }
    return Case.model_validate(base | changes)


def rows(split: str) -> list[dict[str, Any]]:
    files = sorted((VSR / "data" / "splits" / split).glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]


def case_of(row: dict[str, Any], number: int) -> Case:
    claim = row["caption"].rstrip(".")
    question = f"Is it true that {claim[0].lower()}{claim[1:]}?"
    holds = bool(row["label"])
    changes = {"id": f"v{number}", "question": question, "original": row, "kind": row["relation"]}
    return statement("on", holds, **changes)


@here
@pytest.mark.parametrize(("split", "count", "relations"), [("zeroshot", 5051, 61), ("random", 10972, 66)])
def test_every_row_of_vsr_becomes_a_valid_chain(split: str, count: int, relations: int) -> None:
    made = decompose_all(case_of(row, i) for i, row in enumerate(rows(split)))
    assert len(made.cases) == count
    assert made.kept == {}
    table = made.table()
    assert len(table) == relations
    assert sum(r["cases"] for r in table) == count  # type: ignore[misc]
    for case in made.cases:
        assert len(case.steps) >= 3
        claim = claim_of(case)
        assert not isinstance(claim, str)
        assert claim.relation == case.kind
    for case in made.cases[:: count // 400]:
        assert not list(check_case(case.model_dump(), DEFAULT))


@here
def test_every_relation_of_the_meta_categories_has_a_family() -> None:
    text = (VSR / "rel_meta_category_dict.txt").read_text("utf-8")
    named = {r.strip() for line in text.splitlines() for r in line.partition(":")[2].split(",") if r.strip()}
    assert named - set(FAMILY) == set()


@pytest.mark.parametrize("relation", sorted(FAMILY))
@pytest.mark.parametrize("holds", [True, False])
def test_every_relation_gives_a_chain_of_typed_steps(relation: str, holds: bool) -> None:
    case = decompose(statement(relation, holds))
    assert isinstance(case, Case)
    assert not list(check_case(case.model_dump(), DEFAULT))
    functions = [s.function for s in case.steps]
    assert functions[:2] == ["object_recognition"] * 2
    assert functions[-1] == "decision_making"
    assert "relational_reasoning" in functions
    assert case.steps[-1].answer == case.answer
    assert case.steps[-1].depends_on == tuple(s.id for s in case.steps[:-1])
    for step in case.steps:
        assert bool(step.answer) == (step.origin == "derived")
        assert "{" not in step.question


ORIENTED = ("side", "depth", "facing", "alignment", "opposite")


def test_relations_that_depend_on_a_front_ask_for_it_and_no_others_do() -> None:
    for family, (names, _) in FAMILIES.items():
        case = decompose(statement(names[0]))
        assert isinstance(case, Case)
        asks = "orientation_perception" in [s.function for s in case.steps]
        assert asks == (family in ORIENTED), family


@pytest.mark.parametrize(
    ("relation", "holds", "wording", "answer"),
    [
        ("facing", True, "lead/0", "to it"),
        ("facing", False, "lead/0", ""),
        ("facing away from", True, "lead/0", "away from it"),
        ("facing away from", False, "lead/0", ""),
        ("parallel to", True, "angle/0", "side by side"),
        ("perpendicular to", False, "angle/0", ""),
        ("touching", True, "touch/0", "they touch"),
        ("touching", False, "touch/0", "room between"),
        ("on", True, "touch/0", ""),
        ("far from", True, "distance/0", "far"),
        ("far from", False, "distance/0", ""),
        ("near", True, "distance/0", ""),
        ("inside", True, "inside/0", ""),
        ("left of", True, "side/0", ""),
        ("above", True, "higher/0", ""),
        ("at the edge of", True, "edge/0", "its edge"),
    ],
)
def test_only_what_the_words_decide_is_answered(
    relation: str, holds: bool, wording: str, answer: str
) -> None:
    case = decompose(statement(relation, holds))
    assert isinstance(case, Case)
    (step,) = [s for s in case.steps if s.wording == wording]
    assert step.answer == answer


def test_boxes_answer_where_and_side_and_height() -> None:
    things = (
        Object(id="d", name="dog", box=(20, 150, 120, 250)),
        Object(id="h", name="horse", box=(400, 150, 560, 250)),
    )
    case = decompose(statement("left of", objects=things))
    assert isinstance(case, Case)
    answers = {s.wording: s.answer for s in case.steps if s.function != "spatial_perception"}
    assert answers["side/0"] == "left"
    assert [s.answer for s in case.steps if s.wording == "where/left"] == ["left", "right"]
    assert [s.objects for s in case.steps][:2] == [("d",), ("h",)]


def test_a_bowl_has_no_front_but_what_faces_has_one() -> None:
    behind = decompose(statement("behind", o="bowl"))
    assert isinstance(behind, Case)
    assert [s.answer for s in behind.steps if s.wording == "face/0"] == ["it has no front"]
    assert not [s for s in behind.steps if s.wording == "faced/0"]
    faces = decompose(statement("facing", s="wine glass"))
    assert isinstance(faces, Case)
    assert [s.answer for s in faces.steps if s.wording == "face/0"] == [""]


def test_a_false_statement_of_an_unknown_source_does_not_make_its_things_be_there() -> None:
    case = decompose(statement("on", holds=False, source="mine"))
    assert isinstance(case, Case)
    assert [s.origin for s in case.steps[:2]] == ["unanswered", "unanswered"]


def test_questions_that_are_no_statement_are_left_with_the_reason() -> None:
    made = decompose_all([statement("on", question="How many dogs are there?", answer="2", choices=())])
    assert made.cases[0].steps == ()
    assert made.kept == {"c": "no statement about two things and a known relation"}


def test_steps_that_are_there_are_kept_unless_asked_again() -> None:
    case = decompose(statement("on"))
    assert isinstance(case, Case)
    short = case.model_copy(update={"steps": case.steps[-1:]})
    assert decompose_all([short]).kept == {"c": "has steps already"}
    assert len(decompose_all([short], again=True).cases[0].steps) == len(case.steps)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The cow is at the back of the person.", ("cow", "at the back of", "person")),
        ("Is the dog far away from the hot dog?", ("dog", "far away from", "hot dog")),
        ("Is it true that the cake consists of the donut?", ("cake", "consists of", "donut")),
        ("The scissors are on top of the book", ("scissors", "on top of", "book")),
        ("How many dogs are there?", None),
        ("The dog sleeps.", None),
        ("", None),
    ],
)
def test_statements_are_read(text: str, found: tuple[str, str, str] | None) -> None:
    assert parse_claim(text) == found


def test_words_around_names() -> None:
    assert [a(n) for n in ("dog", "apple", "scissors", "broccoli")] == [
        "a dog",
        "an apple",
        "scissors",
        "broccoli",
    ]
    assert there_is("scissors") == "are there scissors"
    assert [plural(n) for n in ("bus", "person", "knife", "toothbrush", "toy", "berry")] == [
        "buses", "people", "knives", "toothbrushes", "toys", "berries",
    ]  # fmt: skip
    assert (has_front("hot dog"), has_front("teddy bear"), has_front("suitcase")) == (False, True, None)


@here
@pytest.mark.skipif(not (SHARED / "tiny_coco").is_dir(), reason="shared/data/tiny_coco is not here")
def test_boxes_and_people_agree_where_both_speak() -> None:
    photos = read_instances(SHARED / "tiny_coco" / "annotations" / "instances_train2017.json").photos
    found = compare(rows("random"), {p.image.rpartition("/")[2]: p for p in photos})
    said = [r for r in found if r["boxes"] is not None]
    assert Counter(r["boxes"] == r["label"] for r in said) == {True: 2}
