"""Slow, independent ways to compute what an edited model puts out."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Change = Callable[[int, int, int, int, Tensor], Tensor]  # (layer, item, position, head, z) -> z


class SlowProjection(nn.Module):
    """An output projection that walks over items, positions and heads, one by one."""

    def __init__(self, inner: nn.Linear, layer: int, n_heads: int, change: Change) -> None:
        super().__init__()
        self.inner, self.layer, self.n_heads, self.change = inner, layer, n_heads, change

    def forward(self, x: Tensor) -> Tensor:
        width = x.shape[-1] // self.n_heads
        out = torch.zeros(*x.shape[:-1], self.inner.out_features, dtype=x.dtype)
        for item in range(x.shape[0]):
            for position in range(x.shape[1]):
                for head in range(self.n_heads):
                    block = slice(head * width, (head + 1) * width)
                    z = self.change(self.layer, item, position, head, x[item, position, block])
                    out[item, position] += self.inner.weight[:, block] @ z
        return out if self.inner.bias is None else out + self.inner.bias


def slow_copy(vlm: Any, change: Change) -> nn.Module:
    """A float64 copy of the model whose decoder projections apply ``change`` head by head."""
    model = copy.deepcopy(vlm.model).double()
    for layer, block in enumerate(model.get_decoder().layers):
        attention = block.self_attn
        n_heads = attention.o_proj.in_features // attention.head_dim
        attention.o_proj = SlowProjection(attention.o_proj, layer, n_heads, change)
    return model


def double(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v.double() if v.is_floating_point() else v for k, v in inputs.items()}


def extend(inputs: dict[str, Tensor], tokens: Tensor) -> dict[str, Tensor]:
    """The same inputs with answer tokens (item, token) appended, uncached."""
    grown = dict(inputs)
    grown["input_ids"] = torch.cat([inputs["input_ids"], tokens], dim=1)
    grown["attention_mask"] = torch.cat([inputs["attention_mask"], torch.ones_like(tokens)], dim=1)
    if "mm_token_type_ids" in inputs:
        grown["mm_token_type_ids"] = torch.cat([inputs["mm_token_type_ids"], torch.zeros_like(tokens)], dim=1)
    return grown


@torch.no_grad()
def logits(vlm: Any, inputs: dict[str, Tensor], model: nn.Module | None = None) -> Tensor:
    """Logits of the prompt, padding positions set to 0: (item, position, vocabulary)."""
    out = (model or vlm.model)(**inputs).logits
    return out * inputs["attention_mask"][..., None].to(out.dtype)


@torch.no_grad()
def generate(vlm: Any, inputs: dict[str, Tensor], tokens: int, model: nn.Module | None = None) -> Tensor:
    """Greedy tokens of the model's own cached generation, never stopping early: (item, token)."""
    out = (model or vlm.model).generate(
        **inputs, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, use_cache=True
    )
    return out[:, inputs["input_ids"].shape[1] :]
