"""What the page gets back, every field named."""

from __future__ import annotations

import math

from headscope.models.types import Answer
from headscope.records import Number, Record


class ChoiceShown(Record):
    """A choice: its log-probability per token, and its share among all choices by that."""

    choice: str
    logprob: Number
    share: Number


class AnswerShown(Record):
    """An answer.

    Attributes:
        text: as generated.
        answer: the choice that it amounts to, None if none.
        choices: likeliest first.
        total: probability of all choices together; where it is tiny, the model does not want this form.
    """

    text: str
    answer: str | None
    choices: tuple[ChoiceShown, ...]
    total: Number


class BothAnswers(Record):
    """Without and with pointing and edit; ``seconds`` for both, on the model."""

    plain: AnswerShown
    changed: AnswerShown
    seconds: float


class StepShown(Record):
    """A step: question, function (empty: the question itself), true answer if known, both answers."""

    question: str
    function: str
    truth: str
    plain: str
    plain_right: bool | None
    changed: str
    changed_right: bool | None


class StepsShown(Record):
    """The chain; empty with the reason where there is none."""

    steps: tuple[StepShown, ...]
    reason: str


class HeadEffects(Record):
    """Per head in flat order, by how much muting it would lower the margin of ``answer``: nats per token."""

    effects: tuple[float, ...]
    answer: str
    margin: Number
    reason: str


class AttentionShown(Record):
    """A head's attention, (row, column), over ``area`` (x0, y0, x1, y1 in pixels); ``share``: its sum."""

    head: str
    weights: tuple[tuple[float, ...], ...]
    area: tuple[float, float, float, float]
    share: float


class RandomSets(Record):
    """Answers under random head sets; whether each has as many heads in every layer, and why not."""

    answers: tuple[AnswerShown, ...]
    layer_matched: bool
    reason: str
    distinct: int


def shown(answer: Answer) -> AnswerShown:
    """An answer as the page shows it."""
    ranked = sorted(answer.logprobs.items(), key=lambda pair: -pair[1])
    whole = sum(math.exp(v) for _, v in ranked)
    return AnswerShown(
        text=answer.text.strip(),
        answer=answer.parsed,
        choices=tuple(
            ChoiceShown(choice=c, logprob=v, share=math.exp(v) / whole if whole else None) for c, v in ranked
        ),
        total=answer.total,
    )
