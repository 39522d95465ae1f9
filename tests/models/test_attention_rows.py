"""Attention weights of one row, and kernels that are watched and put back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from headscope.errors import ModelError
from headscope.models.attention_rows import attention_row, watch_attention
from headscope.models.geometry import Site
from headscope.models.vlm import VLM


def test_a_row_honours_windows_caps_and_every_form_of_mask() -> None:
    torch.manual_seed(0)
    query, key = torch.randn(2, 4, 6, 8), torch.randn(2, 2, 6, 8)
    module = nn.Identity()
    scores = torch.einsum("ihqd,ihkd->ihqk", query, key.repeat_interleave(2, 1)) * 0.3
    causal = torch.ones(6, 6, dtype=torch.bool).tril()
    padding = torch.ones(2, 6, dtype=torch.bool)
    padding[0, :2] = False

    def full(allowed: Tensor, values: Tensor = scores) -> Tensor:
        return values.masked_fill(~allowed, -torch.inf).softmax(-1)[:, :, 4]

    got = attention_row(module, query, key, None, {"scaling": 0.3}, 4)
    torch.testing.assert_close(got, full(causal))
    window = causal & ~causal.tril(-3)
    got = attention_row(module, query, key, None, {"scaling": 0.3, "sliding_window": 3}, 4)
    torch.testing.assert_close(got, full(window))
    got = attention_row(module, query, key, padding.long(), {"scaling": 0.3}, 4)
    torch.testing.assert_close(got, full(causal & padding[:, None, None, :]))
    both = causal & padding[:, None, None, :]
    got = attention_row(module, query, key, both, {"scaling": 0.3}, 4)
    torch.testing.assert_close(got, full(both))
    additive = torch.zeros(both.shape).masked_fill(~both, torch.finfo(torch.float32).min)
    got = attention_row(module, query, key, additive, {"scaling": 0.3}, 4)
    torch.testing.assert_close(got, full(both))
    got = attention_row(module, query, key, None, {"scaling": 0.3, "softcap": 2.0}, 4)
    torch.testing.assert_close(got, full(causal, torch.tanh(scores / 2) * 2))
    with pytest.raises(ModelError, match="'s_aux', which is not recomputed"):
        attention_row(module, query, key, None, {"s_aux": torch.zeros(4)}, 4)


def test_who_looks_first_may_leave_first_and_the_registry_is_as_it_was(tiny: VLM) -> None:
    before, sites = dict(ALL_ATTENTION_FUNCTIONS._local_mapping), tiny.geometry.sites
    seen: list[str] = []
    one, other = (
        watch_attention(sites, lambda *_, name=name: seen.append(name)) for name in ("one", "other")
    )
    inputs: dict[str, Any] = {"input_ids": torch.ones(1, 3, dtype=torch.long)}
    with torch.no_grad():
        one.__enter__()
        other.__enter__()
        tiny.model(**inputs)
        one.__exit__(None, None, None)
        tiny.model(**inputs)
        other.__exit__(None, None, None)
        tiny.model(**inputs)
    layers = len(sites)
    assert seen == ["one", "other"] * layers + ["other"] * layers
    assert dict(ALL_ATTENTION_FUNCTIONS._local_mapping) == before


def test_attention_that_asks_no_registry_is_refused() -> None:
    site = Site("decoder", 0, "self", 1, 2, nn.Linear(2, 2), nn.Identity())
    with (
        pytest.raises(ModelError, match="Identity computes attention by itself"),
        watch_attention([site], lambda *_: None),
    ):
        pass
