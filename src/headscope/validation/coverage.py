"""Do 95 % intervals hold the truth 95 times in 100? Simulated data whose truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headscope.probing.significance import auroc_with_interval
from headscope.progress import track
from headscope.statistics.resampling import bootstrap_ci, wilson_ci

Row = dict[str, Any]
LOW, HIGH = 0.93, 0.97
AREA = 0.76025  # Phi(1 / sqrt 2): of two unit normals one apart


def coverage(simulations: int, seed: int = 0) -> Row:
    """Share of simulated intervals that hold the truth, by what they are intervals of.

    ``margin``: mean drop over 24 images of one to three questions, an effect of the image, heavy tails;
    ``accuracy``: drop of accuracy over 60 images, four in ten answers lost and one in twenty won; ``auroc``:
    area under the curve over 60 images of four steps that share an effect of the image.

    Returns:
        For each: ``share``, ``ci`` (Wilson), ``within`` (93 to 97 %), ``simulations``.
    """
    makers = {"margin": _margin, "accuracy": _accuracy, "auroc": _auroc}
    found = {}
    for number, (name, made) in enumerate(makers.items()):
        rng = np.random.default_rng([seed, 31, number])
        hits = sum(made(rng, n) for n in track(range(simulations), f"coverage: {name}", unit="sim"))
        share = hits / simulations
        found[name] = {
            "share": share,
            "ci": list(wilson_ci(hits, simulations)),
            "within": LOW <= share <= HIGH,
            "simulations": simulations,
        }
    return found


def _grouped(rng: np.random.Generator, images: int, most: int) -> NDArray[np.int64]:
    return np.repeat(np.arange(images), rng.integers(1, most + 1, images))


def _margin(rng: np.random.Generator, seed: int) -> bool:
    groups = _grouped(rng, 24, 3)
    lasting = rng.normal(size=24)[groups]
    values = 1.0 + lasting + rng.standard_t(4, size=len(groups))
    low, high = bootstrap_ci(values, groups, draws=1000, seed=seed)
    return bool(low <= 1.0 <= high)


def _accuracy(rng: np.random.Generator, seed: int) -> bool:
    values = rng.choice([1.0, 0.0, -1.0], p=[0.4, 0.55, 0.05], size=60)
    low, high = bootstrap_ci(values, None, draws=1000, seed=seed)
    return bool(low <= 0.35 <= high)


def _auroc(rng: np.random.Generator, _seed: int) -> bool:
    groups = np.repeat(np.arange(60), 4)
    positive = np.tile([True, True, False, False], 60)
    lasting = np.sqrt(0.3) * rng.normal(size=60)[groups]
    scores = positive + lasting + np.sqrt(0.7) * rng.normal(size=len(groups))
    _, low, high = auroc_with_interval(scores[None], positive, groups)
    return bool(low[0] <= AREA <= high[0])
