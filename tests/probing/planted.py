"""Synthetic steps in which one head is known to carry a function."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Planted:
    """Steps of three functions; head 2 carries the function, head 4 the answer, the others noise."""

    z: np.ndarray
    y: np.ndarray
    images: np.ndarray
    answers: list[str]
    questions: list[str]
    wordings: list[str]
    functions: int = 3
    head: int = 2
    answer_head: int = 4


def plant(items: int = 360, heads: int = 6, width: int = 5, seed: int = 0, strength: float = 2.0) -> Planted:
    """Planted steps, six to an image."""
    rng = np.random.default_rng(seed)
    y = np.tile(np.arange(3), items // 3)
    answer = rng.integers(0, 2, items)
    z = rng.normal(size=(items, heads, width)).astype(np.float32)
    z[np.arange(items), 2, y] += strength
    z[:, 4, 0] += strength * (2 * answer - 1)
    variant = rng.integers(0, 4, items)
    return Planted(
        z=z,
        y=y,
        images=np.array([f"i{n // 6:03d}" for n in range(items)]),
        answers=["yes" if a else "no" for a in answer],
        questions=[f"question {f} in form {v}?" for f, v in zip(y, variant, strict=True)],
        wordings=[f"w{f}.{v}" for f, v in zip(y, variant, strict=True)],
    )
