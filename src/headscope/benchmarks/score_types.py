"""What scoring main questions gives: shares right, each source's own table, what an intervention changes."""

from __future__ import annotations

from headscope.records import Interval, Number, Record


class AnsweredQuestion(Record):
    """A main question that was answered, by whomever.

    Attributes:
        case, kind: the case's id and its kind of question.
        text, answer, correct: what was said, what it amounts to, whether it is right.
        margin: log-probability of the truth less that of the best wrong choice.
    """

    case: str
    kind: str
    text: str
    answer: str | None
    correct: bool
    margin: Number = None


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
        score, group, value, n: what is scored, over which questions, the score (0 to 1), and of how many
            questions it is a share, or pairs and sets of four (a half and a quarter of the photographs).
    """

    score: str
    group: str
    value: Number
    n: int | float


class ParserScore(Record):
    """The plain share right as headscope's own parser reads the answers.

    Attributes:
        value, n: the share, questions.
    """

    value: Number
    n: int


class OfficialScores(Record):
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
    official: dict[str, OfficialScores]


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
