"""Many variants of one prompt in one pass up the layers: each joins at the lowest layer that it touches.

Below that layer a variant is the clean run. At it, its attention is the clean one plus what the change of z
adds through the projection, so that attention is not computed again. Above it, the decoder's own layers run
on all variants that have joined.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from headscope.engine.layer_parts import BehindPromptCache, LayerCache, beside_mask, trimmed
from headscope.engine.layers import (
    Variant,
    attended_under,
    call_layer,
    change_of,
    changed,
    direct,
    rows_fit,
    with_attention,
)
from headscope.engine.trace import Call, Trace
from headscope.errors import ModelError
from headscope.models.answering.generation import PLAIN


@dataclass(frozen=True)
class Savings:
    """Which savings a model was seen to allow.

    Attributes:
        joined: a layer runs with a stand-in for its attention; else the layer a variant joins at runs whole.
        trimmed: the last layer runs on the last position alone behind its attention.
    """

    joined: bool = True
    trimmed: bool = True


class Sweep(ABC):
    """A pass of some variants over a clean run's layers.

    Args:
        trace: the clean run.
        variants: what each does, per site (:func:`headscope.edits.hooks.compile_edit`).
        how: which savings are taken.
        kept: whether keys and values are kept, for tokens to follow.
    """

    axis = 0  # along which variants stand in a layer's call

    def __init__(self, trace: Trace, variants: Sequence[Variant], how: Savings, kept: bool = False) -> None:
        self.trace, self.variants, self.how, self.kept = trace, list(variants), how, kept
        layers = [min((site.layer for site in v), default=0) for v in variants]
        self.order = sorted(range(len(layers)), key=layers.__getitem__)
        self.joins = [layers[i] for i in self.order]
        self.held: list[tuple[Tensor, Tensor] | None] = []

    def logits(self) -> Tensor:
        """(variant, vocabulary) at the last prompt position, in the order given."""
        with torch.no_grad():
            hidden = self._run()
            found = self.trace.tail(hidden)
        found = found.flatten(0, 1)
        assert self.trace.prefill.logits is not None
        back = torch.tensor(self.order, device=found.device).argsort()
        return found[back].to(self.trace.prefill.logits.dtype)

    def cache(self) -> Any:
        """The prompt's cache with a row for each variant, in the order given; after :meth:`logits`.

        Raises:
            ModelError: a cache that is more than keys and values of all positions.
        """
        clean = self.trace.prefill.cache
        if any(type(layer) not in PLAIN for layer in clean.layers):
            raise ModelError("the cache is more than keys and values of all positions")
        made = copy.copy(clean)
        made.layers = []
        back = torch.tensor(self.order, device=self.trace.encoded.image.device).argsort()
        for number, layer in enumerate(clean.layers):
            twin = copy.copy(layer)
            keys, values = self._rows(number, layer.keys, layer.values)
            twin.keys, twin.values = keys[back], values[back]
            made.layers.append(twin)
        return made

    def _run(self) -> Tensor:
        hidden: Tensor | None = None
        calls = self.trace.calls
        self.held = [None] * len(calls)
        for number, call in enumerate(calls):
            last = number == len(calls) - 1
            count = hidden.shape[self.axis] if hidden is not None else 0
            own = [self.variants[i] for i in self.order[:count]]
            fresh = [self.variants[i] for i, at in zip(self.order, self.joins, strict=True) if at == number]
            hidden = self._through(number, call, hidden, (own, fresh), last)
            if hidden is not None and call.between is not None:
                hidden = hidden + self._own(call.between)
        assert hidden is not None
        return hidden

    @abstractmethod
    def _own(self, value: Tensor) -> Tensor:
        """The part of (1, position, width) that is computed again."""

    @abstractmethod
    def _wide(self, value: Tensor, count: int) -> Tensor:
        """That part for so many variants."""

    @abstractmethod
    def _through(
        self,
        number: int,
        call: Call,
        hidden: Tensor | None,
        variants: tuple[Sequence[Variant], Sequence[Variant]],
        last: bool,
    ) -> Tensor | None:
        """A layer's output for variants that joined below it (theirs is ``hidden``) and those that join at
        it."""

    @abstractmethod
    def _rows(self, number: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of a layer for every variant, in the order of joining."""


class RowSweep(Sweep):
    """Scope ``all``: a variant is a row of all positions."""

    def _own(self, value: Tensor) -> Tensor:
        return value

    def _wide(self, value: Tensor, count: int) -> Tensor:
        return value.expand(count, -1, -1)

    def _through(
        self,
        number: int,
        call: Call,
        hidden: Tensor | None,
        variants: tuple[Sequence[Variant], Sequence[Variant]],
        last: bool,
    ) -> Tensor | None:
        own, fresh = variants
        parts = [] if hidden is None else [self._above(number, call, hidden, own, last)]
        if fresh:
            parts.append(self._join(number, call, fresh, last))
        return torch.cat(parts) if len(parts) > 1 else parts[0] if parts else None

    def _join(self, number: int, call: Call, fresh: Sequence[Variant], last: bool) -> Tensor:
        """The output of the layer at which variants join."""
        if not (self.how.joined and direct(call)):
            return self._above(number, call, self._wide(self._own(call.inputs), len(fresh)), fresh, last)
        assert call.site is not None
        change = change_of(fresh, call.site, call.z)
        if change is None:  # nothing is changed: the clean run
            read = self._own(call.output)
            return self._wide(read[:, -1:] if last else read, len(fresh))
        read_one = slice(-1, None) if last and self.how.trimmed else None
        return self._joined(call, fresh, change, read_one, last)

    def _above(self, number: int, call: Call, hidden: Tensor, own: Sequence[Variant], last: bool) -> Tensor:
        """A layer's output for variants that have joined below."""
        fit = rows_fit(hidden.shape[0])
        cache = LayerCache() if self.kept and call.site is not None else None
        change = change_of(own, call.site, call.z) if call.site is not None else None
        inside = changed(call.site, change, 0) if call.site is not None else nullcontext()
        with inside:
            if last and self.how.trimmed and direct(call):
                output = trimmed(call, hidden, fit, cache)
            else:
                output = call_layer(call, hidden, fit, cache)
                output = output[:, -1:] if last else output
        if cache is not None and cache.pair is not None:
            self._keep(number, cache.pair)
        return output

    def _keep(self, number: int, pair: tuple[Tensor, Tensor]) -> None:
        before = self.held[number]
        if before is not None:  # those that joined here ran whole
            pair = (torch.cat([before[0], pair[0]]), torch.cat([before[1], pair[1]]))
        self.held[number] = pair

    def _joined(
        self, call: Call, fresh: Sequence[Variant], change: Any, read: slice | None, last: bool
    ) -> Tensor:
        """A layer's output for variants that join at it, its attention not computed."""
        rows = slice(None) if read is None else read
        attended = attended_under(call, change, fresh, rows)
        output = with_attention(call, self._wide(call.inputs[:, rows], len(fresh)), attended)
        return output[:, -1:] if last else output

    def _rows(self, number: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        held = self.held[number]
        rest = len(self.variants) - (0 if held is None else held[0].shape[0])
        clean = [t.expand(rest, -1, -1, -1) for t in (keys, values)]
        if held is None:
            return clean[0], clean[1]
        size = keys.shape[2]  # a sliding window keeps the last ones
        own = [t[:, :, -size:] for t in held]
        return torch.cat([own[0], clean[0]]), torch.cat([own[1], clean[1]])


class TokenSweep(Sweep):
    """Scopes ``last`` and ``answer``: a variant is one token at the prompt's last position.

    All variants stand side by side behind the clean prompt's cached keys and values; each sees these and
    itself. A few tokens more cost a layer less than a call of its own, so that none joins apart.
    """

    axis = 1

    def __init__(self, trace: Trace, variants: Sequence[Variant], how: Savings, kept: bool = False) -> None:
        super().__init__(trace, variants, how, kept)
        for call, layer in zip(trace.calls, trace.prefill.cache.layers, strict=False):
            whole = type(layer) in PLAIN and layer.keys.shape[2] == trace.length
            if call.site is None or not whole:
                raise ModelError("a layer's state is more than keys and values of all positions")
        if len(trace.prefill.cache.layers) != len(trace.calls):
            raise ModelError("the cache has not one entry a layer")

    def _own(self, value: Tensor) -> Tensor:
        return value[:, -1:]

    def _wide(self, value: Tensor, count: int) -> Tensor:
        return value.expand(-1, count, -1)

    def _through(
        self,
        number: int,
        call: Call,
        hidden: Tensor | None,
        variants: tuple[Sequence[Variant], Sequence[Variant]],
        last: bool,
    ) -> Tensor | None:
        own, fresh = variants
        parts = [] if hidden is None else [hidden]
        parts += [self._wide(self._own(call.inputs), len(fresh))] if fresh else []
        return self._layer(number, call, torch.cat(parts, dim=1), [*own, *fresh]) if parts else None

    def _layer(self, number: int, call: Call, hidden: Tensor, own: Sequence[Variant]) -> Tensor:
        assert call.site is not None
        count, length = hidden.shape[1], self.trace.length
        clean = self.trace.prefill.cache.layers[number]
        cache = BehindPromptCache(clean.keys[:, :, :-1], clean.values[:, :, :-1])

        def fit(name: str, value: Any) -> Any:
            if name == "attention_mask":
                return beside_mask(value, count, length, hidden)
            for dim, size in enumerate(value.shape):
                if size == length:
                    return value.narrow(dim, length - 1, 1).expand(
                        *(count if d == dim else -1 for d in range(value.ndim))
                    )
            return value

        with changed(call.site, change_of(own, call.site, call.z), 1):
            output = call_layer(call, hidden, fit, cache)
        if cache.pair is None:
            raise ModelError("a layer does not take its keys and values from the cache")
        self.held[number] = cache.pair
        return output

    def _rows(self, number: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        held = self.held[number]
        count = len(self.variants)
        made = []
        for clean, own in zip((keys, values), held or (None, None), strict=True):
            lasts = [clean[:, :, -1:].expand(count - (0 if own is None else own.shape[2]), -1, -1, -1)]
            if own is not None:
                lasts.insert(0, own[0].transpose(0, 1)[:, :, None])
            made.append(torch.cat([clean[:, :, :-1].expand(count, -1, -1, -1), torch.cat(lasts)], dim=2))
        return made[0], made[1]
