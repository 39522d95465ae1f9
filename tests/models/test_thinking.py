"""Thoughts before an answer are left out of prompts, and never taken for it, in every style in use."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from headscope.asking.ask import ask
from headscope.asking.readouts import content_tokens
from headscope.models.answers import parse_answer
from headscope.models.prompts import Template, answer_ids
from headscope.models.thinking import STYLES, answer_start, opened, variables, without_thoughts
from headscope.models.types import Prompt
from headscope.models.vlm import VLM, leave_thoughts_out, load_model
from models.families.folders import QWEN_TEMPLATE, family_folder, tokenizer_of
from models.families.test_family_pipeline import PROMPTS, item_of, saying

ASKED = Prompt(Image.new("RGB", (8, 8)), "Where?", (("Who?", "me"),))
ASKED_HERE = Prompt(PROMPTS[1].image, "Where?")
SIDES = ("left", "right")
# One turn of a user, one of the assistant, as most templates write them.
TURNS = (
    "{% for m in messages %}<|{{ m['role'] }}|>{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] %}{{ '<I>' if c['type'] == 'image' else c['text'] }}{% endfor %}{% endif %}"
    "{{ '\n' }}{% endfor %}"
)


def prompts(start: str, turns: str = TURNS) -> str:
    """A template whose answer begins behind ``start``, which is Jinja."""
    return turns + "{% if add_generation_prompt %}<|assistant|>" + start + "{% endif %}"


def written_out(before: str, behind: str) -> str:
    """Turns of which a thought that is given is written out."""
    return TURNS.replace(
        "<|{{ m['role'] }}|>",
        "<|{{ m['role'] }}|>{% if m.reasoning_content is defined %}"
        f"{before}{{{{ m.reasoning_content }}}}{behind}{{% endif %}}",
    )


OFF = "{% if enable_thinking is defined and not enable_thinking %}"
ROLE = "<|{{ m['role'] }}|>"
EMPTY = "<think>\n\n</think>\n\n"


def before_answers(text: str) -> str:
    """Turns of the assistant that begin with a text."""
    return TURNS.replace(ROLE, ROLE + "{% if m['role'] == 'assistant' %}{{ '" + text + "' }}{% endif %}")


# Template -> how its prompt ends. The forms are those of published templates, each reduced to what matters.
TEMPLATES = {
    "Qwen3, MiniCPM-V 4.5: a variable": (prompts(OFF + EMPTY + "{% endif %}"), EMPTY),
    "GLM-4.5V: a variable, a word behind the question, a line end before answers": (
        prompts(
            OFF + "{{ '\n<think></think>' }}{% endif %}",
            before_answers("\n<think></think>\n").replace(
                "{{ '\n' }}", OFF + "{{ '/nothink' if m['role'] == 'user' }}{% endif %}{{ '\n' }}", 1
            ),
        ),
        "Where?/nothink\n<|assistant|>\n<think></think>\n",
    ),
    "DeepSeek-V3.1: its own variable": (
        "{% set thinking = thinking | default(true) %}"
        + prompts("{{ '<think>' if thinking else '</think>' }}"),
        "<|assistant|></think>",
    ),
    "Qwen3-VL-Thinking: opened whatever it is told": (prompts("<think>\n"), "<|assistant|>" + EMPTY),
    "Step 3: opened, with its own line ends": (
        prompts("<think>\n", written_out("<think>\n", "\n</think>\n")),
        "<think>\n\n</think>\n",
    ),
    "GLM-5V: opened, an empty thought elsewhere in the template": (
        prompts("<think>{% if false %}<think></think>{% endif %}"),
        "<|assistant|><think></think>",
    ),
    "Nemotron: a soft switch nobody sets": (
        prompts("{{ '<think></think>' if '/no_think' in messages[0]['content'] else '<think>\n\n' }}"),
        "<|assistant|><think></think>",
    ),
    "R-4B: a variable with words": (
        prompts("{{ '" + EMPTY + "' if thinking_mode | default('long') == 'short' else '<think>' }}"),
        "<|assistant|>" + EMPTY,
    ),
    "MiniMax-M3: another word": (
        prompts("{{ '</mm:think>' if thinking_mode | default('') == 'disabled' else '<mm:think>' }}"),
        "<|assistant|></mm:think>",
    ),
    "Hunyuan: effort with a word for none": (
        prompts("{{ '<think></think>' if reasoning_effort | default('high') == 'no_think' else '<think>' }}"),
        "<|assistant|><think></think>",
    ),
    "Seed-OSS: a budget of nothing, two marks": (
        prompts("{% if thinking_budget == 0 %}<seed:think><seed:cot_budget_reflect>{% endif %}"),
        "<|assistant|><seed:think><seed:cot_budget_reflect></seed:cot_budget_reflect></seed:think>",
    ),
    "Gemma 4: channels": (
        prompts("{% if not enable_thinking | default(false) %}<|channel>thought\n<channel|>{% endif %}"),
        "<|assistant|><|channel>thought\n<channel|>",
    ),
    "Gemma 4: channels, opened": (
        prompts("<|channel>thought\n"),
        "<|assistant|><|channel>thought\n<channel|>",
    ),
    "Kimi-VL: its own marks": (prompts("◁think▷"), "<|assistant|>◁think▷◁/think▷"),
    "Kimi K3: a channel for the response": (
        prompts("<|open|>{{ 'think' if thinking is undefined or thinking else 'response' }}<|sep|>"),
        "<|assistant|><|open|>response<|sep|>",
    ),
    "Reasoning in words": (prompts("<reasoning>\n"), "<|assistant|><reasoning>\n\n</reasoning>\n\n"),
    "Command A: capitals": (prompts("<|START_THINKING|>"), "<|assistant|><|START_THINKING|><|END_THINKING|>"),
    "Magistral: asked for in the template's own instructions": (
        "[SYSTEM]Think first: [THINK]your thoughts[/THINK], then answer.[/SYSTEM]"
        + TURNS.replace(ROLE, "{{ '[INST]' if m['role'] == 'user' else '[/INST]' }}"),
        "Where?\n[THINK][/THINK]",
    ),
    "Apriel: in prose": (
        prompts("Here are my reasoning steps:\n", written_out("", "\n[BEGIN FINAL RESPONSE]\n")),
        "<|assistant|>Here are my reasoning steps:\n[BEGIN FINAL RESPONSE]\n",
    ),
    "gpt-oss: a channel before every answer": (
        prompts("", before_answers("<|channel|>final<|message|>")),
        "<|assistant|><|channel|>final<|message|>",
    ),
    "one that refuses to be told": (
        prompts("<think>{% if not enable_thinking | default(true) %}{{ raise_exception('no') }}{% endif %}"),
        "<|assistant|>" + EMPTY,
    ),
    "no thoughts at all": (prompts(""), "Where?\n<|assistant|>"),
}


def template_of(chat: str) -> tuple[Template, Any]:
    tokenizer = tokenizer_of(("<I>", "<think>", "</think>"))
    return Template(
        SimpleNamespace(tokenizer=tokenizer, image_token="<I>", chat_template=chat), "any"
    ), tokenizer


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_prompt_ends_where_the_answer_begins(name: str) -> None:
    chat, end = TEMPLATES[name]
    template, tokenizer = template_of(chat)
    text = template.render(ASKED)
    assert text.endswith(end)
    assert text.endswith("Where?" + template.tail)
    start, stop = template.question_span(text, "Where?")
    assert text[start:stop] == "Where?"
    assert template.lead == ""
    ids = answer_ids(tokenizer, template, "yes")
    assert tokenizer.decode(ids) == "yes", "the first token of an answer is a word of it"


def test_a_thought_in_a_question_or_in_earlier_turns_is_no_matter_of_the_template() -> None:
    template, _ = template_of(TEMPLATES["no thoughts at all"][0])
    asked = Prompt(ASKED.image, "What does <think> mean?", (("What?", "<think>"),))
    assert template.render(asked).endswith("What does <think> mean?\n<|assistant|>")
    template, _ = template_of(TEMPLATES["Qwen3-VL-Thinking: opened whatever it is told"][0])
    asked = Prompt(ASKED.image, "</think>?")
    assert template.render(asked).endswith("</think>?\n<|assistant|><think>\n\n</think>\n\n")


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("question", ["think", "<think>", "</think>", "s", "final", "[THINK]"])
def test_a_question_of_a_templates_own_words_changes_nothing_behind_it(name: str, question: str) -> None:
    template, _ = template_of(TEMPLATES[name][0])
    for history in ((), ((question, question),)):
        text = template.render(Prompt(ASKED.image, question, history))
        assert text == template.render(
            Prompt(ASKED.image, "zq", tuple(("zq", "zq") for _ in history))
        ).replace("zq", question)
        assert text.endswith(question + template.tail)


def test_words_are_told_only_to_templates_that_know_them() -> None:
    assert variables("") == {"enable_thinking": False, "thinking": False}
    assert variables("{{ thinking_mode }}") == {"enable_thinking": False, "thinking": False}
    assert variables('{{ thinking_mode == "chat" }}')["thinking_mode"] == "chat"
    assert variables("{{ thinking_budget }}")["thinking_budget"] == 0


@pytest.mark.parametrize("style", STYLES, ids=lambda s: s.opening.strip())
def test_a_thought_is_never_the_answer(style: Any) -> None:
    thought = f"{style.opening}So, is it left? The dog looks left.{style.end}"
    assert parse_answer(f"{thought} right", SIDES) == "right"
    assert parse_answer(f"So, is it left?{style.end}right", SIDES) == "right", "the prompt opened it"
    assert parse_answer(f"{style.opening}So, is it left? The dog", SIDES) is None, "cut off"
    assert parse_answer(f"{thought}", SIDES) is None
    assert parse_answer(f"{thought} The Red Car", ()) == "red car"
    assert parse_answer(f"{style.opening}So", ()) is None
    assert opened(f" {thought}") is not None
    assert opened("left") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<think>left</think><answer>right</answer>", "right"),
        ("<|begin_of_box|>right<|end_of_box|>", "right"),
        ("It is not left. <|begin_of_box|>right<|end_of_box|>", "right"),
        ("<answer>right</answer> left", "right"),
        ("<answer>right", "right"),
        ("<|START_RESPONSE|>right<|END_RESPONSE|>", "right"),
    ],
)
def test_marks_around_an_answer_are_no_part_of_it(text: str, said: str) -> None:
    assert parse_answer(text, SIDES) == said
    assert parse_answer(text.replace("It is not left. ", "").replace("> left", ">"), ()) == said


def test_letters_of_marks_are_no_choices() -> None:
    letters = ("A", "B", "C")
    assert parse_answer("<|begin_of_box|>C<|end_of_box|>", letters) == "C"
    assert parse_answer("<answer>(B)</answer>", letters) == "B"


@given(st.text(max_size=80), st.sampled_from(STYLES))
def test_what_is_said_lies_behind_the_last_thought(text: str, style: Any) -> None:
    whole = f"{style.opening}{text}{style.end} right"
    start = answer_start(whole)
    if without_thoughts(whole):
        assert whole[start:].strip() == "right"
    else:
        assert start == len(whole)
    assert answer_start("right") == 0


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> VLM:
    """A model whose tokenizer counts the marks of thoughts as special; its template knows nothing of them."""
    folder = family_folder("qwen3_vl", tmp_path_factory.mktemp("thinker") / "model")
    (folder / "chat_template.jinja").write_text(QWEN_TEMPLATE, "utf-8")
    return load_model(folder)


def test_marks_survive_decoding_though_they_are_special_tokens(thinker: VLM) -> None:
    assert thinker.tokenizer.convert_tokens_to_ids("<think>") in thinker.tokenizer.all_special_ids
    (ids,) = thinker.encode_answers(["<think>left</think>right"])
    assert thinker.decode([*ids, thinker.end_ids[0]]) == "<think>left</think>right"
    (ids,) = thinker.encode_answers(["left"])
    assert thinker.decode([*ids, thinker.end_ids[0]]) == "left"


def test_what_stands_in_a_thought_is_neither_parsed_nor_read_out(thinker: VLM) -> None:
    prompt = PROMPTS[1]
    item = item_of(prompt)
    with saying(thinker, "<think>top left</think>left"):
        found = ask(
            thinker, thinker.encode([prompt]), [item], readouts=("answer_content",), max_new_tokens=12
        )
    assert found.rows[0]["text"] == "<think>top left</think>left"
    assert found.rows[0]["answer"] == "left"
    tokens = found.tokens[0]
    text = [thinker.tokenizer.decode([t]) for t in tokens]
    chosen = content_tokens(tokens, "left", thinker.text_of, item.parse)
    assert chosen
    assert min(chosen) > text.index("</think>")


def test_a_model_that_opens_a_thought_by_itself_gets_prompts_that_end_it(thinker: VLM) -> None:
    odd = copy.copy(thinker)
    odd.template = Template(thinker.processor, thinker.family)
    plain = odd.template.render(ASKED_HERE)
    leave_thoughts_out(odd)
    assert odd.template.render(ASKED_HERE) == plain
    with saying(odd, "<think>So, the"):
        leave_thoughts_out(odd)
    assert odd.template.render(ASKED_HERE) == plain + "<think>\n\n</think>\n\n"
    assert odd.template.tail.endswith("<think>\n\n</think>\n\n")
    encoded = odd.encode([ASKED_HERE])
    assert odd.tokenizer.decode(encoded.inputs["input_ids"][0]).endswith("<think>\n\n</think>\n\n")
    with saying(odd, "left"):
        assert odd.answer(ASKED_HERE.image, ASKED_HERE.question, (), SIDES).parsed == "left"
