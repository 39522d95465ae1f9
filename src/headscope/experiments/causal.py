"""The causal score: what muting one head alone costs each function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from headscope.edits.edits import mute
from headscope.engine.engine import REPLAY, SHARED_PREFIX
from headscope.engine.readings import Reader
from headscope.experiments.context import ExperimentContext
from headscope.experiments.settings import CausalSettings
from headscope.experiments.significance import hurt_p
from headscope.models.geometry import Head
from headscope.models.ways import kept_ways
from headscope.records import Artefact, Interval, Number, Record
from headscope.statistics.resampling import bootstrap_ci
from headscope.statistics.shares import difference_interval

FILE = "causal.json"


class HeadCosts(Record):
    """What muting each head alone costs one function; lists are over heads in flat order.

    Attributes:
        items: questions read.
        margin_drop, margin_ci: mean drop of the margin, nats per token (the causal score), and its 95 %
            bootstrap interval by picture.
        drop_points, ci: drop of accuracy in percentage points, and its interval.
        p: one-sided sign-flip p by picture that margin or accuracy drops, not corrected for many heads.
    """

    items: int
    margin_drop: tuple[Number, ...]
    margin_ci: tuple[Interval, ...]
    drop_points: tuple[Number, ...]
    ci: tuple[Interval, ...]
    p: tuple[Number, ...]


class CausalScores(Artefact):
    """What muting each head alone costs each function, on ``select``; positive where it hurts.

    Attributes:
        heads: labels in flat order.
        functions: function -> its costs.
    """

    schema_: Literal["headscope/causal/1"] = Field(default="headscope/causal/1", alias="schema")
    heads: tuple[str, ...]
    functions: dict[str, HeadCosts]

    @property
    def margin(self) -> NDArray[np.float64]:
        """(function, head) causal scores."""
        return np.array([f.margin_drop for f in self.functions.values()], dtype=np.float64)


def causal_scores(context: ExperimentContext, settings: CausalSettings = CausalSettings()) -> CausalScores:
    """Mute every head alone at all tokens and read what that costs each function (docs/concepts.md).

    Writes ``causal.json`` into the study folder and resumes from ``causal/``. Cost: heads x functions x
    ``max_items`` answers.

    Raises:
        StoreError: the folder holds work made with other settings.
    """
    ledger = context.ledger("causal", settings)
    items = context.choose(settings.split, settings.max_items)
    readers = context.readers(items, ledger, settings, (REPLAY, SHARED_PREFIX))
    with kept_ways(context.vlm, context.folder):
        scores = scan(context.vlm.geometry.heads, readers, settings.scope, context.seed)
    scores.save(context.folder / FILE)
    return scores


def scan(
    heads: Sequence[Head], readers: Mapping[str, Reader], scope: str = "all", seed: int = 0
) -> CausalScores:
    """The scores over given readers, one head at a time, many heads in one forward."""
    found = {}
    for name, reader in readers.items():
        clean = reader.clean
        readings = reader.read_many([(h,) for h in heads], mute(), scope, f"causal: {name}")
        lost = [clean.margin - r.margin for r in readings]
        right = [clean.correct - r.correct for r in readings]
        found[name] = HeadCosts(
            items=len(reader),
            margin_drop=tuple(float(v.mean()) for v in lost),
            margin_ci=tuple(_interval(v, reader.groups, seed) for v in lost),
            drop_points=tuple(100 * float(v.mean()) for v in right),
            ci=tuple(_points(v, reader.groups, seed) for v in right),
            p=tuple(hurt_p(a, b, reader.groups, seed) for a, b in zip(lost, right, strict=True)),
        )
    return CausalScores(heads=tuple(str(h) for h in heads), functions=found)


def _points(lost: NDArray[np.float64], groups: Sequence[str], seed: int) -> tuple[float, float]:
    low, high = difference_interval(lost, groups, seed=seed)
    return 100 * low, 100 * high


def _interval(values: NDArray[np.float64], groups: Sequence[str], seed: int) -> tuple[float, float]:
    if not values.any():  # nothing changed: no need to resample
        return 0.0, 0.0
    low, high = bootstrap_ci(values, groups, seed=seed)
    return float(low), float(high)
