"""Rules: every relation of VSR, what each family asks, and nothing answered that nobody knows."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from box_agreement import compare
from headscope.data.checks import check_case
from headscope.data.schema import Case, Object
from headscope.functions import DEFAULT
from headscope.making.decompose.claims import BY_RECORD, Claim, claim_of, parse_claim, read_claim
from headscope.making.decompose.relations import FAMILIES, FAMILY
from headscope.making.decompose.rules import decompose, decompose_all
from headscope.making.photographs.instances import read_instances
from headscope.making.photographs.nouns import a, has_front, plural, there_is
from shared_cases import DATA, lines, needs_cases

SHARED = DATA
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
        "original": {"relation": relation} if relation in BY_RECORD else None,
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
    assert sum(r.cases for r in table) == count
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


@pytest.mark.parametrize("relation", sorted(FAMILY))
@pytest.mark.parametrize("source", ["vsr/zeroshot/dev", "mine"])
@pytest.mark.parametrize("boxes", [True, False])
def test_nothing_before_the_verdict_depends_on_it(relation: str, source: str, boxes: bool) -> None:
    """The same steps, answered alike, of the statement when it is true and when it is false."""
    things = (
        Object(id="d", name="dog", box=(20, 150, 120, 250)),
        Object(id="h", name="bowl", box=(400, 150, 560, 250)),
    )
    made = [
        decompose(statement(relation, holds, o="bowl", source=source, objects=things if boxes else ()))
        for holds in (True, False)
    ]
    true, false = (m.steps for m in made if isinstance(m, Case))
    assert true[:-1] == false[:-1]
    assert (true[-1].answer, false[-1].answer) == ("true", "false")


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
    assert not [s for s in behind.steps if s.wording in ("face/0", "faced/0")]
    faces = decompose(statement("facing", s="wine glass"))
    assert isinstance(faces, Case)
    assert [s.answer for s in faces.steps if s.wording == "face/0"] == [""]


@pytest.mark.parametrize("holds", [True, False])
def test_a_statement_of_an_unknown_source_does_not_make_its_things_be_there(holds: bool) -> None:
    case = decompose(statement("on", holds=holds, source="mine"))
    assert isinstance(case, Case)
    assert [s.origin for s in case.steps[:2]] == ["unanswered", "unanswered"]


def test_questions_that_are_no_statement_are_left_with_the_reason() -> None:
    counted = statement("on", question="How many dogs are there?", answer="2", choices=())
    asked = statement("on", question="Where is the dog?", id="d")
    made = decompose_all([counted, asked])
    assert [c.steps for c in made.cases] == [(), ()]
    assert made.kept == {
        "c": "the answer is not yes, no, true or false",
        "d": "no statement about two things and a known relation",
    }


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
        ("Is the old building behind the ceiling?", ("old building", "behind", "ceiling")),
        ("Is the man wearing glasses near the bed?", ("man wearing glasses", "near", "bed")),
        ("", None),
    ],
)
def test_statements_are_read(text: str, found: tuple[str, str, str] | None) -> None:
    assert parse_claim(text) == found


@needs_cases
def test_the_collected_sentences_are_read_whole_or_left_alone() -> None:
    rows = {r["id"]: r for r in lines("decompose.jsonl")}
    base = {"image": "c.jpg", "width": 64, "height": 48}
    kept = {
        k: {x: y for x, y in r.items() if x in ("id", "question", "answer", "choices")}
        for k, r in rows.items()
    }
    made = {k: decompose(Case.model_validate(base | r)) for k, r in kept.items()}
    names = {k: read_claim(str(r["question"])) for k, r in rows.items()}
    asked = {k: [s.question for s in m.steps] for k, m in made.items() if isinstance(m, Case)}
    assert [(c.subject, c.object) for c in names.values() if isinstance(c, Claim)] == [
        ("umbrella", "cat"), ("dog", "cat"), ("cup", "plate"), ("cup", "wooden shelf"), ("spoon", "bowl"),
    ]  # fmt: skip
    assert asked["2"][-1] == "So is it true that the dog is not touching the cat?"
    assert made["4"] == "a comparison, which the rules do not know"
    assert asked["6"][-1] == "So is it true that there is a spoon between two bowls and a fork to its right?"
    assert not any("choose" in q.casefold() or "answer" in q.casefold() for qs in asked.values() for q in qs)


THINGS = st.sampled_from(["dog", "red cup", "dining table", "green shape", "old wooden chair"])
BEHIND = st.sampled_from(
    ["", " Choose one: yes; no.", " (A) yes (B) no", "\nA. yes\nB. no", " Please answer yes or no.",
     " Yes or no?",
     " Answer the question using a single word or phrase.", "\nOptions: yes, no", " Respond with one word.",
     "\nSelect from the following choices.\n(A) yes\n(B) no"]
)  # fmt: skip
LEADS = st.sampled_from(
    ["", "Is it true that ", "True or false: ", "In the image, ", "Question: ", "Statement: "]
)
PLAIN = sorted(set(FAMILY) - {"contains", "consists of", "has as a part", *BY_RECORD})


@settings(max_examples=300, deadline=None)
@given(
    s=THINGS, o=THINGS, relation=st.sampled_from(PLAIN), behind=BEHIND, lead=LEADS, negated=st.booleans(),
    form=st.sampled_from(["statement", "question", "there", "is there", "posture"]),
    article=st.sampled_from(["the", "a"]),
)  # fmt: skip
def test_a_sentence_is_read_whole_whatever_stands_around_it(
    s: str, o: str, relation: str, behind: str, lead: str, negated: bool, form: str, article: str
) -> None:
    subject, thing = (f"an {n}" if article == "a" and n[0] in "aeiou" else f"{article} {n}" for n in (s, o))
    no = " not" if negated else ""
    text = {
        "statement": f"{subject} is{no} {relation} {thing}",
        "question": f"is {subject}{no} {relation} {thing}",
        "there": f"there is{no} {subject} {relation} {thing}",
        "is there": f"is there {subject} {relation} {thing}",
        "posture": f"{subject} is{no} standing {relation} {thing}",
    }[form]
    if form in ("question", "is there"):
        lead = "" if "true" in lead.casefold() or lead == "Statement: " else lead
    found = read_claim(f"{lead}{text}{'?' if form in ('question', 'is there') else '.'}{behind}")
    assert isinstance(found, Claim), found
    assert (found.subject, found.relation, found.object) == (s, relation, o)
    assert (" not " in found.text) == (negated and form != "is there")
    assert not set(found.text.casefold().split()) & {"choose", "answer", "yes", "select", "true", "options"}


ODD = [
    "second",
    "from the left",
    "or the cat",
    "that sleeps",
    "its tail",
    "two",
    "with a hat",
    "tallest",
    "of the man",
    "no",
    "which",
    "largest one",
]


@settings(max_examples=200, deadline=None)
@given(
    s=THINGS,
    o=THINGS,
    odd=st.sampled_from(ODD),
    where=st.integers(0, 3),
    relation=st.sampled_from(["near", "on", "behind", "left of"]),
)
def test_words_without_a_place_leave_the_case_alone(
    s: str, o: str, odd: str, where: int, relation: str
) -> None:
    subject, thing = [(f"{odd} {s}", o), (f"{s} {odd}", o), (s, f"{odd} {o}"), (s, f"{o} {odd}")][where]
    found = read_claim(f"Is the {subject} {relation} the {thing}?")
    assert isinstance(found, str), found


@pytest.mark.parametrize(
    "text",
    [
        "Isn't the dog near the cat?", "Is the dog left or right of the cat?", "Is the dog in the picture?",
        "Is the dog facing the camera?", "Is the cup larger than the plate?",
        "There are two dogs near the cat.", "There is no cup on the table.", "Which dog is near the cat?",
        "Is the dog near the cat and the horse?", "Is the dog sleeping on the couch?",
        "Is the cat curled on the sofa?", "Is the bus near the car driving?",
        "Is the left dog near the cat?", "The dog near the cat is on the sofa.", "Are all dogs on the sofa?",
    ],
)  # fmt: skip
def test_sentences_of_other_kinds_are_left_alone_with_a_reason(text: str) -> None:
    found = read_claim(text)
    assert isinstance(found, str)
    assert found


def test_two_claims_share_their_things_and_one_verdict() -> None:
    case = decompose(statement("on", question="The cup is on the table and the dog is under the table."))
    assert isinstance(case, Case)
    asked = [s.question for s in case.steps]
    assert asked.count("Is there a table in the picture?") == 1
    assert asked[-1] == "So is it true that the cup is on the table and the dog is under the table?"
    assert [s.function for s in case.steps].count("decision_making") == 1
    assert not list(check_case(case.model_dump(), DEFAULT))


def test_several_things_of_one_name_are_not_taken_for_one() -> None:
    things = tuple(Object(id=f"d{i}", name="dog", box=(20 * i, 50, 20 * i + 10, 90)) for i in range(2))
    assert decompose(statement("on", objects=things)) == "several things of a name that the statement uses"


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
    assert (has_front("hot dog"), has_front("teddy bear"), has_front("suitcase")) == (False, True, False)


@here
@pytest.mark.skipif(not (SHARED / "tiny_coco").is_dir(), reason="shared/data/tiny_coco is not here")
def test_boxes_and_people_agree_where_both_speak() -> None:
    photos = read_instances(SHARED / "tiny_coco" / "annotations" / "instances_train2017.json").photos
    found = compare(rows("random"), {p.image.rpartition("/")[2]: p for p in photos})
    said = [r for r in found if r.boxes is not None]
    assert Counter(r.boxes == r.label for r in said) == {True: 2}
