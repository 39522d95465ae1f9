"""Mediation: what is left of the gain of pointing when the spatial heads are muted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from headscope.edits.edits import Edit, mute
from headscope.experiments.controls import draw
from headscope.experiments.effects import POINTS
from headscope.experiments.significance import among_random
from headscope.experiments.waking.comparison import Readings, tests_pointing
from headscope.experiments.waking.measuring import Meter
from headscope.experiments.waking.questions import BOTH, PLAIN, Question, choose
from headscope.experiments.waking.wake_result import Comparison, Mediation
from headscope.functions import Taxonomy
from headscope.models.geometry import Geometry, Head, parse_head
from headscope.statistics.resampling import paired_difference
from headscope.storage import Row


class Frozen(Protocol):
    """What is asked of one function's muting test."""

    @property
    def heads(self) -> Sequence[str]:
        """Labels of the heads that were frozen."""


class FrozenHeads(Protocol):
    """What is asked of a muting experiment, such as its AblationResult."""

    @property
    def functions(self) -> Mapping[str, Frozen]:
        """Function -> its test."""


def frozen_heads(ablation: FrozenHeads | None, taxonomy: Taxonomy, geometry: Geometry) -> tuple[Head, ...]:
    """The heads that the muting experiment froze for the spatial functions, in flat order."""
    tests = ablation.functions if ablation is not None else {}
    found = {parse_head(label) for f, test in tests.items() if f in taxonomy.spatial for label in test.heads}
    return tuple(sorted(found, key=geometry.index))


def mediation(
    meter: Meter, heads: Sequence[Head], questions: Sequence[Question], rows: Mapping[str, Sequence[Row]]
) -> Mediation:
    """The gain on the headline's questions with all heads, with these muted, and with random ones muted.

    Args:
        meter: reads.
        heads: to be muted at all tokens.
        questions: as they were read; of those that test pointing ``mediation_items`` are read again.
        rows: variant -> rows of ``questions``, ``plain`` and ``both`` among them.
    """
    settings, seed = meter.settings, meter.seed
    tested = {row["item"] for row in rows[PLAIN] if tests_pointing(row)}
    asked = choose([q for q in questions if q.item.id in tested], settings.mediation_items, seed)
    if not heads or not asked:
        why = "no question tests pointing" if heads else "no heads are frozen for a spatial function"
        return Mediation(reason=why)
    wanted = {q.item.id for q in asked}
    clean = {v: [row for row in rows[v] if row["item"] in wanted] for v in (PLAIN, BOTH)}
    muted = _muted(meter, heads, asked)
    images = [row["image"] for row in clean[PLAIN]]
    left = paired_difference(_gain(clean), _gain(muted), images, settings.draws, seed=seed)
    controls = draw(meter.vlm.geometry, heads, settings.mediation_draws, seed + 1)
    sets = list(dict.fromkeys(controls.draws)) if controls.layer_matched else []
    gains = [POINTS * float(_gain(_muted(meter, one, asked)).mean()) for one in sets]
    own = POINTS * float(_gain(muted).mean())
    return Mediation(
        heads=tuple(map(str, heads)),
        gain=_compared(clean, meter),
        muted=_compared(muted, meter),
        mediated_points=POINTS * left.value,
        ci=(POINTS * left.ci[0], POINTS * left.ci[1]),
        random_sets=len(sets),
        random_mean=float(np.mean(gains)) if gains else None,
        p=among_random(-own, [-g for g in gains]),
        reason=controls.reason,
    )


def _muted(meter: Meter, heads: Sequence[Head], asked: Sequence[Question]) -> dict[str, list[Row]]:
    edit = Edit(tuple(heads), mute())
    return {v: meter.read("test", v, asked, edit=edit)[0] for v in (PLAIN, BOTH)}


def _gain(rows: Mapping[str, Sequence[Row]]) -> np.ndarray:
    """(item,) correctness with pointing less that without."""
    both, plain = (np.array([float(row["correct"]) for row in rows[v]]) for v in (BOTH, PLAIN))
    return both - plain


def _compared(rows: Mapping[str, Sequence[Row]], meter: Meter) -> Comparison | None:
    readings = Readings(rows, meter.settings.draws, meter.seed)
    return readings.compare(BOTH, PLAIN, readings.mask(tests_pointing))
