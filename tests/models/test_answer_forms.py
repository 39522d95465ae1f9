"""The forms in which models give an answer, letters among them: what is said, and what it amounts to."""

from __future__ import annotations

import signal

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
TRUE = ("true", "false")
NUMBERS = ("1", "2", "3", "4")


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


def test_long_texts_do_not_stall_the_reading() -> None:
    def stalled(*_: object) -> None:
        raise TimeoutError  # where time grows with the square of the length it is minutes, else seconds

    before = signal.signal(signal.SIGALRM, stalled)
    signal.alarm(120)
    try:
        for piece in ("\n", " ", "A ", "(", "no ", "answer is ", "<answer>", "**", "B\n", "not left ", " \n"):
            parse_answer(piece * 60_000, SIDES, lettered=True)
        for start in ("yes\nquestion", "(A) left", "B"):
            parse_answer(start + " " * 60_000, SIDES, lettered=True)
            parse_answer(start + "\n" * 60_000, SIDES, lettered=True)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


MEANT = (
    ("[/INST] B", THINGS, True, "the desk"),
    ("USER: Where? (A) the chair (B) the desk ASSISTANT: B", THINGS, True, "the desk"),
    ("Assistant: B", THINGS, True, "the desk"),
    ("assistant\n\nB", THINGS, True, "the desk"),
    ("#### B", THINGS, True, "the desk"),
    ("[[B]]", THINGS, True, "the desk"),
    ("【B】", THINGS, True, "the desk"),
    ("答案：B", THINGS, True, "the desk"),
    ("答案是B", THINGS, True, "the desk"),
    ("Ⓑ", THINGS, True, "the desk"),
    ("Ｂ．", THINGS, True, "the desk"),
    ("B、the desk", THINGS, True, "the desk"),
    ("Final: B", THINGS, True, "the desk"),
    ("Response: B", THINGS, True, "the desk"),
    ("Ans: B", THINGS, True, "the desk"),
    ("Ans. B", THINGS, True, "the desk"),
    ("The final answer is: $\\boxed{B}$", THINGS, True, "the desk"),
    ("Answer: \\boxed{\\text{B}}", THINGS, True, "the desk"),
    ('```json\n{"answer": "B"}\n```', THINGS, True, "the desk"),
    ('{"final_answer": "B"}', THINGS, True, "the desk"),
    ('{"choice":"B. the desk"}', THINGS, True, "the desk"),
    ("I would choose option B", THINGS, True, "the desk"),
    ("I'd go with B", THINGS, True, "the desk"),
    ("My choice is B", THINGS, True, "the desk"),
    ("Let's see. A is too far. B is in front. So B.", THINGS, True, "the desk"),
    ("B. the desk\nA. the chair is too far", THINGS, True, "the desk"),
    ("B\n\nExplanation: A is far.", THINGS, True, "the desk"),
    ("It should be B", THINGS, True, "the desk"),
    ("B<0x0A>", THINGS, True, "the desk"),
    ("▁B", THINGS, True, "the desk"),
    ("\u200bB", THINGS, True, "the desk"),
    ("\ufeffB", THINGS, True, "the desk"),
    ("<pad><pad>B", THINGS, True, "the desk"),
    ("<eos>B", THINGS, True, "the desk"),
    ("B<|end_of_text|>", THINGS, True, "the desk"),
    ("A\nB\nC\nD", THINGS, True, None),
    ("A, B, C, D", THINGS, True, None),
    ("A/B", THINGS, True, None),
    ("A and B", THINGS, True, None),
    ("None of the above", THINGS, True, None),
    ("E", THINGS, True, None),
    ("(Z)", THINGS, True, None),
    ("Not B", THINGS, True, None),
    ("The answer can't be the chair, it's the desk", THINGS, True, "the desk"),
    ("It cannot be the chair; it is the desk", THINGS, True, "the desk"),
    ("(B) the chair", THINGS, True, "the desk"),
    ("correct", YES, False, "yes"),
    ("That is correct.", YES, False, "yes"),
    ("That's incorrect.", YES, False, "no"),
    ("It is not true.", YES, False, "no"),
    ("The statement is not true.", TRUE, False, "false"),
    ("The statement isn't true.", TRUE, False, "false"),
    ("The statement is not false", TRUE, False, "true"),
    ("Nope.", YES, False, "no"),
    ("Yep!", YES, False, "yes"),
    ("Y", YES, False, "yes"),
    ("N", TRUE, False, "false"),
    ("T", TRUE, False, "true"),
    ("F", YES, False, "no"),
    ("B is correct", YES, True, "no"),
    ("I believe B is correct", YES, True, "no"),
    ("The car is on the wrong side.", YES, False, None),
    ("It is partly true", TRUE, False, None),
    ("not sure", YES, False, None),
    ("I'm not sure, but yes", YES, False, "yes"),
    ("Whether this is true I cannot say", TRUE, False, None),
    ("There are no beds in the picture, so the answer is no", YES, False, "no"),
    ("no bed visible, so no", YES, False, "no"),
    ("No one is there", YES, False, None),
    ("No beds.", YES, False, None),
    ("no objects", YES, False, None),
    ("No visible bed", YES, False, None),
    ("The answer is 3.5", ("3", "3.5"), False, "3.5"),
    ("001", NUMBERS, False, "1"),
    ("003", NUMBERS, False, "3"),
    ("3.0", NUMBERS, False, "3"),
    ("1,000", ("1000", "100"), False, "1000"),
    ("There are 3 cups and 2 plates", NUMBERS, False, None),
    ("\t(D) 1", NUMBERS, True, "4"),
    ("（C）3", NUMBERS, True, "3"),
    ("(C)2", NUMBERS, True, "3"),
    ("4.", NUMBERS, False, "4"),
    ("four", NUMBERS, False, "4"),
    ("left? no, right", SIDES, False, None),
    ("It's right, not left.", SIDES, False, "right"),
    ("Not left, right.", SIDES, False, "right"),
    ("on the left-hand side", SIDES, False, "left"),
    ("left left left", SIDES, False, "left"),
    ("The answer is **(B) right**.", SIDES, True, "right"),
    ("Left (A)", SIDES, True, "left"),
    ("<think>a</think><think>b</think> left", SIDES, False, "left"),
    ("<think>left", SIDES, False, None),
    ("yes.</think>no", YES, False, "no"),
    ("<answer>\nB\n</answer>", SIDES, True, "right"),
    ("<Answer>B. right</Answer>", SIDES, True, "right"),
    (
        "<|channel|>analysis<|message|>left?<|end|><|start|>assistant<|channel|>final<|message|>right",
        SIDES,
        False,
        "right",
    ),
    ("The answer is A.\nThe answer is B.", SIDES, True, None),
    ("**Left** ... **Answer: right**", SIDES, False, "right"),
    ("It isn't left - it's right", SIDES, False, "right"),
    ("It's not the left one but the right one", SIDES, False, "right"),
    ("neither left nor right", SIDES, False, None),
    ("yes or no", YES, False, None),
    ("Yes, no dog is there", YES, False, "yes"),
    ("はい", YES, False, None),
    ("\xa0A", YES, True, "yes"),
    ("\xa0(B) no", YES, True, "no"),
    ("...", YES, True, None),
    ("\ue000No\ue001 \ue000Yellow\ue001 \ue000Taxi\ue001", YES, False, "no"),
    ("The correct option is (B).", SIDES, True, "right"),
    ("Option: B", SIDES, True, "right"),
    ("B)", SIDES, True, "right"),
    ("b", SIDES, True, "right"),
    ("b.", SIDES, True, "right"),
    ("A: left", SIDES, True, "left"),
    ("A left", SIDES, True, "left"),
    ("a left", SIDES, True, "left"),
    ("The horse is to the right of the dog, so the dog is on the left. Answer: left", SIDES, False, "left"),
    ("Yes (A)", YES, True, "yes"),
    ("No (A)", YES, True, "no"),
    ("answer is a", SIDES, True, "left"),
    ("The answer is a.", SIDES, True, "left"),
    ("The answer is a chair", THINGS, True, "the chair"),
    ("**A**\n\nBecause B is wrong", SIDES, True, "left"),
    ("Thus, the correct answer is:\nB", SIDES, True, "right"),
    ("<s>[INST] q [/INST] right</s>", SIDES, False, "right"),
    ("The dog is not on the left side; rather, it is on the right.", SIDES, False, "right"),
    ("isn’t left; it’s right", SIDES, False, "right"),
)


@pytest.mark.parametrize(("said", "choices", "lettered", "right"), MEANT)
def test_what_models_and_harnesses_write_is_read_as_it_is_meant(
    said: str, choices: tuple[str, ...], lettered: bool, right: str | None
) -> None:
    assert parse_answer(said, choices, lettered=lettered) == right


# What LLaVA-1.5's and OpenFlamingo's published files hold, and other ways of older models: all say no.
SAYS_NO = (
    *("<s> B", "<s> (B) no", "<s> (B) No", "<s> No", "\u00a0no", "\u00a0(B) no", "\uff08B\uff09"),
    *("\ue000No\ue001", "no", "NO", "No.", "b", "(b) no", "B no", "B: no", "(B)no", "(B) no\n(B) no"),
    *("B B B", "B\nB\nB", "no no no", "The answer is B.", "The answer is no.", "The answer is (B) no."),
    *("the answer is b", "ANSWER: B", "Option B", "no\nQuestion: Is it dark?\nAnswer: yes"),
    *("B\n\nQ: Is it dark?\nA: (A) yes", "no\n\nUser: And now?", "(A) yes (B) no\nAnswer: B"),
    "Question: Is it dark? (A) yes (B) no\nAnswer: no",
)
SAYS_NOTHING = (
    *("(A) yes (B) no", "A. yes\nB. no", "yes, no", "Yes or no?", "A\nB", "<s>", ".........", "C"),
    *("\u306f\u3044", ".........\n(C) yes\n(D) noAnswer:..........\n(E) yes\n(F) noAnswer:..........\n"),
)


@pytest.mark.parametrize("said", SAYS_NO)
def test_an_answer_in_the_way_of_older_models_is_read(said: str) -> None:
    assert parse_answer(said, YES, lettered=True) == "no"


@pytest.mark.parametrize("said", SAYS_NOTHING)
def test_options_said_again_and_noise_are_no_answer(said: str) -> None:
    assert parse_answer(said, YES, lettered=True) is None


@settings(max_examples=150, deadline=None)
@given(
    choices=st.lists(
        st.sampled_from([*THINGS, *SIDES, "a red cup", "3", "top left"]), min_size=2, max_size=5, unique=True
    ),
    form=st.sampled_from(["(§) ¤", "§. ¤", "§) ¤", "§: ¤", "¤"]),
    between=st.sampled_from([" ", "\n", ", ", "; ", "\n\n"]),
)
def test_a_list_of_all_options_chooses_none(choices: list[str], form: str, between: str) -> None:
    named = zip("ABCDE", choices, strict=False)
    said = between.join(form.replace("§", n).replace("¤", c) for n, c in named)
    assert parse_answer(said, choices, lettered=True) is None
    last = choices[-1]
    assert parse_answer(f"{said}\nThe answer is {last}.", choices, lettered=True) == last
