"""Image grids of every mapped family, against an experiment on real processors and tiny models: a spot in
the original picture must change the tokens whose rectangles hold it, and no others."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from headscope.models.families import FAMILIES, image_grids
from headscope.models.types import ImageGrid, Prompt
from headscope.models.vlm import VLM, load_model
from models.families.experiment import changed, silenced
from models.families.folders import family_folder, skip_unless_readable
from models.families.kinds_torchvision import TORCHVISION_ONLY

# Family -> pixels that the model sees across one token (before merging or pooling: 8 a patch).
MAPPED = {
    "llava": 8,
    "llava_next": 8,
    "llava_onevision": 8,
    "qwen2_vl": 16,
    "qwen2_5_vl": 8,
    "qwen3_vl": 16,
    "idefics3": 16,
    "smolvlm": 16,
    "internvl": 16,
    "gemma3": 16,
    "paligemma": 8,
    **dict.fromkeys(("qwen3_5", "qwen3_5_moe", "qwen3_vl_moe", "qwen4_exp", "exaone4_5", "lfm3_vl"), 8),
    **dict.fromkeys(("hyperclovax_vision_v2", "glm4v", "glm4v_moe", "glm46v"), 8),
    **dict.fromkeys(("glm_ocr", "glmga"), 8),
    **dict.fromkeys(
        ("cohere_compass", "cosmos3_edge", "ernie4_5_vl_moe", "paddleocr_vl", "video_llama_3"), 8
    ),
    **dict.fromkeys(("aya_vision", "qianfan_ocr", "gemma4", "lighton_ocr", "mistral3", "mistral_large4"), 8),
    **dict.fromkeys(("vipllava", "llava_next_video", "deepseek_vl", "janus"), 4),
    **dict.fromkeys(TORCHVISION_ONLY, 8),
    **dict.fromkeys(("perception_lm", "gemma4_unified", "inkling_mm_model"), 4),
    **dict.fromkeys(("step3p7", "unlimited_ocr"), 16),
}
SIZES = st.tuples(st.integers(100, 260), st.integers(100, 260))
# Resizing spreads a spot by at most this many of the model's pixels (Lanczos' three).
SPREAD = 3.2
# Models that mix neighbouring tokens: LLaVA-OneVision where it shrinks a grid, the others by convolutions.
MIXING = ("llava_onevision", "lfm3_vl", "step3p7", "unlimited_ocr")
# Molmo 2 shrinks pictures without smoothing: what lies between two samples is not seen. Here one crop has 16
# samples, 8 across a token.
SAMPLED = {"molmo2": (16, 8)}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> object:
    @cache
    def made(family: str) -> VLM:
        skip_unless_readable(family)
        folder = family_folder(family, tmp_path_factory.mktemp("families") / family)
        return silenced(load_model(folder, prove=False))

    return made


def holding(boxes: torch.Tensor, spot: tuple[int, int, int, int], margin: torch.Tensor) -> torch.Tensor:
    """Boxes that a spot, grown by each box's margin (box, 2), touches."""
    x0, y0, x1, y1 = spot
    wide = (boxes[:, 0] < x1 + margin[:, 0]) & (boxes[:, 2] > x0 - margin[:, 0])
    return wide & (boxes[:, 1] < y1 + margin[:, 1]) & (boxes[:, 3] > y0 - margin[:, 1])


def check(vlm: VLM, family: str, size: tuple[int, int], where: float, question: str = "Where?") -> None:
    grid = vlm.encode([Prompt(Image.new("RGB", size), question)]).grids[0]
    assert grid.boxes is not None, grid.reason
    placed = grid.boxes[~grid.boxes.isnan().any(dim=1)]
    centres = (placed[:, :2] + placed[:, 2:]) / 2
    inside = (centres > 2).all(dim=1) & (centres < torch.tensor(size) - 3).all(dim=1)
    x, y = (int(v) for v in centres[inside][int(where * (int(inside.sum()) - 1))])
    samples, across = SAMPLED.get(family, (0, 0))
    edge = math.ceil(max(size) / samples) + 1 if samples else 2
    spot = (x, y, x + edge, y + edge)
    moved, image, boxes = changed(vlm, size, spot)
    assert not (moved & ~image).any(), "the spot reached tokens that are no image tokens"
    moved = moved[image]
    assert len(moved) == len(boxes)
    span = boxes[:, 2:] - boxes[:, :2]
    must = holding(boxes, spot, -(1 / across if across else 0.02) * span - 1.0)
    may = holding(boxes, spot, (1.4 if family in MIXING else SPREAD / MAPPED[family]) * span + 0.5)
    assert must.any()
    assert not (must & ~moved).any(), (
        f"{size} {spot}: tokens {torch.nonzero(must & ~moved).tolist()} did not change"
    )
    assert not (moved & ~may).any(), f"{size} {spot}: tokens {torch.nonzero(moved & ~may).tolist()} changed"


FAST = list(MAPPED)[:11]
EXAMPLES = settings(max_examples=12, deadline=None, derandomize=True)


@pytest.mark.parametrize(
    "family", [*FAST, *(pytest.param(f, marks=pytest.mark.slow) for f in MAPPED if f not in FAST)]
)
def test_a_spot_reaches_the_tokens_whose_rectangles_hold_it_and_no_others(family: str, models: Any) -> None:
    vlm = models(family)

    @given(SIZES, st.floats(0, 1))
    @EXAMPLES
    def runs(size: tuple[int, int], where: float) -> None:
        check(vlm, family, size, where)

    runs()


def test_crops_of_pan_and_scan_follow_the_whole_picture(models: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    vlm = models("gemma3")
    images = {**vlm.processor.images_kwargs, "do_pan_and_scan": True, "pan_and_scan_min_crop_size": 24}
    monkeypatch.setattr(vlm.processor, "images_kwargs", images)
    for size, crops in (((240, 100), 2), ((100, 101), 0), ((90, 260), 3), ((101, 240), 2)):
        encoded = vlm.encode([Prompt(Image.new("RGB", size), "Where?")])
        assert int(encoded.image.sum()) == 16 * (1 + crops)
        for where in (0.0, 0.35, 0.7, 1.0):
            check(vlm, "gemma3", size, where)


ODD_SIZES = ((30, 40), (200, 24), (20, 180), (64, 64), (128, 32))
# Families that show a picture no larger than a tile once.
UNCUT = ("cohere2_vision", "llama4", "perception_lm", "minicpm_ocr", "unlimited_ocr")


@pytest.mark.slow
@pytest.mark.parametrize("family", TORCHVISION_ONLY)
def test_small_and_thin_pictures_of_families_with_cuts_of_their_own(family: str, models: Any) -> None:
    vlm = models(family)
    for size in (*ODD_SIZES, *([(16, 15)] if family in UNCUT else [])):
        for where in (0.0, 0.4, 1.0):
            check(vlm, family, size, where)


BROKEN = {
    "the next cell": lambda boxes: boxes.roll(1, 0),
    "columns for rows": lambda boxes: boxes[:, [1, 0, 3, 2]],
    "the other order": lambda boxes: boxes.flip(0),
    "half a cell off": lambda boxes: boxes + (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2) / 2,
}


@pytest.mark.parametrize("fault", list(BROKEN))
@pytest.mark.parametrize(
    "family",
    ["llava_next", "idefics3", "internvl", "qwen3_vl", "gemma3", "cohere2_vision", "kimi_k25", "lfm2_vl"],
)
def test_the_experiment_tells_a_wrong_map(
    family: str, fault: str, models: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    vlm = models(family)
    true = FAMILIES[family].layout
    assert not isinstance(true, str)

    def wrong(*given: Any) -> ImageGrid:
        grid = true(*given)
        assert grid.boxes is not None
        return ImageGrid(BROKEN[fault](grid.boxes), grid.shape)

    monkeypatch.setitem(FAMILIES, family, replace(FAMILIES[family], layout=wrong))
    caught = 0
    for where in (0.1, 0.3, 0.6, 0.9):
        try:
            check(vlm, family, (230, 140), where)
        except AssertionError:
            caught += 1
    assert caught >= 3


def test_every_family_of_transformers_has_a_map_or_a_reason() -> None:
    names = set(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES)
    assert set(FAMILIES) >= names
    assert list(FAMILIES) == sorted(FAMILIES)
    reasons = {name: row.layout for name, row in FAMILIES.items() if isinstance(row.layout, str)}
    assert set(FAMILIES) - set(reasons) == set(MAPPED), "every map has its experiment"
    for family, reason in reasons.items():
        (grid,) = image_grids(None, family, [(4, 4)], {})
        assert grid.boxes is None
        assert grid.reason == reason
        assert len(reason) > 20


def test_a_family_without_a_row_has_no_map_and_says_so() -> None:
    (grid,) = image_grids(None, "new_vlm", [(4, 4)], {})
    assert grid.boxes is None
    assert "no map from image tokens to pixels is known for family 'new_vlm'" in grid.reason
