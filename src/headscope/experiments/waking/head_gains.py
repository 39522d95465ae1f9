"""Whether heads wake: how much more each does with pointing, and spatial heads against the others.

The one primary measure, fixed before any run (docs/visual-prompting.md): the median over spatial heads of the
relative change of contribution norm, ``both`` over plain, less that over all other heads, on all questions
that name all they need. Everything else stands beside it, with q.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headscope.experiments.controls import draw
from headscope.experiments.significance import among_random, beyond_random, q_of
from headscope.experiments.waking.gain_records import (
    Gains,
    GainValue,
    GroupGain,
    HeadGain,
    Waking,
    WakingMeasure,
)
from headscope.experiments.waking.questions import BOTH, PLAIN
from headscope.models.geometry import Geometry
from headscope.statistics.resampling import bootstrap_weights, percentile_interval
from headscope.storage import Row

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
_CELLS = 4_000_000  # numbers held at once
QUESTIONS: dict[str, Callable[[Row], bool]] = {
    "all": lambda entry: True,
    "spatial_functions": lambda entry: bool(entry["functions"] == "spatial"),
    "other_functions": lambda entry: bool(entry["functions"] == "other"),
}
"""Sets of questions that waking is read on; main questions count among the spatial functions."""
PRIMARY = ("contribution", PLAIN, "all")
"""What waking is judged by: what is measured, against which picture, on which questions."""
LEAST_GAIN = 0.01
"""Change below which a head does what it did: less than that is rounding."""
OTHERS = (
    ("attention", PLAIN, "all"),
    ("contribution", "equal_area", "all"),
    ("attention", "equal_area", "all"),
    ("contribution", PLAIN, "spatial_functions"),
    ("contribution", PLAIN, "other_functions"),
)
"""What else is measured, each with q over them."""


@dataclass(frozen=True)
class HeadSums:
    """Per image: sums over questions of each head's contribution norm and attention mass.

    Attributes:
        images: names, (image,).
        count, count_mass: questions summed, (image,).
        norm, mass: (image, head).
    """

    images: tuple[str, ...]
    count: Floats
    count_mass: Floats
    norm: Floats
    mass: Floats

    @classmethod
    def of(cls, entries: Sequence[Row], heads: int, test: Callable[[Row], bool]) -> HeadSums:
        """Sum the ledger's entries that pass a test, image by image."""
        kept = [e for e in entries if test(e)]
        images = sorted({e["image"] for e in kept})
        place = {image: i for i, image in enumerate(images)}
        count, count_mass = np.zeros(len(images)), np.zeros(len(images))
        norm, mass = np.zeros((len(images), heads)), np.zeros((len(images), heads))
        for e in kept:
            i = place[e["image"]]
            count[i] += e["n"]
            count_mass[i] += e["n_mass"]
            norm[i] += np.array(e["norm"], dtype=np.float64)
            mass[i] += np.array(e["mass"], dtype=np.float64)
        return cls(tuple(images), count, count_mass, norm, mass)

    def totals(self, measure: str) -> Floats:
        """(head,) sums over all images of ``contribution`` or ``attention``."""
        table = self.norm if measure == "contribution" else self.mass
        return np.asarray(table.sum(axis=0), dtype=np.float64)


def gains(plain: HeadSums, woken: HeadSums, spatial: Mask, draws: int = 2000, seed: int = 0) -> Gains | None:
    """How much heads do more than on the plain picture: spatial heads, the rest, and their difference.

    A head's gain is its mean over questions with pointing over that without, minus 1; a set's gain is the
    median of its heads' gains. Intervals (95 %) resample images, both pictures of an image together.

    Args:
        plain, woken: sums over the same questions.
        spatial: (head,) bool, the heads called spatial.

    Returns:
        None without images or without both sets of heads.
    """
    if not plain.images or not spatial.any() or spatial.all():
        return None
    weights = bootstrap_weights(len(plain.images), draws, seed)
    found = {}
    for name, a, b in (
        ("contribution", woken.norm, plain.norm),
        ("attention", woken.mass, plain.mass),
    ):
        observed = _set_gains(a.sum(axis=0)[None], b.sum(axis=0)[None], spatial)[0]
        resampled = _set_gains(weights @ a, weights @ b, spatial)
        spatial_gain, other, difference = (
            GainValue(value=float(observed[i]), ci=percentile_interval(resampled[:, i], len(plain.images)))
            for i in range(3)
        )
        found[name] = GroupGain(spatial=spatial_gain, other=other, difference=difference)
    return Gains(images=len(plain.images), n=int(plain.count.sum()), **found)


def head_gains(plain: Floats, woken: Floats) -> Floats:
    """Relative change of sums, NaN where a head did nothing before."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(plain > 0, woken / plain - 1.0, np.nan)


def _set_gains(woken: Floats, plain: Floats, spatial: Mask) -> Floats:
    """(draw, 3): median gain of the spatial heads, of the rest, and the difference."""
    change = head_gains(plain, woken)
    one, other = (_median(change[:, heads]) for heads in (spatial, ~spatial))
    return np.stack([one, other, one - other], axis=1)


def _median(values: Floats) -> Floats:
    """Row medians over finite entries, NaN for rows without any."""
    found = np.full(len(values), np.nan)
    some = np.isfinite(values).any(axis=1)
    found[some] = np.nanmedian(np.where(np.isfinite(values), values, np.nan)[some], axis=1)
    return found


def median_differences(gain: Floats, sets: Sequence[Sequence[int]]) -> Floats:
    """(set,) median gain of the heads of each set less that of all other heads.

    Args:
        gain: (head,) gains, NaN left out.
        sets: flat indices of heads.

    Example:
        >>> median_differences(np.array([4.0, 1.0, 2.0]), [[0], [1]]).tolist()
        [2.5, -2.0]
    """
    found = []
    step = max(1, _CELLS // len(gain))
    for start in range(0, len(sets), step):
        inside = np.zeros((len(sets[start : start + step]), len(gain)), dtype=bool)
        for row, members in zip(inside, sets[start : start + step], strict=True):
            row[list(members)] = True
        found.append(_median(np.where(inside, gain, np.nan)) - _median(np.where(inside, np.nan, gain)))
    return np.concatenate(found) if found else np.zeros(0)


def waking(
    heads: Mapping[str, Sequence[Row]],
    geometry: Geometry,
    spatial: Sequence[int],
    *,
    sets: int = 2000,
    draws: int = 2000,
    seed: int = 0,
) -> Waking | None:
    """The primary measure and those beside it; None without spatial heads or without questions.

    p of each is over random head sets with as many heads in every layer, which may share heads with the
    spatial ones: had these been picked at random, p <= a would happen in at most a share a of studies.

    Args:
        heads: variant -> per-image sums of the ledger.
        spatial: flat indices of the spatial heads.
        sets: random head sets.
    """
    inside = np.zeros(len(geometry.heads), dtype=bool)
    inside[list(spatial)] = True
    if not inside.any() or inside.all():
        return None
    own = tuple(geometry.heads[i] for i in spatial)
    drawn = dict.fromkeys(draw(geometry, own, sets, seed, disjoint=False).draws)
    others = [[geometry.index(h) for h in one] for one in drawn if set(one) != set(own)]
    found = list(_measures(heads, inside, others, draws, seed))
    primary = next((m for m in found if (m.measure, m.against, m.questions) == PRIMARY), None)
    if primary is None:
        return None
    beside = [m for m in found if m is not primary]
    q = q_of([m.p for m in beside])
    return Waking(
        primary=primary,
        others=tuple(m.model_copy(update={"q": value}) for m, value in zip(beside, q, strict=True)),
    )


def _measures(
    heads: Mapping[str, Sequence[Row]], inside: Mask, others: Sequence[Sequence[int]], draws: int, seed: int
) -> Iterator[WakingMeasure]:
    for measure, against, questions in (PRIMARY, *OTHERS):
        if against not in heads:
            continue
        before, after = (HeadSums.of(heads[v], len(inside), QUESTIONS[questions]) for v in (against, BOTH))
        group = gains(before, after, inside, draws, seed)
        if group is None:
            continue
        part = group.contribution if measure == "contribution" else group.attention
        if part.difference.value is None:
            continue
        gain = head_gains(before.totals(measure), after.totals(measure))
        yield WakingMeasure(
            measure=measure,
            against=against,
            questions=questions,
            n=group.n,
            images=group.images,
            spatial=part.spatial.value,
            other=part.other.value,
            difference=part.difference.value,
            ci=part.difference.ci,
            spatial_ci=part.spatial.ci,
            sets=len(others),
            p=among_random(part.difference.value, median_differences(gain, others)),
        )


def shows_waking(measure: WakingMeasure) -> bool:
    """Whether spatial heads do more than before, and more so than others, random head sets included.

    More than others is not enough: masking makes most heads do less, and heads that pointing does not touch
    would seem to wake (docs/method.md, known answers).
    """
    own = measure.spatial_ci[0]
    return own is not None and own >= LEAST_GAIN and beyond_random(measure.ci[0], measure.p)


def per_head(labels: Sequence[str], plain: HeadSums, woken: HeadSums, spatial: Mask) -> tuple[HeadGain, ...]:
    """Every head: means per question before and after, and gains."""
    if not plain.images:
        return ()
    n, m = plain.count.sum(), max(float(plain.count_mass.sum()), 1.0)
    norm, lit = plain.norm.sum(axis=0), woken.norm.sum(axis=0)
    mass, seen = plain.mass.sum(axis=0), woken.mass.sum(axis=0)
    gain, shift = head_gains(norm, lit), head_gains(mass, seen)
    known = bool(plain.count_mass.any())
    return tuple(
        HeadGain(
            head=label,
            spatial=bool(spatial[i]),
            contribution_plain=float(norm[i] / n),
            contribution_both=float(lit[i] / n),
            contribution_gain=float(gain[i]),
            attention_plain=float(mass[i] / m) if known else None,
            attention_both=float(seen[i] / m) if known else None,
            attention_gain=float(shift[i]),
        )
        for i, label in enumerate(labels)
    )
