"""The result of the emphasis experiment: ``emphasis.json`` and ``emphasis.parquet``."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from headscope.experiments.effects import Gain
from headscope.records import Artefact, Interval, JsonValue, Number, Record

# Of emphasis.parquet.
COLUMNS = (
    *("phase", "split", "function", "measured", "edit", "strength", "scope", "source"),
    *("k", "heads", "draw", "n", "images"),
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


class Headroom(Record):
    """Whether a function can be improved at all.

    Attributes:
        n, clean: questions on ``select``, and percent of them answered right.
        testable, reason: whether the function was tried, and why not.
    """

    n: int
    clean: Number
    testable: bool
    reason: str = ""


class EmphasisTest(TriedOption, Gain):
    """The option frozen for one function, judged on ``test``.

    Attributes:
        random_sets, layer_matched, reason: distinct random head sets that were turned up alike, whether they
            have as many heads in every layer, and what else to know of them.
        random_sets_mean, random_sets_max: their gains.
        p, q: (1 + sets that gain as much) / (1 + sets); over the functions that were tried.
        claimed, verdict: whether turning these heads up may be said to help, and why.
        worst_side_effect, worst_side_effect_points: the function that suffers most, and its change.
        side_effects: change of every other function.
        main: change of main questions, by context.
        steering: what the steering direction rests on.
        tried: every option, with its gain on ``select``.
    """

    random_sets: int = 0
    layer_matched: bool | None = None
    reason: str = ""
    random_sets_mean: Number = None
    random_sets_max: Number = None
    p: Number = None
    q: Number = None
    claimed: bool = False
    verdict: str = ""
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
        n, accuracy_clean, delta_points, ci: questions, percent right before, and its gain on ``test``.
        random_sets, random_sets_mean, random_sets_max, p, q: random head sets turned up alike.
        claimed, verdict: what may be said.
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
    accuracy_clean: Number = None
    random_sets: int = 0
    random_sets_mean: Number = None
    random_sets_max: Number = None
    p: Number = None
    q: Number = None
    claimed: bool = False
    verdict: str = ""
    worst_side_effect_points: Number = None
    worst_side_effect: str | None = None

    @classmethod
    def of(cls, function: str, test: EmphasisTest) -> Headline:
        """The headline of a function's result."""
        kept = set(cls.model_fields) - {"function"}
        return cls(function=function, **{name: getattr(test, name) for name in kept})


class EmphasisResult(Artefact):
    """What turning heads up did to the functions that have headroom.

    Attributes:
        settings: all of them, seed and batch size among them.
        rule: how edits were chosen on ``select``, in words.
        ranking: the ranking whose heads were tried.
        headroom: function -> whether it could be tried.
        headline: the most promising function by ``select``; null where none could be tried.
        functions: function -> its result, of those that were tried.
    """

    TABLE: ClassVar[bool] = True
    schema_: Literal["headscope/emphasis/2"] = Field(default="headscope/emphasis/2", alias="schema")
    settings: dict[str, JsonValue]
    rule: str = ""
    ranking: str = ""
    headroom: dict[str, Headroom] = Field(default_factory=dict)
    headline: Headline | None = None
    functions: dict[str, EmphasisTest]

    @property
    def untestable(self) -> str:
        """Why no function could be tried, in words; empty where one was."""
        if self.functions:
            return ""
        why = dict.fromkeys(room.reason for room in self.headroom.values() if not room.testable)
        return "; ".join(why)

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Least and greatest accuracy on ``select``, in percent, of a function that is tried."""
        match self.settings.get("headroom"):
            case [int() | float() as low, int() | float() as high]:
                return float(low), float(high)
        return None
