"""A cache under both of its names, on models of either kind."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from headscope.models.caches import cache_argument, given_cache, returned_cache


class Newer:
    def forward(self, input_ids: Any, cache: Any = None) -> None: ...


class Older:
    def forward(self, input_ids: Any, past_key_values: Any = None) -> None: ...


def test_a_cache_is_passed_under_the_name_that_the_model_has_for_it() -> None:
    assert cache_argument(Newer(), "kept") == {"cache": "kept"}
    assert cache_argument(Older(), "kept") == {"past_key_values": "kept"}


def test_a_cache_is_found_under_either_name() -> None:
    assert given_cache({"cache": "kept", "past_key_values": None}) == "kept"
    assert given_cache({"cache": None, "past_key_values": "kept"}) == "kept"
    assert given_cache({"use_cache": False}) is None
    assert returned_cache(SimpleNamespace(cache="kept")) == "kept"
    assert returned_cache(SimpleNamespace(cache=None, past_key_values="kept")) == "kept"
    assert returned_cache(SimpleNamespace(logits=0)) is None
