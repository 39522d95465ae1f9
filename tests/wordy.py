"""A small checkpoint with a large vocabulary and many image tokens, for measuring the proof's memory."""

from __future__ import annotations

from pathlib import Path

import torch

PATCH = 8


def wordy_llava(
    folder: Path, side: int, hidden: int = 64, layers: int = 2, vocabulary: int = 151_936
) -> Path:
    """A LLaVA-class folder: one token for each patch of 8 x 8 pixels, 8 heads of width 32 a layer.

    Args:
        folder: where to.
        side: of the pictures, in pixels.
        hidden: width of the decoder.
        layers: of the decoder.
        vocabulary: how many tokens it tells apart; the tokenizer knows a few hundred.
    """
    import transformers

    from tiny import LLAVA_TEMPLATE, make_tokenizer

    tokenizer = make_tokenizer(["<image>"])
    vision = transformers.SiglipVisionConfig(
        hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        image_size=side, patch_size=PATCH,
    )  # fmt: skip
    vision.vision_use_head = False
    text = transformers.Qwen3Config(
        vocab_size=vocabulary, hidden_size=hidden, intermediate_size=512, num_hidden_layers=layers,
        num_attention_heads=8, num_key_value_heads=2, head_dim=32, max_position_embeddings=4096,
        tie_word_embeddings=False, bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    config = transformers.LlavaConfig(
        vision_config=vision, text_config=text, image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_select_strategy="full", vision_feature_layer=-1,
        image_seq_length=(side // PATCH) ** 2, tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.LlavaForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor = transformers.LlavaProcessor(
        image_processor=transformers.SiglipImageProcessorPil(size={"height": side, "width": side}),
        tokenizer=tokenizer, patch_size=PATCH, vision_feature_select_strategy="full",
        chat_template=LLAVA_TEMPLATE,
    )  # fmt: skip
    processor.save_pretrained(folder)
    return folder
