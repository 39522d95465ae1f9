"""The result of pointing: ``wake.json`` and ``wake.parquet``."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from headscope.experiments.waking.gain_records import Gains, HeadGain, Waking
from headscope.experiments.waking.summary_records import WakeSummary
from headscope.records import Artefact, Interval, JsonValue, Number, Record

Population = Literal["all", "in_training_range", "beyond"]
POPULATIONS: tuple[Population, ...] = ("all", "in_training_range", "beyond")


class Comparison(Record):
    """Two picture variants on the same questions, one minus the other.

    Attributes:
        n, images: questions, and pictures that they show.
        accuracy_before, accuracy: percent right with the other and with the one.
        delta_points, ci, p: difference in percentage points, its 95 % bootstrap interval and two-sided
            sign-flip p by picture.
        margin_delta, margin_ci, margin_p: the same for the margin, nats per token.
        forced_points, forced_ci: difference in points of how often the true answer is the likeliest choice.
    """

    n: int
    images: int
    accuracy_before: Number
    accuracy: Number
    delta_points: Number
    ci: Interval
    p: Number
    margin_delta: Number
    margin_ci: Interval
    margin_p: Number
    forced_points: Number = None
    forced_ci: Interval = (None, None)


class VariantTable(Record):
    """One picture variant against the plain picture; null without questions.

    Attributes:
        all, in_training_range, beyond: populations: questions that name all they need and whose answer
            neither boxes nor window tell; of these, by number of things, inside and above the range that the
            model states it was trained on. Without such a statement these two and ``beyond_by_function`` are
            left out.
        by_crowding, by_function, beyond_by_function, main_by_context: breakdowns of these, each value ->
            comparison.
        leaky, by_leak: questions that name all they need and whose answer boxes or window tell; by what they
            tell.
        by_pointing: all questions read, by what there is to point at.
        masked: population -> mean share of the picture masked.
        share_of_spotlight_area: population -> masked pixels over those that the spotlight masks; null where
            equal area is not the aim.
    """

    all: Comparison | None = None
    in_training_range: Comparison | None = None
    beyond: Comparison | None = None
    beyond_by_function: dict[str, Comparison | None] = Field(default_factory=dict)
    by_crowding: dict[str, Comparison | None] = Field(default_factory=dict)
    by_function: dict[str, Comparison | None] = Field(default_factory=dict)
    main_by_context: dict[str, Comparison | None] = Field(default_factory=dict)
    leaky: Comparison | None = None
    by_leak: dict[str, Comparison | None] = Field(default_factory=dict)
    by_pointing: dict[str, Comparison | None] = Field(default_factory=dict)
    masked: dict[str, Number] = Field(default_factory=dict)
    share_of_spotlight_area: dict[str, Number] = Field(default_factory=dict)

    def population(self, name: str) -> Comparison | None:
        """The comparison on one population."""
        return {"all": self.all, "in_training_range": self.in_training_range, "beyond": self.beyond}[name]


class Asked(Record):
    """Questions of one split.

    Attributes:
        read: how many were read.
        found: all of the split, by kind of pointing.
        ids: fingerprint of the ids read.
    """

    read: int
    found: dict[str, int] = Field(default_factory=dict)
    ids: str = ""


class StyleChoice(Record):
    """The style frozen before ``test`` was read.

    Attributes:
        style, chosen_on, reason: which, by which split, and why.
        accuracy, n: what it reached there.
    """

    style: str
    chosen_on: str | None = None
    accuracy: Number = None
    n: int | None = None
    reason: str = ""


class WakeModel(Record):
    """The model that was read.

    Attributes:
        name, revision, dtype: as loaded.
    """

    name: str
    revision: str
    dtype: str


class WrongName(Record):
    """Questions for the place of an absent thing while another thing is boxed.

    Attributes:
        n, images: questions, and pictures that they show.
        share_plain, share: percent answered with the place of the boxed thing, on the plain picture and with
            the box.
        delta_points, ci: the one less the other in percentage points, its 95 % interval by picture.
        reason: why there are none.
    """

    n: int = 0
    images: int = 0
    share_plain: Number = None
    share: Number = None
    delta_points: Number = None
    ci: Interval = (None, None)
    reason: str = ""


class Mediation(Record):
    """What is left of the gain of pointing when the spatial heads are muted.

    Attributes:
        heads: those muted: frozen by the muting experiment for the spatial functions.
        gain, muted: ``both`` less plain on the same questions, with all heads and under muting.
        mediated_points, ci: the one less the other, its 95 % interval by picture.
        random_sets: distinct random head sets with as many heads in every layer.
        random_mean: mean gain under them.
        p: share of them (and of the heads themselves) that leave no more of the gain.
        reason: why there is no figure, or why no random sets.
    """

    heads: tuple[str, ...] = ()
    gain: Comparison | None = None
    muted: Comparison | None = None
    mediated_points: Number = None
    ci: Interval = (None, None)
    random_sets: int = 0
    random_mean: Number = None
    p: Number = None
    reason: str = ""


class WakeResult(Artefact):
    """What pointing at the named objects changed.

    Attributes:
        model: the model that was read.
        data, taxonomy, seed: fingerprint of the cases, name of the taxonomy, seed.
        boxes: ``source`` of the boxes, and its fields.
        spatial_heads: labels of the heads called spatial, in flat order; empty without an atlas.
        settings: all of them, batch size among them.
        styles, controls: names, in the order read.
        questions: split -> what was asked.
        select: style -> comparison with the plain picture on ``select``.
        choice: the style frozen before ``test`` was read.
        test: variant -> its table, for ``both``, the chosen style and the controls.
        contrasts: ``both - equal_area`` and so on -> population -> comparison.
        gains: variant -> set of questions -> gains; null without an atlas or without questions.
        heads: one entry a head, flat order.
        waking: whether spatial heads wake; null without spatial heads or without questions.
        wrong_name: what an absent thing's place is said to be while another thing is boxed.
        mediation: what is left of the gain with the spatial heads muted.
        summary: a few numbers.
        caveats: sentences for the report.
    """

    TABLE: ClassVar[bool] = True
    schema_: Literal["headscope/wake/2"] = Field(default="headscope/wake/2", alias="schema")
    model: WakeModel | None = None
    data: str = ""
    taxonomy: str = ""
    boxes: dict[str, JsonValue] = Field(default_factory=dict)
    spatial_heads: tuple[str, ...] = ()
    settings: dict[str, JsonValue]
    styles: tuple[str, ...]
    controls: tuple[str, ...]
    seed: int
    questions: dict[str, Asked] = Field(default_factory=dict)
    select: dict[str, Comparison | None]
    choice: StyleChoice
    test: dict[str, VariantTable]
    contrasts: dict[str, dict[str, Comparison | None]]
    gains: dict[str, dict[str, Gains | None]]
    heads: tuple[HeadGain, ...]
    waking: Waking | None = None
    wrong_name: WrongName = WrongName()
    mediation: Mediation = Mediation()
    summary: WakeSummary
    caveats: tuple[str, ...] = ()

    @property
    def training_things(self) -> tuple[int, int] | None:
        """Numbers of things that the model states it was trained on."""
        match self.settings.get("training_things"):
            case [int(low), int(high)]:
                return low, high
        return None
