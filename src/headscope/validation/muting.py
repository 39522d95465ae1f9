"""The muting test under random heads and under known ones: readings taken once, resampled many times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headscope.data.cases import Cases
from headscope.edits.edits import mute
from headscope.experiments.context import identity
from headscope.experiments.controls import draw
from headscope.experiments.items import choose_items, open_readers
from headscope.functions import DEFAULT
from headscope.models.geometry import Head
from headscope.models.vlm import VLM
from headscope.statistics.resampling import group_codes, wilson_ci
from headscope.storage import Ledger
from headscope.validation.settings import ValidateSettings

Floats = NDArray[np.float64]
Row = dict[str, Any]
CASES = (5, 10, 15, 20, 30, 45, 60)
DRAWS = 200


@dataclass(frozen=True, eq=False)
class Recorded:
    """Drops of accuracy and margin, (set, item); set 0 are the heads known to matter, the others random.

    ``shares`` (set, set): whether two sets have a head in common. ``images`` (item,) numbers.
    """

    drop: Floats
    margin: Floats
    shares: NDArray[np.bool_]
    images: NDArray[np.int64]


def record(
    vlm: VLM,
    cases: Cases,
    splits: Mapping[str, str],
    tested: Mapping[str, Sequence[Head]],
    folder: Path,
    settings: ValidateSettings,
) -> dict[str, Recorded]:
    """Mute each function's tested heads and ``settings.sets`` random sets of the same number per layer."""
    ledger = Ledger(folder, {"seed": settings.seed, "sets": settings.sets, **identity(vlm, cases)})
    items = choose_items(cases, splits, "test", DEFAULT, settings.items, settings.seed, ())
    readers = open_readers(vlm, cases, {f: items[f] for f in tested}, ledger)
    found = {}
    for function, heads in tested.items():
        drawn = draw(vlm.geometry, heads, settings.sets, settings.seed, disjoint=False)
        sets = [tuple(heads), *(d for d in dict.fromkeys(drawn.draws) if set(d) != set(heads))]
        reader = readers[function]
        readings = reader.read_many(sets, mute(), label=f"muting: {function}")
        found[function] = Recorded(
            np.array([reader.clean.correct - r.correct for r in readings]),
            np.array([reader.clean.margin - r.margin for r in readings]),
            np.array([[bool(set(a) & set(b)) for b in sets] for a in sets]),
            group_codes(reader.groups, len(reader))[0],
        )
    return found


def random_heads(recorded: Sequence[Recorded], replicates: int, seed: int) -> Row:
    """How often the test rejects when the tested set is itself drawn at random (set 0 left out).

    Each replicate draws a set, resamples the images, and ranks the set among up to ``DRAWS`` others: all
    others (``random``, the test behind ``p_random``), or only those that share no head (``disjoint``).
    """
    rng = np.random.default_rng([seed, 21])
    values: dict[str, list[float]] = {}
    for replicate in range(replicates):
        one = recorded[replicate % len(recorded)]
        items = _resampled(one.images, rng)
        tested = 1 + int(rng.integers(len(one.drop) - 1))
        others = np.setdiff1d(np.arange(1, len(one.drop)), [tested])
        apart = others[~one.shares[tested, others]]
        for name, table in (("accuracy", one.drop), ("margin", one.margin)):
            effects = table[:, items].mean(axis=1)
            for kind, pool in (("random", others), ("disjoint", apart)):
                if len(pool):
                    p = _p(effects[tested], effects[rng.permutation(pool)[:DRAWS]])
                    values.setdefault(f"{kind} {name}", []).append(p)
    return {name: _rates(np.array(p)) for name, p in values.items()}


def power(one: Recorded, replicates: int, seed: int) -> Row:
    """Share of resampled tests of the known heads that reject at 0.05, by number of cases."""
    rng = np.random.default_rng([seed, 22])
    apart = np.flatnonzero(~one.shares[0])
    table: Row = {}
    for n in (n for n in CASES if n <= one.drop.shape[1]):
        hits = {"random": 0, "disjoint": 0}
        for _ in range(replicates):
            items = rng.choice(one.drop.shape[1], n)
            effects = one.drop[:, items].mean(axis=1)
            hits["random"] += _p(effects[0], effects[1:]) <= 0.05
            hits["disjoint"] += bool(len(apart)) and _p(effects[0], effects[apart]) <= 0.05
        table[str(n)] = {kind: count / replicates for kind, count in hits.items()}
    return table


def profile(heads: Sequence[Head]) -> dict[str, int]:
    """How many heads in each layer, for the record."""
    return {f"L{layer}": n for layer, n in sorted(Counter(h.layer for h in heads).items())}


def _p(observed: float, others: Floats) -> float:
    return float((1 + (others >= observed - 1e-12).sum()) / (1 + len(others)))


def _resampled(images: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Numbers of the items of as many images as there are, drawn with replacement."""
    count = int(images.max()) + 1
    members = [np.flatnonzero(images == i) for i in range(count)]
    return np.concatenate([members[i] for i in rng.integers(0, count, count)])


def _rates(p: Floats) -> Row:
    row: Row = {"replicates": len(p)}
    for name, level in (("reject_at_05", 0.05), ("reject_at_01", 0.01)):
        hits = int((p <= level).sum())
        error = float(np.sqrt(level * (1 - level) / len(p)))
        row[name] = hits / len(p)
        row[f"{name}_ci"] = list(wilson_ci(hits, len(p)))
        row[f"{name}_within"] = hits / len(p) <= level + 1.96 * error
    return row
