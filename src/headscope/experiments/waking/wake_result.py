"""The result of pointing: ``wake.json`` and ``wake.parquet``."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from headscope.records import Artefact, Interval, JsonValue, Number, Record

Population = Literal["all", "in_training_range", "beyond"]
POPULATIONS: tuple[Population, ...] = ("all", "in_training_range", "beyond")
BREAKDOWNS = ("by_crowding", "by_function", "beyond_by_function", "main_by_context", "by_pointing")


class Comparison(Record):
    """Two picture variants on the same questions, one minus the other.

    Attributes:
        n, images: questions, and pictures that they show.
        accuracy_before, accuracy: percent right with the other and with the one.
        delta_points, ci, p: difference in percentage points, its 95 % bootstrap interval and two-sided
            sign-flip p by picture.
        margin_delta, margin_ci, margin_p: the same for the margin, nats per token.
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


class VariantTable(Record):
    """One picture variant against the plain picture; null without questions.

    Attributes:
        all, in_training_range, beyond: populations: questions that name all they need; of these, by number of
            things, inside and above the range that the model states it was trained on. Without such a
            statement these two and ``beyond_by_function`` are left out.
        by_crowding, by_function, beyond_by_function, main_by_context, by_pointing: breakdowns, each value ->
            comparison.
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
    by_pointing: dict[str, Comparison | None] = Field(default_factory=dict)
    masked: dict[str, Number] = Field(default_factory=dict)
    share_of_spotlight_area: dict[str, Number] = Field(default_factory=dict)

    def population(self, name: str) -> Comparison | None:
        """The comparison on one population."""
        return {"all": self.all, "in_training_range": self.in_training_range, "beyond": self.beyond}[name]


class GainValue(Record):
    """A relative change, 0.1 for 10 percent.

    Attributes:
        value, ci: the change and its 95 % bootstrap interval by picture.
    """

    value: Number
    ci: Interval


class GroupGain(Record):
    """How much more heads do, by group.

    Attributes:
        spatial, other, difference: the spatial heads, all others, and the one less the other.
    """

    spatial: GainValue
    other: GainValue
    difference: GainValue


class Gains(Record):
    """How much more heads do than on the plain picture.

    Attributes:
        images, n: pictures and questions.
        contribution: of what heads write into the residual stream.
        attention: of the attention on the named objects.
    """

    images: int
    n: int
    contribution: GroupGain
    attention: GroupGain


class HeadGain(Record):
    """One head, means per question.

    Attributes:
        head, spatial: its label, and whether it counts as spatial.
        contribution_plain, contribution_both, contribution_gain: contribution norm on plain pictures and with
            pointing, and its relative change.
        attention_plain, attention_both, attention_gain: the same for attention on the named objects.
    """

    head: str
    spatial: bool
    contribution_plain: Number = None
    contribution_both: Number = None
    contribution_gain: Number
    attention_plain: Number = None
    attention_both: Number = None
    attention_gain: Number = None


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


class BothSummary(Record):
    """The style ``both`` in a few numbers.

    Attributes:
        delta_points, ci: change of accuracy against the plain picture.
        random_box_delta_points, equal_area_delta_points, reverse_mask_delta_points: that of controls.
        delta_points_in_training_range: on pictures with as many things as the model states it was trained on;
            left out where it states nothing.
        head_gain_spatial, head_gain_other: relative change of contribution.
    """

    delta_points: Number = None
    ci: Interval | None = None
    random_box_delta_points: Number = None
    equal_area_delta_points: Number = None
    reverse_mask_delta_points: Number = None
    delta_points_in_training_range: Number = None
    head_gain_spatial: Number = None
    head_gain_other: Number = None


class WakeSummary(Record):
    """The block of the study's summary.

    Attributes:
        population, n: the questions that it is over: ``beyond`` where the data have pictures with more things
            than the model states it was trained on, else ``all``.
        both: the numbers.
    """

    population: Population = "all"
    n: int = 0
    both: BothSummary


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
        summary: a few numbers of ``both``.
        caveats: sentences for the report.
    """

    TABLE: ClassVar[bool] = True
    schema_: Literal["headscope/wake/1"] = Field(default="headscope/wake/1", alias="schema")
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
    summary: WakeSummary
    caveats: tuple[str, ...] = ()

    @property
    def training_things(self) -> tuple[int, int] | None:
        """Numbers of things that the model states it was trained on."""
        match self.settings.get("training_things"):
            case [int(low), int(high)]:
                return low, high
        return None
