"""Every p, q and claim of the experiments, and no other file's.

- :func:`paired_change`: what changed on the same questions, with intervals and sign-flip p by picture;
- :func:`hurt_p`: whether muting one head alone hurts;
- :func:`against_controls`: whether the heads under test hurt more than random ones;
- :func:`p_among_random`: whether a random set, drawn by the same law, would;
- :func:`elsewhere`: what the function loses beyond the others;
- :func:`q_over_functions`, :func:`claim`: what may be said of a function's heads;
- :func:`overlap_p`: whether two atlases name the same heads more often than chance does.

The tests themselves (sign flips, bootstrap, Benjamini and Hochberg) are in :mod:`headscope.statistics`; what
decides which heads a probe selects, at which level, is in :mod:`headscope.probing.summary`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headscope.experiments.ablation_result import Elsewhere, GeneralDamage
from headscope.experiments.controls import CLAIM_SETS, Controls
from headscope.experiments.effects import POINTS, Effect, drops
from headscope.statistics.resampling import (
    Difference,
    benjamini_hochberg,
    draws_p,
    paired_difference,
    percentile_interval,
    sign_flip_p,
)
from headscope.statistics.shares import difference_draws, picture_weights, share_difference
from headscope.storage import Row

if TYPE_CHECKING:
    from headscope.engine.readings import Reading

Floats = NDArray[np.float64]
FLIPS = 20_000
DRAWS = 2_000  # bootstrap draws


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
    right = share_difference(one[0], other[0], groups, draws=draws, seed=seed)
    margin = paired_difference(one[1], other[1], groups, draws=draws, seed=seed)
    low, high = right.ci
    points = replace(right, value=POINTS * right.value, ci=(POINTS * low, POINTS * high))
    return Change(points, margin, POINTS * float(one[0].mean()), POINTS * float(other[0].mean()))


def effect(clean: Reading, edited: Reading, groups: Sequence[str], seed: int = 0) -> Effect:
    """What an edit costs on the same items; ``groups`` (item,) names each item's picture."""
    lost = paired_change((clean.correct, clean.margin), (edited.correct, edited.margin), groups, seed)
    forced = share_difference(clean.forced, edited.forced, groups, seed=seed)
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
        forced_clean=POINTS * float(clean.forced.mean()),
        forced_drop_points=POINTS * forced.value,
        forced_ci=(POINTS * forced.ci[0], POINTS * forced.ci[1]),
        unreadable_clean=POINTS * float(1 - clean.readable.mean()),
        unreadable=POINTS * float(1 - edited.readable.mean()),
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
    own, found = drops(clean, [edited]), drops(clean, readings)
    once = [controls.draws.index(heads) for heads in dict.fromkeys(controls.draws)]
    row: Row = {
        "draws": len(readings),
        "distinct": controls.distinct,
        "layer_matched": controls.layer_matched,
        "reason": controls.reason,
    }
    for prefix, name in (("", "points"), ("margin_", "margin"), ("forced_", "forced")):
        (observed,), values = getattr(own, name), getattr(found, name)
        row[f"{prefix}control_mean"] = float(np.mean(values)) if values else None
        row[f"{prefix}control_max"] = max(values) if values else None
        row[f"{prefix}p"] = draws_p(observed, [values[i] for i in once]) if values else None
    return row


def p_among_random(own: tuple[float, float], others: Sequence[tuple[float, float]]) -> float | None:
    """p among random sets of the same layers, which may share heads: the greater of free and forced.

    If the heads under test were themselves drawn at random, they and the sets would be exchangeable, so that
    p <= a in at most a share a of such tests (a permutation test; Phipson and Smyth 2010). Controls that are
    disjoint from the tested heads are not exchangeable with them and reject too often (docs/method.md).

    Args:
        own: points lost of free answers and of forced choice. others: the same under other sets.

    Returns:
        (1 + sets at least as bad) / (1 + sets); None without other sets.

    Example:
        >>> p_among_random((9.0, 8.0), [(9.0, 1.0), (0.0, 0.0), (0.0, 0.0)])
        0.5
    """
    if not others:
        return None
    return max(draws_p(value, [o[i] for o in others]) for i, value in enumerate(own))


def elsewhere(
    function: str, losses: Mapping[str, Floats], groups: Mapping[str, Sequence[str]], seed: int = 0
) -> Elsewhere:
    """The mean loss of the other functions, and what the function loses beyond it, with intervals by picture.

    A picture is resampled with all its questions, whatever their functions; each function's mean counts once.

    Args:
        losses: function -> (item,) forced choice lost, 0, 1 or -1.
        groups: function -> (item,) picture.
    """
    others = tuple(f for f in losses if f != function)
    names = sorted({g for f in losses for g in groups[f]})
    code = {name: i for i, name in enumerate(names)}
    weights = picture_weights(len(names), DRAWS, seed)

    def means(name: str) -> Floats:
        codes = np.array([code[g] for g in groups[name]])
        drawn = difference_draws(losses[name], codes, weights, seed + list(losses).index(name))
        return POINTS * np.concatenate([[losses[name].mean()], drawn])

    own, theirs = means(function), {f: means(f) for f in others}
    mean = np.mean(list(theirs.values()), axis=0) if others else np.full(DRAWS + 1, np.nan)
    worst = max(theirs, key=lambda f: theirs[f][0], default=None)
    spread = percentile_interval(mean[1:], len(names)), percentile_interval((own - mean)[1:], len(names))
    return Elsewhere(
        functions=others,
        points=float(mean[0]),
        ci=spread[0],
        beyond_points=float((own - mean)[0]),
        beyond_ci=spread[1],
        worst=worst,
        worst_points=None if worst is None else float(theirs[worst][0]),
    )


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


@dataclass(frozen=True)
class ClaimBounds:
    """What a claim has to keep to, fixed before ``test`` is read.

    Attributes:
        alpha: q over functions has to be below it.
        unreadable: points by which unreadable answers may rise.
        divergence: nats by which KL(clean || muted) on neutral prompts, and on other functions' questions,
            may be above the mean of random sets of the same layers.
    """

    alpha: float = 0.05
    unreadable: float = 10.0
    divergence: float = 0.5


@dataclass(frozen=True)
class Evidence:
    """What a claim that heads serve a function rests on; intervals by their lower ends, in points.

    Attributes:
        why_not: why the function cannot be tested; empty where it can.
        distinct: control sets that differ, all with as many heads in every layer as the heads under test.
        q: over functions, of the greatest p against controls.
        free, free_low, forced, forced_low: lost of free answers and of forced choice.
        beyond_low: lost by forced choice beyond the mean of the other functions.
        worst, worst_points: the other function that loses most by forced choice, and what it loses.
        damage: on what has nothing to do with the function.
    """

    why_not: str
    distinct: int
    q: float | None
    free: float | None
    free_low: float | None
    forced: float | None
    forced_low: float | None
    beyond_low: float | None
    damage: GeneralDamage | None
    worst: str | None = None
    worst_points: float | None = None

    def faults(self, bounds: ClaimBounds) -> list[str]:
        """Each part of the claim that does not hold, in words."""
        found = []
        if self.q is None or self.q >= bounds.alpha:
            found.append(f"random heads of the same layers hurt as much (q = {_number(self.q, 3)})")
        if not above_zero(self.free_low):
            found.append(f"free answers may lose nothing (from {_number(self.free_low)} points)")
        if not above_zero(self.forced_low):
            found.append(f"forced choice may lose nothing (from {_number(self.forced_low)} points)")
        if not above_zero(self.beyond_low):
            found.append(f"others may lose as much (own minus theirs from {_number(self.beyond_low)} points)")
        if self.worst is not None and not _more(self.forced, self.worst_points):
            found.append(f"{self.worst} loses as much or more ({_number(self.worst_points)} points)")
        return found + self._damaged(bounds)

    def _damaged(self, bounds: ClaimBounds) -> list[str]:
        if self.damage is None:
            return ["general damage was not measured"]
        found = []
        d = self.damage
        if d.unreadable_points is None or not d.unreadable_points <= bounds.unreadable:
            found.append(
                f"general damage: {_number(d.unreadable_points)} points more answers are unreadable (limit "
                f"{bounds.unreadable:g})"
            )
        moved = (
            ("neutral prompts", d.kl_neutral, d.kl_neutral_controls),
            ("other functions", d.kl_elsewhere, d.kl_elsewhere_controls),
        )
        for words, own, controls in moved:
            if own is None or controls is None or not own - controls <= bounds.divergence:
                found.append(
                    f"general damage: first tokens on {words} move by {_number(own, 2)} nats, with random "
                    f"heads by {_number(controls, 2)} (limit {bounds.divergence:g} more)"
                )
        return found


def claim(evidence: Evidence, bounds: ClaimBounds = ClaimBounds()) -> tuple[bool, str]:
    """Whether heads may be called functional for a function, and why, or which part failed.

    All parts have to hold (docs/concepts.md): enough control sets match the heads layer by layer; the loss is
    beyond theirs (q over functions); free answers and forced choice both lose; the function loses more than
    the others do on average, and more than any of them; and there is no general damage. Random heads of other
    layers are no control: heads that everything passes through would be called specialists.
    """
    if evidence.why_not:
        return False, f"not testable: {evidence.why_not}"
    if evidence.distinct < CLAIM_SETS:
        return False, f"no claim: {evidence.distinct} distinct control sets, a claim needs {CLAIM_SETS}"
    faults = evidence.faults(bounds)
    if faults:
        return False, f"not functional: {'; '.join(faults)}"
    return True, (
        f"functional: muting costs {_number(evidence.free)} points of free answers and "
        f"{_number(evidence.forced)} of forced choice (q = {_number(evidence.q, 3)} over functions, "
        f"{evidence.distinct} distinct control sets)"
    )


def above_zero(low: float | None) -> bool:
    """Whether an interval with this lower end excludes zero; one that is not there does not."""
    return low is not None and low > 0


def _more(own: float | None, other: float | None) -> bool:
    return own is not None and other is not None and own > other


def _number(value: float | None, digits: int = 1) -> str:
    return "unknown" if value is None else f"{value:.{digits}f}"


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
    (lost,) = drops(clean, [edited]).points
    points = [0.0 - one for one in drops(clean, readings).points]
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
