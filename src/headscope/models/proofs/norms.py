"""A norm over all heads between attention function and projection: its scale held fixed for the proof."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from headscope.models.geometry import Site


def norm_over_heads(site: Site, z: Tensor, call: Callable[[], None]) -> nn.Module | None:
    """The layer norm over all heads whose output is the projection's input ``z``; None if there is none."""
    for child in site.attention.children():
        if isinstance(child, nn.LayerNorm) and tuple(child.normalized_shape) == (site.width,):
            seen: list[Tensor] = []
            handle = child.register_forward_hook(lambda _m, _args, output, seen=seen: seen.append(output))
            try:
                call()
            finally:
                handle.remove()
            if len(seen) == 1 and torch.equal(seen[0].reshape(-1, site.width), z.reshape(-1, site.width)):
                return child
    return None


@contextmanager
def frozen(norm: nn.Module, call: Callable[[], None]) -> Iterator[None]:
    """Within, the norm centres and scales by what it measured in one plain ``call``, whatever comes in."""
    assert isinstance(norm, nn.LayerNorm)
    seen: list[Tensor] = []
    handle = norm.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    try:
        call()
    finally:
        handle.remove()
    scale = torch.rsqrt(seen[0].var(-1, unbiased=False, keepdim=True) + norm.eps)
    plain = norm(seen[0])
    weight = norm.weight if norm.weight is not None else 1.0

    def fixed(_module: nn.Module, args: tuple[Any, ...], _output: Tensor) -> Tensor:
        moved = (args[0] - seen[0]) * scale * weight
        return torch.where(moved == 0, plain, plain + moved)

    handle = norm.register_forward_hook(fixed)
    try:
        yield
    finally:
        handle.remove()
