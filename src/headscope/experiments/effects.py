"""What an edit did: paired changes with intervals by image, and their place among those of controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headscope.engine.readings import Reading
from headscope.experiments.controls import Controls
from headscope.statistics.resampling import CLAIM_SETS, draws_p, paired_difference

POINTS = 100.0
# Of ablation.parquet.
COLUMNS = (
    *("phase", "split", "muted", "measured", "ranking", "k", "heads", "mute", "scope", "draw", "n", "images"),
    *("accuracy_clean", "accuracy", "drop_points", "ci_low", "ci_high", "p_paired"),
    *("margin_clean", "margin_drop", "margin_ci_low", "margin_ci_high", "margin_p_paired"),
    *("control_points", "control_margin"),
)


@dataclass(frozen=True)
class Effect:
    """Clean minus edited: positive where the edit hurts.

    ``drop_points`` in percentage points of accuracy, ``margin_drop`` in nats per token; ``ci`` and
    ``margin_ci`` are 95 % bootstrap intervals by image, ``p_paired`` and ``margin_p_paired`` sign-flip
    p-values (two-sided) by image.
    """

    n: int
    images: int
    accuracy_clean: float
    accuracy: float
    drop_points: float
    ci: tuple[float, float]
    p_paired: float
    margin_clean: float
    margin_drop: float
    margin_ci: tuple[float, float]
    margin_p_paired: float


def effect(clean: Reading, edited: Reading, groups: Sequence[str], seed: int = 0) -> Effect:
    """Compare two readings of the same items; ``groups`` (item,) names each item's image."""
    accuracy = paired_difference(clean.correct, edited.correct, groups, seed=seed)
    margin = paired_difference(clean.margin, edited.margin, groups, seed=seed)
    return Effect(
        n=len(groups),
        images=len(set(groups)),
        accuracy_clean=clean.accuracy,
        accuracy=edited.accuracy,
        drop_points=POINTS * accuracy.value,
        ci=(POINTS * accuracy.ci[0], POINTS * accuracy.ci[1]),
        p_paired=accuracy.p_signflip,
        margin_clean=float(clean.margin.mean()),
        margin_drop=margin.value,
        margin_ci=(margin.ci[0], margin.ci[1]),
        margin_p_paired=margin.p_signflip,
    )


def drops(clean: Reading, edited: Sequence[Reading]) -> tuple[list[float], list[float]]:
    """Mean drop in points and in margin of each reading."""
    points = [POINTS * float(np.mean(clean.correct - one.correct)) for one in edited]
    margins = [float(np.mean(clean.margin - one.margin)) for one in edited]
    return points, margins


def against_controls(
    clean: Reading, edited: Reading, readings: Sequence[Reading], controls: Controls
) -> dict[str, Any]:
    """Where the drop under test lies among those of the control draws.

    ``p`` = (1 + controls at least as bad) / (1 + controls) over the controls that differ from each other
    (docs/concepts.md): a set read twice is no second witness. NaN (null) without draws.
    """
    (observed,), (margin_observed,) = drops(clean, [edited])
    points, margins = drops(clean, readings)
    some = bool(points)
    once = [controls.draws.index(heads) for heads in dict.fromkeys(controls.draws)]
    return {
        "draws": len(points),
        "distinct": controls.distinct,
        "layer_matched": controls.layer_matched,
        "reason": controls.reason,
        "control_mean": float(np.mean(points)) if some else None,
        "control_max": max(points) if some else None,
        "p": draws_p(observed, [points[i] for i in once]) if some else None,
        "margin_control_mean": float(np.mean(margins)) if some else None,
        "margin_control_max": max(margins) if some else None,
        "margin_p": draws_p(margin_observed, [margins[i] for i in once]) if some else None,
    }


def verdict(result: Mapping[str, Any], alpha: float) -> tuple[bool, str]:
    """Whether functional heads may be claimed (accuracy beyond controls and beyond chance), and why.

    Args:
        result: one function's ``q`` over functions, ``distinct`` control sets, ``ci``, ``excess_points`` and,
            where there is one, ``p_random``.
        alpha: q below which controls count as beaten.
    """
    q, distinct, low = result["q"], result["distinct"], result["ci"][0]
    if q is None or distinct < CLAIM_SETS:
        return False, f"no claim: {distinct} distinct control sets, a claim needs {CLAIM_SETS}"
    sure = f"q = {q:.3f} over functions, {distinct} distinct control sets"
    if q >= alpha:
        return False, f"not functional: controls hurt as much ({sure})"
    if not low > 0:
        return False, f"not functional: the accuracy drop may be nothing (interval from {low:.1f} points)"
    excess = result["excess_points"]
    said = f"functional: muting costs {excess:.1f} points more than the mean control ({sure})"
    random = result.get("p_random")
    if random is not None and random >= alpha:
        said += (
            f"; random sets that may share heads with it hurt as much too often (p = {random:.3f}), so one "
            "or two of these heads may carry the effect"
        )
    return True, said


def flat(found: Mapping[str, Any]) -> dict[str, Any]:
    """An effect as one table row: intervals in two columns each."""
    row = {k: v for k, v in found.items() if k not in ("ci", "margin_ci")}
    row["ci_low"], row["ci_high"] = found["ci"]
    row["margin_ci_low"], row["margin_ci_high"] = found["margin_ci"]
    return row
