"""Checkpoint folders written complete or not at all, with all that a model needs beside its weights."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from headscope.errors import StoreError
from headscope.models.library_messages import quiet
from headscope.storage import disk_error, write_json

_BESIDE = (".json", ".jinja", ".txt", ".model", ".tiktoken")


def is_free(out: Path) -> bool:
    """Whether a checkpoint can be written there: nothing is, or an empty folder."""
    return not out.exists() or (out.is_dir() and not any(out.iterdir()))


def write_checkpoint(
    out: Path,
    model: Any,
    beside: Sequence[Path] | Any,
    state: Mapping[str, Tensor] | None = None,
    notes: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Save a model beside ``out`` and move it there in one step.

    Args:
        model: a transformers model.
        beside: folders whose processor, tokenizer, template and licence are copied byte for byte, later ones
            over earlier ones; or a processor, which is saved.
        state: other weights than the model's own.
        notes: JSON files to add, by name.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        with quiet():
            if isinstance(beside, Sequence):
                for folder in beside:
                    _copy(folder, temporary)
            else:
                beside.save_pretrained(temporary)
            model.save_pretrained(temporary, **({} if state is None else {"state_dict": dict(state)}))
        for name, note in (notes or {}).items():
            write_json(temporary / name, note)
        if out.exists():
            out.rmdir()
        temporary.replace(out)
    except OSError as exc:
        raise disk_error(out, exc) from exc
    except SafetensorError as exc:  # a full disk comes as text here
        raise StoreError(
            f"{out}: could not write the weights: {exc}; free space or name another folder"
        ) from exc
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    """Files beside the weights; the weights and their index are written anew."""
    for file in sorted(source.iterdir()):
        keep = file.suffix in _BESIDE or file.name.startswith("LICENSE")
        if file.is_file() and keep and not file.name.endswith(".safetensors.index.json"):
            shutil.copyfile(file, target / file.name)
