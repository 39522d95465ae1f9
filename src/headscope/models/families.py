"""Model families, one row each: what headscope knows of a model type and cannot find on the model itself.

A family without a row is found, proved and asked all the same; what its image tokens stand for is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from headscope.models.grids import dynamic, single, tiled, views
from headscope.models.grids.layouts import Size
from headscope.models.prompt_formats import (
    GEMMA3,
    LLAVA,
    MLLAMA,
    PALIGEMMA,
    QWEN2,
    QWEN3,
    PromptFormat,
    chatml,
    idefics,
    lines,
)
from headscope.models.types import ImageGrid

Layout = Callable[[Any, Size, dict[str, Tensor], int], ImageGrid]
"""Processor, (width, height) of the picture, what the processor made of the batch, item -> its image grid."""

# Why the image tokens of some families stand for no rectangles, or for none that is known.
CROSS = "the picture enters by cross-attention; its patches are no positions of the decoder"
QUERIES = "learned queries read the whole picture (a resampler); its tokens stand for no place"
ENCODER = "an encoder reads the picture; the decoder has no image tokens"
UNTESTED = "its map from image tokens to pixels has not been worked out and tested"
NO_PROCESSOR = "transformers knows no processor for this model type, so that no map could be tested"
PROTEINS = "it reads proteins, not pictures"
ROBOT = "a robot policy: it puts out actions and no text"
# What an index of positions (sparse attention) does to steps of the proof.
INDEX = {
    "batch": "its index picks which positions are attended to, and picks others where there is padding",
    "cached": "its index picks other positions when it reads from the cache",
}


@dataclass(frozen=True)
class Family:
    """One model type.

    Attributes:
        layout: which rectangle of the picture each image token stands for (a function of
            :mod:`headscope.models.grids`), or why there is none.
        prompt: the format it was published with, for checkpoints without a chat template; None: not known.
        framed: whether the processor itself writes the picture before a text, and begin and end tokens
            around it.
        added: what the processor itself writes after a prompt.
        token_types: whether the processor has to be told to give the token types that the model needs.
        lists: inputs that the model takes as lists of numbers alone; a batch holds them as tensors.
        refused: why its heads are refused although they could be found; empty: they are not.
        causes: step of the proof that it fails -> why, for the reader; no exemption.
    """

    layout: Layout | str
    prompt: PromptFormat | None = None
    framed: bool = False
    added: str = ""
    token_types: bool = False
    lists: tuple[str, ...] = ()
    refused: str = ""
    causes: Mapping[str, str] = field(default_factory=dict)


FAMILIES: dict[str, Family] = {
    "apertus1p5": Family(UNTESTED),
    "aria": Family(QUERIES),
    "aya_vision": Family(tiled.aya),
    "blip": Family(ENCODER, causes={"batch": "learned positions are counted from the padded start"}),
    "blip-2": Family(QUERIES),
    "chameleon": Family(UNTESTED),
    "cohere2_vision": Family(views.cohere2),
    "cohere_compass": Family(dynamic.merged),
    "cosmos3_edge": Family(dynamic.merged, token_types=True),
    "cosmos3_omni": Family(NO_PROCESSOR),
    "deepseek_ocr2": Family(QUERIES),
    "deepseek_vl": Family(single.padded),
    "deepseek_vl_hybrid": Family(UNTESTED),
    "diffusion_gemma": Family(
        UNTESTED,
        causes={
            "positions": "it denoises a canvas of tokens beside the prompt and writes many at once; no "
            "position of its decoder is a prompt's token or predicts the next",
            "batch": "its canvas is no answer that follows a prompt",
            "cached": "it does not generate token by token",
        },
    ),
    "dots3_note": Family(UNTESTED, causes=INDEX),
    "emu3": Family(UNTESTED),
    "ernie4_5_vl_moe": Family(dynamic.merged),
    "evolla": Family(PROTEINS, causes={"picture": PROTEINS}),
    "exaone4_5": Family(dynamic.merged),
    "fast_vlm": Family(NO_PROCESSOR),
    "florence2": Family(ENCODER, prompt=lines(" "), framed=True),
    "fuyu": Family(UNTESTED),
    "gemma3": Family(tiled.gemma3, prompt=GEMMA3),
    "gemma3n": Family(UNTESTED),
    "gemma4": Family(dynamic.gemma4),
    "gemma4_unified": Family(dynamic.gemma4_unified),
    "git": Family(
        "the model puts the picture before the text itself; no input token stands for a piece of it",
        causes={
            "positions": "it puts the picture's pieces in front of the tokens, where its decoder reads "
            "them too"
        },
    ),
    "glm46v": Family(dynamic.merged),
    "glm4v": Family(dynamic.merged),
    "glm4v_moe": Family(dynamic.merged),
    "glm5_next": Family(UNTESTED, causes=INDEX),
    "glm_ocr": Family(dynamic.merged),
    "glmga": Family(dynamic.merged),
    "got_ocr2": Family(UNTESTED),
    "granite4_vision": Family(UNTESTED),
    "granite_docling": Family(UNTESTED),
    "hunyuan_vl": Family(
        UNTESTED,
        causes={"batch": "it numbers pictures over the whole batch and rotates positions by that number"},
    ),
    "hy_v4_vl": Family(UNTESTED, causes=INDEX),
    "hyperclovax_vision_v2": Family(dynamic.merged),
    "idefics": Family(CROSS),
    "idefics2": Family(QUERIES),
    "idefics3": Family(tiled.idefics3, prompt=idefics("<|begin_of_text|>")),
    "inkling2": Family(dynamic.inkling2),
    "inkling2_loop": Family(UNTESTED),
    "inkling_mm_model": Family(dynamic.inkling),
    "instructblip": Family(QUERIES),
    "instructblipvideo": Family("it reads videos, not pictures"),
    "internvl": Family(tiled.internvl, prompt=chatml("{image}\n")),
    "janus": Family(single.padded),
    "kimi_k25": Family(dynamic.kimi),
    "kosmos-2": Family(QUERIES),
    "kosmos-2.5": Family(QUERIES),
    "lfm2_vl": Family(views.lfm2),
    "lfm3_vl": Family(dynamic.merged),
    "lighton_ocr": Family(dynamic.pixtral),
    "llama4": Family(views.llama4),
    "llava": Family(single.llava, prompt=LLAVA),
    "llava_next": Family(tiled.anyres),
    "llava_next_video": Family(tiled.anyres),
    "llava_onevision": Family(tiled.anyres, prompt=chatml("{image}\n")),
    "minicpm_ocr": Family(views.minicpm),
    "minicpmv4_6": Family(UNTESTED),
    "minicpmv4_7": Family(UNTESTED),
    "minimax_m3_vl": Family(
        dynamic.merged,
        causes={"batch": "its index picks blocks of positions counted from the padded start"},
    ),
    "mistral3": Family(dynamic.pixtral),
    "mistral4": Family(NO_PROCESSOR, causes={"picture": "a text decoder: the class takes no picture"}),
    "mistral_large4": Family(dynamic.pixtral, causes=INDEX),
    "mllama": Family(CROSS, prompt=MLLAMA),
    "molmo2": Family(views.molmo2),
    "muse_glimmer": Family(dynamic.merged),
    "muse_spark": Family(dynamic.merged),
    "nemotron_h_omni": Family(dynamic.nemotron),
    "ovis2": Family(UNTESTED),
    "paddleocr_vl": Family(dynamic.merged),
    "paligemma": Family(single.square, prompt=PALIGEMMA, added="\n"),
    "perception_lm": Family(views.perception),
    "pi0": Family(
        ROBOT,
        refused=f"{ROBOT}, and its picture is read by another decoder than the one that acts",
    ),
    "pix2struct": Family(ENCODER),
    "pp_chart2table": Family(UNTESTED),
    "pp_formulanet": Family("its processor takes a picture and no question"),
    "qianfan_ocr": Family(tiled.internvl),
    "qwen2_5_omni_thinker": Family(NO_PROCESSOR),
    "qwen2_5_vl": Family(dynamic.merged, prompt=QWEN2),
    "qwen2_vl": Family(dynamic.merged, prompt=QWEN2),
    "qwen3_5": Family(dynamic.merged),
    "qwen3_5_moe": Family(dynamic.merged),
    "qwen3_omni_moe_thinker": Family(NO_PROCESSOR),
    "qwen3_vl": Family(dynamic.merged, prompt=QWEN3),
    "qwen3_vl_moe": Family(dynamic.merged),
    "qwen4_exp": Family(dynamic.merged),
    "shieldgemma2": Family("it judges pictures by given policies and takes no question"),
    "smolvlm": Family(tiled.idefics3, prompt=idefics("<|im_start|>")),
    "step3p7": Family(views.step),
    "t5gemma2": Family(ENCODER, prompt=lines(" ")),
    "udop": Family(
        ENCODER,
        causes={
            "batch": "it puts the picture behind the words and counts distances over the padding between them"
        },
    ),
    "unlimited_ocr": Family(views.unlimited, lists=("num_local_patches", "patches_grid")),
    "video_llama_3": Family(dynamic.merged),
    "video_llava": Family(UNTESTED),
    "vipllava": Family(single.llava),
    "vision-encoder-decoder": Family(ENCODER),
}


def family_named(model_type: str) -> Family:
    """The row of a model type; of one that has none, a row that says so."""
    known = FAMILIES.get(model_type)
    return known or Family(f"no map from image tokens to pixels is known for family {model_type!r}")


def image_grids(processor: Any, family: str, sizes: list[Size], inputs: dict[str, Tensor]) -> list[ImageGrid]:
    """One image grid an item.

    Args:
        processor: the model's processor.
        family: ``model_type`` of its configuration.
        sizes: (width, height) of each item's picture, pixels.
        inputs: what the processor made of them.
    """
    layout = family_named(family).layout
    if isinstance(layout, str):
        return [ImageGrid(None, None, layout)] * len(sizes)
    return [layout(processor, size, inputs, item) for item, size in enumerate(sizes)]
