"""Contiguous inputs for linear layers in bfloat16 on a CPU, where torch would copy the weights once an item.

Several items that do not lie one behind the other, such as the last positions of a batch, are multiplied
one by one; in bfloat16 each product works on a reordered copy of the weights. For a vocabulary of 150,000
and eight items that takes minutes and gigabytes instead of a tenth of a second
(``python benchmarks/bench_bf16.py``).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def give_contiguous(model: nn.Module) -> None:
    """Let every bfloat16 linear layer of a model on a CPU see contiguous inputs; values stay as they are.

    Weights that wait elsewhere (on disk, "meta") may come to be used on a CPU and count as such. Doing it
    again changes nothing.
    """
    for module in model.modules():
        done = any(map(gives_contiguous, module._forward_pre_hooks.values()))
        if isinstance(module, nn.Linear) and _concerned(module.weight) and not done:
            module.register_forward_pre_hook(_contiguous)


def _concerned(weight: Any) -> bool:
    return weight.dtype == torch.bfloat16 and weight.device.type in ("cpu", "meta")


def _contiguous(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
    given = args[0] if args else None
    if isinstance(given, Tensor) and not given.is_contiguous():
        return (given.contiguous(), *args[1:])
    return None


def gives_contiguous(hook: Any) -> bool:
    """Whether a hook is one of these: it changes no value, so that what looks for edits may pass it by."""
    return hook is _contiguous
