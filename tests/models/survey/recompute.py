"""Attention seen and computed without any of headscope's code: what its geometry is held against.

Every attention call is caught where transformers looks its kernel up, with query, key and value; in modules
that look none up, where probabilities are multiplied with values. From these the heads' outputs are computed
anew in float64, one head at a time, and what reaches each output projection is compared with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as module_hooks
from transformers.modeling_utils import AttentionInterface


@dataclass
class Call:
    """One attention call: q, k, v (item, head, position, width); output (item, position, head, width).

    Where a module multiplies its own probabilities (item, head, position, key) with values, ``weights`` holds
    them and there is no query or key.
    """

    module: nn.Module
    value: Tensor
    output: Tensor
    query: Tensor | None = None
    key: Tensor | None = None
    mask: Tensor | None = None
    weights: Tensor | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def heads(self) -> int:
        """How many query heads there are."""
        rows = self.query if self.query is not None else self.weights
        assert rows is not None
        return int(rows.shape[1])


class _Recorder:
    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.running: list[nn.Module] = []
        self.inside = 0

    def kernel(self, plain: Any) -> Any:
        def recorded(module: nn.Module, q: Tensor, k: Tensor, v: Tensor, *args: Any, **kw: Any) -> Any:
            mask = args[0] if args else kw.get("attention_mask")
            self.inside += 1
            try:
                output, *rest = plain(module, q, k, v, *args, **kw)
            finally:
                self.inside -= 1
            kept = {name: value for name, value in kw.items() if value is not None}
            self.calls.append(Call(module, v, output.clone(), q, k, mask, options=kept))
            return (output, *rest)

        return recorded

    def product(self, plain: Any) -> Any:
        def matmul(left: Tensor, right: Tensor, *args: Any, **kw: Any) -> Tensor:
            result: Tensor = plain(left, right, *args, **kw)
            if not self.inside and self.running and left.ndim == right.ndim == 4:
                rows = left.sum(-1)
                if (left >= 0).all() and torch.allclose(rows, torch.ones_like(rows), atol=1e-5):
                    merged = result.transpose(1, 2).clone()
                    self.calls.append(Call(self.running[-1], right, merged, weights=left))
            return result

        return matmul


@contextmanager
def attention_calls() -> Iterator[list[Call]]:
    """Within, every attention call is recorded."""
    recorder = _Recorder()
    plain, product = AttentionInterface.get_interface, torch.matmul
    handles = [
        module_hooks.register_module_forward_pre_hook(lambda m, _args: recorder.running.append(m)),
        module_hooks.register_module_forward_hook(
            lambda *_: recorder.running.pop() and None, always_call=True
        ),
    ]
    AttentionInterface.get_interface = lambda *args: recorder.kernel(plain(*args))
    torch.matmul = recorder.product(product)
    try:
        yield recorder.calls
    finally:
        torch.matmul = product
        AttentionInterface.get_interface = plain
        for handle in handles:
            handle.remove()


def recomputed(call: Call) -> Tensor:
    """The heads' outputs (item, position, head, width) of a call, in float64, one head at a time."""
    outputs = []
    for head in range(call.heads):
        value = call.value[:, head * call.value.shape[1] // call.heads].double()
        outputs.append(_weights(call, head) @ value)
    return torch.stack(outputs, dim=2)


def _weights(call: Call, head: int) -> Tensor:
    if call.weights is not None:
        return call.weights[:, head].double()
    assert call.query is not None
    assert call.key is not None
    key = call.key[:, head * call.key.shape[1] // call.heads].double()
    scale = call.options.get("scaling", call.query.shape[-1] ** -0.5)
    scores = call.query[:, head].double() @ key.transpose(-1, -2) * scale
    for name in ("position_bias", "attention_bias"):
        if name in call.options:
            scores = scores + _of_head(call.options[name], head).double()
    if "softcap" in call.options:
        scores = torch.tanh(scores / call.options["softcap"]) * call.options["softcap"]
    scores = scores + _mask(call, head, scores)
    if "sinks" in call.options:  # one more logit a query, whose value is zero
        scores = torch.cat([scores, _of_head(call.options["sinks"], head).double()], dim=-1)
        return torch.softmax(scores, dim=-1)[..., :-1]
    if "s_aux" in call.options:  # the same as one number a head
        sink = call.options["s_aux"][head].double().expand(*scores.shape[:-1], 1)
        return torch.softmax(torch.cat([scores, sink], dim=-1), dim=-1)[..., :-1]
    return torch.softmax(scores, dim=-1)


def _of_head(table: Tensor, head: int) -> Tensor:
    return table[:, min(head, table.shape[1] - 1)]


def _mask(call: Call, head: int, scores: Tensor) -> Tensor:
    if call.mask is None:
        causal = call.options.get("is_causal", getattr(call.module, "is_causal", True))
        if not causal or scores.shape[-2] == 1:
            return torch.zeros_like(scores)
        later = torch.ones_like(scores, dtype=torch.bool).triu(1)
        return torch.zeros_like(scores).masked_fill(later, -torch.inf)
    mask = _of_head(call.mask, head)[..., : scores.shape[-1]]
    if mask.dtype == torch.bool:
        return torch.zeros_like(scores).masked_fill(~mask, torch.finfo(torch.float32).min)
    return mask.double()


def seen_by(
    projections: Sequence[nn.Module], model: nn.Module, inputs: dict[str, Tensor]
) -> tuple[list[list[Tensor]], list[Call]]:
    """What enters each projection in one forward, one tensor a call, and all attention calls."""
    entered: list[list[Tensor]] = [[] for _ in projections]

    def keep(into: list[Tensor]) -> Any:
        return lambda _module, args: into.append(args[0].detach().clone())

    handles = [p.register_forward_pre_hook(keep(e)) for p, e in zip(projections, entered, strict=True)]
    try:
        with torch.no_grad(), attention_calls() as calls:
            model(**inputs, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return entered, calls
