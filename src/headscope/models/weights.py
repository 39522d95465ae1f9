"""Whether a model's weights are still those that it was loaded or wrapped with, and what identifies them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from xxhash import xxh3_128

from headscope.errors import ModelError

_CHUNK = 1 << 24  # bytes copied from the device at a time
# Entries of a configuration that say how it was written or run, not what the model computes.
_INCIDENTAL = ("transformers_version", "_name_or_path", "dtype", "torch_dtype")
# Packages whose modules are described by the configuration; what others hold is added to the identity.
_KNOWN = ("torch", "transformers", "bitsandbytes", "compressed_tensors", "torchao", "gptqmodel", "optimum")


class Weights(Protocol):
    """The weights of a model as they were at one time."""

    def change(self, model: nn.Module) -> str:
        """What has changed since then, in words; empty if nothing has, as far as this can see."""
        ...


@dataclass(frozen=True)
class _Mark:
    version: int
    place: int
    device: torch.device
    dtype: torch.dtype


def refuse_training(model: nn.Module, name: str) -> None:
    """Raise where a part of a model is in training mode, in which dropout makes each answer another one.

    Raises:
        ModelError: so it is.
    """
    part = next((path or "all of it" for path, module in model.named_modules() if module.training), None)
    if part is not None:
        raise ModelError(f"{name}: is in training mode ({part}); say model.eval() first")


def refuse_offloaded(model: nn.Module) -> None:
    """Raise where a weight is not in memory.

    Raises:
        ModelError: so it is.
    """
    away = next((n for n, p in model.named_parameters() if p.is_meta), None)
    if away is not None:
        raise ModelError(
            f"{away} is offloaded or on the meta device; a model in memory is identified by its weights; "
            "load it whole, or its folder with load_model(..., device_map=...)"
        )


class LoadedWeights:
    """Counters of a model read from files: no weight is read, so that loading stays fast.

    Seen: weights that were written to in place (by an optimiser, ``load_state_dict``, ``mul_``), exchanged,
    added or taken away; of a quantised model, which unpacks itself when it is used, only the first. A move to
    another device or number format is no change. Not seen: writes through ``weight.data``, which torch does
    not count.
    """

    def __init__(self, model: nn.Module) -> None:
        self._marks = _marks(model)

    def change(self, model: nn.Module) -> str:
        """The first weight that was written to, exchanged, added or taken away, in words."""
        now = _marks(model)
        packed = is_quantized(model)
        other = sorted(now.keys() ^ self._marks.keys())
        if other and not packed:
            return f"{other[0]} was {'added' if other[0] in now else 'taken away'}"
        for name, then in self._marks.items():
            since = now.get(name)
            if then is None or since is None:
                continue
            if since.version != then.version:
                return f"{name} was written to"
            moved = (since.device, since.dtype) != (then.device, then.dtype)
            if since.place != then.place and not moved and not packed:
                return f"{name} was exchanged"
        return ""


def is_quantized(model: nn.Module) -> bool:
    """Whether weights of a model are packed, as far as transformers says so."""
    config = getattr(model, "config", None)
    return bool(getattr(model, "is_quantized", False) or getattr(config, "quantization_config", None))


def _marks(model: nn.Module) -> dict[str, _Mark | None]:
    """Parameters and buffers; no mark for offloaded ones and for quantised ones, which repack themselves."""
    found: dict[str, _Mark | None] = {}
    for path, module in model.named_modules():
        passing = module._non_persistent_buffers_set
        held: dict[str, Tensor | None] = {**module._parameters}
        held |= {n: b for n, b in module._buffers.items() if n not in passing}
        for name, value in held.items():
            if value is None:
                continue
            counted = not value.is_meta and type(value) in (nn.Parameter, Tensor)
            mark = _Mark(value._version, value.data_ptr(), value.device, value.dtype) if counted else None
            found[f"{path}.{name}" if path else name] = mark
    return found


class HashedWeights:
    """All weights of a model in memory, read: what identifies them, and what finds any change of them.

    The identity is a SHA-256 over names, shapes, number formats and bytes of ``state_dict()``, over the
    configuration, and over the plain settings of modules that neither torch nor transformers brought (the
    scale of an adapter). It is the same on every device, except that of 4-bit weights of bitsandbytes, which
    some CPUs rearrange and round when they are used. Later changes are found by a faster hash. Not seen:
    forward functions and hooks that were put on, and buffers that are no part of ``state_dict()``.

    Raises:
        ModelError: weights that are not in memory.
    """

    def __init__(self, model: nn.Module) -> None:
        entries = _entries(model)
        with _pool() as pool:
            pairs = list(pool.map(lambda name: _hashes(entries[name]), entries))
        digest = hashlib.sha256(b"headscope/weights/1\n")
        for name, (slow, _) in zip(entries, pairs, strict=True):
            digest.update(f"{name}\n".encode() + slow)
        self._fast = {name: fast for name, (_, fast) in zip(entries, pairs, strict=True)}
        self._settings = _settings(model)
        digest.update(self._settings.encode())
        self.revision = f"{digest.hexdigest()[:16]}-wrapped"

    def change(self, model: nn.Module) -> str:
        """The first weight or setting that differs, in words."""
        entries = _entries(model)
        other = sorted(entries.keys() ^ self._fast.keys())
        if other:
            return f"{other[0]} was {'added' if other[0] in entries else 'taken away'}"
        with _pool() as pool:
            fast = pool.map(lambda name: _fast_hash(entries[name]), entries)
            for name, value in zip(entries, fast, strict=True):
                if value != self._fast[name]:
                    return f"{name} changed"
        same = _settings(model) == self._settings
        return "" if same else "a setting of its configuration or of an adapter changed"


def _pool() -> ThreadPoolExecutor:
    """Hashing leaves the interpreter free, so that threads share the work."""
    return ThreadPoolExecutor(min(8, os.cpu_count() or 1))


def _entries(model: nn.Module) -> dict[str, Tensor | bytes]:
    """What ``state_dict`` holds, by name in a fixed order."""
    refuse_offloaded(model)
    held: dict[str, object] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        _save(module, held, f"{path}." if path else "")
    found: dict[str, Tensor | bytes] = {}
    for name, value in sorted(held.items()):
        if isinstance(value, Tensor):
            found.update(_plain(value.detach(), name))
        else:
            found[name] = value if isinstance(value, bytes) else repr(value).encode()
    return found


def _save(module: nn.Module, held: dict[str, object], prefix: str) -> None:
    """A module's own part of ``state_dict``, under names that begin with the prefix."""
    packing: Any = getattr(module._parameters.get("weight"), "quant_state", None)
    if not getattr(packing, "packing_format_for_cpu", False):
        module._save_to_state_dict(held, prefix, False)
        return
    # bitsandbytes would unpack what it packed for this CPU and forget to turn the scales back: read as it is.
    held |= {f"{prefix}{n}": p for n, p in module._parameters.items() if p is not None}
    held |= {f"{prefix}weight.{n}": v for n, v in packing.as_dict(packed=True).items()}


def _plain(value: Tensor, name: str) -> Iterator[tuple[str, Tensor]]:
    """A tensor, or the plain ones that a packed one (torchao) is made of."""
    if type(value) in (Tensor, nn.Parameter) or not hasattr(value, "__tensor_flatten__"):
        yield name, value
        return
    for inner in value.__tensor_flatten__()[0]:
        yield from _plain(getattr(value, inner), f"{name}.{inner}")


def _hashes(entry: Tensor | bytes) -> tuple[bytes, bytes]:
    slow, fast = hashlib.sha256(), xxh3_128()
    for piece in _pieces(entry):
        slow.update(piece)
        fast.update(piece)
    return slow.digest(), fast.digest()


def _fast_hash(entry: Tensor | bytes) -> bytes:
    fast = xxh3_128()
    for piece in _pieces(entry):
        fast.update(piece)
    return fast.digest()


def _pieces(entry: Tensor | bytes) -> Iterator[Any]:
    """Shape and format of a tensor, then its bytes, some megabytes at a time."""
    if isinstance(entry, bytes):
        yield entry
        return
    yield f"{entry.dtype}{tuple(entry.shape)}".encode()
    flat = entry.contiguous().reshape(-1).view(torch.uint8) if entry.numel() else entry.new_empty(0)
    for start in range(0, flat.numel(), _CHUNK):
        yield flat[start : start + _CHUNK].cpu().numpy()


def _settings(model: nn.Module) -> str:
    """Configuration, and plain settings of modules that were put in, as text in a fixed order."""
    config: Any = getattr(model, "config", None)
    known = _without(config.to_diff_dict(), _INCIDENTAL) if hasattr(config, "to_diff_dict") else {}
    own = set(vars(nn.Module()))
    put_in = {
        path: [type(module).__name__, {k: v for k, v in vars(module).items() if k not in own and _simple(v)}]
        for path, module in model.named_modules()
        if type(module).__module__.split(".")[0] not in _KNOWN
    }
    return json.dumps([known, put_in], sort_keys=True, default=repr)


def _without(value: Any, names: tuple[str, ...]) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _without(v, names) for k, v in value.items() if k not in names}
    return value


def _simple(value: Any) -> bool:
    """Numbers, texts, and lists and mappings of such."""
    if isinstance(value, Mapping):
        return all(isinstance(k, str) and _simple(v) for k, v in value.items())
    if isinstance(value, list | tuple):
        return all(map(_simple, value))
    return value is None or isinstance(value, bool | int | float | str)
