"""The answer parser: a table of what models write, and laws that hold for any text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headscope.models.answers import normalise, parse_answer, words

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
        ("yes or no", ("yes", "no"), "yes"),
        ("either yes or no", YES, None),
        ("left", SIDES, "left"),
        ("The dog faces left.", SIDES, "left"),
        ("not left but right", SIDES, None),
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
        ("A or B", LETTERS, "A"),
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
