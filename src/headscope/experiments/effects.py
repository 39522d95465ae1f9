"""What an edit did to the questions that it was read on: the records that artefacts are made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headscope.engine.readings import Reading
from headscope.records import Interval, Number, Record
from headscope.storage import Row

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

    @property
    def sets(self) -> int:
        """Distinct control sets; of results that did not count them yet, all draws."""
        return self.draws if self.distinct is None else self.distinct


def drops(clean: Reading, edited: Sequence[Reading]) -> tuple[list[float], list[float]]:
    """Mean drop in points and in margin of each reading."""
    points = [POINTS * float(np.mean(clean.correct - one.correct)) for one in edited]
    margins = [float(np.mean(clean.margin - one.margin)) for one in edited]
    return points, margins


def flat(found: Effect | Gain) -> Row:
    """An effect as columns of a table: intervals in two each."""
    row = found.content()
    row["ci_low"], row["ci_high"] = row.pop("ci")
    row["margin_ci_low"], row["margin_ci_high"] = row.pop("margin_ci")
    return row


def _turned(value: float | None) -> float | None:
    return None if value is None else 0.0 - value


def _turned_interval(ci: Interval) -> Interval:
    return _turned(ci[1]), _turned(ci[0])
