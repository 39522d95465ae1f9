"""Thoughts before an answer: how families mark them, how templates leave them out, where an answer begins."""

from __future__ import annotations

import re
from typing import Any, NamedTuple


class ThoughtMarks(NamedTuple):
    """How a family marks a thought.

    Attributes:
        opening: text that begins one.
        end: text that ends one.
        empty: what follows ``opening`` where nothing is thought, as the family was trained.
    """

    opening: str
    end: str
    empty: str


STYLES = (
    ThoughtMarks("<think>", "</think>", "\n\n</think>\n\n"),
    ThoughtMarks("<thinking>", "</thinking>", "\n\n</thinking>\n\n"),
    ThoughtMarks("<thought>", "</thought>", "\n\n</thought>\n\n"),
    ThoughtMarks("<reasoning>", "</reasoning>", "\n\n</reasoning>\n\n"),
    ThoughtMarks("<analysis>", "</analysis>", "\n\n</analysis>\n\n"),
    ThoughtMarks("<mm:think>", "</mm:think>", "\n\n</mm:think>\n\n"),
    ThoughtMarks("<seed:think>", "</seed:think>", "</seed:think>"),
    ThoughtMarks("<seed:cot_budget_reflect>", "</seed:cot_budget_reflect>", "</seed:cot_budget_reflect>"),
    ThoughtMarks("◁think▷", "◁/think▷", "◁/think▷"),
    ThoughtMarks("[THINK]", "[/THINK]", "[/THINK]"),
    ThoughtMarks("<|START_THINKING|>", "<|END_THINKING|>", "<|END_THINKING|>"),
    ThoughtMarks("<|channel>thought", "<channel|>", "\n<channel|>"),
    ThoughtMarks(
        "<|open|>think<|sep|>", "<|close|>think<|sep|>", "<|close|>think<|sep|><|open|>response<|sep|>"
    ),
    ThoughtMarks(
        "<|channel|>analysis<|message|>",
        "<|channel|>final<|message|>",
        "<|end|><|start|>assistant<|channel|>final<|message|>",
    ),
    ThoughtMarks("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]", "\n[BEGIN FINAL RESPONSE]\n"),
)
_FINISHED = tuple(
    re.compile(f"{re.escape(s.opening)}.*?{re.escape(s.end)}", re.DOTALL | re.IGNORECASE) for s in STYLES
)
_END = re.compile("|".join(re.escape(s.end) for s in STYLES), re.IGNORECASE)
_OPENING = re.compile("|".join(re.escape(s.opening) for s in STYLES), re.IGNORECASE)
# Tokens that are needed to tell thought and answer apart, though tokenizers may count them as special.
MARKS = tuple(
    dict.fromkeys(
        part
        for style in STYLES
        for text in (style.opening, style.end, style.empty)
        for part in (text.strip(), *re.findall(r"<[^<>\s]+>|\[[^\[\]\s]+\]", text))
    )
)
_USER = re.compile(r"\[INST\]|<\|im_start\|>user|<\|user\|>|<\|begin_user\|>")
# Template variables by which families switch their thinking off, and those that take one of several words.
_OFF: dict[str, bool] = {"enable_thinking": False, "thinking": False}
_BUDGETS = ("thinking_budget",)
_WORDED = {
    "thinking_mode": ("disabled", "short", "chat", "off", "no_think"),
    "reasoning_effort": ("none", "no_think"),
}


def variables(source: str) -> dict[str, bool | int | str]:
    """What a chat template is told, so that it leaves thinking out.

    Words and numbers are passed to templates that name them alone, since others may stumble over them.

    Example:
        >>> variables("{% if thinking_mode == 'short' %}<think></think>{% endif %}")["thinking_mode"]
        'short'
    """
    told: dict[str, bool | int | str] = dict(_OFF)
    told.update({name: 0 for name in _BUDGETS if name in source})
    for name, known in _WORDED.items():
        word = next((w for w in known if name in source and re.search(rf"""['"]{w}['"]""", source)), None)
        if word is not None:
            told[name] = word
    return told


def written(rendered: str, thought: str, answer: str) -> tuple[ThoughtMarks, str] | None:
    """How a template ends an empty thought, seen where it writes one out before an answer.

    Example:
        >>> written("<think>\nHM\n</think>\nYES", "HM", "YES")[1]
        '\n\n</think>\n'
    """
    before, found, rest = rendered.partition(thought)
    between = rest.partition(answer)[0]
    style = next((s for s in STYLES if s.end in between), None)
    if not found or style is None or answer not in rest:
        return None
    start = before.rfind(style.opening)
    gap = before[start + len(style.opening) :] if start >= 0 else ""
    return style, (gap if not gap.strip() else "") + between


def asked_for(instructions: str) -> ThoughtMarks | None:
    """The style of thought that a template asks for, in what it writes before the first turn of a user.

    Args:
        instructions: the template's text up to the first question.

    Example:
        >>> asked_for("<|im_start|>system\\nFirst <think>, then answer.<|im_end|>").opening
        '<think>'
    """
    return next((s for s in STYLES if s.opening in _USER.split(instructions)[0]), None)


def ended(
    prompt: str,
    behind: int,
    source: str = "",
    own: tuple[ThoughtMarks, str] | None = None,
    asked: ThoughtMarks | None = None,
) -> str:
    """A prompt whose thought is over: one that is open is closed, one that is asked for is left empty.

    Args:
        prompt: as the template renders it.
        behind: number of characters up to the end of the last question; texts before may hold anything.
        source: the chat template, whose own way of writing an empty thought counts.
        own: the same as :func:`written` found it.
        asked: the style that the template asks for.

    Example:
        >>> ended("Where?<think>\\n", 6)
        'Where?<think>\\n\\n</think>\\n\\n'
    """
    tail = prompt[behind:]
    unfinished = _open(tail)
    for style in reversed(unfinished):
        prompt = prompt.rstrip() + empty(style, source, own)
    if unfinished or any(style.end in tail for style in STYLES):
        return prompt
    return prompt if asked is None else prompt + asked.opening + empty(asked, source, own)


def _open(text: str) -> list[ThoughtMarks]:
    """Styles of thoughts that a text begins and does not end, in order."""
    places = sorted((text.rfind(s.opening), s) for s in STYLES if s.opening in text)
    return [style for place, style in places if style.end not in text[place:]]


def empty(style: ThoughtMarks, source: str = "", own: tuple[ThoughtMarks, str] | None = None) -> str:
    """What ends an empty thought of a style in this template's own words, if it has any."""
    if style.opening + style.end in source:
        return style.end
    return own[1] if own is not None and own[0] is style else style.empty


def opened(text: str) -> ThoughtMarks | None:
    """The style of the thought that an answer begins with; None if it begins with none."""
    return next((s for s in STYLES if text.lstrip().startswith(s.opening)), None)


def without_thoughts(text: str) -> str:
    """What is said beside the thoughts in an answer; empty where one of them never ended.

    Example:
        >>> without_thoughts("<think>left or right?</think> left")
        '  left'
    """
    for finished in _FINISHED:
        text = finished.sub(" ", text)
    text = _END.split(text)[-1]  # where the prompt opened the thought, only its end is in the text
    return "" if _OPENING.search(text) else text


def answer_start(text: str) -> int:
    """Where in an answer its last thought has ended: its length if that never happens, 0 without one."""
    ends = [m.end() for m in _END.finditer(text)]
    after = ends[-1] if ends and text[ends[-1] :].strip() else 0
    return len(text) if _OPENING.search(text[max(ends, default=0) :]) else after


def special_ids(tokenizer: Any) -> tuple[frozenset[int], frozenset[int]]:
    """Special tokens that mark thoughts, and the other special ones."""
    special = {int(i) for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    special |= {int(i) for i in tokenizer.all_special_ids}
    marks = {i for i in special if str(tokenizer.convert_ids_to_tokens(i)).strip() in MARKS}
    return frozenset(marks), frozenset(special - marks)
