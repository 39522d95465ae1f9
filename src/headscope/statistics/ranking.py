"""Which heads are strongest: one order for all that choose by scores."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from headscope.errors import StudyError

BY_SIZE = ("joint",)
"""Rankings whose scores keep a sign that says in which direction a head speaks: their size ranks."""


def strongest(
    scores: Sequence[float | None] | NDArray[np.float64], count: int | None = None, *, by_size: bool = False
) -> list[int]:
    """Places of the greatest scores, greatest first; ties go to the earlier place.

    What has no score (None, NaN) is never among them, so that fewer than ``count`` may come back.

    Args:
        count: how many; None: all that have a score.
        by_size: whether a score's absolute value counts.

    Raises:
        StudyError: a count below 0, or one that is no whole number.

    Example:
        >>> strongest([0.2, None, -0.9, 0.2], 3)
        [0, 3, 2]
        >>> strongest([0.2, None, -0.9, 0.2], 1, by_size=True)
        [2]
    """
    if count is not None and (not isinstance(count, Integral) or isinstance(count, bool) or count < 0):
        raise StudyError(f"asked for the {count!r} strongest; expected a whole number, 0 or more")
    values = np.asarray(scores, dtype=np.float64)
    values = np.abs(values) if by_size else values
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(-values[known], kind="stable")]
    return [int(i) for i in order[:count]]
