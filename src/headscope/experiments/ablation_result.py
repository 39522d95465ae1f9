"""The result of the muting experiment: ``ablation.json`` and ``ablation.parquet``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from headscope.experiments.effects import ControlledEffect, Effect
from headscope.records import Artefact, Interval, JsonValue, Number, Record

# Of ablation.parquet.
COLUMNS = (
    *("phase", "split", "muted", "measured", "ranking", "k", "heads", "mute", "scope", "draw", "n", "images"),
    *("accuracy_clean", "accuracy", "drop_points", "ci_low", "ci_high", "p_paired"),
    *("margin_clean", "margin_drop", "margin_ci_low", "margin_ci_high", "margin_p_paired"),
    *("control_points", "control_margin"),
)


class MutingTest(ControlledEffect):
    """One function's heads, frozen on ``select`` and muted on ``test``.

    Attributes:
        ranking, k, heads: the frozen choice.
        p_random: p among random sets that may share heads with it; where it is not below ``alpha``, the
            verdict says so ([why](method.md)).
        excess_points: ``drop_points`` - ``control_mean``.
        q: ``p`` after Benjamini and Hochberg over functions.
        claimed, verdict: whether its heads may be called functional, and the reason in words.
        mutes: the same heads muted otherwise: ``zero``, factor ``small``, ``mean`` of z over ``fit``,
            ``clamp`` (half way to that mean).
        scopes: zero muting at some positions only.
        main: effect on main questions, by context; for spatial functions with ``main_draws`` controls.
        alone: effect on the function's steps asked alone; in gold context an answer may also be read from
            the text before the question.
    """

    ranking: str
    k: int
    heads: tuple[str, ...]
    p_random: Number = None
    excess_points: Number = None
    q: Number = None
    claimed: bool = False
    verdict: str = ""
    mutes: dict[str, Effect] = Field(default_factory=dict)
    scopes: dict[str, Effect] = Field(default_factory=dict)
    main: dict[str, ControlledEffect] = Field(default_factory=dict)
    alone: ControlledEffect | None = None


class Specificity(Record):
    """The heads of one function muted (row), another measured (column).

    Attributes:
        muted, measured: functions.
        drop_points, ci, margin_drop, margin_ci, n: [muted][measured].
    """

    muted: tuple[str, ...]
    measured: tuple[str, ...]
    drop_points: tuple[tuple[Number, ...], ...]
    ci: tuple[tuple[Interval, ...], ...]
    margin_drop: tuple[tuple[Number, ...], ...]
    margin_ci: tuple[tuple[Interval, ...], ...]
    n: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, functions: Sequence[str], table: Sequence[Sequence[Effect]]) -> Specificity:
        """The table of effects, function by function."""
        columns = ("drop_points", "ci", "margin_drop", "margin_ci", "n")
        cells = {c: tuple(tuple(getattr(cell, c) for cell in row) for row in table) for c in columns}
        return cls(muted=tuple(functions), measured=tuple(functions), **cells)


class DosePoint(Record):
    """The first k heads of one ranking, muted on ``select``.

    Attributes:
        ranking, k, heads: which.
        drop_points, margin_drop: lost under them.
        control_points, control_margin: means over ``control_draws`` controls.
        control_draws, layer_matched: how many controls, and whether they match layer by layer.
        excess_points, excess_margin: lost beyond the mean control.
    """

    ranking: str
    k: int
    drop_points: Number
    margin_drop: Number = None
    control_points: Number
    control_margin: Number = None
    control_draws: int = 0
    layer_matched: bool = True
    heads: tuple[str, ...] = ()
    excess_points: Number = None
    excess_margin: Number = None


class DoseCurve(Record):
    """All candidates of one function on ``select``.

    Attributes:
        n: questions.
        candidates: every ranking and k.
    """

    n: int
    candidates: tuple[DosePoint, ...]


class AblationResult(Artefact):
    """What muting each function's heads did.

    Attributes:
        settings: all of them, seed and batch size among them.
        rule: how heads were chosen on ``select``, in words.
        functions: function -> its test.
        claimed: functions whose heads may be called functional.
        skipped: function -> why it could not be tested.
        specificity: what muting one function's heads does to every other.
        dose: function -> every candidate on ``select``.
    """

    TABLE: ClassVar[bool] = True
    schema_: Literal["headscope/ablation/1"] = Field(default="headscope/ablation/1", alias="schema")
    settings: dict[str, JsonValue]
    rule: str = ""
    functions: dict[str, MutingTest]
    claimed: tuple[str, ...] = ()
    skipped: dict[str, str] = Field(default_factory=dict)
    specificity: Specificity | None = None
    dose: dict[str, DoseCurve] = Field(default_factory=dict)

    def control_points(self, function: str) -> tuple[float, ...]:
        """Points lost under each control draw of a function, from the table."""
        return tuple(
            row["drop_points"]
            for row in self.rows
            if row["phase"] == "control" and row["muted"] == row["measured"] == function
        )
