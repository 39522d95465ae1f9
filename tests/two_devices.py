"""Two make-believe devices, computed on the CPU: operations across them fail; copies are counted.

A tensor on ``spare:0`` or ``spare:1`` wraps an ordinary CPU tensor, so results can be compared to the bit
with those of a model on one device. Import it in a process of its own: the device type stays registered.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as tree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

_setup_privateuseone_for_python_backend("spare")
torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device=...) then copies where it can be seen
FIRST, SECOND, HOST = torch.device("spare:0"), torch.device("spare:1"), torch.device("cpu")
_aten = torch.ops.aten
# What makes the host wait for a device.
_WAITS = {_aten._local_scalar_dense.default, _aten.nonzero.default, _aten.equal.default}
seen: Counter[str] = Counter()


class Placed(torch.Tensor):
    """A CPU tensor that says it lies on another device."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor, device: torch.device) -> Placed:
        made = torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), dtype=inner.dtype, device=device
        )
        made.inner = inner
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Placed({self.inner}, {self.device})"

    def __format__(self, spec: str) -> str:
        seen["wait"] += 1
        return format(self.inner, spec)

    def tolist(self) -> Any:
        seen["wait"] += 1
        return self.inner.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


class Devices(TorchDispatchMode):
    """Also what makes new tensors is put where it was asked for."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


def run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """One operation, where its tensors are."""
    tensors = [x for x in tree.tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    asked = kwargs.get("device")
    if asked is not None:
        kwargs = {**kwargs, "device": HOST}
    if func in (_aten._to_copy.default, _aten.copy_.default):
        source = tensors[-1].device
        place = torch.device(asked) if asked is not None else tensors[0].device
        if source != place:
            seen[f"copy {source.type} to {place.type}"] += 1
    else:
        places = {t.device for t in tensors if t.ndim or t.device != HOST} or {HOST}
        if func in (_aten.index.Tensor, _aten.index_put_.default, _aten.index_put.default):
            places = {tensors[0].device}  # as on GPUs, indices may come from the host; that is a copy
            seen["copy cpu to spare"] += sum(t.device == HOST for t in tensors[1:] if t.ndim) * (
                places != {HOST}
            )
            if any(t.device not in (HOST, tensors[0].device) for t in tensors[1:]):
                raise RuntimeError(f"{func}: indices on another device than {places}")
            seen["wait"] += places != {HOST} and any(t.dtype == torch.bool for t in tensors[1:])
        if len(places) > 1:
            raise RuntimeError(f"{func}: tensors on {sorted(map(str, places))}")
        place = torch.device(asked) if asked is not None else places.pop()
        if func in _WAITS and place != HOST:
            seen["wait"] += 1
    bare_args, bare_kwargs = tree.tree_map_only(Placed, lambda t: t.inner, (args, kwargs))
    found = func(*bare_args, **bare_kwargs)
    if func._schema.is_mutable and func._schema.name.endswith("_") and isinstance(args[0], Tensor):
        return args[0]
    if place == HOST:
        return found
    return tree.tree_map_only(Tensor, lambda t: Placed(t, place), found)


def place(module: nn.Module, device: torch.device) -> None:
    """Put all weights of a module, its parts included, on a device."""
    for part in module.modules():
        for store in (part._parameters, part._buffers):
            for name, value in store.items():
                if value is not None:
                    bare = value.inner if isinstance(value, Placed) else value.data
                    moved: Tensor = Placed(bare, device)
                    store[name] = nn.Parameter(moved, False) if store is part._parameters else moved


def split(model: nn.Module, layers: Any) -> None:
    """Embeddings, vision and the first layer on one device, later layers on the other; accelerate's hooks."""
    from accelerate.hooks import AlignDevicesHook, add_hook_to_module

    place(model, FIRST)
    skip = model._skip_keys_device_placement
    add_hook_to_module(model, AlignDevicesHook(FIRST, io_same_device=True, skip_keys=skip))
    for number, layer in enumerate(layers):
        where = FIRST if number == 0 else SECOND
        place(layer, where)
        add_hook_to_module(layer, AlignDevicesHook(where, skip_keys=skip))
    after = model.get_decoder().norm
    add_hook_to_module(after, AlignDevicesHook(FIRST))
