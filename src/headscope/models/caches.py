"""The cache of keys and values under both names that transformers has for it; ``cache`` since 5.24."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

_NEW, _OLD = "cache", "past_key_values"


def cache_argument(model: Any, cache: Any) -> dict[str, object]:
    """A cache as keyword argument of a model's forward."""
    return {_NEW if _NEW in inspect.signature(model.forward).parameters else _OLD: cache}


def given_cache(kwargs: Mapping[str, Any]) -> Any:
    """The cache among a forward's keyword arguments; None if there is none."""
    return kwargs[_NEW] if kwargs.get(_NEW) is not None else kwargs.get(_OLD)


def returned_cache(output: Any) -> Any:
    """The cache that a forward hands back; None if there is none."""
    cache = getattr(output, _NEW, None)
    return cache if cache is not None else getattr(output, _OLD, None)
