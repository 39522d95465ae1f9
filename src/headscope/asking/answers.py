"""One row of answers: what was asked of a model, what it said, and how likely each choice was."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class AnswerRow(TypedDict):
    """One item asked; docs/file-formats-capture.md says what each field means."""

    item: str
    case: str
    step: str
    context: str
    function: str
    split: NotRequired[str | None]
    kind: str
    things: int
    held_out: str
    wording: str
    question: str
    truth: str
    choices: list[str]
    text: str
    answer: str | None
    correct: bool
    margin: float
    logprob: float
    total: float | None
    tokens: int
    content_found: bool | None
