"""What an edit did to the questions that it was read on: the records that artefacts are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headscope.records import Interval, Number, Record
from headscope.storage import Row

if TYPE_CHECKING:
    from headscope.engine.readings import Reading  # it brings the model; reading results needs none

POINTS = 100.0


class Effect(Record):
    """A paired effect on one set of questions; drops are positive where the edit hurts.

    Attributes:
        n, images: questions, and pictures that they show.
        accuracy_clean, accuracy: percent right before and after.
        drop_points, ci: accuracy lost in percentage points, 95 % bootstrap interval by picture.
        p_paired: two-sided sign-flip p by picture of that loss.
        margin_clean: mean margin before, nats per token.
        margin_drop, margin_ci, margin_p_paired: margin lost, its interval and p.
        forced_clean, forced_drop_points, forced_ci: percent right by forced choice among the step's choices
            before, points of it lost, interval.
        unreadable_clean, unreadable: percent of free answers that are none of the choices, before and after.
    """

    n: int
    images: int
    accuracy_clean: Number
    accuracy: Number
    drop_points: Number
    ci: Interval
    p_paired: Number
    margin_clean: Number
    margin_drop: Number
    margin_ci: Interval
    margin_p_paired: Number
    forced_clean: Number
    forced_drop_points: Number
    forced_ci: Interval
    unreadable_clean: Number
    unreadable: Number


class Gain(Record):
    """A paired effect with its sign turned: positive where the edit helps.

    Attributes:
        n, images: questions, and pictures that they show.
        accuracy_clean, accuracy: percent right before and after.
        p_paired: two-sided sign-flip p by picture of the change of accuracy.
        margin_clean: mean margin before, nats per token.
        margin_p_paired: p of the change of the margin.
        delta_points, ci: accuracy gained in percentage points, 95 % bootstrap interval by picture.
        margin_delta, margin_ci: margin gained, and its interval.
        forced_clean, forced_delta_points, forced_ci: the same by forced choice among the step's choices.
        unreadable_clean, unreadable: percent of free answers that are none of the choices, before and after.
    """

    n: int
    images: int
    accuracy_clean: Number
    accuracy: Number
    p_paired: Number
    margin_clean: Number
    margin_p_paired: Number
    delta_points: Number
    ci: Interval
    margin_delta: Number
    margin_ci: Interval
    forced_clean: Number
    forced_delta_points: Number
    forced_ci: Interval
    unreadable_clean: Number
    unreadable: Number

    @classmethod
    def of(cls, effect: Effect) -> Gain:
        """The effect with its sign turned."""
        kept = {k: v for k, v in effect.content().items() if "drop" not in k and "ci" not in k}
        return cls(
            **kept,
            delta_points=_turned(effect.drop_points),
            ci=_turned_interval(effect.ci),
            margin_delta=_turned(effect.margin_drop),
            margin_ci=_turned_interval(effect.margin_ci),
            forced_delta_points=_turned(effect.forced_drop_points),
            forced_ci=_turned_interval(effect.forced_ci),
        )


class ControlledEffect(Effect):
    """An effect beside those of random head sets that were muted in the same way.

    Attributes:
        draws, distinct: control head sets, and how many of them differ: what p rests on.
        layer_matched, reason: whether each has as many heads in every layer as the heads under test, and why
            not, or what else to know.
        control_mean, control_max: points lost under the controls.
        p: (1 + controls at least as bad) / (1 + ``distinct``), each set counted once.
        margin_control_mean, margin_control_max, margin_p: the same for the margin.
        forced_control_mean, forced_control_max, forced_p: the same for forced choice.
    """

    draws: int = 0
    distinct: int | None = None
    layer_matched: bool | None = None
    reason: str = ""
    control_mean: Number = None
    control_max: Number = None
    p: Number = None
    margin_control_mean: Number = None
    margin_control_max: Number = None
    margin_p: Number = None
    forced_control_mean: Number = None
    forced_control_max: Number = None
    forced_p: Number = None

    @property
    def sets(self) -> int:
        """Distinct control sets; of results that did not count them yet, all draws."""
        return self.draws if self.distinct is None else self.distinct


@dataclass(frozen=True, eq=False)
class Drops:
    """Mean losses, one an edit: points of free answers, points of forced choice, nats of margin."""

    points: list[float]
    forced: list[float]
    margin: list[float]


def drops(clean: Reading, edited: Sequence[Reading]) -> Drops:
    """What each reading lost against the clean one, over the same items."""
    return Drops(
        [POINTS * float(np.mean(clean.correct - one.correct)) for one in edited],
        [POINTS * float(np.mean(clean.forced - one.forced)) for one in edited],
        [float(np.mean(clean.margin - one.margin)) for one in edited],
    )


def flat(found: Effect | Gain) -> Row:
    """An effect as columns of a table: intervals in two each."""
    row = found.content()
    for prefix in ("", "margin_", "forced_"):
        row[f"{prefix}ci_low"], row[f"{prefix}ci_high"] = row.pop(f"{prefix}ci")
    return row


def _turned(value: float | None) -> float | None:
    return None if value is None else 0.0 - value


def _turned_interval(ci: Interval) -> Interval:
    return _turned(ci[1]), _turned(ci[0])
