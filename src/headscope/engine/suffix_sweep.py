"""Variants that change nothing before some position: only what follows it runs again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from headscope.engine.layer_parts import LayerCache, trimmed
from headscope.engine.layers import Variant, call_layer, change_of, changed
from headscope.engine.sweep import RowSweep, Savings
from headscope.engine.trace import Call, Trace
from headscope.errors import ModelError
from headscope.models.answering.generation import PLAIN


class SuffixSweep(RowSweep):
    """Each variant is a row of the positions from ``start`` on, behind the clean keys and values before it.

    A decoder sees no later position, so that what changes at the question's tokens leaves the picture's as
    they are. It is read for the prompt's last logits alone: nothing follows it.

    Args:
        trace, variants, how: as :class:`headscope.engine.sweep.Sweep` takes them; no variant touches a
            position before ``start``.
        start: the first position that runs again.

    Raises:
        ModelError: the prompt's cache is more than keys and values of all positions.
    """

    def __init__(self, trace: Trace, variants: Sequence[Variant], how: Savings, start: int) -> None:
        super().__init__(trace, variants, how)
        self.start = start
        layers = trace.prefill.cache.layers
        plain = all(type(x) in PLAIN and x.keys.shape[2] == trace.length for x in layers)
        if not plain or len(layers) != len(trace.calls) or any(c.site is None for c in trace.calls):
            raise ModelError("a layer's state is more than keys and values of all positions")

    def _own(self, value: Tensor) -> Tensor:
        return value[:, self.start :]

    def _above(self, number: int, call: Call, hidden: Tensor, own: Sequence[Variant], last: bool) -> Tensor:
        clean = self.trace.prefill.cache.layers[number]
        cache = _BehindPrefix(clean.keys[:, :, : self.start], clean.values[:, :, : self.start])
        fit = self._fit(hidden)
        change = change_of(own, call.site, call.z) if call.site is not None else None
        with changed(call.site, change, 0) if call.site is not None else nullcontext():
            if last and self.how.trimmed:
                output = trimmed(call, hidden, fit, cache)
            else:
                output = call_layer(call, hidden, fit, cache)
                output = output[:, -1:] if last else output
        if cache.pair is None:
            raise ModelError("a layer does not take its keys and values from the cache")
        return output

    def _joined(
        self, call: Call, fresh: Sequence[Variant], change: Any, read: slice | None, last: bool
    ) -> Tensor:
        return super()._joined(call, fresh, change, slice(self.start, None) if read is None else read, last)

    def _fit(self, hidden: Tensor) -> Callable[[str, Any], Any]:
        """Arguments of the whole prompt for rows of its last positions."""
        rows, length, start = hidden.shape[0], self.trace.length, self.start

        def fit(name: str, value: Any) -> Any:
            if name == "attention_mask":
                return _mask(value, rows, length, start, hidden)
            for dim, size in enumerate(value.shape):
                if size == length:
                    value = value.narrow(dim, start, length - start)
                    break
            if value.ndim >= 2 and value.shape[0] == 1:
                return value.expand(rows, *value.shape[1:])
            return value

        return fit


def _mask(clean: Any, rows: int, length: int, start: int, like: Tensor) -> Tensor:
    """(row, 1 or heads, position from start, key): what those positions saw in the clean run."""
    if clean is None:
        low = torch.finfo(like.dtype).min
        every = like.new_full((length, length), low).triu_(1)
        return every[start:].expand(rows, 1, -1, -1)
    if clean.ndim != 4 or clean.shape[-1] != length or clean.shape[-2] != length:
        raise ModelError("a layer's attention mask has another form than (item, head, query, key)")
    return clean[:, :, start:].expand(rows, -1, -1, -1)


class _BehindPrefix(LayerCache):
    """Puts one layer's keys and values, a row for each variant, behind those of the clean prefix."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.clean = (keys, values)

    def update(self, key_states: Tensor, value_states: Tensor, *_a: Any, **_k: Any) -> tuple[Tensor, Tensor]:
        self.pair = (key_states, value_states)
        rows = key_states.shape[0]
        return (
            torch.cat([self.clean[0].expand(rows, -1, -1, -1), key_states], dim=2),
            torch.cat([self.clean[1].expand(rows, -1, -1, -1), value_states], dim=2),
        )

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return int(self.clean[0].shape[2])
