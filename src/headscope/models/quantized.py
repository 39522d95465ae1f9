"""Quantised weights: what is asked of bitsandbytes, and what of a stored form would go wrong unnoticed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from logging import ERROR, getLogger
from pathlib import Path
from typing import Any

import torch
from torch import nn

from headscope.errors import ModelError, in_one_line
from headscope.models.placement import Placement

# Names of what belongs to a packed weight beside the packed numbers.
_BESIDE = re.compile(r"(scales?|scale_inv|zeros|zero_point|qweight|g_idx|absmax|quant_map|packed)$")


def bitsandbytes_settings(kind: str, dtype: Any) -> Any:
    """bitsandbytes' settings of a kind, ``8bit`` or ``4bit``."""
    from transformers import BitsAndBytesConfig

    _say_less()
    if kind == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    computed = torch.bfloat16 if dtype == "auto" else dtype
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=computed)


def _say_less() -> None:
    """bitsandbytes says at every product that 8-bit ones are taken in float16."""
    getLogger("bitsandbytes.autograd._functions").setLevel(ERROR)


def method_of(config: Any) -> str:
    """The quantisation that a configuration names; empty if it names none."""
    stored = getattr(config, "quantization_config", None)
    if stored is None:
        return ""
    method = stored.get("quant_method") if isinstance(stored, Mapping) else stored.quant_method
    return str(getattr(method, "value", method) or "unnamed")


def check_method(folder: Path, config: Any) -> None:
    """Refuse a quantisation that transformers does not know: it would take the packed numbers for weights.

    Raises:
        ModelError: so it is.
    """
    from transformers.quantizers import AutoHfQuantizer

    method = method_of(config)
    if method == "bitsandbytes":
        _say_less()
    if method and not AutoHfQuantizer.supports_quant_method(config.quantization_config):
        raise ModelError(
            f"{folder}: is quantised by {method!r}, which the installed transformers does not know, so its "
            "packed numbers would pass for weights; give the checkpoint that it was made from"
        )


def why_not_loaded(config: Any, exc: Exception) -> str:
    """What an error says that ended loading; the package to install where one is missing."""
    method = method_of(config)
    kind = f"quantised by {method!r}; " if method else ""
    name = getattr(exc, "name", None)
    if isinstance(exc, ModuleNotFoundError) and name:
        return f"{kind}needs the package {name.split('.')[0]}, which is not installed: pip install {name}"
    return f"{kind}{in_one_line(exc)}"


def check_loaded(folder: Path, config: Any, model: nn.Module, unexpected: list[str], how: Placement) -> None:
    """Refuse weights whose packing was passed over, and quantised ones that keep another number format.

    Args:
        config: as it is in the folder; transformers takes the quantisation out where it unpacks all weights.
        unexpected: names of weights in the files that the model has no place for.

    Raises:
        ModelError: scales without a quantisation that uses them; parts that cannot be had in ``how.dtype``.
    """
    if not method_of(config):
        scales = sorted(k for k in unexpected if _BESIDE.search(k))
        if scales:
            raise ModelError(
                f"{folder}: holds packed weights ({scales[0]} and {len(scales) - 1} more such), and its "
                "configuration names no quantisation that unpacks them; give the checkpoint before packing"
            )
        return
    if how.dtype == "auto":
        return
    asked = getattr(torch, how.dtype)
    for name, weight in model.named_parameters():
        if weight.dtype not in (asked, torch.float32) and weight.dtype in (torch.bfloat16, torch.float16):
            kept = str(weight.dtype).removeprefix("torch.")
            raise ModelError(
                f"{folder}: asked for {how.dtype}, but {name} of this quantised checkpoint stays in {kept}; "
                f"say --dtype {kept}"
            )
