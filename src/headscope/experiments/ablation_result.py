"""The result of the muting experiment: ``ablation.json`` and ``ablation.parquet``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from headscope.experiments.effects import ControlledEffect, Effect
from headscope.experiments.item_answers import answers_beside
from headscope.records import Artefact, Interval, JsonValue, Number, Record

if TYPE_CHECKING:
    import pandas as pd

# Of ablation.parquet.
COLUMNS = (
    *("phase", "split", "muted", "measured", "ranking", "k", "heads", "mute", "scope", "draw", "n", "images"),
    *("accuracy_clean", "accuracy", "drop_points", "ci_low", "ci_high", "p_paired"),
    *("margin_clean", "margin_drop", "margin_ci_low", "margin_ci_high", "margin_p_paired"),
    *("forced_clean", "forced_drop_points", "forced_ci_low", "forced_ci_high"),
    *("unreadable_clean", "unreadable", "elsewhere_points", "score"),
)


class Elsewhere(Record):
    """What muting one function's heads does to the other functions, by forced choice.

    Attributes:
        functions: the other functions that were measured.
        points, ci: mean over them of the points lost, and its 95 % bootstrap interval by picture.
        beyond_points, beyond_ci: own loss minus that mean, and its interval: what is specific.
        worst, worst_points: the one that loses most, and what it loses; None where there are no others.
    """

    functions: tuple[str, ...]
    points: Number
    ci: Interval
    beyond_points: Number
    beyond_ci: Interval
    worst: str | None = None
    worst_points: Number = None


class GeneralDamage(Record):
    """What muting does to what has nothing to do with the function.

    Attributes:
        unreadable_points: free answers to the function's own questions that are none of the choices any more,
            in points of all.
        kl_neutral, kl_elsewhere: divergence KL(clean || muted) of the first token's distribution, nats: mean
            over neutral prompts, and over questions of the other functions.
        kl_neutral_controls, kl_elsewhere_controls: means of the same over random sets of the same layers.
        prompts, draws: neutral prompts, and random sets.
    """

    unreadable_points: Number
    kl_neutral: Number = None
    kl_elsewhere: Number = None
    kl_neutral_controls: Number = None
    kl_elsewhere_controls: Number = None
    prompts: int = 0
    draws: int = 0


class RandomSets(Record):
    """Random head sets of a function's layers that were put through the claim's own test.

    Attributes:
        sets: how many.
        beyond_controls: those that hurt more than the other random sets do, at the claim's level.
        claimed: those that would be claimed.
    """

    sets: int
    beyond_controls: int
    claimed: int


class MutingTest(ControlledEffect):
    """One function's heads, frozen on ``select`` and muted on ``test``.

    Attributes:
        ranking, k, heads: the frozen choice.
        p_random: the greater p, of free answers and of forced choice, among random sets of the same layers
            that may share heads with it: where one head of the set carries the effect, many of them do too.
        p_claim: the greatest of ``p``, ``forced_p`` and ``p_random``.
        excess_points: ``drop_points`` - ``control_mean``.
        q: ``p_claim`` after Benjamini and Hochberg over the functions that can be tested.
        elsewhere, damage, random_sets: what the claim rests on besides.
        not_testable: why nothing can be claimed of it on this model; empty where it can be tested.
        claimed, verdict: whether its heads may be called functional, and the reason in words.
        mutes: the same heads muted otherwise: ``zero``, factor ``small``, ``mean`` of z over ``fit``,
            ``clamp`` (half way to that mean), ``resample`` (z of another case asked in the same words; ``n``
            are the questions for which there is one of the same layout).
        scopes: zero muting at some positions only.
        main: effect on main questions, by context; for spatial functions with ``main_draws`` controls.
        alone: effect on the function's steps asked alone; in gold context an answer may also be read from
            the text before the question.
    """

    ranking: str
    k: int
    heads: tuple[str, ...]
    p_random: Number = None
    p_claim: Number = None
    excess_points: Number = None
    q: Number = None
    elsewhere: Elsewhere | None = None
    damage: GeneralDamage | None = None
    random_sets: RandomSets | None = None
    not_testable: str = ""
    claimed: bool = False
    verdict: str = ""
    mutes: dict[str, Effect] = Field(default_factory=dict)
    scopes: dict[str, Effect] = Field(default_factory=dict)
    main: dict[str, ControlledEffect] = Field(default_factory=dict)
    alone: ControlledEffect | None = None


class Specificity(Record):
    """The heads of one function muted (row), another measured (column).

    Attributes:
        muted, measured: functions; those that were not tested are measured only.
        drop_points, ci, forced_drop_points, forced_ci, margin_drop, margin_ci, n: [muted][measured].
    """

    muted: tuple[str, ...]
    measured: tuple[str, ...]
    drop_points: tuple[tuple[Number, ...], ...]
    ci: tuple[tuple[Interval, ...], ...]
    forced_drop_points: tuple[tuple[Number, ...], ...]
    forced_ci: tuple[tuple[Interval, ...], ...]
    margin_drop: tuple[tuple[Number, ...], ...]
    margin_ci: tuple[tuple[Interval, ...], ...]
    n: tuple[tuple[int, ...], ...]

    @classmethod
    def of(
        cls, muted: Sequence[str], measured: Sequence[str], table: Sequence[Sequence[Effect]]
    ) -> Specificity:
        """The table of effects, [muted][measured]."""
        columns = ("drop_points", "ci", "forced_drop_points", "forced_ci", "margin_drop", "margin_ci", "n")
        cells = {c: tuple(tuple(getattr(cell, c) for cell in row) for row in table) for c in columns}
        return cls(muted=tuple(muted), measured=tuple(measured), **cells)


class LayerDamage(Record):
    """What muting random heads of one layer costs all functions, on ``select``.

    Attributes:
        tower, layer, site, heads: which layer, and how many heads it has.
        muted, sets: heads in a random set, and how many sets.
        forced_drop_points: points of forced choice lost, mean over functions and sets.
        left_out: whether that is above the limit, so that no heads are chosen here.
    """

    tower: str
    layer: int
    site: str
    heads: int
    muted: int
    sets: int
    forced_drop_points: Number
    left_out: bool


class DosePoint(Record):
    """The first k heads of one ranking, muted on ``select``.

    Attributes:
        ranking, k, heads: which.
        sets: how many other sets match it layer by layer without sharing a head with it.
        drop_points, forced_drop_points, smooth_points: lost of free answers, of forced choice, and of
            smoothed forced choice (100 times the logistic function of the margin).
        elsewhere_points: mean lost by the other functions, of smoothed forced choice.
        score: ``smooth_points`` - ``elsewhere_points``, which the rule goes by.
    """

    ranking: str
    k: int
    heads: tuple[str, ...] = ()
    sets: int = 0
    drop_points: Number
    forced_drop_points: Number = None
    smooth_points: Number = None
    elsewhere_points: Number = None
    score: Number = None


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
        skipped: function -> why it was not tested.
        layers: what random heads of each layer cost, and which layers are left out.
        specificity: what muting one function's heads does to every other.
        dose: function -> every candidate on ``select``.
    """

    TABLE: ClassVar[bool] = True
    schema_: Literal["headscope/ablation/2"] = Field(default="headscope/ablation/2", alias="schema")
    settings: dict[str, JsonValue]
    rule: str = ""
    functions: dict[str, MutingTest]
    claimed: tuple[str, ...] = ()
    skipped: dict[str, str] = Field(default_factory=dict)
    layers: tuple[LayerDamage, ...] = ()
    specificity: Specificity | None = None
    dose: dict[str, DoseCurve] = Field(default_factory=dict)

    def answers(self) -> pd.DataFrame:
        """How each question of ``test`` was answered, as it is and with heads muted.

        Returns:
            One row a question and edit: ``item``, ``case``, ``function`` that it asks for, ``context``,
            ``question``, ``truth``; ``edit``, ``none`` or a way to mute (``zero``, ``small``, ``mean``,
            ``clamp``, ``resample``), ``muted``, the function whose heads, and ``scope``; ``correct``, of the
            free answer, ``margin``, the truth less the best wrong choice in nats per token, and ``readable``,
            whether the free answer is any of the choices. Random control sets are not among them.

        Raises:
            StudyError: the result was made before answers were kept, or is in memory alone.
            DamagedError: the answers are not as they were written.
        """
        return answers_beside(self._path).to_dataframe()

    def control_points(self, function: str) -> tuple[float, ...]:
        """Points lost under each control draw of a function, from the table."""
        return tuple(
            row["drop_points"]
            for row in self.rows
            if row["phase"] == "control" and row["muted"] == row["measured"] == function
        )
