"""Smallest sets of heads that carry a fact: a greedy search on ``select``, judged on ``test``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np

from headscope.experiments.controls import Controls
from headscope.experiments.patching.readings import HeadSet, PairReading
from headscope.experiments.patching.result import CarryingSet, StandIns
from headscope.experiments.patching.statistics import recovered, share_of_runs
from headscope.models.geometry import Head
from headscope.statistics.resampling import draws_p

Kind = Literal["sufficient", "necessary"]
Reads = Callable[[Sequence[HeadSet]], list[PairReading]]
"""One reading a pair, its places the head sets given, patched at all positions."""


@dataclass(frozen=True)
class Found:
    """What a search took.

    Attributes:
        heads: in the order in which they were taken.
        path: share on ``select`` after each; the last one after those that were not needed were given back.
        reached: whether it is at least what was aimed at.
    """

    heads: HeadSet
    path: tuple[float, ...]
    reached: bool


def greedy(read: Reads, pool: Sequence[Head], kind: Kind, aim: float, most: int, gain: float) -> Found:
    """Take, one by one, the head with which most runs follow (or are lost); give back what is not needed.

    Of heads that give the same share the one that carries more of the difference is taken. It stops at
    ``aim``, at ``most`` heads, or where neither share nor carried difference rises by ``gain``. Then heads
    without which the share stays at ``aim`` are given back, the last one first.
    """
    taken: HeadSet = ()
    path: list[float] = []
    best = (0.0, 0.0)
    while len(taken) < most and best[0] < aim:
        left = [h for h in pool if h not in taken]
        if not left:
            break
        scores = _scores(read([(*taken, h) for h in left]), kind)
        i = max(range(len(left)), key=lambda k: scores[k])
        if scores[i][0] < best[0] + gain and scores[i][1] < best[1] + gain:
            break
        taken, best = (*taken, left[i]), scores[i]
        path.append(best[0])
    if best[0] >= aim:
        taken, share = _pruned(read, taken, kind, aim, best[0])
        path[-1] = share
    return Found(taken, tuple(path), best[0] >= aim)


def _pruned(read: Reads, taken: HeadSet, kind: Kind, aim: float, share: float) -> tuple[HeadSet, float]:
    for head in reversed(taken):
        less = tuple(h for h in taken if h != head)
        if not less:
            break
        ((without, _),) = _scores(read([less]), kind)
        if without >= aim:
            taken, share = less, without
    return taken, share


def _scores(readings: Sequence[PairReading], kind: Kind) -> list[tuple[float, float]]:
    """(share of runs, share of the difference) of every set."""
    shares = np.nanmean([_runs(r, kind).mean(axis=0) for r in readings], axis=0)
    carried = recovered(readings, [str(i) for i in range(len(readings))], 0).value
    return list(zip(shares.tolist(), carried.tolist(), strict=True))


def _runs(reading: PairReading, kind: Kind) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return reading.follows if kind == "sufficient" else reading.lost


def judged(
    found: Found, kind: Kind, read: Reads, controls: Controls, groups: Sequence[str], seed: int
) -> CarryingSet:
    """A set on pairs that the search has not seen, beside random sets of the same layers."""
    readings = read([found.heads, *controls.draws])
    table = np.array([_runs(r, kind) for r in readings])  # (pair, 2, set)
    share, ci = share_of_runs(table[:, :, 0], groups)
    others = table[:, :, 1:].mean(axis=(0, 1))
    carried = recovered(readings, groups, seed)
    there = len(others) > 0
    return CarryingSet(
        heads=tuple(map(str, found.heads)),
        reached=found.reached,
        share=share,
        ci=ci,
        recovered=float(carried.value[0]),
        recovered_ci=carried.ci(0),
        n=len(readings),
        pictures=len(set(groups)),
        control_mean=float(others.mean()) if there else None,
        control_max=float(others.max()) if there else None,
        control_recovered=float(carried.value[1:].mean()) if there else None,
        distinct=controls.distinct,
        draws=len(others),
        layer_matched=controls.layer_matched,
        reason=controls.reason,
        p=draws_p(share, others) if there else None,
        path=found.path,
    )


def stand_ins(read: Reads, heads: Sequence[Head], groups: Sequence[str], seed: int) -> list[StandIns]:
    """Pairs of heads, by how much more both together carry than one by one; the most first."""
    pairs = list(combinations(heads, 2))
    if not pairs:
        return []
    found = recovered(read([*((h,) for h in heads), *pairs]), groups, seed)
    made = []
    for i, (a, b) in enumerate(pairs, len(heads)):
        alone = [heads.index(a), heads.index(b)]
        apart = found.value[alone].sum()
        beyond = found.draws[:, i] - found.draws[:, alone].sum(axis=1)
        only = replace(found, draws=beyond[:, None])
        made.append(
            StandIns(
                heads=(str(a), str(b)), together=float(found.value[i]), apart=float(apart),
                beyond=float(found.value[i] - apart), ci=only.ci(0),
            )
        )  # fmt: skip
    return sorted(made, key=lambda s: s.beyond or 0.0, reverse=True)
