"""Builds the embedded model, untrained: LLaVA class, SigLIP-type tower, Llama-type decoder, own tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SIDE = 96  # pixels
PATCH = 16  # pixels
IMAGE_TOKENS = (SIDE // PATCH) ** 2
SPECIAL = ("<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<image>")
TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|user|>' if message['role'] == 'user' else '<|assistant|> ' }}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>' }}"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ '<|end|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def corpus() -> list[str]:
    """Every word of every wording, hint and answer, for the tokenizer; held-out wordings included."""
    from headscope.making.scenes import kinds, scene, wordings

    words: set[str] = set()
    texts = [w for group in (wordings.STEPS, wordings.MAIN) for all_ in group.values() for w in all_]
    texts += [k.name for k in kinds.KINDS.values()] + [k.plural for k in kinds.KINDS.values()]
    texts += [k.hint for k in kinds.KINDS.values()] + list(kinds.COLOURS) + list(kinds.LETTERS)
    texts += list(scene.ALL_PLACES) + [str(i) for i in range(13)] + list("abcdefghijklmnopqrstuvwxyz")
    texts += [
        "left",
        "right",
        "higher",
        "lower",
        "above",
        "below",
        "small",
        "big",
        "yes",
        "no",
        "true",
        "false",
        "looking",
        "at",
        "an",
        "a",
        "the",
        "and",
    ]
    for text in texts:
        for field in ("{", "}"):
            text = text.replace(field, " ")
        for word in text.replace("?", " ").replace(".", " ").replace(",", " ").split():
            words |= {f" {word}", word.capitalize(), f" {word.capitalize()}" if len(word) == 1 else word}
    return sorted(words)


def build_tokenizer() -> Any:
    """Byte-level BPE: every word of the scenes' questions is one token, and any text can be written."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=3000,
        min_frequency=1,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator([f"{w} {w}" if not w.startswith(" ") else w + w for w in corpus()], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<|pad|>",
        eos_token="<|end|>",
        extra_special_tokens={"image_token": "<image>"},
        additional_special_tokens=["<|user|>", "<|assistant|>"],
        padding_side="left",
        model_max_length=1024,
    )


def build_processor() -> Any:
    """Processor of the embedded model: resize to 96 pixels, scale to [-1, 1], chat template."""
    from transformers import LlavaProcessor
    from transformers.models.siglip import SiglipImageProcessorPil

    images = SiglipImageProcessorPil(
        size={"height": SIDE, "width": SIDE},
        resample=3,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
        do_convert_rgb=True,
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=build_tokenizer(),
        patch_size=PATCH,
        vision_feature_select_strategy="full",
        chat_template=TEMPLATE,
        image_token="<image>",
        num_additional_image_tokens=0,
    )


def build_config(tokenizer: Any) -> Any:
    """4 x 8 vision heads of width 20; 8 decoder layers x 8 query heads of 24 over 4 key-value heads."""
    from transformers import LlamaConfig, LlavaConfig, SiglipVisionConfig

    vision = SiglipVisionConfig(
        hidden_size=160,
        intermediate_size=480,
        num_hidden_layers=4,
        num_attention_heads=8,
        image_size=SIDE,
        patch_size=PATCH,
        vision_use_head=False,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=160,
        intermediate_size=416,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=4,
        head_dim=24,
        max_position_embeddings=1024,
        rms_norm_eps=1e-6,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=IMAGE_TOKENS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=True,
    )
    config.pad_token_id, config.eos_token_id = tokenizer.pad_token_id, tokenizer.eos_token_id
    return config


def build_model(tokenizer: Any, seed: int = 0) -> Any:
    """Untrained model, its weights a function of the seed."""
    import torch
    from transformers import LlavaForConditionalGeneration

    torch.manual_seed(seed)
    model = LlavaForConditionalGeneration(build_config(tokenizer))
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def save(model: Any, processor: Any, folder: Path) -> None:
    """Write an ordinary checkpoint folder; weights in float16, computed with in float32."""
    import torch

    from headscope.models.processors import state_image_backend

    state = {k: v.detach().to(torch.float16) for k, v in model.state_dict().items()}
    model.config.dtype = torch.float32
    model.save_pretrained(folder, state_dict=state, safe_serialization=True)
    processor.save_pretrained(folder)
    state_image_backend(folder, "pil")
