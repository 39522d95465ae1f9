"""More families' folders: configurations from the survey's tiny ones, with local tokenizers and image
processors that fit them."""

from __future__ import annotations

from typing import Any

import transformers as hf

from family_survey.plans import tiny_config
from models.families.folders import FAMILIES, QWEN_TOKENS, Parts, chatml, token, tokenizer_of

GLM_TOKENS = (
    "<|image|>", "<|video|>", "<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>",
    "<|end_of_video|>",
)  # fmt: skip
QWEN_IDS = ("vision_start_token_id", "vision_end_token_id", "image_token_id", "video_token_id")
GLM_IDS = (
    "image_token_id", "video_token_id", "image_start_token_id", "image_end_token_id",
    "video_start_token_id", "video_end_token_id",
)  # fmt: skip
QWEN_PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"
GLM_PICTURE = "<|begin_of_image|><|image|><|end_of_image|>"
EDGES = {"shortest_edge": 32 * 32, "longest_edge": 64 * 64}


def fitted(name: str, tokenizer: Any, ids: dict[str, str]) -> Any:
    """The survey's tiny configuration of a family, with a tokenizer's vocabulary and special tokens."""
    config = tiny_config(name)
    decoder = config.get_text_config()
    for part in {id(p): p for p in (config, decoder)}.values():
        if hasattr(part, "vocab_size"):
            part.vocab_size = len(tokenizer)
        for attribute, special in ids.items():
            if hasattr(part, attribute):
                setattr(part, attribute, token(tokenizer, special))
        part.eos_token_id, part.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
        part.bos_token_id = tokenizer.bos_token_id
    return config


def merged(
    name: str,
    processor: str,
    images: Any,
    glm: bool = False,
    tokens: tuple[str, ...] = (),
    picture: str = "",
    **named: str,
) -> None:
    """Enter a family of Qwen2-VL's layout: patches merged 2 x 2, the picture's own shape."""
    ids = GLM_IDS if glm else QWEN_IDS
    tokens = tokens or (GLM_TOKENS if glm else QWEN_TOKENS)
    picture = picture or (GLM_PICTURE if glm else QWEN_PICTURE)

    def make() -> Parts:
        tokenizer = tokenizer_of(tokens, **named)
        config = fitted(name, tokenizer, dict(zip(ids, tokens, strict=True)))
        return Parts(config, tokenizer, images(), processor, chatml(picture))

    FAMILIES[name] = make


def qwen_images() -> Any:
    """Qwen2-VL's image processor for patches of 4 pixels."""
    return hf.Qwen2VLImageProcessorPil(patch_size=4, merge_size=2, temporal_patch_size=2, size=EDGES)


for _name in ("qwen3_5", "qwen3_5_moe", "qwen3_vl_moe", "qwen4_exp"):
    merged(_name, "Qwen3VLProcessor", qwen_images)
merged("exaone4_5", "Exaone4_5_Processor", qwen_images)
merged("hyperclovax_vision_v2", "HyperCLOVAXVisionV2Processor", qwen_images)
merged("lfm3_vl", "Lfm3VlProcessor", qwen_images)


def _patched(kind: str, **more: Any) -> Any:
    return lambda: getattr(hf, kind)(patch_size=4, merge_size=2, size=EDGES, **more)


for _name, _kind in (
    ("glm4v", "Glm4v"), ("glm4v_moe", "Glm4v"), ("glm46v", "Glm46V"), ("glm_ocr", "Glm46V"),
    ("glmga", "Glm46V"),
):  # fmt: skip
    merged(_name, f"{_kind}Processor", _patched(f"{_kind}ImageProcessorPil", temporal_patch_size=2), glm=True)
merged(
    "cohere_compass", "CohereCompassProcessor", _patched("CohereCompassImageProcessorPil"),
    tokens=tuple(t.upper() for t in QWEN_TOKENS), picture=QWEN_PICTURE.upper(),
)  # fmt: skip
merged("cosmos3_edge", "Cosmos3EdgeProcessor", _patched("Cosmos3EdgeImageProcessorPil"))
merged(
    "ernie4_5_vl_moe", "Ernie4_5_VLMoeProcessor", _patched("Ernie4_5_VLMoeImageProcessorPil"), glm=True,
    **{n.removesuffix("_id"): t for n, t in zip(GLM_IDS, GLM_TOKENS, strict=True)},
)  # fmt: skip
merged(
    "paddleocr_vl", "PaddleOCRVLProcessor", _patched("PaddleOCRVLImageProcessorPil"),
    image_token=QWEN_TOKENS[2],
)  # fmt: skip
merged("video_llama_3", "VideoLlama3Processor", _patched("VideoLlama3ImageProcessorPil"))


def single(name: str) -> Any:
    """Enter a function's parts under a family's name."""

    def enter(make: Any) -> Any:
        FAMILIES[name] = make
        return make

    return enter


@single("vipllava")
def vipllava() -> Parts:
    """As LLaVA, features of several layers side by side."""
    tokenizer = tokenizer_of(("<image>",))
    config = fitted("vipllava", tokenizer, {"image_token_index": "<image>"})
    images = hf.CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    options = {
        "patch_size": 4,
        "vision_feature_select_strategy": "default",
        "num_additional_image_tokens": 1,
    }
    return Parts(config, tokenizer, images, "LlavaProcessor", chatml("<image>\n"), options)


@single("llava_next_video")
def llava_next_video() -> Parts:
    """Pictures as in LLaVA-NeXT."""
    tokenizer = tokenizer_of(("<image>", "<video>"))
    ids = {"image_token_index": "<image>", "video_token_index": "<video>"}
    config = fitted("llava_next_video", tokenizer, ids)
    images = hf.LlavaNextImageProcessorPil(
        size={"shortest_edge": 16},
        crop_size={"height": 16, "width": 16},
        image_grid_pinpoints=config.image_grid_pinpoints,
    )
    options = {
        "patch_size": 4,
        "vision_feature_select_strategy": "default",
        "num_additional_image_tokens": 1,
    }
    return Parts(config, tokenizer, images, "LlavaNextVideoProcessor", chatml("<image>\n"), options)


@single("aya_vision")
def aya_vision() -> Parts:
    """Tiles named in the text."""
    names = ("<image>", "<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "TILE_GLOBAL", "TILE")
    tokenizer = tokenizer_of(names)
    config = fitted("aya_vision", tokenizer, {"image_token_index": "<|IMG_PATCH|>"})
    images = hf.GotOcr2ImageProcessorPil(
        size={"height": 16, "width": 16}, crop_to_patches=True, max_patches=6
    )
    options = {"patch_size": 4, "img_size": 16, "downsample_factor": int(config.downsample_factor)}
    return Parts(config, tokenizer, images, "AyaVisionProcessor", chatml("<image>\n"), options)


@single("qianfan_ocr")
def qianfan_ocr() -> Parts:
    """As InternVL."""
    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
    }
    tokenizer = tokenizer_of(("<image>",), **named)
    config = fitted("qianfan_ocr", tokenizer, {"image_token_id": "<IMG_CONTEXT>"})
    images = hf.GotOcr2ImageProcessorPil(
        size={"height": 16, "width": 16}, crop_to_patches=True, max_patches=6
    )
    options = {"image_seq_length": 4}
    return Parts(config, tokenizer, images, "QianfanOCRProcessor", chatml("<image>\n"), options)


@single("lighton_ocr")
def lighton_ocr() -> Parts:
    """Pixtral's tower, patches merged; no break tokens."""
    named = {"image_token": "[IMG]", "image_break_token": "[BR]", "image_end_token": "[END]"}
    tokenizer = tokenizer_of((), **named)
    config = fitted("lighton_ocr", tokenizer, {"image_token_id": "[IMG]"})
    images = hf.PixtralImageProcessorPil(size={"longest_edge": 64}, patch_size=8)
    options = {"patch_size": 4, "spatial_merge_size": int(config.spatial_merge_size)}
    return Parts(config, tokenizer, images, "LightOnOcrProcessor", chatml("[IMG]"), options)


@single("deepseek_vl")
def deepseek_vl() -> Parts:
    """One picture, padded to a square."""
    tokenizer = tokenizer_of((), image_token="<image_placeholder>")
    config = fitted("deepseek_vl", tokenizer, {"image_token_id": "<image_placeholder>"})
    images = hf.DeepseekVLImageProcessorPil(size={"height": 16, "width": 16}, min_size=4)
    template = chatml("<image_placeholder>")
    return Parts(config, tokenizer, images, "DeepseekVLProcessor", template, {"num_image_tokens": 16})


@single("janus")
def janus() -> Parts:
    """One picture, padded to a square."""
    named = {"image_token": "<image_placeholder>", "boi_token": "<boi>", "eoi_token": "<eoi>"}
    tokenizer = tokenizer_of((), **named)
    config = fitted("janus", tokenizer, {"image_token_id": "<image_placeholder>"})
    images = hf.JanusImageProcessorPil(size={"height": 16, "width": 16}, min_size=4)
    template = chatml("<image_placeholder>")
    return Parts(config, tokenizer, images, "JanusProcessor", template, {"num_image_tokens": 16})


@single("gemma4")
def gemma4() -> Parts:
    """The picture's own shape, patches pooled by position."""
    named = {
        "image_token": "<|image|>", "boi_token": "<|image>", "eoi_token": "<image|>",
        "audio_token": "<|audio|>", "boa_token": "<|audio>", "eoa_token": "<audio|>",
    }  # fmt: skip
    tokenizer = tokenizer_of(("<|video|>",), bos="<bos>", **named)
    ids = {f"{n}_id": t for n, t in named.items()} | {
        "video_token_id": "<|video|>",
        "eoa_token_index": "<audio|>",
    }
    config = fitted("gemma4", tokenizer, ids)
    config.text_config.vocab_size_per_layer_input = len(tokenizer)
    config.vision_config.position_embedding_size = 256
    images = hf.Gemma4ImageProcessorPil(patch_size=4, pooling_kernel_size=2, max_soft_tokens=70)
    options = {"feature_extractor": {"feature_extractor_type": "Gemma4AudioFeatureExtractor"}}
    return Parts(config, tokenizer, images, "Gemma4Processor", chatml("<|image|>"), options)


@single("hunyuan_vl")
def hunyuan_vl() -> Parts:
    """Pictures numbered over the whole batch."""
    named = {
        "image_token": "<|image|>",
        "image_start_token": "<|begin_of_image|>",
        "image_end_token": "<|end_of_image|>",
    }
    tokenizer = tokenizer_of((), **named)
    config = fitted("hunyuan_vl", tokenizer, {f"{n}_id": t for n, t in named.items()})
    images = hf.HunYuanVLImageProcessorPil(patch_size=4, merge_size=2, size=EDGES)
    picture = "<|begin_of_image|><|image|><|end_of_image|>"
    return Parts(config, tokenizer, images, "HunYuanVLProcessor", chatml(picture))


def pixtral(name: str) -> None:
    """Enter a family with Pixtral's processor: the picture's own shape, a break token after each row."""

    def make() -> Parts:
        tokenizer = tokenizer_of(("[IMG]", "[IMG_BREAK]", "[IMG_END]"))
        config = fitted(name, tokenizer, {"image_token_id": "[IMG]", "image_token_index": "[IMG]"})
        config.vision_config.image_size = 64
        if name == "mistral3":  # published without a window; the survey's would hide the picture
            config.text_config.sliding_window = None
        images = hf.PixtralImageProcessorPil(size={"longest_edge": 64}, patch_size=8)
        options = {"patch_size": 4, "spatial_merge_size": int(config.spatial_merge_size)}
        return Parts(config, tokenizer, images, "PixtralProcessor", chatml("[IMG]"), options)

    FAMILIES[name] = make


pixtral("mistral3")
pixtral("mistral_large4")
