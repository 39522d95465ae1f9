"""Folders of adapters (PEFT) merged with their base model into ordinary checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from headscope.errors import ModelError, in_one_line
from headscope.models.checkpoints import check_folder, folder_revision, locate
from headscope.models.library_messages import quiet
from headscope.models.loading import load_weights
from headscope.models.other_formats import ADAPTER, read_settings
from headscope.models.placement import Placement, need
from headscope.models.saving import is_free, write_checkpoint

_WEIGHTS = "adapter_model.safetensors"


def merge_adapter(
    folder: str | Path, out: str | Path, base: str | Path | None = None, dtype: str = "auto"
) -> Path:
    """Write the checkpoint that an adapter makes of its base model.

    Args:
        folder: the adapter: adapter_config.json and adapter_model.safetensors.
        out: folder to write; must be empty or absent. It appears complete or not at all.
        base: folder or hub id of the base model; by default the one that the adapter names.
        dtype: number format in which the two are added and written; "auto": the base model's own.

    Returns:
        The folder: the base model's files, the adapter's own tokenizer and processor over them if it has any,
        merged weights, and ``headscope-merge.json`` (what was merged).

    Raises:
        ModelError: no such adapter or base; weights of the adapter that find no place in it; a base that is
            quantised; peft is not installed; ``out`` holds files.
    """
    folder, out = Path(folder).expanduser(), Path(out)
    need("peft", f"merging the adapter {folder}")
    settings = read_settings(folder / ADAPTER)
    if not settings or not (folder / _WEIGHTS).is_file():
        raise ModelError(f"{folder}: is no adapter; expected {ADAPTER} and {_WEIGHTS}")
    if not is_free(out):
        raise ModelError(f"merge: {out} already exists and is not empty; name a new folder")
    named = base or settings.get("base_model_name_or_path")
    if not isinstance(named, str | Path) or not named:
        raise ModelError(f"{folder}: {ADAPTER} names no base model; say which: --base MODEL")
    where, name, commit = locate(named)
    with quiet():
        model = load_weights(where, check_folder(where), Placement(dtype=dtype))
        if getattr(model, "is_quantized", False):
            raise ModelError(
                f"merge: the base model {name} is quantised, and its weights cannot take an adapter in; give "
                "the model that it was made from: --base MODEL"
            )
        merged = _merged(folder, model, name)
    note = {
        "schema": "headscope/merge/1",
        "base": name,
        "revision": commit or folder_revision(where),
        "adapter": folder.resolve().name,
        "settings": settings,
    }
    write_checkpoint(out, merged, [where, folder], None, {"headscope-merge.json": note})
    (out / ADAPTER).unlink(missing_ok=True)
    return out


def _merged(folder: Path, model: Any, base: str) -> nn.Module:
    """The model with the adapter added to its weights, every weight of the adapter in its place."""
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors.torch import load_file

    try:
        adapted = PeftModel.from_pretrained(model, str(folder), local_files_only=True)
        found = get_peft_model_state_dict(adapted)
    except Exception as exc:  # peft and torch raise many kinds here
        raise ModelError(f"{folder}: does not fit the base model {base}: {in_one_line(exc)}") from exc
    stored = load_file(folder / _WEIGHTS)
    lost = [k for k, v in stored.items() if k not in found or not _same(found[k], v)]
    lost += [k for k in found if k not in stored]
    if lost:
        raise ModelError(
            f"{folder}: does not fit the base model {base}: {len(lost)} weights of the adapter find no place "
            f"in it, first {lost[0]}; name the base that it was trained on: --base MODEL"
        )
    try:
        merged: nn.Module = adapted.merge_and_unload(safe_merge=True)
    except Exception as exc:
        raise ModelError(f"{folder}: cannot be merged into {base}: {in_one_line(exc)}") from exc
    return merged


def _same(held: torch.Tensor, stored: torch.Tensor) -> bool:
    return held.shape == stored.shape and torch.equal(held.float().cpu(), stored.to(held.dtype).float())
