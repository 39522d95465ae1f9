"""What a claim rests on, measured for any head set: the frozen choice, and random sets put in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from headscope.edits.edits import Edit, mute
from headscope.engine.readings import Reader, Reading
from headscope.experiments.ablation_result import Elsewhere, GeneralDamage, RandomSets
from headscope.experiments.controls import Controls, draw
from headscope.experiments.effects import POINTS, Drops, drops
from headscope.experiments.general_damage import DivergenceReader
from headscope.experiments.significance import (
    ClaimBounds,
    Evidence,
    above_zero,
    claim,
    effect,
    elsewhere,
    p_among_random,
)
from headscope.models.geometry import Geometry, Head
from headscope.statistics.resampling import draws_p

HeadSet = tuple[Head, ...]


@dataclass(frozen=True, eq=False)
class OwnReadings:
    """A function's heads and the sets they are held against, read on the function's questions.

    Attributes:
        controls, control_readings: sets of the same layers that share no head with it.
        random, random_readings: sets of the same layers that may share heads with it; not the set itself.
    """

    heads: HeadSet
    edited: Reading
    controls: Controls
    control_readings: list[Reading]
    random: tuple[HeadSet, ...]
    random_readings: list[Reading]


def read_own(
    reader: Reader, geometry: Geometry, heads: HeadSet, draws: tuple[int, int], seed: int, label: str
) -> OwnReadings:
    """Mute a function's heads, their controls and random sets on the function's questions.

    Args:
        draws: how many controls, and how many random sets.
    """
    controls = draw(geometry, heads, draws[0], seed + 1)
    drawn = draw(geometry, heads, draws[1], seed + 3, disjoint=False).draws
    random = tuple(d for d in dict.fromkeys(drawn) if set(d) != set(heads))
    readings = reader.read_many([*controls.draws, *random], mute(), label=f"controls: {label}")
    n = len(controls.draws)
    edited = reader.read(Edit(heads, mute()))
    return OwnReadings(heads, edited, controls, readings[:n], random, readings[n:])


@dataclass(frozen=True, eq=False)
class ClaimParts:
    """Measures what a claim needs beyond a function's own questions.

    Attributes:
        readers: function -> its questions on ``test``.
        divergence: of first tokens on neutral prompts and other functions.
        seed: of resampling.
    """

    readers: Mapping[str, Reader]
    divergence: DivergenceReader
    seed: int

    def elsewhere(self, function: str, heads: HeadSet) -> Elsewhere:
        """What muting does to the other functions, by forced choice."""
        losses = {
            f: reader.clean.forced - reader.read(Edit(heads, mute())).forced
            for f, reader in self.readers.items()
        }
        groups = {f: reader.groups for f, reader in self.readers.items()}
        return elsewhere(function, losses, groups, self.seed)

    def damage(
        self, function: str, heads: HeadSet, edited: Reading, controls: Sequence[HeadSet]
    ) -> GeneralDamage:
        """What it does to readability, neutral prompts and other functions' first tokens."""
        clean = self.readers[function].clean
        self.divergence.read_each([heads, *controls])
        neutral, others = self.divergence.means(heads, function)
        held = np.array([self.divergence.means(some, function) for some in controls])
        mean_neutral, mean_others = held.mean(axis=0).tolist() if len(held) else (None, None)
        return GeneralDamage(
            unreadable_points=POINTS * float(clean.readable.mean() - edited.readable.mean()),
            kl_neutral=neutral,
            kl_elsewhere=others,
            kl_neutral_controls=mean_neutral,
            kl_elsewhere_controls=mean_others,
            prompts=len(self.divergence.neutral),
            draws=len(held),
        )

    def random_sets(
        self, function: str, own: OwnReadings, bounds: ClaimBounds, controls: Sequence[HeadSet]
    ) -> RandomSets:
        """How many of the random sets would be claimed, were each the set under test.

        q over functions is replaced by the p that it corrects, which claims more.

        Args:
            controls: sets of the same layers that general damage is held against.
        """
        clean = self.readers[function].clean
        sets = [*own.random, *own.controls.draws]
        lost = drops(clean, [*own.random_readings, *own.control_readings])
        beyond = claimed = 0
        for i, heads in enumerate(own.random):
            p = p_of_random_set(i, sets, lost, len(own.random))
            if p >= bounds.alpha:
                continue
            beyond += 1
            edited = own.random_readings[i]
            evidence = self._evidence(function, heads, edited, p, own.controls.distinct, controls)
            claimed += evidence is not None and claim(evidence, bounds)[0]
        return RandomSets(sets=len(own.random), beyond_controls=beyond, claimed=claimed)

    def _evidence(
        self,
        function: str,
        heads: HeadSet,
        edited: Reading,
        p: float,
        distinct: int,
        controls: Sequence[HeadSet],
    ) -> Evidence | None:
        """None where the own questions already speak against it."""
        reader = self.readers[function]
        hurt = effect(reader.clean, edited, reader.groups, self.seed)
        if not (
            above_zero(hurt.ci[0]) and above_zero(hurt.forced_ci[0])
        ):  # spares the readings on other functions
            return None
        others = self.elsewhere(function, heads)
        return Evidence(
            why_not="",
            distinct=distinct,
            q=p,
            free=hurt.drop_points,
            free_low=hurt.ci[0],
            forced=hurt.forced_drop_points,
            forced_low=hurt.forced_ci[0],
            beyond_low=others.beyond_ci[0],
            damage=self.damage(function, heads, edited, controls),
            worst=others.worst,
            worst_points=others.worst_points,
        )


def p_of_random_set(i: int, sets: Sequence[HeadSet], lost: Drops, random: int) -> float:
    """The claim's p of set ``i``: the greatest of those among random sets and among disjoint ones.

    Args:
        sets: the first ``random`` of them may share heads with each other.
        lost: what each costs.
    """
    pairs = list(zip(lost.points, lost.forced, strict=True))
    among = p_among_random(pairs[i], [pairs[j] for j in range(random) if j != i])
    apart = [j for j, other in enumerate(sets) if not set(other) & set(sets[i])]
    disjoint = [draws_p(pairs[i][k], [pairs[j][k] for j in apart]) for k in (0, 1)] if apart else [1.0]
    return max(1.0 if among is None else among, *disjoint)
