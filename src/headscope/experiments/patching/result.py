"""The result of the patching experiment: ``patch.json`` and ``patch.parquet``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from headscope.records import Artefact, Interval, JsonValue, Number, Record
from headscope.statistics.ranking import strongest


class PatchedGroup(Record):
    """Every head patched alone at one group of positions; lists in the order of ``PatchResult.heads``.

    Attributes:
        pairs: pairs that have such positions.
        recovered: share of the margin's difference between the two runs that the patch carries over: 0
            nothing, 1 all of it; mean of both ways, ratio of means over pairs.
        ci: its 95 % bootstrap interval; pictures are resampled.
        estimate: the same to first order, gradient x difference; null without it.
        spearman: rank correlation of the two over heads.
    """

    pairs: int
    recovered: tuple[Number, ...]
    ci: tuple[Interval, ...]
    estimate: tuple[Number, ...]
    spearman: Number = None


class CarryingSet(Record):
    """Heads found on ``select`` by a greedy search, judged on ``test`` against random sets of their layers.

    Attributes:
        heads: labels, in the order in which they were taken.
        reached: whether the share that was aimed at was reached on ``select``.
        share, ci: share of runs whose answer follows the other run (sufficient), or is not their own any more
            (necessary), when z of the heads is the other run's; 95 % interval, pictures are resampled.
        recovered, recovered_ci: share of the margin's difference carried over.
        n, pictures: pairs, read both ways, and pictures.
        control_mean, control_max, control_recovered: the share under random sets of the same layers: mean
            and greatest, and the mean share of the difference carried over.
        distinct, draws: how many such sets differ, and how many were read.
        layer_matched, reason: whether each has as many heads in every layer, and why not, or what else to
            know; None in files from before this was recorded.
        p: of random sets with at least this share.
        path: the share on ``select`` after each head.
    """

    heads: tuple[str, ...]
    reached: bool
    share: Number
    ci: Interval
    recovered: Number
    recovered_ci: Interval
    n: int
    pictures: int
    control_mean: Number
    control_max: Number
    control_recovered: Number
    distinct: int
    draws: int
    layer_matched: bool | None = None
    reason: str = ""
    p: Number
    path: tuple[float, ...]


class StandIns(Record):
    """Two heads that stand in for each other: together they carry more than one by one.

    Attributes:
        heads: labels.
        together: recovered by patching both.
        apart: the sum of what each recovers alone.
        beyond, ci: the difference, and its 95 % interval; pictures are resampled.
    """

    heads: tuple[str, str]
    together: Number
    apart: Number
    beyond: Number
    ci: Interval


class MirrorControl(Record):
    """Questions whose answer must not change although the picture does.

    Attributes:
        n: pairs, read both ways.
        clean: share of runs answered right.
        kept, ci: of these, share whose answer is the same with z of the sufficient set from the mirror image.
        control_mean: the same under random sets of the same layers.
    """

    n: int
    clean: Number
    kept: Number
    ci: Interval
    control_mean: Number


class Standby(Record):
    """Every head patched alone while the heads that carry the fact are muted: what others carry then.

    Attributes:
        muted: labels of the carrying heads: those with an interval above zero that carry ``floor`` at least.
        pairs, remaining: pairs, and the share of the margin's difference between the two runs that is left.
        recovered, ci: share of the difference before that each head carries then; in the order of
            ``PatchResult.heads``, null for the muted ones.
    """

    muted: tuple[str, ...]
    pairs: int
    remaining: Number
    recovered: tuple[Number, ...]
    ci: tuple[Interval, ...]


class FollowedPair(Record):
    """A pair of ``test`` whose answers follow both ways with the sufficient set: the first one there is.

    Attributes:
        pair, question: its id, and what is asked.
        answers: own answer of the first and of the second picture; with the set's output from the other
            picture each is the other's.
        clean, patched: margin of each own answer over the other's, before and after, nats per token.
    """

    pair: str
    question: str
    answers: tuple[str, str]
    clean: tuple[Number, Number]
    patched: tuple[Number, Number]


class PatchedFunction(Record):
    """What patching says of one function.

    Attributes:
        facts: what differs between the pictures -> pairs on ``select`` and ``test``.
        pairs, refused: pairs on ``select`` that line up, and reason -> pairs that do not.
        right, pictures: of these, pairs answered right both ways, the only ones that are patched, and the
            pictures that they show.
        difference: mean nats between the two runs.
        groups: group of positions -> every head patched alone.
        sufficient: the smallest set found with which answers follow the other run.
        necessary: the smallest set found without whose own z answers are lost.
        followed: a pair to be shown; null where none follows both ways.
        standby: what other heads carry while those that carry the fact are muted; null where none does.
        stand_ins: pairs among the strongest heads, the most super-additive first.
        mirror_control: null where the pairs hold no controls.
        untested: why there are no sets; empty where there are.
    """

    facts: dict[str, int]
    pairs: int
    refused: dict[str, int]
    right: int
    pictures: int
    difference: Number
    groups: dict[str, PatchedGroup]
    sufficient: CarryingSet | None = None
    necessary: CarryingSet | None = None
    followed: FollowedPair | None = None
    standby: Standby | None = None
    stand_ins: tuple[StandIns, ...] = ()
    mirror_control: MirrorControl | None = None
    untested: str = ""


def carriers(heads: Sequence[str], patched: PatchedFunction, floor: float) -> list[str]:
    """Heads that carry the fact alone, or while those that do are muted; the one that carries most first.

    Args:
        heads: labels, in the order of the shares.
        floor: the share of the difference that they carry at least; its interval is above zero too.
    """
    found: dict[str, float] = {}
    for part in (patched.groups.get("all"), patched.standby):
        if part is not None:
            for head, share, (low, _) in zip(heads, part.recovered, part.ci, strict=True):
                if (share or 0.0) >= floor and (low or 0.0) > 0:
                    found[head] = max(share or 0.0, found.get(head, 0.0))
    return sorted(found, key=found.__getitem__, reverse=True)


class PatchResult(Artefact):
    """Which heads carry the fact that differs between two pictures.

    Attributes:
        settings: all of them.
        pairs_folder, fingerprint: name of the folder of pairs, and what its cases hold.
        strategy: how patched runs were read.
        no_estimate: why there is no first-order estimate; empty where there is, or none was asked for.
        heads: labels, in flat order.
        functions: function -> what was found.
    """

    TABLE: ClassVar[bool] = True
    schema_: Literal["headscope/patch/1"] = Field(default="headscope/patch/1", alias="schema")
    settings: dict[str, JsonValue]
    pairs_folder: str
    fingerprint: str
    strategy: str
    heads: tuple[str, ...]
    functions: dict[str, PatchedFunction]
    no_estimate: str = ""

    def top(self, function: str, count: int = 5, group: str = "all") -> list[tuple[str, float, Interval]]:
        """The heads that carry most of the difference: label, share recovered, interval."""
        own = self.functions[function].groups[group]
        values: Sequence[float] = np.array(own.recovered, dtype=float).tolist()
        return [(self.heads[j], values[j], own.ci[j]) for j in strongest(values, count)]
