"""Operations of published models, against those that torch counts, and the page that is made from them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from study_hours import FIGURES, MODELS, PAGE, forwards_of, page_with

SHAPES = {shape.name: shape for shape in MODELS}


def counted(module: torch.nn.Module, **inputs: Any) -> float:
    """Operations of one forward, as torch counts them on shapes alone."""
    counter = FlopCounterMode(display=False)
    with torch.device("meta"), torch.no_grad(), counter:
        module(**inputs)
    return float(counter.get_total_flops())


def test_operations_of_a_decoder_are_those_that_torch_counts() -> None:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLTextModel

    shape = SHAPES["Qwen2.5-VL-7B"]
    config = Qwen2_5_VLConfig(
        text_config={
            "hidden_size": shape.width, "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.key_heads, "intermediate_size": shape.mlp, "vocab_size": 64,
            "rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6},
        },
    ).text_config  # fmt: skip
    config._attn_implementation = "eager"
    with torch.device("meta"):
        model = Qwen2_5_VLTextModel(config).eval()
        given = torch.zeros(1, shape.positions, shape.width)
    found = counted(model, inputs_embeds=given, use_cache=False)
    assert found == pytest.approx(shape.operations() - shape.vision.operations(), rel=0.002)


def test_operations_of_a_vision_tower_are_those_that_torch_counts() -> None:
    from transformers import SiglipVisionConfig, SiglipVisionModel

    tower = SHAPES["Gemma-3-4B"].vision
    config = SiglipVisionConfig(
        hidden_size=tower.width, intermediate_size=tower.mlp, num_hidden_layers=tower.layers,
        num_attention_heads=16, image_size=896, patch_size=14, vision_use_head=False,
    )  # fmt: skip
    config._attn_implementation = "eager"
    with torch.device("meta"):
        model = SiglipVisionModel(config).eval()
        picture = torch.zeros(1, 3, 896, 896)
    assert counted(model, pixel_values=picture) == pytest.approx(tower.operations(), rel=0.01)


def test_the_page_is_made_from_the_measured_figures() -> None:
    text = PAGE.read_text("utf-8")
    assert page_with(text, json.loads(FIGURES.read_text("utf-8"))) == text


def test_the_work_of_a_study_counts_every_head_of_a_scan() -> None:
    figures = {
        "forwards": {"answer": 2.0, "scan_head": 0.5, "edited": 0.25},
        "work": {"demo": [{"answers": 3, "scans": 1, "edited": 8}]},
    }
    shape = SHAPES["Qwen2.5-VL-7B"]
    assert forwards_of(shape, figures, "demo") == 3 * 2 + 784 * 0.5 + 8 * 0.25
