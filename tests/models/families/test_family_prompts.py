"""Prompts of families: published formats where a folder has no chat template, templates of several kinds,
thinking switched off."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from headscope.errors import ModelError
from headscope.models.families import FAMILIES
from headscope.models.prompts import Template, answer_ids
from headscope.models.types import Prompt
from models.families.folders import tokenizer_of

ASKED = Prompt(Image.new("RGB", (8, 8)), "Where?", (("Who?", "me"),))
PAD = "<|vision_start|><I><|vision_end|>"
SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
CHATML = (
    "<|im_start|>user\n{}Who?<|im_end|>\n<|im_start|>assistant\nme<|im_end|>\n"
    "<|im_start|>user\nWhere?<|im_end|>\n<|im_start|>assistant\n"
)
TURN = "<start_of_turn>"
HEADER = "<|start_header_id|>{}<|end_header_id|>\n\n"
USER, ASSISTANT = HEADER.format("user"), HEADER.format("assistant")
# As the families' authors publish them.
PUBLISHED = {
    "llava": "USER: <I>\nWho? ASSISTANT: me<|im_end|>USER: Where? ASSISTANT:",
    "llava_onevision": CHATML.format("<I>\n"),
    "internvl": CHATML.format("<I>\n"),
    "qwen2_vl": SYSTEM + CHATML.format(PAD),
    "qwen2_5_vl": SYSTEM + CHATML.format(PAD),
    "qwen3_vl": CHATML.format(PAD),
    "gemma3": f"<bos>{TURN}user\n<I>Who?<end_of_turn>\n{TURN}model\nme<end_of_turn>\n"
    f"{TURN}user\nWhere?<end_of_turn>\n{TURN}model\n",
    "idefics3": "<|begin_of_text|>User:<I>Who?<end_of_utterance>\nAssistant: me<end_of_utterance>\n"
    "User: Where?<end_of_utterance>\nAssistant:",
    "smolvlm": "<|im_start|>User:<I>Who?<end_of_utterance>\nAssistant: me<end_of_utterance>\n"
    "User: Where?<end_of_utterance>\nAssistant:",
    "mllama": f"<|begin_of_text|>{USER}<I>Who?<|eot_id|>{ASSISTANT}me<|eot_id|>"
    f"{USER}Where?<|eot_id|>{ASSISTANT}",
    "paligemma": "<I>answer en Who?\nme\nanswer en Where?",
    # No dialogue models: a question stands alone, earlier turns as lines before it.
    **dict.fromkeys(("florence2", "t5gemma2"), "<I>Who? me\nWhere?"),
}


def processor_of(template: str | None = None) -> Any:
    """As much of a processor as a template needs."""
    tokenizer = tokenizer_of(("<I>", "<think>", "</think>"))
    return SimpleNamespace(tokenizer=tokenizer, image_token="<I>", chat_template=template)


def test_families_without_a_chat_template_are_asked_in_their_published_format() -> None:
    assert set(PUBLISHED) == {name for name, row in FAMILIES.items() if row.prompt is not None}
    processor = processor_of()
    for family, expected in PUBLISHED.items():
        template = Template(processor, family)
        assert template.render(ASKED) == expected
        assert expected.endswith("Where?" + template.tail)
        start, end = template.question_span(expected, "Where?")
        assert expected[start:end] == "Where?"
        ids = answer_ids(processor.tokenizer, template, "yes")
        assert processor.tokenizer.decode(ids) == template.lead + "yes"


def test_what_has_no_known_format_is_refused_with_what_to_do() -> None:
    with pytest.raises(ModelError, match=r"blip-2.*chat_template\.jinja"):
        Template(processor_of(), "blip-2")


LISTED = (
    "{% for m in messages %}{{ m['role'] }}: {% for c in m['content'] %}"
    "{{ '<I>' if c['type'] == 'image' else c['text'] }}{% endfor %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
ANSWERS_AS_TEXT = (
    "{% for m in messages %}{% if m['role'] == 'user' %}user: {% for c in m['content'] %}"
    "{{ '<I>' if c['type'] == 'image' else c['text'] }}{% endfor %}"
    "{% else %}assistant: {{ m['content'] }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


@pytest.mark.parametrize("chat", [LISTED, ANSWERS_AS_TEXT])
def test_answers_in_a_dialogue_are_given_as_the_template_wants_them(chat: str) -> None:
    template = Template(processor_of(chat), "any")
    assert template.render(ASKED) == "user: <I>Who?\nassistant: me\nuser: Where?\nassistant: "
    assert (template.tail, template.lead, template.closing) == ("\nassistant: ", "", "\n")


@pytest.mark.parametrize(
    ("chat", "why"),
    [
        (LISTED.replace("<I>", "<I><I>"), "2 times"),
        (LISTED.replace("<I>", ""), "0 times"),
        ("<I>{{ messages[0]['content'][1]['text'] }}", "leaves out"),
        ("{{ raise_exception('pictures are not for me') }}", "not for me"),
    ],
)
def test_a_template_that_loses_the_picture_or_the_words_is_refused(chat: str, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        Template(processor_of(chat), "any")


@pytest.mark.parametrize(
    "opening",
    [
        "{{ '<think>\n' }}",
        "{% if enable_thinking is defined and not enable_thinking %}"
        "{{ '<think>\n\n</think>\n\n' }}{% endif %}",
        "{% if thinking is defined and not thinking %}{{ '<think>\n\n</think>\n\n' }}{% endif %}",
    ],
)
def test_thinking_is_off(opening: str) -> None:
    chat = LISTED.replace("assistant: {% endif %}", "assistant: " + opening + "{% endif %}")
    text = Template(processor_of(chat), "any").render(ASKED)
    assert text.endswith("assistant: <think>\n\n</think>\n\n")
    assert text.count("<think>") == 1


def test_the_page_on_image_grids_names_every_family_where_it_belongs() -> None:
    page = (Path(__file__).parents[3] / "docs" / "image-grids.md").read_text("utf-8")
    mapped, rest = page.split("## Which have none, and why")
    rest = rest.split("## How the maps are tested")[0]
    named = [set(re.findall(r"[a-z][\w.-]+", part)) for part in (mapped, rest)]
    unmapped = {name for name, row in FAMILIES.items() if isinstance(row.layout, str)}
    assert set(FAMILIES) - unmapped <= named[0]
    assert unmapped <= named[1]
    assert named[1].isdisjoint(set(FAMILIES) - unmapped)
