"""Prompt formats that families were published with, for checkpoints that bring no chat template."""

from __future__ import annotations

from typing import NamedTuple


class PromptFormat(NamedTuple):
    """A prompt format; ``{image}`` and ``{eos}`` are filled in.

    The first turn's question follows ``first``, later ones follow ``turn``; an answer stands between
    ``opening`` and ``closing``.

    Attributes:
        start: what a dialogue begins with.
        first, turn: what a question follows.
        opening, closing: what an answer stands between.
        lead: what stands between question and answer where ``opening`` does not say.
    """

    start: str
    first: str
    turn: str
    opening: str
    closing: str
    lead: str = ""


def chatml(picture: str, start: str = "") -> PromptFormat:
    """Turns between ``<|im_start|>`` and ``<|im_end|>``, the picture before the first question."""
    user = "<|im_start|>user\n"
    return PromptFormat(start, user + picture, user, "<|im_end|>\n<|im_start|>assistant\n", "<|im_end|>\n")


def idefics(start: str) -> PromptFormat:
    """Idefics 3 and SmolVLM."""
    opening = "<end_of_utterance>\nAssistant:"
    return PromptFormat(start, "User:{image}", "User: ", opening, "<end_of_utterance>\n", " ")


def lines(lead: str = "") -> PromptFormat:
    """No dialogue model: earlier turns stand as lines before the question."""
    return PromptFormat("", "{image}", "", "", "\n", lead)


_USER, _ASSISTANT = (f"<|start_header_id|>{who}<|end_header_id|>\n\n" for who in ("user", "assistant"))
_TURN = "<start_of_turn>user\n"
GEMMA3 = PromptFormat(
    "<bos>", _TURN + "{image}", _TURN, "<end_of_turn>\n<start_of_turn>model\n", "<end_of_turn>\n"
)
LLAVA = PromptFormat("", "USER: {image}\n", "USER: ", " ASSISTANT:", "{eos}", " ")
MLLAMA = PromptFormat("<|begin_of_text|>", _USER + "{image}", _USER, "<|eot_id|>" + _ASSISTANT, "<|eot_id|>")
# No dialogue model: earlier turns stand as lines before the question.
PALIGEMMA = PromptFormat("", "{image}answer en ", "answer en ", "\n", "\n")
QWEN3 = chatml("<|vision_start|>{image}<|vision_end|>")
QWEN2 = QWEN3._replace(start="<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n")
