"""The answer parser: a table of what models write, and laws that hold for any text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headscope.models.answer_words import normalise, words
from headscope.models.answers import parse_answer

YES = ("yes", "no")
TRUE = ("true", "false")
SIDES = ("left", "right")
PLACES = ("left", "right", "top", "bottom", "top left", "top right", "bottom left", "bottom right", "center")
NUMBERS = ("one", "two", "three", "ten")
LETTERS = ("A", "B", "C")


@pytest.mark.parametrize(
    ("text", "choices", "expected"),
    [
        ("yes", YES, "yes"),
        (" Yes.", YES, "yes"),
        ("YES!!", YES, "yes"),
        ("No, it is not.", YES, "no"),
        ("Yes, there is no other dog.", YES, "yes"),
        ("True", YES, "yes"),
        ("false.", YES, "no"),
        ("yes", TRUE, "true"),
        ("No", TRUE, "false"),
        ("true", ("yes", "no", "true"), "true"),
        ("false", ("yes", "no", "true"), None),
        ("perhaps", YES, None),
        ("yes or no", ("yes", "no"), None),
        ("either yes or no", YES, None),
        ("left", SIDES, "left"),
        ("The dog faces left.", SIDES, "left"),
        ("not left but right", SIDES, "right"),
        ("leftover", SIDES, None),
        ("to the RIGHT", SIDES, "right"),
        ("top left", PLACES, "top left"),
        ("left", PLACES, "left"),
        ("Top-left corner", PLACES, "top left"),
        ("in the upper left", PLACES, "top left"),
        ("lower right", PLACES, "bottom right"),
        ("in the middle", PLACES, "center"),
        ("the centre", PLACES, "center"),
        ("centre", ("middle", "edge"), "middle"),
        ("center", ("middle", "edge"), "middle"),
        ("center", ("middle", "centre"), "centre"),
        ("upper", ("upper", "top"), "upper"),
        ("2", NUMBERS, "two"),
        ("There are 3 sheep", NUMBERS, "three"),
        ("10.", NUMBERS, "ten"),
        ("two", ("1", "2"), "2"),
        ("Two", ("1", "2"), "2"),
        ("12", ("1", "2"), None),
        ("2", ("2", "two"), "2"),
        ("Two!", ("2", "two"), None),
        ("A", LETTERS, "A"),
        ("a", LETTERS, "A"),
        ("(B)", LETTERS, "B"),
        ("The answer is A.", LETTERS, "A"),
        ("the answer is a C", LETTERS, "C"),
        ("A or B", LETTERS, None),
        ("a red car", ("red car", "blue car"), "red car"),
        ("red car", ("the red car", "the blue car"), "the red car"),
        ("the red one", ("red", "blue"), "red"),
        ("gray", ("grey", "blue"), "grey"),
        ("", YES, None),
        ("...", YES, None),
        ("", (), None),
        ("The Red Car.", (), "red car"),
        ("3", (), "three"),
        ("The", (), "the"),
    ],
)
def test_a_text_amounts_to_the_choice_that_a_reader_would_name(
    text: str, choices: tuple[str, ...], expected: str | None
) -> None:
    assert parse_answer(text, choices) == expected


@pytest.mark.parametrize(
    ("text", "choices", "expected"),
    [
        ("The answer is (B).", LETTERS, "B"),
        ("**left**", SIDES, "left"),
        ("<think>left or right? It looks left.</think> right", SIDES, "right"),
        ("It looks left.</think>\n\nright", SIDES, "right"),
        ("<think>Is it left? The dog", SIDES, None),
        ("<think>no</think> yes", YES, "yes"),
        ("Yes, the dog is facing the horse.", YES, "yes"),
        ("No. There is a dog on the left.", YES, "no"),
        ("The dog is not on the left.", SIDES, None),
        ("It isn't left.", SIDES, None),
        ("It is not left, it is right.", SIDES, "right"),
        ("The horse is on the right, so the answer is left.", SIDES, "left"),
        ("Answer: no\nExplanation: yes would be wrong", YES, "no"),
        ("**Answer:** yes", YES, "yes"),
        ("The answer is left. Wait, the answer is right.", SIDES, None),
        ("The answer is unclear; left", SIDES, "left"),
        ("The correct option is C, not B", LETTERS, "C"),
        ("$\\boxed{B}$", LETTERS, "B"),
        ("\\boxed{\\text{left}}", SIDES, "left"),
        ("The dog, right of the tree, is on the **left** side.", SIDES, "left"),
        ("**left** or **right**", SIDES, None),
        ("A dog is there, B", LETTERS, "B"),
        ("A dog", LETTERS, None),
        ("A is right", LETTERS, "A"),
        ("A) the dog", LETTERS, "A"),
        ("Option A", LETTERS, "A"),
        ("B. left", LETTERS, "B"),
        ("I think B", ("A", "B", "I"), "B"),
        ("left or right", SIDES, None),
        ("both left and right", SIDES, None),
        ("I cannot tell whether it is left", SIDES, None),
        ("No idea.", YES, None),
        ("I don't know", YES, None),
        ("There are 21 sheep", NUMBERS, None),
        ("twenty-one", NUMBERS, None),
        ("twenty one", ("21", "20"), "21"),
        ("30", ("thirty", "three"), "thirty"),
        ("about 3.5", NUMBERS, None),
        ("There are 3 dogs and 2 cats", NUMBERS, None),
        ("There are three dogs.", NUMBERS, "three"),
        ("under the tree", ("above", "below"), "below"),
        ("left-hand side", SIDES, "left"),
        ("The letter is 'A'.", LETTERS, "A"),
        ("It faces to the left of the picture", ("left", "right", "towards the camera"), "left"),
        ("<think>hm</think> The Red Car", (), "red car"),
    ],
)
def test_free_text_as_models_write_it(text: str, choices: tuple[str, ...], expected: str | None) -> None:
    assert parse_answer(text, choices) == expected


def test_an_open_answer_is_compared_without_case_articles_and_punctuation() -> None:
    assert normalise("  A  Dog, ") == normalise("dog") == "dog"
    assert words("Eleven 11") == ("eleven", "eleven")


@given(st.text(max_size=60), st.lists(st.text(max_size=20), max_size=6))
@settings(max_examples=300, deadline=None)
def test_no_text_and_no_choices_make_the_parser_raise_or_invent_a_choice(
    text: str, choices: list[str]
) -> None:
    answer = parse_answer(text, choices)
    assert answer is None or not choices or answer in choices


@given(st.lists(st.text(max_size=20), min_size=1, max_size=6), st.data())
@settings(max_examples=300, deadline=None)
def test_the_exact_text_of_a_choice_is_that_choice(choices: list[str], data: st.DataObject) -> None:
    choice = data.draw(st.sampled_from(choices))
    assert parse_answer(choice, choices) == choice


@given(st.sampled_from(PLACES), st.sampled_from(["{}.", " {} ", "The {}", "It is in the {}!", "({})"]))
def test_dressing_a_choice_up_does_not_change_it(choice: str, dress: str) -> None:
    assert parse_answer(dress.format(choice.title()), PLACES) == choice
