"""One tiny random model for a family, the same for the same seed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from headscope.errors import HeadscopeError
from headscope.models.survey.recipes import recipe
from headscope.models.survey.shrink import shrink


class Unbuildable(HeadscopeError):
    """No tiny model or input of this family can be made here; the message says why."""


def family_names() -> tuple[str, ...]:
    """Every model type that transformers maps to an image-text-to-text class, in its order."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    return tuple(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES)


def class_name(family: str) -> str:
    """Name of the class that transformers loads a model type with.

    Raises:
        Unbuildable: transformers knows no such image-text-to-text family.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as names

    if family not in names:
        raise Unbuildable(f"asked for family {family!r}; transformers maps no image-text-to-text class to it")
    name = names[family]
    return str(name[0] if isinstance(name, (tuple, list)) else name)


def tiny_config(family: str) -> Any:
    """A small configuration of a family: few, narrow layers, every kind of decoder layer kept.

    Raises:
        Unbuildable: no such family, or none can be made here; the message says why.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    class_name(family)
    plan = recipe(family)
    if plan.unbuildable:
        raise Unbuildable(f"{family}: {plan.unbuildable}")
    return shrink(CONFIG_MAPPING[family], plan.config)


def tiny_model(family: str, seed: int = 0) -> nn.Module:
    """A tiny model of a family: float32, in evaluation mode, weights random and none of them idle.

    Gates and layer scales that training would open start open here, so that every layer is seen to act.

    Raises:
        Unbuildable: no such family, or none can be made here; the message says why.
    """
    import transformers

    config = tiny_config(family)
    config._attn_implementation = None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model_class = getattr(transformers, class_name(family))
        try:
            with _stand_in(model_class, recipe(family).tower):
                model: nn.Module = model_class(config)
        except ImportError as exc:
            raise Unbuildable(f"{family}: {' '.join(str(exc).split())}") from exc
        randomise(model, seed)
    return model.eval().requires_grad_(False)


@contextmanager
def _stand_in(model_class: Any, tower: Mapping[str, Any]) -> Iterator[None]:
    """Within, the class's module builds its vision tower from another configuration than its own."""
    from transformers import AutoModel
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if not tower:
        yield
        return
    settings = dict(tower)
    other = CONFIG_MAPPING[settings.pop("model_type")](**settings)

    class StandIn:
        @staticmethod
        def from_config(config: Any) -> Any:
            return AutoModel.from_config(other if "vision" in config.model_type else config)

    code: Any = sys.modules[model_class.__module__]
    code.AutoModel = StandIn
    try:
        yield
    finally:
        code.AutoModel = AutoModel


@torch.no_grad()
def randomise(model: nn.Module, seed: int) -> None:
    """Draw all weights anew: matrices to keep variance, vectors and scalars around where they start."""
    draw = torch.Generator().manual_seed(seed)
    for name, value in model.named_parameters():
        if not value.is_floating_point():
            continue
        noise = torch.randn(value.shape, generator=draw)
        if value.ndim <= 1:
            value.add_(0.3 * noise)
            if "gate" in name or "alpha" in name:  # tanh(0) would keep a cross-attention layer shut
                value.add_(torch.where(value < 0, -0.5, 0.5))
        else:
            fan_in = value[0].numel() if value.ndim > 3 or value.shape[-1] <= 4 else value.shape[-1]
            value.copy_(noise / max(fan_in, 1) ** 0.5)
