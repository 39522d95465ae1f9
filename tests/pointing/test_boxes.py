"""Where boxes come from: naming, decoys, and boxes given by hand."""

from __future__ import annotations

import pytest

from headscope.data.schema import Case, Object, Step
from headscope.errors import DataError
from headscope.pointing.boxes import BoxSource, CaseBoxes, GivenBoxes, target_of
from headscope.pointing.naming import asks_for_a_set, mentions, without_sets
from headscope.pointing.regions import overlap

DOG = Object(id="o1", name="dog", box=(60, 10, 90, 40), attributes={"colour": "red"})
DOG2 = Object(id="o2", name="dog", box=(10, 60, 40, 90), attributes={"colour": "blue"})
HORSE = Object(id="o3", name="horse", box=(5, 5, 35, 35), attributes={"colour": "green"})
CUP = Object(id="o4", name="cup", box=(70, 70, 90, 90), attributes={"colour": "blue"})
CACTUS = Object(id="o5", name="cactus", attributes={})  # named by questions, absent from the picture


def case(question="Is the dog facing the horse?", answer="yes", named=("o1", "o3"), **more) -> Case:
    objects = more.pop("objects", (DOG, DOG2, HORSE, CUP, CACTUS))
    return Case(
        id="c1", image="c1.png", width=96, height=96, question=question, answer=answer, objects=objects,
        named=named, **more,
    )  # fmt: skip


def step(question, answer, function, objects, choices=()) -> Step:
    return Step(
        id="s1", question=question, answer=answer, function=function, objects=objects, choices=choices
    )


def test_the_main_question_boxes_the_objects_it_names_in_order():
    c = case()
    assert CaseBoxes().boxes(c, c.main_step()) == [DOG.box, HORSE.box]


def test_a_paraphrased_object_counts_as_named_in_the_main_question_and_in_a_step():
    c = case("Is the thing that barks left of the cup?", named=("o1", "o4"))
    assert CaseBoxes().boxes(c, c.main_step()) == [DOG.box, CUP.box]
    s = step("Where is the thing that barks?", "top right", "spatial_perception", ("o1",))
    assert CaseBoxes().boxes(c, s) == [DOG.box]
    assert CaseBoxes().boxes(case(named=()), s) == []


def test_what_a_paraphrase_stands_for_is_not_boxed_where_that_is_the_answer():
    c = case("Is the thing that barks left of the cup?", named=("o1", "o4"))
    s = step("What is the thing that barks?", "a dog", "knowledge_recall", ("o1",))
    assert CaseBoxes().target(c, s).pointing == "nothing named"


def test_an_object_that_is_the_answer_is_never_boxed():
    s = step("What is at the top right?", "dog", "object_recognition", ("o1",), ("dog", "horse"))
    target = CaseBoxes().target(case(), s)
    assert target.boxes == ()
    s = step("Which animal is right of the horse?", "dog", "object_recognition", ("o1", "o3"))
    target = CaseBoxes().target(case(), s)
    assert target.boxes == (HORSE.box,)
    assert target.pointing == "unnamed needed"


def test_offered_alternatives_are_boxed_all_or_none():
    question = "Which is nearer to the cup, the dog or the horse?"
    s = step(question, "dog", "relational_reasoning", ("o4", "o1", "o3"), ("dog", "horse"))
    assert CaseBoxes().boxes(case(), s) == [CUP.box, DOG.box, HORSE.box]
    s = step(question, "dog", "relational_reasoning", ("o4", "o1"), ("dog", "horse"))
    assert CaseBoxes().boxes(case(), s) == [CUP.box]


def test_the_boxes_of_a_question_do_not_depend_on_which_alternative_is_true():
    question = "Which is nearer to the cup, the dog or the horse?"
    boxes = [
        CaseBoxes().boxes(
            case(), step(question, truth, "relational_reasoning", ("o4", "o1", "o3"), ("dog", "horse"))
        )
        for truth in ("dog", "horse")
    ]
    assert boxes[0] == boxes[1]


def test_counted_things_are_not_boxed_but_the_anchor_is():
    s = step("How many dogs are left of the cup?", "1", "counting", ("o1", "o2", "o4"))
    target = CaseBoxes().target(case(), s)
    assert target.objects == ("o4",)
    assert target.pointing == "unnamed needed"


@pytest.mark.parametrize("name", ["sheep", "dog", "cactus", "fish"])
def test_counted_things_are_not_boxed_in_the_main_question_whatever_their_plural(name):
    plural = {"dog": "dogs", "cactus": "cacti"}.get(name, name)
    things = tuple(Object(id=f"t{i}", name=name, box=(10 * i, 0, 10 * i + 8, 8)) for i in range(2))
    c = case(f"How many {plural} are left of the cup?", "2", ("t0", "t1", "o4"), objects=(*things, CUP))
    assert CaseBoxes().boxes(c, c.main_step()) == [CUP.box]


def test_attributes_before_the_name_tell_objects_of_one_name_apart():
    s = step("Is the red dog left of the blue cup?", "no", "relational_reasoning", ("o1", "o2", "o4"))
    assert CaseBoxes().target(case(), s).objects == ("o1", "o4")
    assert mentions("Where is the blue dog?", DOG2, case())
    assert not mentions("Where is the blue dog?", DOG, case())
    assert not mentions("How many dogs are there?", DOG, case())
    assert not mentions("Is there a hotdog?", DOG, case())


def test_an_absent_object_gets_a_decoy_of_median_size_at_a_free_place():
    s = step("Is there a cactus?", "no", "object_recognition", ("o5",), ("yes", "no"))
    target = CaseBoxes(seed=3).target(case(), s)
    (decoy,) = target.boxes
    assert target.decoys == (0,)
    assert target.shown == ()
    assert target.pointing == "named"
    assert (decoy[2] - decoy[0], decoy[3] - decoy[1]) == (30, 30)
    assert all(overlap(decoy, o.box) == 0 for o in case().objects if o.box)
    assert CaseBoxes(seed=3).boxes(case(), s) == [decoy]
    places = {CaseBoxes(seed=k).boxes(case(), s)[0] for k in range(8)}
    assert len(places) > 1


def test_nothing_to_box_and_no_known_boxes_are_told_apart():
    s = step("What is written?", "A", "text_reading", ())
    assert CaseBoxes().target(case(), s).pointing == "nothing named"
    photo = case(objects=(Object(id="o1", name="dog"), Object(id="o3", name="horse")))
    assert CaseBoxes().target(photo, photo.main_step()).pointing == "no boxes known"


def test_the_main_question_needs_unnamed_things_where_a_step_is_about_one():
    about_cup = step("Where is the cup?", "bottom right", "spatial_perception", ("o4",))
    c = case(steps=(about_cup,))
    assert CaseBoxes().target(c, c.main_step()).pointing == "unnamed needed"
    assert CaseBoxes().target(case(), case().main_step()).pointing == "named"


def test_a_step_that_counts_bystanders_does_not_make_the_main_question_need_them():
    count = step("How many dogs are there?", "2", "counting", ("o1", "o2"))
    c = case("Is the red dog left of the horse?", "false", steps=(count,))
    assert CaseBoxes().target(c, c.main_step()).pointing == "named"


@pytest.mark.parametrize(
    "question",
    [
        "Are there 3 things left of the cup?",
        "Do you see 3 things left of the cup?",
        "Is the number of things left of the cup 3?",
        "Left of the cup, are there two things?",
    ],
)
def test_a_main_question_that_counts_boxes_its_anchor_and_needs_unnamed_things(question):
    c = case(question, "true", ("o4",))
    target = CaseBoxes().target(c, c.main_step())
    assert target.objects == ("o4",)
    assert target.pointing == "unnamed needed"
    assert not any(asks_for_a_set(q) for q in ("Are the two ways the same?", "Is the dog facing the cup?"))


def test_an_absent_thing_is_named_even_where_the_step_does_not_list_it():
    s = step("Is there a cactus?", "no", "object_recognition", (), ("yes", "no"))
    assert CaseBoxes().target(case(), s).objects == ("o5",)
    c = case("Is there a cactus left of the cup?", "false", ("o4",))
    assert CaseBoxes().target(c, c.main_step()).objects == ("o4", "o5")


def test_sets_are_cut_from_the_question():
    assert "dogs" not in without_sets("Count the red dogs left of the cup.")
    assert "cup" in without_sets("Count the red dogs left of the cup.")
    assert without_sets("Is the dog red?") == "Is the dog red?"


def test_boxes_given_by_hand_are_read_and_used_for_every_question():
    given = GivenBoxes.parse(["1,2,3.5,4; 5,6,7,8", "0,0,96,96"], size=(96, 96))
    assert given.given == ((1, 2, 3.5, 4), (5, 6, 7, 8), (0, 0, 96, 96))
    assert given.boxes(case(), case().main_step()) == list(given.given)
    assert target_of(given, case(), case().main_step()).pointing == "named"
    assert isinstance(given, BoxSource)
    assert isinstance(CaseBoxes(), BoxSource)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1,2,3", 'box "1,2,3": expected four numbers'),
        ("a,b,c,d", "expected four numbers"),
        ("1,2,nan,4", "expected four numbers"),
        ("10,10,10,20", "is empty"),
        ("0,0,97,20", "reaches outside the picture of 96 x 96"),
        ("-1,0,9,20", "reaches outside"),
        ("", "found none"),
    ],
)
def test_a_box_that_cannot_be_used_is_refused_with_the_reason(text, says):
    with pytest.raises(DataError, match=says.replace("(", r"\(")):
        GivenBoxes.parse([text], size=(96, 96))


def test_a_given_box_outside_a_smaller_picture_is_refused():
    with pytest.raises(DataError, match="outside the picture of 96 x 96"):
        target_of(GivenBoxes.parse(["0,0,200,20"]), case(), case().main_step())
