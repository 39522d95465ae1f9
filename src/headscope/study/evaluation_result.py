"""What ``headscope evaluate`` writes: scores of main questions, plain and under an intervention."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headscope.benchmarks.score_types import AnswerChange, AnsweredQuestion, Scores
from headscope.records import Artefact, JsonValue, Number, Record


class AnsweredRow(AnsweredQuestion):
    """One question with what was said.

    Attributes:
        question, truth, choices: what was asked.
        total: probability of all choices together.
    """

    question: str
    truth: str
    choices: tuple[str, ...] | None
    total: Number


class InterventionResult(Record):
    """The same questions under an intervention.

    Attributes:
        kind, what: ``mute`` or ``bake`` and a function, or ``wake`` and a style.
        study, heads, factor, chosen: whose atlas names the heads, how many, what a baked head is multiplied
            with, and which they are.
        touched: questions that it acts on.
        scores, rows: how well they were answered, and each answer.
        difference, difference_touched: changed minus plain, over all and over those that were touched.
    """

    kind: str
    what: str
    study: str | None
    heads: int
    factor: float
    chosen: tuple[str, ...]
    touched: int
    scores: Scores
    difference: AnswerChange
    difference_touched: AnswerChange | None
    rows: tuple[AnsweredRow, ...]


class EvaluatedModel(Record):
    """The model.

    Attributes:
        name, revision: as loaded.
    """

    name: str
    revision: str


class EvaluatedData(Record):
    """The cases.

    Attributes:
        path, fingerprint, cases: folder, fingerprint, how many.
    """

    path: str
    fingerprint: str
    cases: int


class AnswerForm(Record):
    """How probable the choices are together.

    Attributes:
        n, median, below_1_percent: questions with choices, median of the total, share below 1 %.
        thoughts: share of answers that begin with a thought.
    """

    n: int
    median: Number
    below_1_percent: Number
    thoughts: Number


class EvaluationResult(Artefact):
    """A model's answers to main questions.

    Attributes:
        model, data: what was asked what.
        loading: how the model was loaded and asked.
        plain: how well it answered.
        form: how probable the choices are together; null where they were not scored.
        intervention: the same under an intervention.
        answers: every question with what was said.
    """

    schema_: Literal["headscope/evaluation/1"] = Field(default="headscope/evaluation/1", alias="schema")
    model: EvaluatedModel
    data: EvaluatedData
    loading: dict[str, JsonValue]
    plain: Scores
    form: AnswerForm | None = None
    intervention: InterventionResult | None = None
    answers: tuple[AnsweredRow, ...] = Field(alias="rows")
