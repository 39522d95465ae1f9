"""The parts of each family's folder: the configurations that the table in ``folders`` is filled from."""

from __future__ import annotations

from typing import Any

import transformers as hf

from models.families.folders import (
    GEMMA_TEMPLATE,
    IDEFICS_TEMPLATE,
    INST_TEMPLATE,
    LLAMA_TEMPLATE,
    QWEN_TEMPLATE,
    QWEN_TOKENS,
    THINKING_TEMPLATE,
    Parts,
    chatml,
    family,
    text,
    token,
    tokenizer_of,
    vision,
)

PINPOINTS = [[32, 64], [64, 32], [64, 64], [96, 32], [32, 96]]
SQUARE = {"height": 32, "width": 32}


@family("llava_next")
def llava_next() -> Parts:
    """Tiles and newlines; CLIP tower with a class token, Mistral decoder."""
    tokenizer = tokenizer_of(("<image>", "[INST]", "[/INST]"))
    config = hf.LlavaNextConfig(
        vision_config=hf.CLIPVisionConfig(**vision(), projection_dim=16),
        text_config=hf.MistralConfig(**text(tokenizer, head_dim=12)),
        image_token_index=token(tokenizer, "<image>"),
        image_grid_pinpoints=PINPOINTS,
        image_seq_length=16,
    )
    images = hf.LlavaNextImageProcessorPil(
        size={"shortest_edge": 32}, crop_size=SQUARE, image_grid_pinpoints=PINPOINTS
    )
    options = {
        "patch_size": 8,
        "vision_feature_select_strategy": "default",
        "num_additional_image_tokens": 1,
    }
    return Parts(config, tokenizer, images, "LlavaNextProcessor", INST_TEMPLATE, options)


@family("llava_onevision")
def llava_onevision() -> Parts:
    """Tiles, newlines, grids shrunk beyond two tiles' worth of tokens; SigLIP tower, Qwen2 decoder."""
    tokenizer = tokenizer_of(("<image>", "<video>"))
    pinpoints = [[32 * r, 32 * c] for r in range(1, 4) for c in range(1, 4)]
    tower = hf.SiglipVisionConfig(**vision())
    tower.vision_use_head = False
    config = hf.LlavaOnevisionConfig(
        vision_config=tower,
        text_config=hf.Qwen2Config(**text(tokenizer)),
        image_token_index=token(tokenizer, "<image>"),
        video_token_index=token(tokenizer, "<video>"),
        image_grid_pinpoints=pinpoints,
        vision_aspect_ratio="anyres_max_2",
    )
    images = hf.LlavaOnevisionImageProcessorPil(size=SQUARE, image_grid_pinpoints=pinpoints)
    options = {
        "num_image_tokens": 16,
        "vision_feature_select_strategy": "full",
        "vision_aspect_ratio": "anyres_max_2",
    }
    return Parts(config, tokenizer, images, "LlavaOnevisionProcessor", chatml("<image>\n"), options)


def _qwen_images() -> Any:
    edges = {"shortest_edge": 32 * 32, "longest_edge": 96 * 96}
    return hf.Qwen2VLImageProcessorPil(patch_size=8, merge_size=2, temporal_patch_size=2, size=edges)


def _qwen_tokens(tokenizer: Any) -> dict[str, int]:
    names = ("vision_start_token_id", "vision_end_token_id", "image_token_id", "video_token_id")
    return {n: token(tokenizer, t) for n, t in zip(names, QWEN_TOKENS, strict=True)}


@family("qwen2_vl")
def qwen2_vl() -> Parts:
    """Dynamic resolution, four patches merged to a token."""
    tokenizer = tokenizer_of(QWEN_TOKENS)
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    config = hf.Qwen2VLConfig(
        vision_config={
            "depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2, "patch_size": 8,
            "spatial_merge_size": 2, "temporal_patch_size": 2,
        },
        text_config=text(tokenizer, rope_parameters=rope),
        **_qwen_tokens(tokenizer),
        tie_word_embeddings=False,
    )  # fmt: skip
    return Parts(config, tokenizer, _qwen_images(), "Qwen2VLProcessor", QWEN_TEMPLATE)


@family("qwen3_vl")
def qwen3_vl() -> Parts:
    """Dynamic resolution, deep features, a template that can think."""
    tokenizer = tokenizer_of((*QWEN_TOKENS, "<think>", "</think>"))
    rope = {"rope_type": "default", "mrope_section": [2, 2, 2], "rope_theta": 10000.0}
    config = hf.Qwen3VLConfig(
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": 8,
            "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 32,
            "num_position_embeddings": 64, "deepstack_visual_indexes": [0],
        },
        text_config=text(tokenizer, head_dim=12, rope_parameters=rope),
        **_qwen_tokens(tokenizer),
        tie_word_embeddings=False,
    )  # fmt: skip
    return Parts(config, tokenizer, _qwen_images(), "Qwen3VLProcessor", THINKING_TEMPLATE)


IDEFICS_TOKENS = (
    "<image>",
    "<fake_token_around_image>",
    "<global-img>",
    "<end_of_utterance>",
    "<|begin_of_text|>",
)


def _idefics(kind: Any, images: Any, processor: str, template: str) -> Parts:
    rows = tuple(f"<row_{r}_col_{c}>" for r in range(1, 5) for c in range(1, 5))
    tokenizer = tokenizer_of((*IDEFICS_TOKENS, *rows))
    config = kind(
        vision_config=vision(),
        text_config=hf.LlamaConfig(**text(tokenizer, head_dim=12)),
        image_token_id=token(tokenizer, "<image>"),
        scale_factor=2,
        pad_token_id=tokenizer.pad_token_id,
    )
    pictures = images(size={"longest_edge": 96}, max_image_size={"longest_edge": 32})
    return Parts(config, tokenizer, pictures, processor, template, {"image_seq_len": 4})


@family("idefics3")
def idefics3() -> Parts:
    """Tiles and the whole, four patches shuffled to a token, row and column tags."""
    return _idefics(hf.Idefics3Config, hf.Idefics3ImageProcessorPil, "Idefics3Processor", IDEFICS_TEMPLATE)


@family("smolvlm")
def smolvlm() -> Parts:
    """As Idefics3, with its own classes."""
    template = IDEFICS_TEMPLATE.replace("<|begin_of_text|>", "<|im_start|>")
    return _idefics(hf.SmolVLMConfig, hf.SmolVLMImageProcessorPil, "SmolVLMProcessor", template)


@family("internvl")
def internvl() -> Parts:
    """Tiles and a thumbnail, pixels shuffled."""
    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = tokenizer_of((), **named)
    tower = {**vision(), "image_size": [32, 32], "patch_size": [8, 8]}
    config = hf.InternVLConfig(
        vision_config=hf.InternVLVisionConfig(**tower),
        text_config=hf.Qwen2Config(**text(tokenizer)),
        image_token_id=token(tokenizer, "<IMG_CONTEXT>"),
        image_seq_length=4,
        downsample_ratio=0.5,
        tie_word_embeddings=False,
    )
    images = hf.GotOcr2ImageProcessorPil(size=SQUARE, crop_to_patches=True, max_patches=6)
    template = chatml("<IMG_CONTEXT>\n")
    return Parts(config, tokenizer, images, "InternVLProcessor", template, {"image_seq_length": 4})


@family("gemma3")
def gemma3() -> Parts:
    """Four patches pooled to a token, pan-and-scan crops, sliding and full attention."""
    named = {
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
    }
    tokenizer = tokenizer_of(("<start_of_turn>", "<end_of_turn>"), bos="<bos>", **named)
    tower = hf.SiglipVisionConfig(**vision(image_size=64))
    tower.vision_use_head = False
    decoder = text(
        tokenizer, head_dim=12, sliding_window=8, layer_types=["sliding_attention", "full_attention"]
    )
    config = hf.Gemma3Config(
        vision_config=tower,
        text_config=hf.Gemma3TextConfig(**decoder),
        mm_tokens_per_image=16,
        boi_token_index=token(tokenizer, "<start_of_image>"),
        eoi_token_index=token(tokenizer, "<end_of_image>"),
        image_token_index=token(tokenizer, "<image_soft_token>"),
        tie_word_embeddings=False,
    )
    images = hf.Gemma3ImageProcessorPil(
        size={"height": 64, "width": 64},
        do_pan_and_scan=True,
        pan_and_scan_min_crop_size=24,
        pan_and_scan_max_num_crops=3,
        pan_and_scan_min_ratio_to_activate=1.2,
    )
    return Parts(config, tokenizer, images, "Gemma3Processor", GEMMA_TEMPLATE, {"image_seq_length": 16})


@family("paligemma")
def paligemma() -> Parts:
    """One stretched picture, no chat template, a prefix that sees both ways."""
    tokenizer = tokenizer_of((), bos="<bos>", image_token="<image>")
    tower = hf.SiglipVisionConfig(**vision())
    tower.vision_use_head = False
    config = hf.PaliGemmaConfig(
        vision_config=tower,
        # Three layers: what its prefix, which sees both ways, does with an edit shows in the third.
        text_config=hf.GemmaConfig(
            **text(tokenizer, head_dim=12, vocab_size=len(tokenizer) + 1200, num_hidden_layers=3)
        ),
        image_token_index=token(tokenizer, "<image>"),
        projection_dim=32,
        hidden_size=32,
        vocab_size=len(tokenizer) + 1200,
        tie_word_embeddings=False,
    )
    images = hf.SiglipImageProcessorPil(size=SQUARE)
    images.image_seq_length = 16
    return Parts(config, tokenizer, images, "PaliGemmaProcessor", None)


@family("mllama")
def mllama() -> Parts:
    """Tiles read by gated cross-attention."""
    tokenizer = tokenizer_of(
        ("<|image|>", "<|python_tag|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        bos="<|begin_of_text|>",
    )
    config = hf.MllamaConfig(
        vision_config=hf.models.mllama.configuration_mllama.MllamaVisionConfig(
            hidden_size=24, num_hidden_layers=2, num_global_layers=1, attention_heads=2, intermediate_size=32,
            vision_output_dim=48, image_size=32, patch_size=8, max_num_tiles=4,
            intermediate_layers_indices=[1],
        ),
        text_config=hf.models.mllama.configuration_mllama.MllamaTextConfig(
            **text(tokenizer, num_hidden_layers=3, cross_attention_layers=[1], rope_parameters={
                "rope_type": "default", "rope_theta": 10000.0}),
        ),
        image_token_index=token(tokenizer, "<|image|>"),
    )  # fmt: skip
    images = hf.MllamaImageProcessorPil(size=SQUARE, max_image_tiles=4)
    return Parts(config, tokenizer, images, "MllamaProcessor", LLAMA_TEMPLATE)
