"""Parts of a pass: caches of one layer, the mask of tokens side by side, the trimmed last layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from headscope.engine.layers import attention_input, call_layer, stand_in
from headscope.engine.trace import Call
from headscope.errors import ModelError


def trimmed(call: Call, hidden: Tensor, fit: Any, cache: Any) -> Tensor:
    """The layer's output at the last position: behind its attention nothing else is computed."""
    assert call.site is not None
    args, kwargs = attention_input(call, hidden, fit, cache)

    def cut(_m: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
        return (given[0][:, -1:].contiguous(), *given[1:])

    handle = call.site.projection.register_forward_pre_hook(cut)
    try:
        output = call.site.attention(*args, **kwargs)
    finally:
        handle.remove()
    with stand_in(call.site.attention, lambda *_a, **_k: output):
        return call_layer(call, hidden[:, -1:])


class LayerCache(DynamicCache):
    """Holds one layer's keys and values, whatever number it goes by."""

    def __init__(self) -> None:
        super().__init__()
        self.pair: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *_a: Any, **_k: Any) -> tuple[Tensor, Tensor]:
        self.pair = (key_states, value_states)
        return self.pair


class BehindPromptCache(LayerCache):
    """Puts one layer's keys and values behind those of the prompt before its last position."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.clean = (keys, values)

    def update(self, key_states: Tensor, value_states: Tensor, *_a: Any, **_k: Any) -> tuple[Tensor, Tensor]:
        self.pair = (key_states, value_states)
        return (
            torch.cat([self.clean[0], key_states], dim=2),
            torch.cat([self.clean[1], value_states], dim=2),
        )

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return int(self.clean[0].shape[2])


def beside_mask(clean: Any, count: int, length: int, like: Tensor) -> Tensor:
    """(1, heads or 1, variant, prompt - 1 + variant): what the last position saw, and itself."""
    if clean is not None and (clean.ndim != 4 or clean.shape[-1] != length):
        raise ModelError("a layer's attention mask has another form than (item, head, query, key)")
    low = torch.finfo(like.dtype).min
    if clean is None:
        before = like.new_zeros(1, 1, 1, length - 1)
    else:
        before = clean[:, :, -1:, :-1]
        if before.dtype == torch.bool:
            before = like.new_zeros(before.shape).masked_fill_(~before, low)
    own = like.new_full((count, count), low).fill_diagonal_(0)
    return torch.cat([before.expand(-1, -1, count, -1), own.expand(1, before.shape[1], -1, -1)], dim=3)
