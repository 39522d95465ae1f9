"""What ``headscope evaluate`` writes: scores of main questions, plain and under an intervention."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headscope.records import Artefact, Interval, JsonValue, Number, Record


class Score(Record):
    """A share of right answers.

    Attributes:
        value, n, images, ci: the share, questions, pictures, 95 % interval by picture.
        margin: mean margin, nats per token.
    """

    value: Number
    n: int
    images: int
    ci: Interval
    margin: Number = None


class KindScore(Score):
    """The same of one kind of main question.

    Attributes:
        kind: the kind.
    """

    kind: str


class OfficialScore(Record):
    """One line of a source's own table.

    Attributes:
        score, group, value, n: what is scored, over which questions, the score, questions.
    """

    score: str
    group: str
    value: Number
    n: int


class ParserScore(Record):
    """The plain share right as headscope's own parser reads the answers.

    Attributes:
        value, n: the share, questions.
    """

    value: Number
    n: int


class Official(Record):
    """Scores by a source's own rule.

    Attributes:
        rule, published: its name, and where it is.
        table: its lines.
        parser: the share right by headscope's own parser, beside the official figure.
    """

    rule: str
    published: str
    table: tuple[OfficialScore, ...]
    parser: ParserScore | None = None


class Scores(Record):
    """How well main questions were answered.

    Attributes:
        accuracy: of all.
        unreadable: share of answers that amount to no choice; they count as wrong.
        constant: share right without looking: the best constant answer, or a guess where choices change.
        by_kind: by kind of question.
        official: source -> scores by its own rule.
    """

    accuracy: Score
    unreadable: float
    constant: float
    by_kind: tuple[KindScore, ...]
    official: dict[str, Official]


class PairedDifference(Record):
    """Changed minus plain on the same questions.

    Attributes:
        value, ci, p, n, images: the difference, 95 % bootstrap interval and sign-flip p by picture,
            questions, pictures.
    """

    value: Number
    ci: Interval
    p: Number
    n: int
    images: int


class AnswerChange(Record):
    """What an intervention changed.

    Attributes:
        accuracy, margin: shares and nats per token.
        to_right, to_wrong: questions whose answer turned.
    """

    accuracy: PairedDifference
    margin: PairedDifference
    to_right: int
    to_wrong: int


class AnsweredRow(Record):
    """One question with what was said.

    Attributes:
        case, kind, question, truth, choices: what was asked.
        text, answer, correct: what was said, what it amounts to, whether it is right.
        margin, total: log-probability of the truth less that of the best wrong choice; probability of all
            choices together.
    """

    case: str
    kind: str
    question: str
    truth: str
    choices: tuple[str, ...] | None
    text: str
    answer: str | None
    correct: bool
    margin: Number
    total: Number


class Intervened(Record):
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
    intervention: Intervened | None = None
    answers: tuple[AnsweredRow, ...] = Field(alias="rows")
