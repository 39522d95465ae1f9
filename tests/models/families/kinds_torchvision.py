"""Folders of families whose pictures transformers reads with torchvision alone."""

from __future__ import annotations

from typing import Any

import transformers as hf

from models.families.folders import LLAMA_TEMPLATE, Parts, chatml, tokenizer_of
from models.families.kinds_surveyed import EDGES, fitted, single

# In the order of their entries below.
TORCHVISION_ONLY = (
    "cohere2_vision", "lfm2_vl", "llama4", "perception_lm", "kimi_k25", "molmo2", "muse_glimmer",
    "muse_spark", "nemotron_h_omni", "minicpm_ocr", "step3p7", "unlimited_ocr", "gemma4_unified",
    "inkling_mm_model", "inkling2", "minimax_m3_vl",
)  # fmt: skip
SMALL = {"height": 16, "width": 16}


@single("cohere2_vision")
def cohere2_vision() -> Parts:
    """Tiles, then the whole, each closed by a break token."""
    named = {
        "image_token": "<|IMG_PATCH|>", "boi_token": "<|START_OF_IMG|>", "eoi_token": "<|END_OF_IMG|>",
        "img_line_break_token": "<|IMG_LINE_BREAK|>",
    }  # fmt: skip
    tokenizer = tokenizer_of((), **named)
    config = fitted("cohere2_vision", tokenizer, {"image_token_id": "<|IMG_PATCH|>"})
    # patch_size of this image processor is the number of tokens along a tile
    images = hf.Cohere2VisionImageProcessor(size=SMALL, patch_size=2, max_patches=6)
    return Parts(config, tokenizer, images, "Cohere2VisionProcessor", chatml("<|IMG_PATCH|>"))


@single("lfm2_vl")
def lfm2_vl() -> Parts:
    """Small pictures keep their shape; large ones are cut into tiles, the whole after them."""
    rows = tuple(f"<|img_row_{r}_col_{c}|>" for r in range(1, 7) for c in range(1, 7))
    named = {
        "image_token": "<image>", "image_start_token": "<|image_start|>", "image_end_token": "<|image_end|>",
        "image_thumbnail_token": "<|img_thumbnail|>",
    }  # fmt: skip
    tokenizer = tokenizer_of(rows, **named)
    config = fitted("lfm2_vl", tokenizer, {"image_token_id": "<image>"})
    images = hf.Lfm2VlImageProcessor(
        encoder_patch_size=4, tile_size=32, min_image_tokens=4, max_image_tokens=256, max_tiles=6
    )
    return Parts(config, tokenizer, images, "Lfm2VlProcessor", chatml("<image>"))


@single("llama4")
def llama4() -> Parts:
    """Tiles of the padded picture, then the whole."""
    names = (
        "<|image|>", "<|image_start|>", "<|image_end|>", "<|patch|>", "<|tile_x_separator|>",
        "<|tile_y_separator|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
    )  # fmt: skip
    tokenizer = tokenizer_of(names, bos="<|begin_of_text|>")
    config = fitted("llama4", tokenizer, {"image_token_index": "<|patch|>"})
    images = hf.Llama4ImageProcessor(size=SMALL, max_patches=6)
    return Parts(config, tokenizer, images, "Llama4Processor", LLAMA_TEMPLATE, {"patch_size": 4})


@single("perception_lm")
def perception_lm() -> Parts:
    """The whole, then tiles of the stretched picture."""
    tokenizer = tokenizer_of((), image_token="<|image|>", video_token="<|video|>")
    ids = {"image_token_id": "<|image|>", "video_token_id": "<|video|>"}
    config = fitted("perception_lm", tokenizer, ids)
    images = hf.PerceptionLMImageProcessor(tile_size=16, max_num_tiles=6)
    options = {"patch_size": 4, "pooling_ratio": int(config.projector_pooling_ratio)}
    return Parts(config, tokenizer, images, "PerceptionLMProcessor", chatml("<|image|>"), options)


@single("kimi_k25")
def kimi_k25() -> Parts:
    """The picture's own shape, padded on the right and below."""
    named = {"image_token": "<|media_pad|>", "video_token": "<|kimi_k25_video_placeholder|>"}
    tokenizer = tokenizer_of((), **named)
    config = fitted("kimi_k25", tokenizer, {f"{n}_id": t for n, t in named.items()})
    images = hf.Kimi_K25ImageProcessor(
        patch_size=4, max_patches=256, size={"max_height": 512, "max_width": 512}
    )
    return Parts(config, tokenizer, images, "Kimi_K25Processor", chatml("<|media_pad|>"))


@single("molmo2")
def molmo2() -> Parts:
    """The whole, then overlapping crops joined to one grid; a column token after each row."""
    names = (
        "<|image|>", "<|video|>", "<im_patch>", "<im_col>", "<im_start>", "<low_res_im_start>",
        "<frame_start>", "<im_end>", "<frame_end>", "<im_low>",
    )  # fmt: skip
    tokenizer = tokenizer_of(names, bos="<|bos|>")
    ids = {
        "image_patch_id": "<im_patch>", "image_start_token_id": "<im_start>",
        "low_res_image_start_token_id": "<low_res_im_start>", "image_end_token_id": "<im_end>",
        "frame_start_token_id": "<frame_start>", "frame_end_token_id": "<frame_end>",
    }  # fmt: skip
    config = fitted("molmo2", tokenizer, ids)
    images = hf.Molmo2ImageProcessor(size=SMALL, patch_size=4, max_crops=4, overlap_margins=[1, 0])
    return Parts(config, tokenizer, images, "Molmo2Processor", chatml("<|image|>"))


def muse(name: str, processor: str, **options: Any) -> None:
    """Enter a family of Muse's layout."""
    names = (
        "<|patch|>", "<|video|>", "<|image_start|>", "<|image_end|>", "<|vid_frame_separator|>",
        "<|vid_start|>", "<|vid_end|>", "<|audio|>", "<|soft_audio_start|>", "<|soft_audio_end|>",
    )  # fmt: skip

    def make() -> Parts:
        tokenizer = tokenizer_of(names)
        ids = {"image_token_id": "<|patch|>", "video_token_id": "<|video|>", "audio_token_id": "<|audio|>"}
        config = fitted(name, tokenizer, ids)
        images = hf.MuseGlimmerImageProcessor(patch_size=4, max_image_tokens=64)
        return Parts(config, tokenizer, images, processor, chatml("<|patch|>"), options)

    single(name)(make)


muse("muse_glimmer", "MuseGlimmerProcessor")
muse("muse_spark", "MuseSparkProcessor")


@single("nemotron_h_omni")
def nemotron_h_omni() -> Parts:
    """The picture's own shape, pixels shuffled."""
    names = ("<image>", "<video>", "<so_embedding>", "<so_start>", "<so_end>", "<img>", "</img>")
    tokenizer = tokenizer_of(names)
    ids = {"image_token_id": "<image>", "video_token_id": "<video>"}
    config = fitted("nemotron_h_omni", tokenizer, ids)
    images = hf.NemotronH_Omni_Reasoning_V3ImageProcessor(
        patch_size=4, min_num_patches=16, max_num_patches=256
    )
    options = {"feature_extractor": {"feature_extractor_type": "ParakeetFeatureExtractor"}}
    processor = "NemotronH_Omni_Reasoning_V3Processor"
    return Parts(config, tokenizer, images, processor, chatml("<image>"), options)


@single("minicpm_ocr")
def minicpm_ocr() -> Parts:
    """The whole, then slices."""
    named = {
        "image_token": "<|image_pad|>", "video_token": "<|video_pad|>", "image_start_token": "<image>",
        "image_end_token": "</image>", "slice_start_token": "<slice>", "slice_end_token": "</slice>",
        "image_id_start_token": "<image_id>", "image_id_end_token": "</image_id>",
    }  # fmt: skip
    tokenizer = tokenizer_of((), **named)
    ids = {"image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>"}
    config = fitted("minicpm_ocr", tokenizer, ids)
    images = hf.MiniCPMOcrImageProcessor(patch_size=4, scale_resolution=32, max_slice_nums=4)
    return Parts(config, tokenizer, images, "MiniCPMOcrProcessor", chatml("<|image_pad|>"))


@single("step3p7")
def step3p7() -> Parts:
    """Windows of the picture, then the whole."""
    names = ("<im_patch>", "<im_start>", "<im_end>", "<patch_start>", "<patch_end>", "<patch_newline>")
    tokenizer = tokenizer_of(names)
    config = fitted("step3p7", tokenizer, {"image_token_id": "<im_patch>"})
    images = hf.Step3p7ImageProcessor(size={"height": 32, "width": 32}, patch_size=16, vision_patch_size=4)
    return Parts(config, tokenizer, images, "Step3p7Processor", chatml("<im_patch>"))


@single("unlimited_ocr")
def unlimited_ocr() -> Parts:
    """Tiles joined to one grid, then the whole padded to a square; a newline after each row."""
    tokenizer = tokenizer_of((), image_token="<image>")
    config = fitted("unlimited_ocr", tokenizer, {"image_token_id": "<image>"})
    images = hf.UnlimitedOcrImageProcessor(size={"height": 32, "width": 32}, tile_size=16, max_patches=6)
    options = {"patch_size": 4, "downsample_ratio": 4}
    return Parts(config, tokenizer, images, "UnlimitedOcrProcessor", chatml("<image>"), options)


@single("gemma4_unified")
def gemma4_unified() -> Parts:
    """As Gemma 4, without a tower."""
    named = {
        "image_token": "<|image|>", "boi_token": "<|image>", "eoi_token": "<image|>",
        "audio_token": "<|audio|>", "boa_token": "<|audio>", "eoa_token": "<audio|>",
    }  # fmt: skip
    tokenizer = tokenizer_of(("<|video|>",), bos="<bos>", **named)
    ids = {f"{n}_id": t for n, t in named.items()} | {
        "video_token_id": "<|video|>",
        "eoa_token_index": "<audio|>",
    }
    config = fitted("gemma4_unified", tokenizer, ids)
    config.vision_config.mm_posemb_size = 70  # a thin picture is one long row
    images = hf.Gemma4UnifiedImageProcessor(patch_size=2, pooling_kernel_size=2, max_soft_tokens=70)
    options = {"feature_extractor": {"feature_extractor_type": "Gemma4UnifiedAudioFeatureExtractor"}}
    return Parts(config, tokenizer, images, "Gemma4UnifiedProcessor", chatml("<|image|>"), options)


@single("inkling_mm_model")
def inkling_mm_model() -> Parts:
    """The picture as it is, cut into patches."""
    names = ("<|content_image|>", "<|content_audio_input|>")
    tokenizer = tokenizer_of(names, image_token="<|unused_200054|>", audio_token="<|unused_200053|>")
    ids = {
        "image_token_id": "<|unused_200054|>", "audio_token_id": "<|unused_200053|>",
        "image_bos_token_id": "<|content_image|>", "audio_bos_token_id": "<|content_audio_input|>",
    }  # fmt: skip
    config = fitted("inkling_mm_model", tokenizer, ids)
    images = hf.InklingImageProcessor(size={"height": 4, "width": 4})
    options = {"feature_extractor": {"feature_extractor_type": "InklingFeatureExtractor"}}
    return Parts(config, tokenizer, images, "InklingProcessor", chatml("<|unused_200054|>"), options)


@single("inkling2")
def inkling2() -> Parts:
    """The picture as it is, cut into patches."""
    tokenizer = tokenizer_of((), image_token="<|unused_200054|>")
    config = fitted("inkling2", tokenizer, {"image_token_id": "<|unused_200054|>"})
    config.text_config.unpadded_vocab_size = len(tokenizer)
    images = hf.Inkling2ImageProcessor(size={"height": 8, "width": 8})
    return Parts(config, tokenizer, images, "Inkling2Processor", chatml("<|unused_200054|>"))


@single("minimax_m3_vl")
def minimax_m3_vl() -> Parts:
    """Qwen2-VL's layout."""
    names = ("]<]start of image[>[", "]<]end of image[>[", "]<]image[>[", "]<]video[>[")
    tokenizer = tokenizer_of(names)
    ids = {"image_token_index": names[2], "video_token_index": names[3]}
    config = fitted("minimax_m3_vl", tokenizer, ids)
    images = hf.MiniMaxM3VLImageProcessor(patch_size=4, merge_size=2, size=dict(EDGES))
    return Parts(config, tokenizer, images, "MiniMaxM3VLProcessor", chatml(names[2]))
