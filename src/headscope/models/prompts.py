"""From turns to the text that a model expects: chat templates, family defaults, and how answers follow."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from headscope.errors import ModelError, quoted
from headscope.models import thinking
from headscope.models.control_tokens import ControlTokens
from headscope.models.families import FAMILIES, family_named
from headscope.models.template_trial import refuse_runaway
from headscope.models.types import Prompt

_MARK = "zqxmark"
_ANSWER = _MARK + "a"
_SHOWN = 60  # how much of a prompt's end a message quotes


class Template:
    """Renders prompts for one model: its processor's chat template, else its family's default.

    Attributes:
        lead: what stands between the rendered prompt and the answer that the model gives (often nothing or a
            space).
        tail: what follows the last question up to where the answer begins.
        added: what the processor itself writes after a prompt.
        framed: whether the processor writes picture, begin and end around the text itself.
        closing: what follows an answer in a finished turn.
    """

    def __init__(self, processor: Any, family: str) -> None:
        self._processor = processor
        self._family = family
        tokenizer = processor.tokenizer
        names = ("image_placeholder_token", "image_token")  # the first where a processor tells them apart
        self.image_token: str = next((t for n in names if (t := getattr(processor, n, None))), "<image>")
        self._placeholders = _placeholders(processor, self.image_token)
        chat = getattr(processor, "chat_template", None) or tokenizer.chat_template
        self._chat: str | None = chat.get("default") if isinstance(chat, dict) else chat
        if self._chat is not None:
            refuse_runaway(self._chat)
        self._known = family_named(family)
        if self._chat is None and self._known.prompt is None:
            known = [name for name, row in FAMILIES.items() if row.prompt is not None]
            raise ModelError(
                f"a model of family {family!r} without a chat template; headscope knows the prompt formats "
                f"of {', '.join(known)} only; put a chat_template.jinja into the model's folder"
            )
        self.framed = self._known.framed
        self.added = tokenizer.eos_token if self.framed else self._known.added
        self._listed = True  # answers in a dialogue as lists of parts, as most templates want them
        self._variables: Mapping[str, bool | int | str] = {}
        self._header = ""  # what the template writes before any answer, other than blanks
        self._behind = ""  # what the template writes behind the last question
        self._asked: thinking.ThoughtMarks | None = None
        self._thought: tuple[thinking.ThoughtMarks, str] | None = None
        self._check()
        self._thought = self._written_thought()
        self._measure()

    def _written_thought(self) -> tuple[thinking.ThoughtMarks, str] | None:
        """How the template writes out a thought that it is given; None where it takes none."""
        if self._chat is None:
            return None
        mark = _MARK + "t"
        content: Any = [{"type": "text", "text": _ANSWER}] if self._listed else _ANSWER
        question = [{"type": "image"}, {"type": "text", "text": _MARK}]
        for name in ("reasoning_content", "thinking", "reasoning"):
            messages = [
                {"role": "user", "content": question},
                {"role": "assistant", "content": content, name: mark},
            ]
            try:
                text = str(
                    self._processor.tokenizer.apply_chat_template(
                        messages, chat_template=self._chat, tokenize=False, **self._variables
                    )
                )
            except Exception:  # templates raise many kinds; this one takes no thought
                continue
            found = thinking.written(text, mark, _ANSWER)
            if found is not None:
                return found
        return None

    def _measure(self) -> None:
        """Settle what stands before an answer and behind it."""
        if self._chat is not None:
            before, _, self._behind = self._chat_text((), _MARK, None).rpartition(_MARK)
            self._asked = thinking.asked_for(before)
        opened = self._render((), _MARK, None)
        self._trims = f" {_MARK} " not in self._render((), f" {_MARK} ", None)
        self.tail = opened[opened.rindex(_MARK) + len(_MARK) :]
        finished = self._render((), _MARK, _ANSWER)
        before, _, self.closing = finished.rpartition(_ANSWER)
        lead = (before[len(opened) :] if before.startswith(opened) else "").removeprefix(self.added)
        fixed = lead.rstrip(" ") if self._chat is not None else ""
        self.lead = lead[len(fixed) :]
        self._header += fixed  # said before any answer, hence of the prompt: "\n" behind an empty thought
        self.tail += fixed

    def leave_out(self, style: thinking.ThoughtMarks) -> None:
        """End prompts with an empty thought, for a model that opens one by itself."""
        self._header += style.opening + thinking.empty(style, self._chat or "", self._thought)
        self._measure()

    @cached_property
    def closing_id(self) -> int | None:
        """The special token that closes a turn, None where none does; tokenised once."""
        tokenizer = self._processor.tokenizer
        ids = tokenizer(self.closing, add_special_tokens=False)["input_ids"] if self.closing else []
        return int(ids[0]) if ids and ids[0] in tokenizer.all_special_ids else None

    def _check(self) -> None:
        """Settle how the chat template wants answers; it must write the picture once, question and answer."""
        problems = []
        told = thinking.variables(self._chat or "")
        # A model that cannot but think may refuse to be told otherwise.
        for self._variables, self._listed in ((told, True), (told, False), ({}, True), ({}, False)):
            try:
                text = self._render((), _MARK, _ANSWER)
                self._render((), _MARK, None)
            except Exception as exc:  # templates raise many kinds
                problems.append(str(exc).split("\n")[0])
                continue
            if text.count(self.image_token) != 1:
                problems.append(
                    f"it writes {self.image_token!r} {text.count(self.image_token)} times, not once"
                )
            elif "{'type'" in text or _ANSWER not in text or _MARK not in text.replace(_ANSWER, ""):
                problems.append("it leaves out the question or the answer")
            else:
                return
        raise ModelError(
            f"the chat template of this {self._family} model cannot be used: {problems[0]}; check "
            "chat_template.jinja"
        )

    @cached_property
    def control(self) -> ControlTokens:
        """The tokens that steer the model, which no text of a prompt may hold."""
        return ControlTokens(self._processor.tokenizer, self.writes)

    def writes(self, token: str) -> bool:
        """Whether the template itself writes a token."""
        return token in (self._chat if self._chat is not None else "".join(self._known.prompt or ()))

    def render(self, prompt: Prompt) -> str:
        """Text of a prompt, an image token a picture in its first turn, ending where the answer begins.

        Raises:
            ModelError: no question, a text contains the model's image token, or the template does not write
                several pictures.
        """
        if not prompt.question.strip():
            raise ModelError(
                f"asked {quoted(prompt.question)}; found no words in it; ask a question that is not empty"
            )
        for text in (prompt.question, *(t for turn in prompt.history for t in turn)):
            found = next((p for p in self._placeholders if p in text), None)
            if found is not None:
                kind = "image token" if found == self.image_token else "token"
                raise ModelError(
                    f"asked {quoted(text)}; found the {kind} {found!r} in it, in whose place the model's "
                    "processor puts a picture, a video or the like; take it out"
                )
        count = len(prompt.pictures)
        if count == 1:
            return self._render(prompt.history, prompt.question, None)
        if self._chat is None or self.framed:
            raise ModelError(
                "it has no chat template, and how its own prompt format holds several pictures is not known"
            )
        text = self._render(prompt.history, prompt.question, None, count)
        if (written := text.count(self.image_token)) != count:
            raise ModelError(f"its chat template writes {written} pictures, not {count}")
        return text

    def question_span(self, rendered: str, question: str) -> tuple[int, int]:
        """Characters (start, end) of the last question in a rendered prompt, as the template writes it.

        Raises:
            ModelError: the template altered more of the question than the blanks around it.
        """
        texts = (question, question.strip(), question.lstrip(), question.rstrip())
        for text in texts[1:] if self._trims else texts:
            if text and rendered.endswith(text + self.tail):
                end = len(rendered) - len(self.tail)
                return end - len(text), end
        raise ModelError(
            f"asked {quoted(question)}; found it altered by the model's chat template, which ends "
            f"{quoted(rendered[-_SHOWN:])}; ask in other words, or check the template"
        )

    def _render(
        self, history: tuple[tuple[str, str], ...], question: str, answer: str | None, pictures: int = 1
    ) -> str:
        if self._chat is None:
            questions = [*(q for q, _ in history), question]
            return self._default(questions, [*(a for _, a in history), answer])
        rendered = self._chat_text(history, question, answer, pictures)
        if answer is not None:
            return rendered
        # What stands behind the question is the template's own; a question may hold the same words.
        behind = len(rendered.removesuffix(self._behind))
        return thinking.ended(rendered, behind, self._chat, self._thought, self._asked) + self._header

    def _chat_text(
        self, history: tuple[tuple[str, str], ...], question: str, answer: str | None, pictures: int = 1
    ) -> str:
        """The text of turns as the chat template writes it."""
        questions = [*(q for q, _ in history), question]
        answers = [*(a for _, a in history), answer]
        messages: list[dict[str, object]] = []
        for i, (asked, said) in enumerate(zip(questions, answers, strict=True)):
            content: list[dict[str, str]] = [{"type": "image"}] * pictures if i == 0 else []
            messages.append({"role": "user", "content": [*content, {"type": "text", "text": asked}]})
            if said is not None:
                text: Any = [{"type": "text", "text": said}] if self._listed else said
                messages.append({"role": "assistant", "content": text})
        # Through the tokenizer: it passes template variables (thinking off) on, where a processor may drop
        # them.
        return str(
            self._processor.tokenizer.apply_chat_template(
                messages,
                chat_template=self._chat,
                tokenize=False,
                add_generation_prompt=answer is None,
                **self._variables,
            )
        )

    def _default(self, questions: list[str], answers: list[str | None]) -> str:
        """The prompt format that the family was published with."""
        assert self._known.prompt is not None  # else it was refused when it was loaded
        fill = {"{image}": self.image_token, "{eos}": self._processor.tokenizer.eos_token or ""}
        start, first, turn, opening, closing, lead = (_filled(p, fill) for p in self._known.prompt)
        text = start
        for i, (asked, said) in enumerate(zip(questions, answers, strict=True)):
            text += (turn if i else first) + asked
            text += opening if said is None else opening + lead + said + closing
        # The processor ends a prompt with this itself.
        return text if answers[-1] is not None else text.removesuffix(self.added)


def _filled(part: str, fill: dict[str, str]) -> str:
    for name, value in fill.items():
        part = part.replace(name, value)
    return part


def _placeholders(processor: Any, image_token: str) -> tuple[str, ...]:
    """What a processor looks for in texts, to put a picture, a video or the like in its place."""
    named = {
        v for k, v in vars(processor).items() if k.endswith("_token") and isinstance(v, str) and v.strip()
    }
    return tuple(sorted({image_token, *named}))


def answer_ids(tokenizer: Any, template: Template, answer: str, apart: bool = False) -> list[int]:
    """Token ids of an answer as they follow the prompt, without an end token.

    Args:
        apart: whether a decoder apart from the prompt's encoder writes it, behind start tokens alone.

    Raises:
        ModelError: the answer is empty.
    """
    if not answer:
        raise ModelError("asked to encode an empty answer; give at least one character")
    if apart:
        return list(tokenizer(answer, add_special_tokens=False)["input_ids"])
    anchor = template.tail + template.added or "\n"
    before = tokenizer(anchor, add_special_tokens=False)["input_ids"]
    whole = tokenizer(anchor + template.lead + answer, add_special_tokens=False)["input_ids"]
    if whole[: len(before)] == before and len(whole) > len(before):
        return list(whole[len(before) :])
    # The answer would fuse with the prompt's last token, which in use is already fixed: encode it apart.
    return list(tokenizer(template.lead + answer, add_special_tokens=False)["input_ids"])


def start_ids(model: Any) -> tuple[int, ...]:
    """Tokens that an encoder-decoder's decoder starts from, the forced first one among them; else none.

    Raises:
        ModelError: an encoder-decoder that names none.
    """
    config = model.config
    if not getattr(config, "is_encoder_decoder", False):
        return ()
    owners = (getattr(model, "generation_config", None), config, getattr(config, "decoder", None))
    names = ("decoder_start_token_id", "bos_token_id")
    found = [v for n in names for o in owners if (v := getattr(o, n, None)) is not None]
    if not found:
        raise ModelError(
            f"the configuration of this {config.model_type} model names no token that its decoder starts "
            "from; set decoder_start_token_id in generation_config.json"
        )
    forced = getattr(owners[0], "forced_bos_token_id", None)
    return (int(found[0]), *([int(forced)] if forced is not None else []))


def end_ids(model: Any, tokenizer: Any, template: Template) -> tuple[int, ...]:
    """Tokens that end an answer: the model's end tokens, and the special token that closes a turn."""
    found: list[int] = []
    generation = getattr(model, "generation_config", None)
    for value in (getattr(generation, "eos_token_id", None), tokenizer.eos_token_id):
        found += value if isinstance(value, list) else [value] if value is not None else []
    if template.closing_id is not None:
        found.append(template.closing_id)
    return tuple(dict.fromkeys(int(i) for i in found))
