"""Do 95 % intervals hold the truth 95 times in 100? Simulated data whose truth is known."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headscope.probing.significance import auroc_with_interval
from headscope.progress import track
from headscope.statistics.resampling import bootstrap_ci, wilson_ci
from headscope.statistics.shares import difference_interval, share_estimate

Row = dict[str, Any]
LOW, HIGH = 0.93, 0.97
AREA = 0.76025  # Phi(1 / sqrt 2): of two unit normals one apart


# A true share, and true shares of answers lost and won: none, some, all.
SHARES = (0.0, 0.02, 0.5, 0.98, 1.0)
CHANGES = ((0.0, 0.0), (0.03, 0.0), (0.05, 0.05), (0.4, 0.05), (0.97, 0.0), (1.0, 0.0))
_ALIKE = 0.5  # of questions, that share their picture's answer


def coverage(simulations: int, seed: int = 0) -> Row:
    """Share of simulated intervals that hold the truth, by what they are intervals of.

    ``margin``: mean drop over 24 images of one to three questions, an effect of the image, heavy tails;
    ``auroc``: area under the curve over 60 images of four steps that share an effect of the image;
    ``share``: of right answers over 20 images of one to three questions, half of which go with their image;
    ``accuracy``: answers lost less answers won, over 30 such images.

    Returns:
        For each: ``share``, ``ci`` (Wilson), ``within`` (93 to 97 %; of shares and their differences, which
        are cautious where nothing or everything is so, 93 % or more), ``simulations``.
    """
    makers = {"margin": _margin, "auroc": _auroc}
    makers |= {f"share, true {100 * p:g} %": partial(_share, p) for p in SHARES}
    makers |= {f"accuracy, {100 * a:g} % lost, {100 * b:g} % won": partial(_lost, a, b) for a, b in CHANGES}
    found = {}
    for number, (name, made) in enumerate(makers.items()):
        rng = np.random.default_rng([seed, 31, number])
        hits = sum(made(rng, n) for n in track(range(simulations), f"coverage: {name}", unit="sim"))
        share = hits / simulations
        found[name] = {
            "share": share,
            "ci": list(wilson_ci(hits, simulations)),
            "within": share >= LOW and (cautious(name) or share <= HIGH),
            "simulations": simulations,
        }
    return found


def cautious(name: str) -> bool:
    """Whether an interval may hold the truth more often than it says."""
    return name.startswith(("share", "accuracy"))


def _grouped(rng: np.random.Generator, images: int, most: int) -> NDArray[np.int64]:
    return np.repeat(np.arange(images), rng.integers(1, most + 1, images))


def _margin(rng: np.random.Generator, seed: int) -> bool:
    groups = _grouped(rng, 24, 3)
    lasting = rng.normal(size=24)[groups]
    values = 1.0 + lasting + rng.standard_t(4, size=len(groups))
    low, high = bootstrap_ci(values, groups, draws=1000, seed=seed)
    return bool(low <= 1.0 <= high)


def _drawn(
    rng: np.random.Generator, images: int, shares: tuple[float, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(item,) which of the outcomes, drawn by their shares, and image; half the items have their image's."""
    groups = _grouped(rng, images, 3)
    own = rng.choice(len(shares), len(groups), p=shares)
    lasting = rng.choice(len(shares), images, p=shares)[groups]
    return np.where(rng.random(len(groups)) < _ALIKE, lasting, own), groups


def _share(truth: float, rng: np.random.Generator, _seed: int) -> bool:
    right, groups = _drawn(rng, 20, (1 - truth, truth))
    low, high = share_estimate(right, groups).ci
    return bool(low <= truth <= high)


def _lost(lost: float, won: float, rng: np.random.Generator, seed: int) -> bool:
    outcome, groups = _drawn(rng, 30, (lost, won, 1 - lost - won))
    low, high = difference_interval(np.array([1.0, -1.0, 0.0])[outcome], groups, draws=1000, seed=seed)
    return bool(low <= lost - won <= high)


def _auroc(rng: np.random.Generator, _seed: int) -> bool:
    groups = np.repeat(np.arange(60), 4)
    positive = np.tile([True, True, False, False], 60)
    lasting = np.sqrt(0.3) * rng.normal(size=60)[groups]
    scores = positive + lasting + np.sqrt(0.7) * rng.normal(size=len(groups))
    _, low, high = auroc_with_interval(scores[None], positive, groups)
    return bool(low[0] <= AREA <= high[0])
