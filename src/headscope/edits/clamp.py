"""Clamping: heads are held at given values, such as their mean, wholly or in part."""

from __future__ import annotations

from headscope.edits.edits import Blocks, Operation
from headscope.errors import EditError


def clamp(to: Blocks, strength: float = 1.0) -> Operation:
    """Hold z at ``to``: ``z' = (1 - strength) * z + strength * to``.

    At strength 1 every position has the same z, so that a head tells nothing of its input; to the mean, that
    is mean-muting. Below 1, what sets a position apart is left in part, and the head in its usual range.

    Args:
        to: array (head, width) in ``geometry.heads`` order or a mapping head -> (width,), such as
            :func:`headscope.edits.means.head_means` gives.
        strength: 0 (nothing is changed) to 1.

    Raises:
        EditError: a strength outside of 0 to 1.

    Example:
        >>> import numpy as np
        >>> clamp(np.zeros((4, 8)), 0.25).factor
        0.75
    """
    if not 0 <= strength <= 1:
        raise EditError(f"clamp: asked for strength {strength}; expected 0 (nothing) to 1 (held altogether)")
    return Operation("clamp", factor=1.0 - strength, blocks=to, strength=strength)
