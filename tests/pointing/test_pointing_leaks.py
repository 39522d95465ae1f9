"""Which questions a box answers by itself: by rule, on scenes, and for a reader of boxes."""

from __future__ import annotations

from collections import Counter

import pytest

import headscope as hs
from headscope.data.schema import Step
from headscope.models.answers import parser_of
from headscope.pointing.boxes import CaseBoxes, GivenBoxes, Target, target_of
from headscope.pointing.leaks import LEAKS, leak_of
from headscope.pointing.naming import NAMED

ONE = Target(((10, 10, 40, 40),), NAMED)
TWO = Target(((10, 10, 40, 40), (60, 10, 90, 40)), NAMED)
DECOY = Target(((10, 10, 40, 40), (60, 10, 90, 40)), NAMED, decoys=(1,))
YES_NO = ("yes", "no")
WAYS = ("left", "right")


@pytest.mark.parametrize(
    ("question", "choices", "function", "target", "leak"),
    [
        # asked for by function, whatever the words
        ("Where is the dog?", ("top left", "top"), "spatial_perception", ONE, "place"),
        ("How many dogs are there?", ("1", "2"), "counting", ONE, "count"),
        ("Is there a dog?", YES_NO, "object_recognition", ONE, "presence"),
        # by words, in data with other functions
        ("Are there 3 dogs in the picture?", YES_NO, "main", TWO, "count"),
        ("Is there a dog to the left of the horse?", YES_NO, "main", TWO, "presence"),
        ("Is a dog in the image?", YES_NO, "main", ONE, "presence"),
        ("Does the photo show a dog?", YES_NO, "main", ONE, "presence"),
        ("Is the dog left of the horse?", YES_NO, "main", DECOY, "presence"),
        ("In which part of the picture is the dog?", ("a", "b"), "main", ONE, "place"),
        ("On which side is the dog?", WAYS, "main", ONE, "place"),
        ("Is the dog in the top half?", YES_NO, "main", ONE, "place"),
        ("Which way does the dog look?", WAYS, "orientation_perception", ONE, "place"),
        ("Point out the dog", ("the upper left corner", "the middle"), "main", ONE, "place"),
        ("Is the dog small or big?", ("small", "big"), "attribute_perception", ONE, "size"),
        ("How big is the dog?", ("a", "b"), "attribute_perception", ONE, "size"),
        ("Are the dog and the cat on the same side?", YES_NO, "main", TWO, "arrangement"),
        ("Is the side of the dog also the side of the cat?", YES_NO, "main", TWO, "arrangement"),
        ("The dog is next to the cat.", ("true", "false"), "main", TWO, "arrangement"),
        ("The dog is touching the cat.", ("true", "false"), "main", TWO, "arrangement"),
        # not told: boxes have no names, no colours and no letters
        ("Is the dog left of the cat?", YES_NO, "main", TWO, ""),
        ("Which way is the cat from the dog?", WAYS, "relational_reasoning", TWO, ""),
        ("Is the dog nearer to the cup than the cat?", YES_NO, "main", TWO, ""),
        ("Which is further left, the dog or the cat?", ("dog", "cat"), "relational_reasoning", TWO, ""),
        ("Is the dog facing the cat?", YES_NO, "main", TWO, ""),
        ("What colour is the small dog?", ("red", "blue"), "attribute_perception", ONE, ""),
        ("What letter is on the sign?", ("A", "B"), "text_reading", ONE, ""),
        ("Which is bigger, the dog or the cat?", ("dog", "cat"), "main", TWO, ""),
        ("Is the place of the pig above that of the cat?", YES_NO, "main", TWO, ""),
    ],
)
def test_the_rule(question: str, choices: tuple[str, ...], function: str, target: Target, leak: str) -> None:
    step = Step(id="s", question=question, answer=choices[0], function=function, choices=choices)
    assert leak_of(step, target) == leak


def test_without_a_box_nothing_leaks() -> None:
    step = Step(id="s", question="Where is the dog?", answer="left", function="spatial_perception")
    assert leak_of(step, Target((), "nothing named")) == ""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> hs.Cases:
    return hs.draw_scenes(tmp_path_factory.mktemp("scenes"), 150, seed=11, card=False)


def _place_of(box: tuple[float, ...], side: int) -> str:
    """Row and column of a box's centre among nine parts, in words."""
    column = ("left", "middle", "right")[int((box[0] + box[2]) / 2 * 3 // side)]
    row = ("top", "middle", "bottom")[int((box[1] + box[3]) / 2 * 3 // side)]
    words = [w for w in (row, column) if w != "middle"]
    return " ".join(words) or "middle"


def test_whoever_reads_the_place_off_the_only_box_is_right_on_leaky_questions_alone(scenes: hs.Cases) -> None:
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    for case in scenes:
        for step in [*case.steps, case.main_step()]:
            target = CaseBoxes().target(case, step)
            if target.pointing != NAMED or len(target.boxes) != 1:
                continue
            said = parser_of(step.question, step.choices)(_place_of(target.boxes[0], case.width))
            asked[leak_of(step, target)] += 1
            right[leak_of(step, target)] += said == step.answer
    assert asked[""] > 30
    assert right[""] == 0
    assert right["place"] > 0.8 * sum(s.function == "spatial_perception" for c in scenes for s in c.steps)


def test_every_kind_of_leak_but_those_that_need_a_detector_is_in_the_scenes(scenes: hs.Cases) -> None:
    steps = [(case, step) for case in scenes for step in [*case.steps, case.main_step()]]
    kinds = {leak_of(step, CaseBoxes().target(case, step)) for case, step in steps}
    assert kinds == {"", *LEAKS}


def test_boxes_of_a_detector_are_judged_too(scenes: hs.Cases) -> None:
    case = next(c for c in scenes if any(s.function == "counting" for s in c.steps))
    step = next(s for s in case.steps if s.function == "counting")
    assert leak_of(step, target_of(GivenBoxes(((1, 1, 20, 20),)), case, step)) == "count"
