"""The forms in which models give an answer, letters among them: what is said, and what it amounts to."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headscope.asking.items import Item
from headscope.data.schema import Case
from headscope.models.answers import parse_answer, shows_letters
from shared_cases import lines, needs_cases

THINGS = ("the chair", "the desk", "the lamp", "the sofa")
YES = ("yes", "no")
SIDES = ("left", "right")


@needs_cases
def test_the_collected_answers_are_read_as_they_are_meant() -> None:
    rows = lines("answers.jsonl")
    got = [parse_answer(r["said"], r["choices"], lettered=r.get("lettered", False)) for r in rows]
    assert got == [r["right"] for r in rows]


# A letter (§) and its option (¤), in the forms of model outputs, harnesses and chat templates.
FORMS = (
    "§",
    "(§)",
    "§.",
    "§)",
    "[§]",
    "{§}",
    " § ",
    "§:",
    "§\n",
    "**§**",
    "*§*",
    "`§`",
    '"§"',
    "'§'",
    "_§_",
    "<s> §",
    "§</s>",
    "§<|im_end|>",
    "§<|endoftext|>",
    "§<|eot_id|>",
    "§<end_of_turn>",
    "§<｜end｜>",
    "（§）",
    "\x08oxed{§}",
    "$\x08oxed{§}$",
    "\x08oxed{\text{§}}",
    "\x08oxed{\textbf{(§)}}",
    "\x08oxed{\\mathrm{§}}",
    "<answer>§</answer>",
    "<answer> (§) </answer>",
    "<answer>§",
    "<think>A, B, C or D?</think>\n§",
    "<CONCLUSION>§</CONCLUSION>",
    "<|begin_of_box|>§<|end_of_box|>",
    "<b>§</b>",
    "```\n§\n```",
    "Answer: §",
    "answer: §",
    "ANSWER:§",
    "Answer is (§)",
    "The answer is §.",
    "The correct answer is (§) ¤.",
    "The correct answer is:\n\n**§**",
    "Final answer: §",
    "**Answer:** §",
    "The answer is option §.",
    "Option §",
    "The answer is § because ¤ stands in front.",
    "My answer would be §",
    "The best choice is §",
    "I choose §.",
    "§. ¤",
    "(§) ¤",
    "§) ¤",
    "§: ¤",
    "§, ¤",
    "§ - ¤",
    "**§. ¤**",
    "**§**: ¤",
    "§\n¤",
    "§\nBecause of how it lies.",
    '{"answer": "§"}',
    "{'Answer': '§'}",
    "So it must be (§).",
    "Therefore, §",
    "Therefore, the answer is §",
    "(A) the chair (B) the desk (C) the lamp (D) the sofa\n§",
    "Let me look at each of them.\n\n§.",
    "§ is correct",
    "¤",
    "¤.",
    "It is ¤.",
    "The answer is ¤.",
    "**¤**",
    "\x08oxed{\text{¤}}",
    "<answer>¤</answer>",
)


@pytest.mark.parametrize("form", FORMS)
def test_a_letter_in_every_form_stands_for_its_option(form: str) -> None:
    for letter, option in zip("ABCD", THINGS, strict=True):
        said = form.replace("§", letter).replace("¤", option)
        assert parse_answer(said, THINGS, lettered=True) == option, said


@pytest.mark.parametrize(
    ("said", "choices", "right"),
    [
        ("The answer is not B, it is A", THINGS, "the chair"),
        ("It is B, not A", THINGS, "the desk"),
        ("neither A nor B", THINGS, None),
        ("A or B", THINGS, None),
        ("Both A and B", THINGS, None),
        ("So neither option (A) yes nor (B) no can be chosen.", YES, None),
        ("A dog is there", THINGS, None),
        ("a", THINGS, "the chair"),
        ("E", THINGS, None),
        ("e.g. something", THINGS, None),
        ("I'd say it's dark", THINGS, None),
        ("He has a Vitamin C bottle", THINGS, None),
        ("Player D stands alone there", THINGS, None),
        ("B is closer", ("A is closer", "B is closer"), "B is closer"),
        ("(A)", ("B is closer", "A is closer"), "B is closer"),
        ("The sign shows B near the road", SIDES, None),
        ("", THINGS, None),
        ("<think>B", THINGS, None),
    ],
)
def test_a_letter_is_an_options_only_where_it_is_meant(
    said: str, choices: tuple[str, ...], right: str | None
) -> None:
    assert parse_answer(said, choices, lettered=True) == right


@pytest.mark.parametrize("said", ["B", "(B)", "The answer is B.", "**B**"])
def test_a_letter_says_nothing_where_the_question_showed_none(said: str) -> None:
    assert parse_answer(said, SIDES) is None


@pytest.mark.parametrize("said", ["B", "(b)", "b) the desk", "the desk", "The answer is (b) the desk."])
def test_choices_that_begin_with_their_own_letter_are_lettered(said: str) -> None:
    choices = ("(a) the chair", "(b) the desk")
    assert parse_answer(said, choices) == choices[1]


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("there is no bed visible", None),
        ("There is no dog.", None),
        ("No bed", None),
        ("I see no cups, yes", "yes"),
        ("No, there is no bed.", "no"),
        ("No there is not", "no"),
        ("No.", "no"),
        ("The answer is no", "no"),
        ("So, no.", "no"),
        ("No\nThe bed is gone", "no"),
    ],
)
def test_no_is_an_answer_and_not_a_number(said: str, right: str | None) -> None:
    assert parse_answer(said, YES) == right
    assert parse_answer(said, ("true", "false")) == {"yes": "true", "no": "false", None: None}[right]


@pytest.mark.parametrize("denial", ["isn't", "is not", "isn’t", "isnt", "wasn't", "cannot be", "is never"])
@pytest.mark.parametrize("link", ["; it's", ", it is", ", but", ". It is"])
@given(which=st.permutations(SIDES))
@settings(max_examples=4, deadline=None)
def test_what_is_denied_is_not_the_answer(denial: str, link: str, which: list[str]) -> None:
    assert parse_answer(f"The answer {denial} {which[0]}{link} {which[1]}", SIDES) == which[1]
    assert parse_answer(f"It {denial} {which[0]}", SIDES) is None


@given(text=st.text(max_size=80), form=st.sampled_from(FORMS))
@settings(max_examples=300, deadline=None)
def test_no_text_makes_the_parser_raise_or_invent_an_option(text: str, form: str) -> None:
    for said in (text, form.replace("§", text), form + text):
        assert parse_answer(said, THINGS, lettered=True) in (*THINGS, None)


def test_letters_count_where_the_question_shows_them() -> None:
    assert shows_letters("Where?\nA. left\nB. right", SIDES)
    assert shows_letters("Where? (A) left (B) right", SIDES)
    assert not shows_letters("Where? left or right", SIDES)
    assert not shows_letters("Where? (A) left (B) up", SIDES)
    assert not shows_letters("(A) left", ())
    for question, answer in (("Where? (A) left (B) right", "right"), ("Where? left or right", None)):
        case = Case(id="a", image="a.png", width=8, height=8, question=question, answer="left", choices=SIDES)
        assert Item("a/main/alone", case, case.main_step(), "alone").parse("B") == answer


def test_long_texts_are_read_in_no_time() -> None:
    for piece in ("\n", " ", "A ", "(", "no ", "answer is ", "<answer>", "**", "B\n", "not left "):
        parse_answer(piece * 20_000, SIDES, lettered=True)
