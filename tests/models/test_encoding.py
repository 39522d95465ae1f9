"""Encoded batches: what the spans decode to, where padding lies, and how answers follow the prompt."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from counted import calls_of
from headscope.errors import ModelError
from headscope.models.prompts import Template
from headscope.models.types import Prompt
from headscope.models.vlm import VLM

FAMILIES = pytest.mark.parametrize("family", ["tiny", "tiny_qwen"])
QUESTIONS = [
    "Is the dog facing the horse?",
    "Where?",
    "user",
    "How many cats are top left of user assistant?",
]
HISTORY = (("Where is the dog?", "right"), ("Is the dog facing the horse?", "yes"))


def image(width: int = 40, height: int = 30) -> Image.Image:
    return Image.new("RGB", (width, height), (200, 30, 60))


@pytest.fixture
def vlm(family: str, request: pytest.FixtureRequest) -> VLM:
    loaded: VLM = request.getfixturevalue(family)
    return loaded


@FAMILIES
def test_the_question_span_decodes_to_the_last_question_and_nothing_else(vlm: VLM) -> None:
    prompts = [Prompt(image(), q, h) for q in QUESTIONS for h in ((), HISTORY)]
    encoded = vlm.encode(prompts)
    for item, prompt in enumerate(prompts):
        marked = torch.nonzero(encoded.question[item]).flatten()
        assert vlm.tokenizer.decode(encoded.inputs["input_ids"][item][marked]) == prompt.question
        assert (marked.diff() == 1).all(), "the question is one run of tokens"
        assert marked[0] > torch.nonzero(encoded.image[item]).max(), "it follows the picture"
        rest = encoded.inputs["input_ids"][item][marked[-1] + 1 :]
        assert vlm.tokenizer.decode(rest) == vlm.template.tail


@FAMILIES
def test_the_image_span_is_the_image_tokens_of_the_first_turn(vlm: VLM) -> None:
    encoded = vlm.encode([Prompt(image(), "Where?", HISTORY), Prompt(image(), "Where?")])
    ids = encoded.inputs["input_ids"]
    for item in range(2):
        assert (ids[item][encoded.image[item]] == vlm.image_token_id).all()
        assert not (ids[item][~encoded.image[item]] == vlm.image_token_id).any()
        assert encoded.grids[item].boxes is not None
        assert len(encoded.grids[item].boxes) == int(encoded.image[item].sum())
    assert not (encoded.image & encoded.question).any()


@FAMILIES
def test_padding_is_on_the_left_and_in_no_span(vlm: VLM) -> None:
    encoded = vlm.encode(
        [Prompt(image(), "Where?"), Prompt(image(), "Is the dog facing the horse?", HISTORY)]
    )
    attended = encoded.inputs["attention_mask"].bool()
    assert encoded.length == attended.shape[1]
    assert attended[:, -1].all()
    assert not attended[0, 0]
    assert (attended.int().diff(dim=1) >= 0).all()
    assert not ((encoded.image | encoded.question) & ~attended).any()


@FAMILIES
def test_earlier_turns_stand_in_the_prompt_in_order(vlm: VLM) -> None:
    encoded = vlm.encode([Prompt(image(), "Where?", HISTORY)])
    text = vlm.tokenizer.decode(encoded.inputs["input_ids"][0])
    places = [
        text.index(t) for t in ("Where is the dog?", "right", "Is the dog facing", "yes", "Where?<|im_end|>")
    ]
    assert places == sorted(places)


@FAMILIES
def test_the_end_tokens_are_tokenised_once(vlm: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    known = vlm.end_ids
    assert vlm.tokenizer.convert_tokens_to_ids("<|im_end|>") in known

    def again(*_args: object, **_options: object) -> None:
        raise AssertionError("tokenised again")

    monkeypatch.setattr(type(vlm.tokenizer), "__call__", again)
    assert vlm.end_ids == known


@FAMILIES
def test_an_answers_tokens_are_those_that_follow_the_prompt_in_a_finished_turn(vlm: VLM) -> None:
    answers = ["yes", "top left", "two", "A"]
    for answer, ids in zip(answers, vlm.encode_answers(answers), strict=True):
        finished = vlm.template._render((), "Where?", answer)
        opened = vlm.template.render(Prompt(image(), "Where?"))
        whole = vlm.tokenizer(finished, add_special_tokens=False)["input_ids"]
        start = len(vlm.tokenizer(opened, add_special_tokens=False)["input_ids"])
        assert whole[start : start + len(ids)] == ids
        assert whole[start + len(ids)] in vlm.end_ids
        assert vlm.decode(ids) == answer
    with pytest.raises(ModelError, match="empty"):
        vlm.encode_answers([""])


@FAMILIES
def test_what_the_caller_does_to_an_answers_tokens_stays_with_the_caller(vlm: VLM) -> None:
    vlm.encode_answers(["yes"])[0].append(-1)
    assert -1 not in vlm.encode_answers(["yes"])[0]


@FAMILIES
def test_bad_prompts_are_refused(vlm: VLM) -> None:
    with pytest.raises(ModelError, match="at least one"):
        vlm.encode([])
    with pytest.raises(ModelError, match="image token"):
        vlm.encode([Prompt(image(), f"what is {vlm.template.image_token}?")])
    with pytest.raises(ModelError, match="not empty"):
        vlm.encode([Prompt(image(), "")])


def test_a_picture_that_the_processor_cannot_take_is_refused(tiny_qwen: VLM) -> None:
    with pytest.raises(ModelError, match="refused the prompts"):
        tiny_qwen.encode([Prompt(image(4000, 2), "Where?")])


@FAMILIES
def test_grey_and_transparent_pictures_are_taken(vlm: VLM) -> None:
    plain = vlm.encode([Prompt(Image.new("RGB", (20, 20), (9, 9, 9)), "Where?")])
    for mode, colour in (("L", 9), ("RGBA", (9, 9, 9, 255)), ("P", 0)):
        picture = Image.new(mode, (20, 20), colour)
        encoded = vlm.encode([Prompt(picture, "Where?")])
        assert encoded.inputs["pixel_values"].shape == plain.inputs["pixel_values"].shape


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
@example("0\xa0")
def test_any_question_is_found_again_among_the_tokens(tiny: VLM, question: str) -> None:
    if not question.strip():
        return
    encoded = tiny.encode([Prompt(image(8, 8), question, (("Where?", "left"),))])
    assert question in tiny.tokenizer.decode(encoded.inputs["input_ids"][0][encoded.question[0]])


def test_without_a_chat_template_the_familys_default_is_used(
    tiny: VLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny.processor, "chat_template", None)
    monkeypatch.setattr(tiny.tokenizer, "chat_template", None)
    template = Template(tiny.processor, "llava")
    prompt = Prompt(image(), "Where?", (("Who?", "me"),))
    assert template.render(prompt) == "USER: <image>\nWho? ASSISTANT: me<|im_end|>USER: Where? ASSISTANT:"
    assert (template.tail, template.lead, template.closing) == (" ASSISTANT:", " ", "<|im_end|>")
    chatml = Template(tiny.processor, "qwen2_5_vl").render(prompt)
    assert chatml.startswith("<|im_start|>system\nYou are")
    assert chatml.endswith("me<|im_end|>\n<|im_start|>user\nWhere?<|im_end|>\n<|im_start|>assistant\n")
    with pytest.raises(ModelError, match="chat template"):
        Template(tiny.processor, "someone_elses_vlm")


def test_an_answer_after_a_colon_takes_its_blank_along(tiny: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny.processor, "chat_template", None)
    monkeypatch.setattr(tiny.tokenizer, "chat_template", None)
    monkeypatch.setattr(tiny, "template", Template(tiny.processor, "llava"))
    monkeypatch.setattr(tiny, "_answers", {})
    (ids,) = tiny.encode_answers(["yes"])
    assert tiny.tokenizer.decode(ids) == " yes"


def test_encoding_costs_the_same_a_prompt_however_many_there_are(tiny: VLM) -> None:
    prompts = [Prompt(image(), "Is the dog facing the horse?", HISTORY)] * 64
    tiny.encode(prompts[:2])
    assert calls_of(lambda: tiny.encode(prompts)) <= 8 * calls_of(lambda: tiny.encode(prompts[:8]))
