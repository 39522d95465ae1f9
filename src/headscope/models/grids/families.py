"""The table of families: which has a map from image tokens to the picture, and why others have none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from headscope.models.grids import dynamic, single, tiled, views
from headscope.models.grids.layouts import Size
from headscope.models.grids.reasons import REASONS
from headscope.models.types import ImageGrid

Map = Callable[[Any, Size, dict[str, Tensor], int], ImageGrid]

# Families of Qwen2-VL's layout.
_MERGED = (
    "cohere_compass", "cosmos3_edge", "ernie4_5_vl_moe", "exaone4_5", "glm46v", "glm4v", "glm4v_moe",
    "glm_ocr", "glmga", "hyperclovax_vision_v2", "lfm3_vl", "minimax_m3_vl", "muse_glimmer", "muse_spark",
    "paddleocr_vl", "qwen2_5_vl", "qwen2_vl", "qwen3_5", "qwen3_5_moe", "qwen3_vl", "qwen3_vl_moe",
    "qwen4_exp", "video_llama_3",
)  # fmt: skip
MAPS: dict[str, Map] = {
    **dict.fromkeys(_MERGED, dynamic.merged),
    "aya_vision": tiled.aya,
    "cohere2_vision": views.cohere2,
    "deepseek_vl": single.padded,
    "gemma3": tiled.gemma3,
    "gemma4": dynamic.gemma4,
    "gemma4_unified": dynamic.gemma4_unified,
    "idefics3": tiled.idefics3,
    "inkling2": dynamic.inkling2,
    "inkling_mm_model": dynamic.inkling,
    "internvl": tiled.internvl,
    "janus": single.padded,
    "kimi_k25": dynamic.kimi,
    "lfm2_vl": views.lfm2,
    "lighton_ocr": dynamic.pixtral,
    "llama4": views.llama4,
    "llava": single.llava,
    "llava_next": tiled.anyres,
    "llava_next_video": tiled.anyres,
    "llava_onevision": tiled.anyres,
    "minicpm_ocr": views.minicpm,
    "mistral3": dynamic.pixtral,
    "mistral_large4": dynamic.pixtral,
    "molmo2": views.molmo2,
    "nemotron_h_omni": dynamic.nemotron,
    "paligemma": single.square,
    "perception_lm": views.perception,
    "qianfan_ocr": tiled.internvl,
    "smolvlm": tiled.idefics3,
    "step3p7": views.step,
    "unlimited_ocr": views.unlimited,
    "vipllava": single.llava,
}


def map_kind(family: str) -> str:
    """The name of a family's map, or an empty text if it has none."""
    return MAPS[family].__name__ if family in MAPS else ""


def image_grids(processor: Any, family: str, sizes: list[Size], inputs: dict[str, Tensor]) -> list[ImageGrid]:
    """One image grid an item.

    Args:
        processor: the model's processor.
        family: ``model_type`` of its configuration.
        sizes: (width, height) of each item's picture, pixels.
        inputs: what the processor made of them.
    """
    make = MAPS.get(family)
    if make is None:
        reason = REASONS.get(family, f"no map from image tokens to pixels is known for family {family!r}")
        return [ImageGrid(None, None, reason)] * len(sizes)
    return [make(processor, size, inputs, item) for item, size in enumerate(sizes)]
