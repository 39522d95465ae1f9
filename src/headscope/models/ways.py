"""Quick ways of running a model: which one is taken, and why not where it is not; said once and recorded."""

from __future__ import annotations

import logging
from typing import Protocol
from weakref import WeakKeyDictionary

from headscope.errors import HeadscopeError

log = logging.getLogger(__name__)
# What models raise at inputs that they were not made for.
MODEL_ERRORS = (
    HeadscopeError, RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError, AssertionError,
)  # fmt: skip
TREE = "choices of several tokens in one row"
FAN = "edits of one prompt in one forward"
REPLAY = "scan by replay"
SHARED = "prompts of a scan in one forward"
PICTURES = "pictures encoded once"


class Named(Protocol):
    """What has a name: a model."""

    name: str


_WAYS: WeakKeyDictionary[Named, dict[str, str]] = WeakKeyDictionary()


def note_way(vlm: Named, way: str, refusal: str = "", *, instead: str = "", usual: bool = False) -> None:
    """Keep whether a model takes a quick way, and say once where it does not.

    Args:
        way: one of the names above, with the scope behind it where it depends on that.
        refusal: why it is not taken; empty where it is.
        instead: what is done in its place.
        usual: whether the reason lies in how the model is made, so that nobody need look into it.
    """
    known = _WAYS.setdefault(vlm, {})
    if refusal and known.get(way) != refusal:
        level = logging.INFO if usual else logging.WARNING
        log.log(level, "%s: %s instead of %s: %s", vlm.name, instead, way, refusal)
    known[way] = refusal


def ways_of(vlm: Named) -> dict[str, str]:
    """Way -> why it is not taken (empty where it is); only ways that were tried."""
    return dict(sorted(_WAYS.get(vlm, {}).items()))


def failure(exc: BaseException) -> str:
    """One line on why a way was given up.

    Example:
        >>> failure(IndexError("mask of one row"))
        'the model raised IndexError: mask of one row'
    """
    line = (str(exc).strip().splitlines() or [""])[0]
    known = isinstance(exc, HeadscopeError) and line
    return line if known else f"the model raised {type(exc).__name__}: {line}"
