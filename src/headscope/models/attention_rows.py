"""Attention weights while a model reads, recomputed for one position from what its kernel is given."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

import torch
from torch import Tensor, nn

from headscope.errors import ModelError
from headscope.models.geometry import Site

Look = Callable[[nn.Module, Tensor, Tensor, "Tensor | None", dict[str, Any]], None]
_TURN = Lock()  # to change a registry
_WRAPPED: dict[tuple[int, str], _Wrapped] = {}  # registry and name -> its kernel, while anybody looks


def attention_row(
    module: nn.Module, query: Tensor, key: Tensor, mask: Tensor | None, kwargs: Mapping[str, Any], row: int
) -> Tensor:
    """Attention weights of one query row, recomputed: (item, head, key position), float32.

    Args:
        module: the attention module.
        query: (item, head, position, width), as the kernel gets it.
        key: (item, key-value head, position, width).
        mask: additive or boolean (item, 1, position, key), padding (item, key), or None (causal).
        kwargs: the kernel's further arguments.
        row: the query position; rows after it are not attended to.

    Raises:
        ModelError: the call has attention sinks or position biases, which are not recomputed.
    """
    for name in ("s_aux", "position_bias"):
        if kwargs.get(name) is not None:
            raise ModelError(
                f"attention weights: {type(module).__name__} passes {name!r}, which is not recomputed"
            )
    groups = query.shape[1] // key.shape[1]
    keys = key.float().repeat_interleave(groups, dim=1)
    scaling = kwargs.get("scaling")
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = torch.einsum("ihd,ihpd->ihp", query[:, :, row].float(), keys) * scaling
    if kwargs.get("softcap") is not None:
        scores = torch.tanh(scores / kwargs["softcap"]) * kwargs["softcap"]
    position = torch.arange(scores.shape[-1], device=scores.device)
    seen = position <= row
    window = kwargs.get("sliding_window")
    if window is not None and (mask is None or mask.ndim == 2):
        seen = seen & (position > row - int(window))
    scores = scores.masked_fill(~seen, -torch.inf)
    if mask is not None:
        scores = _masked(scores, mask, row)
    return torch.softmax(scores, dim=-1)


def _masked(scores: Tensor, mask: Tensor, row: int) -> Tensor:
    part = mask[:, None, :] if mask.ndim == 2 else mask[:, :, row]
    part = part[..., : scores.shape[-1]]
    if mask.ndim == 2 or part.dtype == torch.bool:
        return scores.masked_fill(~part.bool(), -torch.inf)
    return scores + part.float()


@contextmanager
def watch_attention(sites: Sequence[Site], look: Look) -> Iterator[None]:
    """While inside, these sites' attention kernels first show their arguments to ``look``.

    The kernel in use stays in use (sdpa, flash, or ``eager``, which each model file defines for itself): it
    is wrapped in transformers' registry under its own name. Outputs do not change; registries are restored.
    They belong to the process, so that ``look`` is shown the attention of other models in other threads too.

    Raises:
        ModelError: a site's attention is in no registry.
    """
    found: dict[tuple[int, str], Any] = {}
    for site in sites:
        registry = registry_of(site)
        if registry is None:
            raise ModelError(
                f"attention weights: {type(site.attention).__name__} computes attention by itself, not by a "
                "kernel of transformers' registry, and its weights are not seen"
            )
        config = getattr(site.attention, "config", None)
        found[id(registry), getattr(config, "_attn_implementation", None) or "eager"] = registry
    with _TURN:
        for key, registry in found.items():
            _WRAPPED.setdefault(key, _Wrapped(registry, key[1])).add(look)
    try:
        yield
    finally:
        with _TURN:
            for key in found:
                if _WRAPPED[key].remove(look):
                    del _WRAPPED[key]


def registry_of(site: Site) -> Any:
    """The registry from which a site takes its attention kernel; None where it asks none."""
    module = sys.modules.get(type(site.attention).__module__)
    return getattr(module, "ALL_ATTENTION_FUNCTIONS", None)


class _Wrapped:
    """One kernel of a registry, wrapped while anybody looks."""

    def __init__(self, registry: Any, name: str) -> None:
        self.registry, self.name = registry, name
        self.looks: list[Look] = []
        self.own = registry._local_mapping.get(name)
        self.kernel = registry.get(name)

    def add(self, look: Look) -> None:
        self.looks = [*self.looks, look]
        self.registry._local_mapping[self.name] = self

    def remove(self, look: Look) -> bool:
        """Whether nobody looks any more; the registry is then as it was."""
        self.looks = [other for other in self.looks if other is not look]
        if self.looks:
            return False
        if self.own is not None:
            self.registry._local_mapping[self.name] = self.own
        else:
            self.registry._local_mapping.pop(self.name, None)
        return True

    def __call__(self, module: nn.Module, query: Tensor, key: Tensor, *rest: Any, **kwargs: Any) -> Any:
        mask = kwargs.get("attention_mask", rest[1] if len(rest) > 1 else None)
        with torch.no_grad():
            for look in self.looks:
                look(module, query, key, mask, kwargs)
        # Not in the registry: eager, and other towers that come through here have their own.
        run = self.kernel or sys.modules[type(module).__module__].eager_attention_forward
        return run(module, query, key, *rest, **kwargs)
