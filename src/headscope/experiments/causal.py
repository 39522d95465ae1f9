"""The causal score: what muting one head alone costs each function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headscope.data.cases import Cases
from headscope.edits.edits import mute
from headscope.engine.engine import REPLAY, SHARED_PREFIX
from headscope.engine.readings import Reader
from headscope.experiments.items import choose_items, open_readers
from headscope.experiments.settings import CausalSettings
from headscope.functions import DEFAULT, Taxonomy
from headscope.models.ways import kept_ways
from headscope.statistics.resampling import bootstrap_ci, sign_flip_p
from headscope.storage import Ledger, write_json

SCHEMA = "headscope/causal/1"
FLIPS = 20_000


@dataclass(frozen=True, eq=False)
class CausalScores:
    """What muting each head alone costs each function; positive where it hurts.

    Attributes:
        functions: names, the first axis of every array.
        heads: labels in flat order, the second axis.
        margin: (function, head) mean drop of the margin, nats per token: the causal score.
        margin_ci: (function, head, 2) 95 % bootstrap interval by image.
        points: (function, head) drop of accuracy in percentage points.
        points_ci: (function, head, 2) its interval.
        p: (function, head) one-sided p that muting hurts, see :func:`hurt_p`; not corrected for many heads.
        items: function -> how many items were read.
    """

    functions: tuple[str, ...]
    heads: tuple[str, ...]
    margin: NDArray[np.float64]
    margin_ci: NDArray[np.float64]
    points: NDArray[np.float64]
    points_ci: NDArray[np.float64]
    p: NDArray[np.float64]
    items: dict[str, int]

    def rankings(self) -> dict[str, list[float]]:
        """function -> score per head in flat order, as ``atlas.rankings["causal"]`` holds it."""
        return {f: self.margin[i].tolist() for i, f in enumerate(self.functions)}

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values, arrays nested by function."""
        table: dict[str, Any] = {"schema": SCHEMA, "heads": list(self.heads), "functions": {}}
        for i, name in enumerate(self.functions):
            table["functions"][name] = {
                "items": self.items[name],
                "margin_drop": self.margin[i].tolist(),
                "margin_ci": self.margin_ci[i].tolist(),
                "drop_points": self.points[i].tolist(),
                "ci": self.points_ci[i].tolist(),
                "p": self.p[i].tolist(),
            }
        return table

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> CausalScores:
        """Inverse of :meth:`to_json`."""
        functions = table["functions"]
        names = ("margin_drop", "margin_ci", "drop_points", "ci", "p")
        margin, margin_ci, points, points_ci, p = (
            np.array([f[name] for f in functions.values()], dtype=np.float64) for name in names
        )
        items = {name: f["items"] for name, f in functions.items()}
        return cls(tuple(functions), tuple(table["heads"]), margin, margin_ci, points, points_ci, p, items)


def causal_scores(
    vlm: Any,
    cases: Cases,
    splits: Mapping[str, str],
    folder: str | Path,
    *,
    taxonomy: Taxonomy = DEFAULT,
    settings: CausalSettings | None = None,
    **knobs: Any,
) -> CausalScores:
    """Mute every head alone at all tokens and read what that costs each function (docs/concepts.md).

    Writes ``causal.json`` into the study folder and resumes from ``causal/``. Cost: heads x functions x
    ``max_items`` answers.

    Args:
        settings: see :class:`CausalSettings`; single ones can be given by name.

    Raises:
        StoreError: ``folder`` holds work made with other settings.
    """
    settings = replace(settings or CausalSettings(), **knobs)
    ledger = Ledger(Path(folder) / "causal", {**asdict(settings), **identity(vlm, cases)})
    items = choose_items(cases, splits, settings.split, taxonomy, settings.max_items, settings.seed, ())
    readers = open_readers(
        vlm,
        cases,
        items,
        ledger,
        batch_size=settings.batch_size,
        rows=settings.rows,
        max_new_tokens=settings.max_new_tokens,
        strategies=(REPLAY, SHARED_PREFIX),
    )
    with kept_ways(vlm, folder):
        scores = scan(vlm, readers, settings)
    write_json(Path(folder) / "causal.json", scores.to_json())
    return scores


def identity(vlm: Any, cases: Cases) -> dict[str, str]:
    """What any result depends on besides settings: model and data."""
    return {
        "model": vlm.name,
        "revision": vlm.confirmed_revision(),
        "data": cases.fingerprint,
        "dtype": str(vlm.dtype),
    }


def scan(vlm: Any, readers: Mapping[str, Reader], settings: CausalSettings) -> CausalScores:
    """The scores over given readers, one head at a time, many heads in one forward."""
    heads = vlm.geometry.heads
    shape = (len(readers), len(heads))
    margin, points, p = np.zeros(shape), np.zeros(shape), np.ones(shape)
    margin_ci, points_ci = np.zeros((*shape, 2)), np.zeros((*shape, 2))
    for i, (name, reader) in enumerate(readers.items()):
        clean = reader.clean
        readings = reader.read_many([(h,) for h in heads], mute(), settings.scope, f"causal: {name}")
        for j, reading in enumerate(readings):
            lost, right = clean.margin - reading.margin, 100 * (clean.correct - reading.correct)
            margin[i, j], points[i, j] = lost.mean(), right.mean()
            margin_ci[i, j] = _interval(lost, reader.groups, settings.seed)
            points_ci[i, j] = _interval(right, reader.groups, settings.seed)
            p[i, j] = hurt_p(lost, right, reader.groups, settings.seed)
    sizes = {name: len(reader) for name, reader in readers.items()}
    labels = tuple(str(h) for h in heads)
    return CausalScores(tuple(readers), labels, margin, margin_ci, points, points_ci, p, sizes)


def hurt_p(lost: NDArray[np.float64], right: NDArray[np.float64], groups: Any, seed: int = 0) -> float:
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


def _interval(values: NDArray[np.float64], groups: Sequence[str], seed: int) -> tuple[float, float]:
    if not values.any():  # nothing changed: no need to resample
        return 0.0, 0.0
    low, high = bootstrap_ci(values, groups, seed=seed)
    return float(low), float(high)
