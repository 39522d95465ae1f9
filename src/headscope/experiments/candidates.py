"""Choosing on ``select`` which heads stand for each function: what they cost it, and what they cost others.

A head through which everything passes costs every function, and so does any other head of its layer. So the
score of a set is what the function loses minus what the others lose, and layers that carry everything are
left out by a rule that is fixed before (:func:`read_layers`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from headscope.edits.edits import mute
from headscope.engine.readings import Reader, Reading
from headscope.errors import StudyError
from headscope.experiments.ablation_result import DoseCurve, DosePoint, LayerDamage
from headscope.experiments.controls import CLAIM_SETS, matched_sets
from headscope.experiments.effects import POINTS, drops
from headscope.models.geometry import Geometry, Head
from headscope.statistics.ranking import BY_SIZE, strongest

NEAR_POINTS, NEAR_SHARE = 1.0, 0.05  # heads that add no more than this to the score are bystanders
SPECIFIC = "specific"  # the ranking made of "causal": a head's own drop minus its mean drop elsewhere
Scores = Mapping[str, Sequence[float | None]]  # function -> score per head, flat order
LayerKey = tuple[str, int, str]
HeadSet = tuple[Head, ...]

RULE = (
    "A layer is left out if muting a quarter of its heads, drawn at random, costs more than the limit, in "
    "points of forced choice on select, averaged over functions and sets. Per function, on select: of all "
    "rankings and k, the heads with the greatest score: what the function loses minus the mean of what the "
    "others lose, in points of smoothed forced choice (100 times the logistic function of the margin); of "
    f"those within {NEAR_POINTS:g} point or {100 * NEAR_SHARE:g} % of it the one with the fewest heads, then "
    "of the ranking named first. At most a quarter of a layer's heads are taken; where some set leaves "
    f"{CLAIM_SETS} distinct sets to match it layer by layer, only such sets."
)


@dataclass(frozen=True)
class Candidate:
    """The k best heads of one ranking, and what muting them does on ``select``.

    Attributes:
        sets: how many other sets match it layer by layer without sharing a head with it.
        drop_points, forced_drop_points: lost of free answers and of forced choice.
        smooth_points: lost of smoothed forced choice.
        elsewhere_points: the same, mean over the other functions; 0 where there is none.
    """

    ranking: str
    k: int
    heads: tuple[Head, ...]
    sets: int = 0
    drop_points: float = 0.0
    forced_drop_points: float = 0.0
    smooth_points: float = 0.0
    elsewhere_points: float = 0.0

    @property
    def score(self) -> float:
        """What the function loses beyond what the others lose."""
        return self.smooth_points - self.elsewhere_points

    def record(self) -> DosePoint:
        """As the artefact holds it, heads by label."""
        kept = {k: v for k, v in vars(self).items() if k != "heads"}
        return DosePoint(**kept, heads=tuple(str(h) for h in self.heads), score=self.score)


@dataclass(frozen=True)
class Dose:
    """All candidates of one function, read on ``select``, and the one that the rule picks."""

    function: str
    candidates: tuple[Candidate, ...]
    n: int
    chosen: Candidate = field(init=False)

    def __post_init__(self) -> None:
        fair = [c for c in self.candidates if c.sets >= CLAIM_SETS] or list(self.candidates)
        best = max(c.score for c in fair)
        near = [c for c in fair if c.score >= best - max(NEAR_POINTS, NEAR_SHARE * best)]
        object.__setattr__(self, "chosen", min(near, key=lambda c: c.k))  # of equal k the first

    def record(self) -> DoseCurve:
        """As the artefact holds it."""
        return DoseCurve(n=self.n, candidates=tuple(c.record() for c in self.candidates))


def smoothed(reading: Reading) -> float:
    """Points of smoothed forced choice: 100 x the mean logistic function of the margin.

    It is what forced choice is, without the jump at 0: a head that brings answers nearer to turning counts,
    one that makes a right answer still surer hardly does.
    """
    return POINTS * float(np.mean(1 / (1 + np.exp(-reading.margin))))


def specific_scores(causal: Scores) -> dict[str, list[float]]:
    """Function -> per head, its drop minus the mean of its drops for the other functions, nats per token.

    Example:
        >>> specific_scores({"a": [1.0, 2.0], "b": [0.5, 4.0]})
        {'a': [0.5, -2.0], 'b': [-0.5, 2.0]}
    """
    table = np.array([list(row) for row in causal.values()], dtype=np.float64)
    if len(table) < 2:
        return {f: row.tolist() for f, row in zip(causal, table, strict=True)}
    others = (table.sum(axis=0) - table) / (len(table) - 1)
    return {f: row.tolist() for f, row in zip(causal, table - others, strict=True)}


def candidates(
    geometry: Geometry,
    rankings: Scores,
    ks: Sequence[int],
    left_out: Collection[LayerKey] = (),
    by_size: Sequence[str] = BY_SIZE,
) -> list[Candidate]:
    """The top k of every ranking, at most a quarter of a layer's heads (one at least), for every k there is.

    Importance of the joint probe is ranked by size (docs/method.md), every other score by value: a head whose
    muting helps is no candidate for being needed. A head without a score is none either.

    Args:
        rankings: name -> score per head, flat order; None or NaN: no score.
        left_out: keys of layers whose heads are not taken.
    """
    layers = geometry.per_layer()
    room = {key: max(1, len(members) // 4) for key, members in layers.items() if key not in left_out}
    place = {head: key for key, members in layers.items() for head in members}
    found = []
    for name, scores in rankings.items():
        taken: list[int] = []
        used: Counter[LayerKey] = Counter()
        for i in strongest(scores, by_size=name in by_size):
            key = place[geometry.heads[i]]
            if used[key] < room.get(key, 0):
                used[key] += 1
                taken.append(i)
        for k in ks:
            if k <= len(taken):
                heads = tuple(geometry.heads[i] for i in sorted(taken[:k]))
                found.append(Candidate(name, k, heads, matched_sets(geometry, heads)))
    return found


def read_layers(
    geometry: Geometry, readers: Mapping[str, Reader], rounds: int, limit: float, seed: int
) -> dict[LayerKey, LayerDamage]:
    """What muting a quarter of each layer's heads costs, averaged over functions; decoder layers alone.

    Every head is in one set of each round, so that a single head that carries everything is not missed.

    Args:
        readers: function -> its questions on ``select``.
        rounds: how often each layer's heads are parted at random.
        limit: points of forced choice above which a layer is left out.
    """
    rng = np.random.default_rng(seed)
    drawn: dict[LayerKey, list[HeadSet]] = {}
    layers = {key: heads for key, heads in geometry.per_layer().items() if key[0] == "decoder"}
    for key, members in layers.items():
        size = max(1, len(members) // 4)
        for _ in range(rounds):
            order = [members[i] for i in rng.permutation(len(members))]
            drawn.setdefault(key, []).extend(tuple(order[i : i + size]) for i in range(0, len(members), size))
    every = [heads for draws in drawn.values() for heads in draws]
    lost = np.mean(
        [drops(r.clean, r.read_many(every, mute(), label=f"layers: {f}")).forced for f, r in readers.items()],
        axis=0,
    )
    found, start = {}, 0
    for key, draws in drawn.items():
        points = float(lost[start : start + len(draws)].mean())
        start += len(draws)
        found[key] = LayerDamage(
            tower=key[0],
            layer=key[1],
            site=key[2],
            heads=len(layers[key]),
            muted=len(draws[0]),
            sets=len(draws),
            forced_drop_points=points,
            left_out=points > limit,
        )
    return found


def read_doses(readers: Mapping[str, Reader], wanted: Mapping[str, Sequence[Candidate]]) -> dict[str, Dose]:
    """Read every function's candidates on its own questions and on every other function's, on ``select``.

    Equal head sets are read once.

    Args:
        readers: function -> its questions; functions without candidates are read as others.
        wanted: function -> its candidates.

    Raises:
        StudyError: a function has no candidate.
    """
    for function, some in wanted.items():
        if not some:
            raise StudyError(
                f"{function}: no ranking has a set of heads to try: every k is over the number of heads with "
                "a score that the layers' limit leaves; give a smaller k (ks), or probe with more cases"
            )
    sets = list(dict.fromkeys(c.heads for some in wanted.values() for c in some))
    place = {heads: i for i, heads in enumerate(sets)}
    readings = {f: r.read_many(sets, mute(), label=f"dose: {f}") for f, r in readers.items()}
    smooth = {f: [smoothed(readers[f].clean) - smoothed(one) for one in readings[f]] for f in readers}
    found = {}
    for function, some in wanted.items():
        own = drops(readers[function].clean, readings[function])
        done = []
        for c in some:
            i = place[c.heads]
            others = [smooth[f][i] for f in readers if f != function]
            values = (own.points[i], own.forced[i], smooth[function][i])
            done.append(
                Candidate(c.ranking, c.k, c.heads, c.sets, *values, float(np.mean(others)) if others else 0.0)
            )
        found[function] = Dose(function, tuple(done), len(readers[function]))
    return found
