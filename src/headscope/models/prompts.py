"""From turns to the text that a model expects: chat templates, family defaults, and how answers follow."""

from __future__ import annotations

from typing import Any

from headscope.errors import ModelError
from headscope.models.types import Prompt

_CHATML = ("qwen2_vl", "qwen2_5_vl")
_MARK = "zqxmark"


class Template:
    """Renders prompts for one model: its processor's chat template, else its family's default.

    Attributes:
        lead: what stands between the rendered prompt and the answer that the model gives (often nothing or a
            space).
        tail: what follows the last question up to where the answer begins.
        closing: what follows an answer in a finished turn.
    """

    def __init__(self, processor: Any, family: str) -> None:
        self._processor = processor
        self._family = family
        tokenizer = processor.tokenizer
        self.image_token: str = getattr(processor, "image_token", None) or "<image>"
        chat = getattr(processor, "chat_template", None) or tokenizer.chat_template
        self._chat: str | None = chat.get("default") if isinstance(chat, dict) else chat
        if self._chat is None and family not in ("llava", *_CHATML):
            raise ModelError(
                f"a model of family {family!r} without a chat template; headscope knows defaults for llava, "
                f"{', '.join(_CHATML)} only; put a chat_template.jinja into the model's folder"
            )
        opened = self._render((), _MARK, None)
        self.tail = opened[opened.rindex(_MARK) + len(_MARK) :] if _MARK in opened else ""
        finished = self._render((), _MARK, _MARK + "a")
        rest = finished[len(opened) :] if finished.startswith(opened) else _MARK + "a"
        self.lead, _, self.closing = rest.partition(_MARK + "a")

    def render(self, prompt: Prompt) -> str:
        """Text of a prompt, one image token in its first turn, ending where the answer begins.

        Raises:
            ModelError: a text contains the model's image token.
        """
        for text in (prompt.question, *(t for turn in prompt.history for t in turn)):
            if self.image_token in text:
                raise ModelError(f"{text!r} contains the image token {self.image_token!r}; take it out")
        return self._render(prompt.history, prompt.question, None)

    def question_span(self, rendered: str, question: str) -> tuple[int, int]:
        """Characters (start, end) of the last question in a rendered prompt.

        Raises:
            ModelError: the template altered the question beyond recognition.
        """
        for text in (question, question.strip()):
            end = len(rendered) - len(self.tail)
            if self.tail and text and rendered.endswith(text + self.tail):
                return end - len(text), end
            start = rendered.rfind(text)
            if start >= 0 and text:
                return start, start + len(text)
        raise ModelError(
            f"the question {question!r} is not to be found in the rendered prompt {rendered[-200:]!r}; "
            "ask a question that is not empty, and check the model's chat template"
        )

    def _render(self, history: tuple[tuple[str, str], ...], question: str, answer: str | None) -> str:
        questions = [*(q for q, _ in history), question]
        answers = [*(a for _, a in history), answer]
        if self._chat is None:
            return self._default(questions, answers)
        messages: list[dict[str, Any]] = []
        for i, (asked, said) in enumerate(zip(questions, answers, strict=True)):
            content: list[dict[str, str]] = [{"type": "image"}] if i == 0 else []
            messages.append({"role": "user", "content": [*content, {"type": "text", "text": asked}]})
            if said is not None:
                messages.append({"role": "assistant", "content": [{"type": "text", "text": said}]})
        # Through the tokenizer: it passes template variables (thinking off) on, where a processor may drop
        # them.
        text = self._processor.tokenizer.apply_chat_template(
            messages,
            chat_template=self._chat,
            tokenize=False,
            add_generation_prompt=answer is None,
            enable_thinking=False,
        )
        return str(text)

    def _default(self, questions: list[str], answers: list[str | None]) -> str:
        """The prompt format that the family was published with."""
        chatml = self._family in _CHATML
        text = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n" if chatml else ""
        for i, (asked, said) in enumerate(zip(questions, answers, strict=True)):
            if chatml:
                picture = f"<|vision_start|>{self.image_token}<|vision_end|>" if i == 0 else ""
                text += f"<|im_start|>user\n{picture}{asked}<|im_end|>\n<|im_start|>assistant\n"
                text += f"{said}<|im_end|>\n" if said is not None else ""
            else:
                picture = f"{self.image_token}\n" if i == 0 else ""
                text += f"USER: {picture}{asked} ASSISTANT:"
                text += f" {said}{self._processor.tokenizer.eos_token or ''}" if said is not None else ""
        return text


def answer_ids(tokenizer: Any, template: Template, answer: str) -> list[int]:
    """Token ids of an answer as they follow the prompt, without an end token.

    Raises:
        ModelError: the answer is empty.
    """
    if not answer:
        raise ModelError("asked to encode an empty answer; give at least one character")
    anchor = template.tail or "\n"
    before = tokenizer(anchor, add_special_tokens=False)["input_ids"]
    whole = tokenizer(anchor + template.lead + answer, add_special_tokens=False)["input_ids"]
    if whole[: len(before)] == before and len(whole) > len(before):
        return list(whole[len(before) :])
    # The answer would fuse with the prompt's last token, which in use is already fixed: encode it apart.
    return list(tokenizer(template.lead + answer, add_special_tokens=False)["input_ids"])


def end_ids(model: Any, tokenizer: Any, template: Template) -> tuple[int, ...]:
    """Tokens that end an answer: the model's end tokens, and the special token that closes a turn."""
    found: list[int] = []
    generation = getattr(model, "generation_config", None)
    for value in (getattr(generation, "eos_token_id", None), tokenizer.eos_token_id):
        found += value if isinstance(value, list) else [value] if value is not None else []
    closing = tokenizer(template.closing, add_special_tokens=False)["input_ids"] if template.closing else []
    if closing and closing[0] in tokenizer.all_special_ids:
        found.append(closing[0])
    return tuple(dict.fromkeys(int(i) for i in found))
