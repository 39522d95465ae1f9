"""One tiny random model for a family, the same for the same seed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from family_survey.recipes import Recipe, Unbuildable
from family_survey.shrink import shrink

# More weights than any family's small model has: a configuration whose sizes have unknown names would
# otherwise be built whole, and fill the memory.
_MOST_WEIGHTS = 30_000_000


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
        return str(_registered(family).__name__)
    name = names[family]
    return str(name[0] if isinstance(name, (tuple, list)) else name)


def _registered(family: str) -> Any:
    """The class that was registered for a family beside those that transformers brings."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING as classes

    found = classes.get(CONFIG_MAPPING[family], None) if family in CONFIG_MAPPING else None
    if found is None:
        raise Unbuildable(f"asked for family {family!r}; transformers maps no image-text-to-text class to it")
    return found


def _model_class(family: str) -> Any:
    import transformers

    return getattr(transformers, class_name(family), None) or _registered(family)


def configure(family: str, how: Recipe, equal: bool = False) -> Any:
    """The small configuration that a recipe describes. Raises whatever its class raises.

    Args:
        equal: whether fields of unknown meaning shrink with a known one that has the same default.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    return shrink(CONFIG_MAPPING[family], how.config, equal=equal)


def build(family: str, how: Recipe, equal: bool = False, seed: int = 0) -> nn.Module:
    """The model that a recipe describes; the same for the same seed. Raises whatever its class raises."""
    config = configure(family, how, equal)
    config._attn_implementation = None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model_class = _model_class(family)
        with _stand_in(model_class, how.tower), _at_most(_MOST_WEIGHTS):
            model: nn.Module = model_class(config)
        randomise(model, seed)
    return model.eval().requires_grad_(False)


@contextmanager
def _at_most(limit: int) -> Iterator[None]:
    """Within, modules are built with so many weights at most.

    Weights are counted when a module takes them in, which is before they are filled and take memory.

    Raises:
        Unbuildable: there are more.
    """
    total = 0

    def count(module: nn.Module, name: str, weight: nn.Parameter | None) -> None:
        nonlocal total
        total += 0 if weight is None else weight.numel()
        if weight is not None and total > limit:
            raise Unbuildable(
                f"its sizes have names that are not known, so that it stays large: over {limit:,} weights at "
                f"{type(module).__name__}.{name} {tuple(weight.shape)}"
            )

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


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
            kind = config.model_type
            return AutoModel.from_config(other if "vision" in kind or kind == "timm_wrapper" else config)

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
