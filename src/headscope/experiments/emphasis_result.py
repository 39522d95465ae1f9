"""The result of the emphasis experiment: ``emphasis.json`` and ``emphasis.parquet``."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from headscope.experiments.effects import Gain
from headscope.records import Artefact, Interval, JsonValue, Number, Record

# Of emphasis.parquet.
COLUMNS = (
    *("phase", "split", "function", "measured", "edit", "strength", "scope", "source"),
    *("k", "heads", "n", "images"),
    *("accuracy_clean", "accuracy", "delta_points", "ci_low", "ci_high", "p_paired"),
    *("margin_clean", "margin_delta", "margin_ci_low", "margin_ci_high", "margin_p_paired"),
)


class TriedOption(Record):
    """One way to turn a function up, and what it gained on ``select``.

    Attributes:
        edit, strength: ``scale`` and the factor, or ``steer``, where 1 adds as much as a head puts out.
        scope: positions.
        source: where the heads come from: a ranking, or ``ablation``.
        gain_points, margin_gain: gained on ``select``.
        k, heads: which heads.
    """

    edit: str
    strength: float
    scope: str = ""
    source: str
    gain_points: Number
    margin_gain: Number = None
    k: int
    heads: tuple[str, ...] = ()

    @property
    def same_as(self) -> tuple[str, float, int, str]:
        """What tells options of one function apart."""
        return self.edit, self.strength, self.k, self.source


class Steering(Record):
    """What a function's steering direction rests on.

    Attributes:
        right, wrong: answers on ``fit``.
        reason: why there is no direction, where there is none.
    """

    right: int
    wrong: int
    reason: str = ""


class EmphasisTest(TriedOption, Gain):
    """The option frozen for one function, judged on ``test``.

    Attributes:
        worst_side_effect, worst_side_effect_points: the function that suffers most, and its change.
        side_effects: change of every other function.
        main: change of main questions, by context.
        steering: what the steering direction rests on.
        tried: every option, with its gain on ``select``.
    """

    worst_side_effect: str | None = None
    worst_side_effect_points: Number = None
    side_effects: dict[str, Gain] = Field(default_factory=dict)
    main: dict[str, Gain] = Field(default_factory=dict)
    steering: Steering | None = None
    tried: tuple[TriedOption, ...] = ()


class Headline(Record):
    """The function with the greatest gain on ``select``, and its result on ``test``.

    Attributes:
        function, edit, strength, scope, k, heads: which edit.
        delta_points, ci, n: its gain on ``test``.
        worst_side_effect_points, worst_side_effect: what it costs elsewhere.
    """

    function: str
    edit: str
    strength: float
    scope: str
    k: int
    heads: tuple[str, ...]
    delta_points: Number
    ci: Interval
    n: int
    worst_side_effect_points: Number = None
    worst_side_effect: str | None = None

    @classmethod
    def of(cls, function: str, test: EmphasisTest) -> Headline:
        """The headline of a function's result."""
        kept = set(cls.model_fields) - {"function"}
        return cls(function=function, **{name: getattr(test, name) for name in kept})


class EmphasisResult(Artefact):
    """What turning each function's heads up did.

    Attributes:
        settings: all of them, seed and batch size among them.
        rule: how edits were chosen on ``select``, in words.
        ranking: the ranking whose heads were tried.
        headline: the most promising function by ``select``.
        functions: function -> its result.
    """

    TABLE: ClassVar[bool] = True
    schema_: Literal["headscope/emphasis/1"] = Field(default="headscope/emphasis/1", alias="schema")
    settings: dict[str, JsonValue]
    rule: str = ""
    ranking: str = ""
    headline: Headline
    functions: dict[str, EmphasisTest]
