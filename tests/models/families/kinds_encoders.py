"""Folders of encoder-decoder families: an encoder reads picture and question, a decoder writes the answer."""

from __future__ import annotations

import transformers as hf

from models.families.folders import GEMMA_TEMPLATE, Parts, token, tokenizer_of
from models.families.kinds_surveyed import fitted, single

ENCODERS = ("florence2", "t5gemma2")


@single("florence2")
def florence2() -> Parts:
    """A processor that writes the picture and begin and end tokens itself; no chat template."""
    tokenizer = tokenizer_of((), bos="<s>", image_token="<image>")
    config = fitted("florence2", tokenizer, {"image_token_id": "<image>"})
    config.text_config.decoder_start_token_id = tokenizer.eos_token_id
    config.text_config.forced_bos_token_id = None
    size = {"height": 16, "width": 16}
    images = hf.CLIPImageProcessorPil(size=size, crop_size=size, do_center_crop=False)
    images.image_seq_length = 17  # 4 x 4 patches and their mean
    return Parts(config, tokenizer, images, "Florence2Processor", None)


@single("t5gemma2")
def t5gemma2() -> Parts:
    """A chat template; the decoder's self- and cross-attention are one."""
    named = {
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
    }
    tokenizer = tokenizer_of(("<start_of_turn>", "<end_of_turn>"), bos="<bos>", **named)
    config = fitted("t5gemma2", tokenizer, {"image_token_index": "<image_soft_token>"})
    for part in (config.encoder, config.encoder.text_config, config.decoder):
        part.vocab_size = len(tokenizer)
        part.eos_token_id, part.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
        part.bos_token_id = tokenizer.bos_token_id
    config.encoder.image_token_index = token(tokenizer, "<image_soft_token>")
    config.eoi_token_index = token(tokenizer, "<end_of_image>")
    config.encoder.eoi_token_index = token(tokenizer, "<end_of_image>")
    images = hf.Gemma3ImageProcessorPil(size={"height": 16, "width": 16})
    return Parts(config, tokenizer, images, "Gemma3Processor", GEMMA_TEMPLATE, {"image_seq_length": 4})
