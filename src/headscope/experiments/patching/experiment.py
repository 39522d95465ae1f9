"""The patching experiment: which heads carry the fact that differs between two pictures?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headscope.data.splits import picture_groups
from headscope.errors import ModelError, StudyError
from headscope.experiments.context import ExperimentContext
from headscope.experiments.controls import matched_draw
from headscope.experiments.patching.asked_pair import GROUPS
from headscope.experiments.patching.head_sets import Found, Kind, greedy, judged, stand_ins
from headscope.experiments.patching.pair_reader import PairReader
from headscope.experiments.patching.readings import HeadSet, PairReading, Place, estimated_moves
from headscope.experiments.patching.result import (
    CarryingSet,
    FollowedPair,
    MirrorControl,
    PatchedFunction,
    PatchedGroup,
    PatchResult,
    Standby,
)
from headscope.experiments.patching.statistics import recovered, share_of_runs
from headscope.making.pairs.schema import Pair, Pairs, load_pairs
from headscope.models.memory import is_out_of_memory
from headscope.models.ways import kept_ways
from headscope.progress import track
from headscope.statistics.ranking import strongest
from headscope.statistics.resampling import spearman
from headscope.storage import Row

FILE = "patch.json"
FEWEST = 5  # pairs answered right both ways, on each split, below which no set is looked for
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PatchSettings:
    """What the patching experiment reads; cost is counted in runs of the layers above a patch.

    Attributes:
        pairs: folder that ``headscope data pairs`` wrote.
        functions: those that are patched; empty: all that the pairs hold.
        groups: positions at which every head is patched alone (:data:`asked_pair.GROUPS`).
        select_pairs, test_pairs: pairs of each function, on each split.
        estimate: whether the gradient's estimate stands beside every patch.
        pool: how many of the strongest heads the searches take from.
        most, aim, gain: of a search: most heads, share of runs that is aimed at, and the rise of share or
            carried difference below which it stops.
        draws: random sets of the same layers, on ``test``.
        floor: share of the difference from which on a head counts as carrying the fact.
        stand_ins: among how many of the strongest heads pairs are tried.
    """

    pairs: str = ""
    functions: tuple[str, ...] = ()
    groups: tuple[str, ...] = GROUPS
    select_pairs: int = 40
    test_pairs: int = 60
    estimate: bool = True
    pool: int = 16
    most: int = 12
    aim: float = 0.8
    gain: float = 0.01
    draws: int = 100
    floor: float = 0.05
    stand_ins: int = 6


def patch(context: ExperimentContext, settings: PatchSettings = PatchSettings()) -> PatchResult:
    """Carry single heads and sets of heads from one run of a pair into the other, both ways.

    1. On ``select``, among pairs that are answered right both ways: every head alone, by group of positions.
    2. On ``select``: the smallest sets, by a greedy search; pairs of heads that stand in for each other.
    3. On ``test``: these sets against random sets of the same layers, and on questions whose answer must not
       change.

    Writes ``patch.json`` and ``patch.parquet`` (docs/file-formats-interventions.md); resumes.

    Raises:
        DataError: the folder holds no pairs.
        StudyError: an unknown group, or a function without pairs.
        StoreError: work with other settings or pairs is in the folder.
    """
    pairs = load_pairs(settings.pairs)
    unknown = [g for g in settings.groups if g not in GROUPS]
    if unknown or "all" not in settings.groups:
        raise StudyError(
            f"patch: asked for groups {', '.join(settings.groups)}; give `all` and any of {', '.join(GROUPS)}"
        )
    work = _Patching(context, pairs, settings)
    with kept_ways(context.vlm, context.folder):
        result = work.result()
    result.save(context.folder / FILE)
    return result


class _Patching:
    def __init__(self, context: ExperimentContext, pairs: Pairs, settings: PatchSettings) -> None:
        self.context, self.pairs, self.settings = context, pairs, settings
        self.heads = tuple(h for h in context.vlm.geometry.heads if h.tower == "decoder")
        self.places: list[Place] = [((h,), g) for g in settings.groups for h in self.heads]
        self.ledger = context.ledger("patch", settings, pairs_used=pairs.cases.fingerprint)
        self.groups: Mapping[str, str] = picture_groups(pairs.cases)
        self.reader = PairReader(context.vlm, pairs, self.ledger, context.seed)
        self.no_estimate = ""

    def result(self) -> PatchResult:
        """All functions."""
        there = list(dict.fromkeys(p.function for p in self.pairs if not p.control))
        wanted = self.settings.functions or tuple(there)
        lacking = [f for f in wanted if f not in there]
        if lacking:
            raise StudyError(f"patch: asked for {', '.join(lacking)}; the pairs hold {', '.join(there)}")
        rows: list[Row] = []
        found = {f: self._function(f, rows) for f in wanted}
        return PatchResult(
            settings=self.context.recorded(self.settings),
            pairs_folder=Path(self.settings.pairs).name,
            fingerprint=self.pairs.cases.fingerprint,
            strategy=self.reader.strategy(self.heads[0]),
            heads=tuple(map(str, self.heads)),
            functions=found,
            no_estimate=self.no_estimate,
        ).with_rows(rows)

    # one function -----------------------------------------------------------------------------------------

    def _function(self, name: str, rows: list[Row]) -> PatchedFunction:
        chosen = self.reader.scanned(name, "select", self.settings.select_pairs, self.places)
        kept = chosen.right()
        asked, readings = [chosen.asked[i] for i in kept], [chosen.readings[i] for i in kept]
        drawn = [*chosen.asked, *self.reader.chosen(name, "test", self.settings.test_pairs)]
        found = PatchedFunction(
            facts=dict(Counter(p.fact for p in drawn)),
            pairs=len(chosen.asked),
            refused=dict(chosen.refused),
            right=len(kept),
            pictures=len(set(self._pictures(asked))),
            difference=float(np.mean([r.difference for r in readings])) if kept else None,
            groups={},
        )
        if len(kept) < FEWEST:
            why = (
                f"{len(kept)} of {len(chosen.asked)} pairs of select are answered right both ways; "
                f"{FEWEST} are needed"
            )
            return found.model_copy(update={"untested": why})
        groups = self._alone(asked, readings, rows, name)
        more = {"groups": groups, "standby": self._standby(asked, readings, groups["all"])}
        return found.model_copy(update={**more, **self._sets(name, asked, groups["all"])})

    def _pictures(self, asked: Sequence[Pair]) -> list[str]:
        return [self.groups[p.first] for p in asked]

    # every head alone -------------------------------------------------------------------------------------

    def _alone(
        self, asked: Sequence[Pair], readings: Sequence[PairReading], rows: list[Row], name: str
    ) -> dict[str, PatchedGroup]:
        pictures, count = self._pictures(asked), len(self.heads)
        found = recovered(readings, pictures, self.context.seed)
        guessed = self._estimates(asked)
        estimate = None if guessed is None else recovered(readings, pictures, 0, guessed).value
        groups = {}
        for g, group in enumerate(self.settings.groups):
            which = slice(g * count, (g + 1) * count)
            if not found.pairs[which].any():
                continue
            values = found.value[which]
            guess = None if estimate is None else estimate[which]
            groups[group] = PatchedGroup(
                pairs=int(found.pairs[which][0]),
                recovered=tuple(values.tolist()),
                ci=tuple(found.ci(i) for i in range(which.start, which.stop)),
                estimate=(None,) * count if guess is None else tuple(guess.tolist()),
                spearman=None if guess is None else spearman(values, guess),
            )
            for head, value, ci in zip(self.heads, values, groups[group].ci, strict=True):
                rows.append(
                    {"function": name, "group": group, "head": str(head), "recovered": float(value),
                     "ci_low": ci[0], "ci_high": ci[1], "n": groups[group].pairs}
                )  # fmt: skip
        return groups

    def _standby(
        self, asked: Sequence[Pair], readings: Sequence[PairReading], alone: PatchedGroup
    ) -> Standby | None:
        floor = self.settings.floor
        values = zip(self.heads, alone.recovered, alone.ci, strict=True)
        muted = tuple(h for h, v, (low, _) in values if (v or 0) >= floor and (low or 0) > 0)
        others = [h for h in self.heads if h not in muted]
        if not muted or not others:
            return None
        places: list[Place] = [((h,), "all") for h in others]
        self.reader.read_ahead(asked, places, muted)
        found = [self.reader.read(p, places, muted) for p in asked]
        moved = np.array([r.moved for r in found])
        carried = recovered(readings, self._pictures(asked), self.context.seed, moved)
        place = {h: i for i, h in enumerate(others)}
        none = (None, None)
        return Standby(
            muted=tuple(map(str, muted)),
            pairs=len(found),
            remaining=sum(r.difference for r in found) / sum(r.difference for r in readings),
            recovered=tuple(float(carried.value[place[h]]) if h in place else None for h in self.heads),
            ci=tuple(carried.ci(place[h]) if h in place else none for h in self.heads),
        )

    def _estimates(self, asked: Sequence[Pair]) -> Floats | None:
        """(pair, place) nats by which patches move the margin, to first order."""
        if not self.settings.estimate:
            return None
        try:
            found = [self.ledger.get_or(f"{p.id} estimate", lambda p=p: self._estimate(p)) for p in asked]
        except ModelError as exc:
            if is_out_of_memory(exc):
                raise
            self.no_estimate = str(exc)
            return None
        return np.array([[np.nan if v is None else v for v in one] for one in found])

    def _estimate(self, pair: Pair) -> list[float | None]:
        found = estimated_moves(self.context.vlm, self.reader.open(pair), self.heads, self.settings.groups)
        return [float(v) if np.isfinite(v) else None for v in found]

    # sets of heads ----------------------------------------------------------------------------------------

    def _sets(self, name: str, asked: Sequence[Pair], alone: PatchedGroup) -> dict[str, object]:
        s, pictures = self.settings, self._pictures(asked)

        def on_select(sets: Sequence[HeadSet]) -> list[PairReading]:
            places: list[Place] = [(heads, "all") for heads in sets]
            self.reader.read_ahead(asked, places)
            return [self.reader.read(p, places) for p in asked]

        order = strongest(list(alone.recovered))
        pool = [self.heads[i] for i in order[: s.pool]]
        pairs = stand_ins(on_select, pool[: s.stand_ins], pictures, self.context.seed)
        made: dict[str, object] = {"stand_ins": tuple(pairs)}
        kinds: tuple[Kind, ...] = ("sufficient", "necessary")
        for kind in track(kinds, f"{name}: sets", unit="set"):
            found = greedy(on_select, pool, kind, s.aim, s.most, s.gain)
            if not found.heads:
                made["untested"] = f"no head moves the answer on select ({kind} set)"
                continue
            clean = self.reader.scanned(name, "test", s.test_pairs, [((self.heads[0],), "all")])
            kept = [clean.asked[i] for i in clean.right()]
            if len(kept) < FEWEST:
                made["untested"] = f"fewer than {FEWEST} pairs of test are answered right both ways"
                continue
            made[kind] = self._judge(name, found, kind, kept)
            if kind == "sufficient":
                made["mirror_control"] = self._mirror(name, found.heads)
                made["followed"] = self._followed(kept, found.heads)
        return made

    def _followed(self, asked: Sequence[Pair], heads: HeadSet) -> FollowedPair | None:
        """The first pair whose answers follow both ways."""
        for pair in asked:
            reading = self.reader.read(pair, [(heads, "all")])
            if reading.follows.all():
                first, second = self.pairs.asked(pair)
                return FollowedPair(
                    pair=pair.id,
                    question=first.question,
                    answers=(first.answer, second.answer),
                    clean=(float(reading.clean[0]), float(reading.clean[1])),
                    patched=(float(reading.patched[0, 0]), float(reading.patched[1, 0])),
                )
        return None

    def _judge(self, name: str, found: Found, kind: Kind, asked: Sequence[Pair]) -> CarryingSet:
        geometry, seed = self.context.vlm.geometry, self.context.seed + 1
        controls = matched_draw(geometry, found.heads, self.settings.draws, seed)

        def on_test(sets: Sequence[HeadSet]) -> list[PairReading]:
            places: list[Place] = [(heads, "all") for heads in sets]
            self.reader.read_ahead(asked, places, label=f"{name}: {kind} on test")
            return [self.reader.read(p, places) for p in asked]

        return judged(found, kind, on_test, controls, self._pictures(asked), self.context.seed)

    def _mirror(self, name: str, heads: HeadSet) -> MirrorControl | None:
        """Questions of the same function whose answer is the same in the mirror image, on ``test``."""
        geometry, seed = self.context.vlm.geometry, self.context.seed + 1
        controls = matched_draw(geometry, heads, min(20, self.settings.draws), seed)
        places: list[Place] = [(some, "all") for some in (heads, *controls.draws)]
        found = self.reader.scanned(name, "test", self.settings.test_pairs, places, control=True)
        kept = found.right()
        if not kept:
            return None
        runs = np.array([found.readings[i].follows for i in kept])
        share, ci = share_of_runs(runs[:, :, 0], self._pictures([found.asked[i] for i in kept]))
        return MirrorControl(
            n=len(kept),
            clean=float(np.mean([r.right.mean() for r in found.readings])),
            kept=share,
            ci=ci,
            control_mean=float(runs[:, :, 1:].mean()) if controls.draws else None,
        )
