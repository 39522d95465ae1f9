"""Builds small models, untrained: LLaVA class, SigLIP-type tower, Llama-type decoder, own tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedded_training.lesson_wordings import WORDINGS as LESSON_WORDINGS
from embedded_training.more_wordings import CAPTIONS, DECISIONS, MORE


@dataclass(frozen=True)
class Size:
    """Picture, tower and decoder: widths in channels, ``side`` and ``patch`` in pixels.

    ``key_heads``: key and value heads of a decoder layer, each shared by ``heads / key_heads`` query heads.
    """

    side: int
    patch: int
    vision_width: int
    vision_inner: int
    vision_layers: int
    vision_heads: int
    width: int
    inner: int
    layers: int
    heads: int
    key_heads: int
    head_width: int

    @property
    def cells(self) -> int:
        """Patches along a side."""
        return self.side // self.patch

    @property
    def image_tokens(self) -> int:
        """Patches of a picture."""
        return self.cells**2


EMBEDDED_1 = Size(96, 16, 160, 480, 4, 8, 160, 416, 8, 8, 4, 24)
SIZES = {
    "small": Size(128, 16, 192, 512, 4, 8, 192, 512, 8, 16, 8, 16),
    "base": Size(160, 16, 384, 1024, 6, 12, 384, 1024, 10, 16, 8, 24),
}
SIDE, PATCH, IMAGE_TOKENS = EMBEDDED_1.side, EMBEDDED_1.patch, EMBEDDED_1.image_tokens
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
    texts += [w for table in (LESSON_WORDINGS, MORE, DECISIONS) for all_ in table.values() for w in all_]
    texts += CAPTIONS
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


def build_processor(size: Size = EMBEDDED_1) -> Any:
    """Processor of a model: resize to its side, scale to [-1, 1], chat template."""
    from transformers import LlavaProcessor
    from transformers.models.siglip import SiglipImageProcessorPil

    images = SiglipImageProcessorPil(
        size={"height": size.side, "width": size.side},
        resample=3,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
        do_convert_rgb=True,
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=build_tokenizer(),
        patch_size=size.patch,
        vision_feature_select_strategy="full",
        chat_template=TEMPLATE,
        image_token="<image>",
        num_additional_image_tokens=0,
    )


def build_config(tokenizer: Any, size: Size = EMBEDDED_1) -> Any:
    """Configuration of a LLaVA-type model of a size."""
    from transformers import LlamaConfig, LlavaConfig, SiglipVisionConfig

    vision = SiglipVisionConfig(
        hidden_size=size.vision_width,
        intermediate_size=size.vision_inner,
        num_hidden_layers=size.vision_layers,
        num_attention_heads=size.vision_heads,
        image_size=size.side,
        patch_size=size.patch,
        vision_use_head=False,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.width,
        intermediate_size=size.inner,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.key_heads,
        head_dim=size.head_width,
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
        image_seq_length=size.image_tokens,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=True,
    )
    config.pad_token_id, config.eos_token_id = tokenizer.pad_token_id, tokenizer.eos_token_id
    return config


def build_model(tokenizer: Any, seed: int = 0, size: Size = EMBEDDED_1) -> Any:
    """Untrained model, its weights a function of the seed."""
    import torch
    from transformers import LlavaForConditionalGeneration

    torch.manual_seed(seed)
    model = LlavaForConditionalGeneration(build_config(tokenizer, size))
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def save(model: Any, processor: Any, folder: Path) -> None:
    """Write an ordinary checkpoint folder; weights in float16, computed with in float32."""
    import torch

    from checkpoint_statements import state_image_backend

    state = {k: v.detach().to(torch.float16) for k, v in model.state_dict().items()}
    model.config.dtype = torch.float32
    model.save_pretrained(folder, state_dict=state, safe_serialization=True)
    processor.save_pretrained(folder)
    state_image_backend(folder, "pil")
