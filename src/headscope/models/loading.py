"""Weights into memory: each from the checkpoint, in its number format and its place."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Mapping
from importlib.util import find_spec
from math import prod
from pathlib import Path
from types import MethodType
from typing import Any, TypedDict

import torch
from torch import Tensor, nn

from headscope.errors import ModelError, in_one_line
from headscope.models.families import family_named
from headscope.models.kernels import check_kept, check_kernel
from headscope.models.library_messages import quiet
from headscope.models.memory import is_out_of_memory, refuse_out_of_memory
from headscope.models.placement import DeviceMap, Placement, device_named, spread
from headscope.models.quantized import bitsandbytes_settings, check_loaded, check_method, why_not_loaded

_NUMBERED = re.compile(r"\.(\d+)\.")


def load_weights(folder: Path, config: Any, how: Placement) -> nn.Module:
    """The model in evaluation mode, every weight from the checkpoint and in its place.

    transformers would fill gaps with noise and a warning, and drop layers that the configuration leaves out;
    both are refused here.

    Raises:
        ModelError: weights cannot be read, or do not fit the configuration or the device map.
        OutOfMemoryError: there is no room for them.
    """
    check_kernel(folder, config, how)
    check_method(folder, config)
    if how.attention is not None:
        config._attn_implementation = how.attention  # of its parts too
    keywords = _keywords(folder, config, how)
    place = None if "device_map" in keywords else device_named(how.device)
    try:
        with quiet():
            loaded: Any = _from_pretrained(folder, keywords)
    except Exception as exc:  # transformers, safetensors, bitsandbytes and torch raise many kinds here
        if is_out_of_memory(exc):
            refuse_out_of_memory(exc, f"{folder}: loading the weights")
        asked = f" with attention {how.attention!r}" if how.attention else ""
        said = why_not_loaded(config, exc)
        raise ModelError(f"{folder}: the weights cannot be loaded{asked}: {said}") from exc
    model: nn.Module
    model, info = loaded
    check_kept(folder, model, how)
    _refuse_gaps(folder, model, info)
    check_loaded(folder, config, model, [str(k) for k in info.get("unexpected_keys") or ()], how)
    if place is not None:
        model = _moved(folder, model, place)
    if names := family_named(str(config.model_type)).lists:
        _give_lists(model.base_model, names)
    return model.eval().requires_grad_(False)


def _moved(folder: Path, model: nn.Module, place: torch.device) -> nn.Module:
    try:
        return model.to(place)
    except RuntimeError as exc:
        if is_out_of_memory(exc):
            refuse_out_of_memory(exc, f"{folder}: moving the weights to {place}")
        raise


def _from_pretrained(folder: Path, keywords: _Keywords) -> Any:
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(
        folder,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # reported by name in _refuse_gaps
        **keywords,
    )


def _give_lists(inner: Any, names: tuple[str, ...]) -> None:
    """Let a model's image features be asked for with these arguments as tensors."""
    compute = type(inner).get_image_features

    @functools.wraps(compute)  # generation reads the signature
    def features(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(compute).bind(self, *args, **kwargs)
        tensors = {n: v for n in names if isinstance(v := given.arguments.get(n), Tensor)}
        given.arguments.update({n: v.tolist() for n, v in tensors.items()})
        return compute(*given.args, **given.kwargs)

    inner.get_image_features = MethodType(features, inner)  # a copied model's own, where a closure is not


class _Keywords(TypedDict, total=False):
    """What ``from_pretrained`` is told about format and place."""

    config: Any
    dtype: str | torch.dtype
    device_map: str | dict[str, str | int] | dict[str, torch.device]
    max_memory: dict[str | int, str | int]
    quantization_config: object


def _keywords(folder: Path, config: Any, how: Placement) -> _Keywords:
    """What from_pretrained is told about format and place."""
    dtype = how.dtype if how.dtype == "auto" else getattr(torch, how.dtype)
    keywords: _Keywords = {"config": config, "dtype": dtype}
    stored = getattr(config, "quantization_config", None)
    if how.device_map is not None:
        given = how.device_map
        keywords["device_map"] = given if isinstance(given, str) else _places(folder, config, given)
        if how.max_memory is not None:
            keywords["max_memory"] = {_key(k): v for k, v in how.max_memory.items()}
    elif how.quantization or (stored is not None and find_spec("accelerate") is not None):
        keywords["device_map"] = {"": device_named(how.device)}  # quantised weights are not moved afterwards
    if how.quantization:
        if stored is not None:
            raise ModelError(
                f"{folder}: asked for quantization {how.quantization!r}, but the checkpoint is quantised "
                "already; leave the option out"
            )
        keywords["quantization_config"] = bitsandbytes_settings(how.quantization, dtype)
    return keywords


def _key(device: str | int) -> str | int:
    """Devices in max_memory: GPUs by number."""
    return int(device) if str(device).isdigit() else device


def _places(folder: Path, config: Any, given: DeviceMap) -> dict[str, str | int]:
    """A device map checked against the model, before its weights are read."""
    from transformers import AutoModelForImageTextToText

    try:
        with quiet(), torch.device("meta"):
            shell = AutoModelForImageTextToText.from_config(config, trust_remote_code=False)
    except Exception as exc:
        raise ModelError(f"{folder}: the configuration cannot be built: {in_one_line(exc)}") from exc
    return spread(shell, given)


def _refuse_gaps(folder: Path, model: nn.Module, info: Mapping[str, Any]) -> None:
    """Weights that the model needs and does not get, and layers that it gets and has no place for."""
    for what in ("missing_keys", "mismatched_keys"):
        if info.get(what):
            keys = sorted(str(k[0] if isinstance(k, tuple) else k) for k in info[what])
            raise ModelError(
                f"{folder}: weights do not fit the configuration: {len(keys)} {what}, first {keys[0]}"
            )
    known = {_NUMBERED.sub(".*.", n) for n, _ in model.named_parameters()}
    extra = sorted(k for k in info.get("unexpected_keys") or () if _NUMBERED.sub(".*.", k) in known)
    if extra:
        raise ModelError(
            f"{folder}: weights do not fit the configuration: {len(extra)} weights of layers that it leaves "
            f"out, first {extra[0]}"
        )


def input_device(model: Any) -> torch.device:
    """Where inputs go: the device of a part's first weight, or the one that it is fetched to.

    Of a whole model the input embeddings count, since token ids go there.
    """
    try:
        embeddings = model.get_input_embeddings()
    except (AttributeError, NotImplementedError):  # a part, or a wrapper that names none
        embeddings = model
    weight = next(embeddings.parameters(), None)
    if weight is not None and not weight.is_meta:
        return weight.device
    hook = getattr(embeddings, "_hf_hook", None)
    return torch.device(getattr(hook, "execution_device", None) or "cpu")


def count_weights(model: nn.Module) -> int:
    """How many weights there are, shared ones counted once, packed ones unpacked."""
    return sum(_count(p) for p in model.parameters())


def _count(weight: nn.Parameter) -> int:
    state = getattr(weight, "quant_state", None)  # two 4-bit weights lie in one byte
    shape = getattr(state, "shape", None)
    return prod(shape) if shape is not None else weight.numel()
