"""How a model in memory is placed: read off the model itself, not off what was asked when it was loaded."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from headscope.models.placement import LoadOptions
    from headscope.models.vlm import VLM


@dataclass(frozen=True)
class ModelPlacement:
    """Device, number format and quantisation of a model in memory.

    Attributes:
        device: where inputs go, with its number: ``cpu``, ``cuda:0``.
        dtype: number format of most weights: ``bfloat16``.
        placement: part of the model -> its device; one entry where all of it is in one place.
        quantization: ``8bit`` or ``4bit`` where weights were quantised at load, else None.
    """

    device: str
    dtype: str
    placement: dict[str, str]
    quantization: str | None

    @property
    def spread(self) -> bool:
        """Whether its parts lie in several places."""
        return len(set(self.placement.values())) > 1

    @property
    def options(self) -> LoadOptions | None:
        """What ``load_model`` has to be told beside device and dtype to place it so again."""
        chosen: LoadOptions = {"device_map": {**self.placement}} if self.spread else {}
        if self.quantization is not None:
            chosen["quantization"] = self.quantization
        return chosen or None


def loaded_as(vlm: VLM) -> ModelPlacement:
    """How a model is placed, as found in it."""
    places = {part: full_device(place) for part, place in vlm.placement.items()}
    device = full_device(str(vlm.device))
    if len(set(places.values())) == 1:
        places = {"": device}
    return ModelPlacement(device, main_dtype(vlm.model), places, _quantization(vlm.model, vlm.folder))


def full_device(name: str) -> str:
    """A device with its number: ``cuda`` and ``0`` are ``cuda:0``; what torch does not know stays as it is.

    Example:
        >>> full_device("cuda"), full_device("1"), full_device("cpu"), full_device("disk")
        ('cuda:0', 'cuda:1', 'cpu', 'disk')
    """
    if name.isdigit():
        return f"cuda:{name}"
    try:
        device = torch.device(name)
    except RuntimeError:
        return name
    return device.type if device.type == "cpu" else f"{device.type}:{device.index or 0}"


def main_dtype(model: nn.Module) -> str:
    """Number format of most of a model's weights: some families keep a few in another."""
    sizes: Counter[torch.dtype] = Counter()
    for weight in model.parameters():
        if weight.is_floating_point():
            sizes[weight.dtype] += weight.numel()
    return str(sizes.most_common(1)[0][0]).removeprefix("torch.")


def _quantization(model: Any, folder: Path | None) -> str | None:
    """How bitsandbytes quantised the weights at load; None where it did not, or the checkpoint came so."""
    settings = getattr(model.config, "quantization_config", None)
    kinds = {"8bit": "load_in_8bit", "4bit": "load_in_4bit"}
    kind = next((k for k, name in kinds.items() if getattr(settings, name, False)), None)
    return None if kind is None or _stored_quantized(folder) else kind


def _stored_quantized(folder: Path | None) -> bool:
    file = None if folder is None else Path(folder) / "config.json"
    if file is None or not file.is_file():
        return False
    raw: Mapping[str, Any] = json.loads(file.read_text("utf-8"))
    return bool(raw.get("quantization_config"))
