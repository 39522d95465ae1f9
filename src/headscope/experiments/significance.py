"""Every p, q and claim of the experiments, and no other file's.

- :func:`paired_change`: what changed on the same questions, with intervals and sign-flip p by picture;
- :func:`hurt_p`: whether muting one head alone hurts;
- :func:`against_controls`: whether the heads under test hurt more than random ones;
- :func:`p_among_random`: whether a random set, drawn by the same law, would;
- :func:`q_over_functions`, :func:`claim`: what may be said of a function's heads;
- :func:`overlap_p`: whether two atlases name the same heads more often than chance does.

The tests themselves (sign flips, bootstrap, Benjamini and Hochberg) are in :mod:`headscope.statistics`; what
decides which heads a probe selects, at which level, is in :mod:`headscope.probing.summary`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headscope.edits.edits import Edit, mute
from headscope.engine.readings import Reader, Reading
from headscope.experiments.controls import Controls, draw
from headscope.experiments.effects import POINTS, Effect, drops
from headscope.models.geometry import Geometry, Head
from headscope.statistics.resampling import (
    Difference,
    benjamini_hochberg,
    draws_p,
    paired_difference,
    sign_flip_p,
)
from headscope.storage import Row

Floats = NDArray[np.float64]
FLIPS = 20_000
CLAIM_SETS = 200  # distinct control sets behind a claim; fewer give a quick look, never a claim


@dataclass(frozen=True)
class Change:
    """One condition minus another on the same questions.

    Attributes:
        points: of accuracy, in percentage points. margin: in nats per token.
        one, other: accuracies of the two conditions in percent.
    """

    points: Difference
    margin: Difference
    one: float
    other: float


def paired_change(
    one: tuple[Floats, Floats],
    other: tuple[Floats, Floats],
    groups: Sequence[str],
    seed: int = 0,
    draws: int = 2000,
) -> Change:
    """Compare two conditions on the same questions; intervals (95 %) and sign-flip p are by picture.

    Args:
        one, other: (item,) correctness (0 or 1) and margin.
        groups: (item,) picture.
    """
    right, margin = (
        paired_difference(a, b, groups, draws=draws, seed=seed) for a, b in zip(one, other, strict=True)
    )
    low, high = right.ci
    points = replace(right, value=POINTS * right.value, ci=(POINTS * low, POINTS * high))
    return Change(points, margin, POINTS * float(one[0].mean()), POINTS * float(other[0].mean()))


def effect(clean: Reading, edited: Reading, groups: Sequence[str], seed: int = 0) -> Effect:
    """What an edit costs on the same items; ``groups`` (item,) names each item's picture."""
    lost = paired_change((clean.correct, clean.margin), (edited.correct, edited.margin), groups, seed)
    return Effect(
        n=len(groups),
        images=len(set(groups)),
        accuracy_clean=lost.one,
        accuracy=lost.other,
        drop_points=lost.points.value,
        ci=lost.points.ci,
        p_paired=lost.points.p_signflip,
        margin_clean=float(clean.margin.mean()),
        margin_drop=lost.margin.value,
        margin_ci=lost.margin.ci,
        margin_p_paired=lost.margin.p_signflip,
    )


def hurt_p(lost: Floats, right: Floats, groups: Any, seed: int = 0) -> float:
    """One-sided sign-flip p by image that the margin drops or answers are lost (Bonferroni over the two).

    The margin alone misses a head whose muting turns answers wrong on most pictures and makes the guess that
    is left very sure on the others (docs/method.md).

    Args:
        lost, right: (item,) drop of the margin, and of correctness. groups: (item,) image.

    Example:
        >>> hurt_p(np.array([1.0] * 9 + [-30.0]), np.array([1.0] * 9 + [0.0]), None)
        0.00390625
    """
    kinds = (sign_flip_p(v, groups, FLIPS, seed, "greater") for v in (lost, right))
    return min(1.0, 2 * min(kinds))


def against_controls(clean: Reading, edited: Reading, readings: Sequence[Reading], controls: Controls) -> Row:
    """Where the drop under test lies among those of the control draws.

    ``p`` = (1 + controls at least as bad) / (1 + controls), over the controls that differ from each other: a
    set read twice is no second witness.

    Returns:
        The fields that a :class:`headscope.experiments.effects.ControlledEffect` has beyond an effect's;
        figures are None without draws.
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


def p_among_random(
    reader: Reader, geometry: Geometry, heads: Sequence[Head], draws: int, seed: int
) -> float | None:
    """p of the accuracy drop among random sets with as many heads per layer, which may share heads with it.

    If the heads under test were themselves drawn at random, they and the sets would be exchangeable, so that
    p <= a in at most a share a of such tests (a permutation test; Phipson and Smyth 2010). Controls that are
    disjoint from the tested heads are not exchangeable with them and reject too often (docs/method.md).

    Args:
        draws: random sets, each read once; 0: no test.

    Returns:
        (1 + sets at least as bad) / (1 + sets); None without draws.
    """
    if not draws:
        return None
    drawn = draw(geometry, heads, draws, seed, disjoint=False)
    others = [d for d in dict.fromkeys(drawn.draws) if set(d) != set(heads)]
    readings = reader.read_many(others, mute(), label="random sets")
    (observed,), _ = drops(reader.clean, [reader.read(Edit(tuple(heads), mute()))])
    return draws_p(observed, drops(reader.clean, readings)[0])


def q_over_functions(p: Mapping[str, float | None]) -> dict[str, float | None]:
    """Function -> p after Benjamini and Hochberg over the functions that have one.

    Example:
        >>> q_over_functions({"a": 0.01, "b": None, "c": 0.5})
        {'a': 0.02, 'b': None, 'c': 0.5}
    """
    held = {f: value for f, value in p.items() if value is not None}
    q = dict(zip(held, (float(v) for v in benjamini_hochberg(list(held.values()))), strict=True))
    return {f: q.get(f) for f in p}


def overlap_p(shared: int, k: int, heads: int) -> float:
    """p that two sets of ``k`` among ``heads`` heads, drawn at random, have at least ``shared`` in common.

    Example:
        >>> overlap_p(1, 1, 64)
        0.015625
    """
    from scipy.stats import hypergeom

    return float(hypergeom.sf(shared - 1, heads, k, k))


def claim(
    *,
    q: float | None,
    distinct: int,
    low: float | None,
    excess: float | None,
    p_random: float | None = None,
    alpha: float = 0.05,
    matched: bool = True,
    why_not: str = "",
) -> tuple[bool, str]:
    """Whether functional heads may be claimed (accuracy beyond matched controls and beyond chance), and why.

    Random heads of other layers are no control: heads that everything passes through would be called
    specialists. Where no head sets match the layers there is no claim.

    Args:
        q: over functions. distinct: control sets that differ.
        matched: whether they have as many heads in every layer as the heads under test; why_not: the reason.
        low: lower end of the interval of the accuracy drop, points; None where there is none.
        excess: points lost beyond the mean control.
        p_random: see :func:`p_among_random`.
        alpha: q below which controls count as beaten.
    """
    if not matched:
        return False, f"not testable: no control sets match its layers ({why_not or 'no reason given'})"
    if q is None or excess is None or distinct < CLAIM_SETS:
        return False, f"no claim: {distinct} distinct control sets, a claim needs {CLAIM_SETS}"
    sure = f"q = {q:.3f} over functions, {distinct} distinct control sets"
    if q >= alpha:
        return False, f"not functional: controls hurt as much ({sure})"
    if low is None:
        return False, "not functional: the accuracy drop may be nothing (it has no interval)"
    if not low > 0:
        return False, f"not functional: the accuracy drop may be nothing (interval from {low:.1f} points)"
    said = f"functional: muting costs {excess:.1f} points more than the mean control ({sure})"
    if p_random is not None and p_random >= alpha:
        said += (
            f"; random sets that may share heads with it hurt as much too often (p = {p_random:.3f}), so one "
            "or two of these heads may carry the effect"
        )
    return True, said


def among_random(observed: float, drawn: Floats | Sequence[float]) -> float | None:
    """(1 + random sets with at least as much) / (1 + random sets); None without sets.

    Args:
        observed: of the heads under test; larger is the stronger effect.
        drawn: (set,) the same of random head sets, each distinct set once.

    Example:
        >>> among_random(2.0, [0.0, 1.0, 2.0])
        0.5
    """
    return draws_p(observed, drawn) if len(drawn) else None


def q_of(p: Sequence[float | None]) -> list[float | None]:
    """p after Benjamini and Hochberg over those that there are, in the same order.

    Example:
        >>> q_of([0.01, None, 0.5])
        [0.02, None, 0.5]
    """
    found = q_over_functions({str(i): value for i, value in enumerate(p)})
    return [found[str(i)] for i in range(len(p))]


def beyond_random(low: float | None, p: float | None, alpha: float = 0.05) -> bool:
    """Whether an effect is shown: its interval lies above zero, and random head sets have less of it.

    Args:
        low: lower end of the interval; p: among random sets; None: there is none, and nothing is shown.

    Example:
        >>> beyond_random(0.1, 0.01), beyond_random(0.1, 0.2), beyond_random(None, 0.01)
        (True, False, False)
    """
    return low is not None and low > 0 and p is not None and p < alpha


def gain_among_sets(clean: Reading, edited: Reading, readings: Sequence[Reading], controls: Controls) -> Row:
    """Where the gain under test lies among those of random head sets that were turned up alike.

    Args:
        readings: under the draws of ``controls``, in their order; none where they match no layers.

    Returns:
        The fields of an :class:`headscope.experiments.emphasis_result.EmphasisTest` that are about them.
    """
    (lost,), _ = drops(clean, [edited])
    points = [0.0 - one for one in drops(clean, readings)[0]]
    once = [points[controls.draws.index(heads)] for heads in dict.fromkeys(controls.draws)] if points else []
    return {
        "random_sets": len(once),
        "layer_matched": controls.layer_matched,
        "reason": controls.reason,
        "random_sets_mean": float(np.mean(once)) if once else None,
        "random_sets_max": max(once) if once else None,
        "p": among_random(0.0 - lost, once),
    }


EMPHASIS_SETS = 50  # distinct random sets behind a claim that turning heads up helps


def emphasis_claim(
    *,
    q: float | None,
    sets: int,
    low: float | None,
    forced_low: float | None,
    alpha: float = 0.05,
    matched: bool = True,
    why_not: str = "",
) -> tuple[bool, str]:
    """Whether turning these heads up may be said to help, beyond random heads of their layers, and why.

    Args:
        q: over the functions tried. sets: distinct random sets. matched: whether they match the layers;
            why_not: the reason.
        low, forced_low: lower ends of the intervals of the gain, free and by forced choice, points.
        alpha: q below which random sets count as beaten.
    """
    if not matched:
        return False, f"not testable: no random sets match its layers ({why_not or 'no reason given'})"
    if q is None or sets < EMPHASIS_SETS:
        return False, f"no claim: {sets} random sets, a claim needs {EMPHASIS_SETS}"
    sure = f"q = {q:.3f} over functions, {sets} random sets"
    if low is None or not low > 0:
        return False, f"does not help: the gain may be nothing ({sure})"
    if q >= alpha:
        return False, f"does not help: random heads gain as much ({sure})"
    if forced_low is None or not forced_low > 0:
        return False, f"helps free answers only: by forced choice the gain may be nothing ({sure})"
    return True, f"helps: gains beyond random heads turned up alike ({sure})"
