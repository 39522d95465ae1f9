"""Checkpoints of a training run: safetensors only, complete or absent."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save as to_bytes
from torch import nn

from embedded_training.architecture import save as save_model
from headscope.storage import write_atomic, write_json


def claim(folder: Path, recipe: dict[str, Any]) -> None:
    """Record the recipe beside the log; a resumed run appends what it changed."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "recipe.json"
    runs = json.loads(path.read_text()) if path.exists() else []
    if not runs or runs[-1] != recipe:
        write_json(path, [*runs, recipe])


def _path(folder: Path, part: str) -> Path:
    return folder / f"{part}.safetensors"


def steps_done(folder: Path, part: str) -> int:
    """Steps of a part that are on disk."""
    if not _path(folder, part).exists():
        return 0
    with safe_open(_path(folder, part), "pt") as file:
        return int(file.metadata()["step"])


def save(
    folder: Path, part: str, step: int, modules: nn.Module, optimizers: list[torch.optim.Optimizer]
) -> None:
    """Weights and optimizer state in one file."""
    tensors = {f"w/{k}": v for k, v in modules.state_dict().items() if not k.endswith("lm_head.weight")}
    for number, optimizer in enumerate(optimizers):
        for key, state in optimizer.state_dict()["state"].items():
            for name, value in state.items():
                tensors[f"o/{number}/{key}/{name}"] = torch.as_tensor(value)
    tensors = {k: v.detach().clone().contiguous() for k, v in tensors.items()}
    write_atomic(_path(folder, part), to_bytes(tensors, metadata={"step": str(step)}))


def load(folder: Path, part: str, modules: nn.Module, optimizers: list[torch.optim.Optimizer]) -> int:
    """Read what ``save`` wrote; returns the number of steps done, 0 where there is nothing."""
    step = steps_done(folder, part)
    if not step:
        return 0
    states: list[dict[int, dict[str, torch.Tensor]]] = [{} for _ in optimizers]
    weights = {}
    with safe_open(_path(folder, part), "pt") as file:
        for key in file.keys():  # noqa: SIM118
            if key.startswith("w/"):
                weights[key[2:]] = file.get_tensor(key)
            else:
                _, number, parameter, name = key.split("/")
                states[int(number)].setdefault(int(parameter), {})[name] = file.get_tensor(key)
    modules.load_state_dict(weights, strict=False)
    for optimizer, state in zip(optimizers, states, strict=True):
        whole = optimizer.state_dict()
        whole["state"] = state
        optimizer.load_state_dict(whole)
    return step


def export(model: Any, processor: Any, folder: Path) -> None:
    """Write the ordinary checkpoint folder afresh."""
    shutil.rmtree(folder, ignore_errors=True)
    save_model(model, processor, folder)
