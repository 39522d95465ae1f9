"""Which attention kernel a model runs with, and whether it can run here."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from headscope.errors import ModelError
from headscope.models.placement import ATTENTIONS, Placement, device_named

# Packages of the kernels that torch does not bring: module, and what pip calls it.
_PACKAGES = {
    "flash_attention_2": ("flash_attn", "flash-attn"),
    "flash_attention_3": ("flash_attn_interface", "flash-attn-3"),
}


def check_kernel(folder: Path, config: Any, how: Placement) -> None:
    """Refuse an attention kernel that cannot run here: the one asked for, else those that the configuration
    names.

    transformers would fetch a missing kernel from the hub as code, or end in an error of its own.

    Raises:
        ModelError: a kernel that is not available; the message says what to do.
    """
    if how.attention is not None:
        reason = _why_not(how.attention, how)
        if reason:
            raise ModelError(f"asked for attention {how.attention!r}, which {reason}; say sdpa or eager")
        return
    for name in dict.fromkeys(_named(config)):
        reason = _why_not(name, how)
        if reason:
            raise ModelError(
                f"{folder}: its configuration names attention {name!r}, which {reason}; say --attention sdpa "
                "(in Python: attention='sdpa')"
            )


def check_kept(folder: Path, model: Any, how: Placement) -> None:
    """Refuse a model whose decoder transformers gave another kernel than the one asked for.

    Raises:
        ModelError: so it did.
    """
    found = model.config.get_text_config(decoder=True)._attn_implementation
    if how.attention not in (None, found):
        raise ModelError(
            f"{folder}: asked for attention {how.attention!r}; {type(model).__name__} runs with {found!r} "
            "instead; leave the option out to have that"
        )


def _named(config: Any) -> Iterator[str]:
    """Kernels that a configuration and its parts name, as transformers reads them."""
    name = getattr(config, "_attn_implementation", None)
    if name is not None:
        yield str(name)
    for part in getattr(config, "sub_configs", {}):
        if (inner := getattr(config, part, None)) is not None:
            yield from _named(inner)


def _why_not(name: str, how: Placement) -> str:
    """Why a kernel cannot run here; empty if it can as far as can be told without the model."""
    if "/" in name:
        return "is code on the Hugging Face Hub, and headscope runs none"
    if name not in ATTENTIONS:
        return f"is none of {', '.join(ATTENTIONS)}"
    if name not in _PACKAGES:
        return ""
    module, package = _PACKAGES[name]
    if find_spec(module) is None:
        return f"needs the package {package}, which is not installed"
    if how.dtype == "float32":
        return "computes in half precision alone (--dtype bfloat16)"
    if how.device_map is None and device_named(how.device).type == "cpu":
        return "runs on no CPU"
    return ""
