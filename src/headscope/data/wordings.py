"""Names of wordings: which serve several functions, and so do not tell which one is asked for."""

from __future__ import annotations

SHARED = "shared"


def is_shared(wording: str) -> bool:
    """Whether a step asks in words that rest on the turn before: "Where is the dog?", "And the horse?".

    Such a step is never asked alone.

    Example:
        >>> is_shared("shared/0"), is_shared("where/0")
        (True, False)
    """
    return wording.split("/")[0] == SHARED
