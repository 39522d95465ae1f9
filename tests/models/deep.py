"""Narrow models as deep as published ones, and ways to break them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from family_survey.build import class_name
from family_survey.plans import tiny_inputs
from family_survey.recipes import recipe
from family_survey.shrink import shrink

# Llama's layers; normed q and k; grouped keys; scaled embeddings and norms on both sides; borrowed keys, no
# scaling of attention, soft-capped logits.
FAMILIES = ("llava", "internvl", "qwen2_5_vl", "qwen3_vl", "gemma3", "gemma4")
DEPTHS = (4, 36, 64)
FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# transformers' own initial weights; weights that keep variance, each layer adding as much as the embeddings
# hold; the same with what each layer adds scaled down by depth, norms spread and a few channels loud, as
# training leaves them.
WEIGHTS = ("default", "random", "trained-like")
_WIDTH, _HEADS = 64, 8
_EXTRA = {
    "qwen2_5_vl": {
        "vision_config": {"out_hidden_size": _WIDTH},
        "text_config": {"rope_parameters": {
            "rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]
        }},
    },
    "qwen3_vl": {"vision_config": {"out_hidden_size": _WIDTH}},
}  # fmt: skip


def deep_model(
    family: str, layers: int, kind: torch.dtype = torch.float32, weights: str = "random", seed: int = 0
) -> tuple[nn.Module, dict[str, Tensor]]:
    """A model of a family with so many decoder layers, 8 heads each, and one item's inputs."""
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    text = {
        "num_hidden_layers": layers, "hidden_size": _WIDTH, "intermediate_size": 96,
        "num_attention_heads": _HEADS,
    }  # fmt: skip
    changes = _merged(_merged(recipe(family).config, {"text_config": text}), _EXTRA.get(family, {}))
    config = shrink(CONFIG_MAPPING[family], changes)
    config._attn_implementation = None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: nn.Module = getattr(transformers, class_name(family))(config)
    if weights != "default":
        draw(model, layers, seed, weights == "trained-like")
    inputs = tiny_inputs(family, model, seed=seed)
    model = model.to(kind).eval().requires_grad_(False)
    return model, {n: v.to(kind) if v.is_floating_point() else v for n, v in inputs.items()}


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(one)
    for name, value in other.items():
        before = made.get(name)
        both = isinstance(value, Mapping) and isinstance(before, Mapping)
        made[name] = _merged(before, value) if both else value  # type: ignore[arg-type]
    return made


@torch.no_grad()
def draw(model: nn.Module, layers: int, seed: int, trained: bool) -> None:
    """Matrices that keep variance; of a trained-like model also what training does to scales."""
    numbers = torch.Generator().manual_seed(seed)
    for name, value in model.named_parameters():
        noise = torch.randn(value.shape, generator=numbers)
        if value.ndim <= 1:
            value.add_((0.3 if trained else 0.1) * noise)
            continue
        inputs = value[0].numel() if value.ndim > 3 or value.shape[-1] <= 4 else value.shape[-1]
        value.copy_(noise if "embed_tokens" in name else noise / inputs**0.5)
        if trained and "language_model" in name and name.endswith(("o_proj.weight", "down_proj.weight")):
            value.mul_((2 * layers) ** -0.5)
            value[:2].mul_(8.0)  # two channels of the residual stream far louder than the others
