"""Choosing on ``select`` which ranking and how many heads stand for each function: the dose curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from headscope.edits.edits import mute
from headscope.engine.readings import Reader
from headscope.errors import StudyError
from headscope.experiments.ablation_result import DosePoint
from headscope.experiments.controls import draw
from headscope.experiments.effects import drops
from headscope.models.geometry import Geometry, Head
from headscope.statistics.ranking import BY_SIZE, strongest

RULE = (
    "Per function, on select: of all rankings and k, the head set whose zero muting at all tokens lowers "
    "accuracy most beyond the mean of its own layer-matched random controls; ties go to the greater margin "
    "drop beyond controls, then to the smaller k, then to the ranking named first."
)


@dataclass(frozen=True)
class Candidate:
    """The k best heads of one ranking, and what muting them does on ``select``.

    Drops are positive where muting hurts; ``control_*`` are means over a few control draws.
    """

    ranking: str
    k: int
    heads: tuple[Head, ...]
    drop_points: float = 0.0
    margin_drop: float = 0.0
    control_points: float = 0.0
    control_margin: float = 0.0
    control_draws: int = 0
    layer_matched: bool = True

    @property
    def excess_points(self) -> float:
        """Accuracy drop beyond the mean control."""
        return self.drop_points - self.control_points

    @property
    def excess_margin(self) -> float:
        """Margin drop beyond the mean control."""
        return self.margin_drop - self.control_margin

    def record(self) -> DosePoint:
        """As the artefact holds it, heads by label."""
        kept = {k: v for k, v in vars(self).items() if k != "heads"}
        return DosePoint(
            **kept,
            heads=tuple(str(h) for h in self.heads),
            excess_points=self.excess_points,
            excess_margin=self.excess_margin,
        )


@dataclass(frozen=True)
class Dose:
    """All candidates of one function, read on ``select``, and the one that the rule picks."""

    function: str
    candidates: tuple[Candidate, ...]
    n: int
    chosen: Candidate = field(init=False)

    def __post_init__(self) -> None:
        # Rounded, so that a last bit of floating point never decides.
        best = max(
            enumerate(self.candidates),
            key=lambda c: (round(c[1].excess_points, 6), round(c[1].excess_margin, 6), -c[1].k, -c[0]),
        )
        object.__setattr__(self, "chosen", best[1])


def candidates(
    geometry: Geometry,
    rankings: Mapping[str, Sequence[float | None]],
    ks: Sequence[int],
    by_size: Sequence[str] = BY_SIZE,
) -> list[Candidate]:
    """The top k of every ranking for every k that leaves at least as many heads as controls.

    Importance of the joint probe is ranked by size (docs/method.md), every other score by value: a head whose
    muting helps is no candidate for being needed. A head without a score is none either: a ranking of fewer
    than k heads has no top k.

    Args:
        rankings: name -> score per head, flat order; None or NaN: no score.
    """
    found = []
    for name, scores in rankings.items():
        order = strongest(scores, by_size=name in by_size)
        for k in ks:
            if 2 * k <= len(geometry.heads) and k <= len(order):
                heads = tuple(geometry.heads[i] for i in sorted(order[:k]))
                found.append(Candidate(name, k, heads))
    return found


def read_doses(
    geometry: Geometry,
    reader: Reader,
    function: str,
    wanted: Sequence[Candidate],
    control_draws: int,
    seed: int,
) -> Dose:
    """Read every candidate and its own few controls on ``select``; equal head sets are read once.

    Raises:
        StudyError: there is no candidate.
    """
    if not wanted:
        raise StudyError(
            f"{function}: no ranking has a set of heads to try: every k is over the number of heads with a "
            "score, or over half of the model's; give a smaller k (ks), or probe with more cases"
        )
    sets = list(dict.fromkeys(c.heads for c in wanted))
    controls = {heads: draw(geometry, heads, control_draws, seed) for heads in sets}
    asked = [*sets, *(d for heads in sets for d in controls[heads].draws)]
    readings = reader.read_many(asked, mute(), label=f"dose: {function}")
    points, margins = drops(reader.clean, readings)
    done = []
    for c in wanted:
        own = sets.index(c.heads)
        first = len(sets) + own * control_draws
        span = slice(first, first + control_draws)
        done.append(
            Candidate(
                c.ranking,
                c.k,
                c.heads,
                drop_points=points[own],
                margin_drop=margins[own],
                control_points=float(np.mean(points[span])) if control_draws else 0.0,
                control_margin=float(np.mean(margins[span])) if control_draws else 0.0,
                control_draws=control_draws,
                layer_matched=controls[c.heads].layer_matched,
            )
        )
    return Dose(function, tuple(done), len(reader))
