"""Small random checkpoints, processors and tokenizers included, made offline: what tests run on.

Weights are noise; shapes are as awkward as in real models: head width is not hidden size / heads, key-value
heads are grouped, vocabularies are trained in place, pictures are not square.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch

_TEXT = [
    "Is the dog facing the horse? Where in the picture is the red car? How many sheep are there?",
    "yes no true false left right above below top bottom center one two three four five six seven eight",
    "Which way does the cat look? What colour is the letter A? Which thing is nearer to the tree?",
    "top left top right bottom left bottom right middle blue green yellow purple orange small large",
    "USER: ASSISTANT: user assistant system You are a helpful assistant. The quick brown fox",
]

LLAVA_TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}{{ '<image>\n' }}{% else %}{{ c['text'] }}{% "
    "endif %}"
    "{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
QWEN_TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful "
    "assistant.<|im_end|>\n' }}{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}{{ "
    "'<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def make_tokenizer(specials: list[str], vocabulary: int = 420) -> Any:
    """A byte-level BPE tokenizer trained on a few sentences, padding left."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>", *specials],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(_TEXT, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>", *specials],
        padding_side="left",
    )


def _folder(folder: str | Path | None, name: str) -> Path:
    path = Path(folder) if folder is not None else Path(tempfile.mkdtemp(prefix="headscope-")) / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def _save(model: Any, folder: Path, tokenizer: Any) -> Path:
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    with torch.no_grad():  # norms and biases as varied as trained ones, so that a forgotten one shows
        for name, value in model.named_parameters():
            if value.ndim == 1:
                value.add_(torch.randn_like(value) * 0.1)
            elif "vision" not in name and "visual" not in name:
                value.mul_(4.0)
    model.save_pretrained(folder, safe_serialization=True)
    return folder


def tiny_llava(folder: str | Path | None = None, seed: int = 0, dtype: str = "float32") -> Path:
    """A LLaVA-class checkpoint folder.

    SigLIP tower of 2 x 2 heads, 9 image tokens; Qwen3 decoder of 3 x 4 heads of width 12 (hidden size 32),
    2 key-value heads, normed q and k.
    """
    from transformers import (
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        Qwen3Config,
        SiglipImageProcessorPil,
        SiglipVisionConfig,
    )

    path = _folder(folder, "tiny-llava")
    tokenizer = make_tokenizer(["<image>"])
    vision = SiglipVisionConfig(
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=24,
        patch_size=8,
    )
    vision.vision_use_head = False
    text = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=12,
        max_position_embeddings=512,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        image_seq_length=9,
        tie_word_embeddings=False,
    )
    torch.manual_seed(seed)
    model = LlavaForConditionalGeneration(config).to(getattr(torch, dtype))
    processor = LlavaProcessor(
        image_processor=SiglipImageProcessorPil(size={"height": 24, "width": 24}),
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="full",
        chat_template=LLAVA_TEMPLATE,
    )
    processor.save_pretrained(path)
    return _save(model, path, tokenizer)


def tiny_qwen25vl(folder: str | Path | None = None, seed: int = 0) -> Path:
    """A Qwen2.5-VL-class checkpoint folder.

    Dynamic resolution, four patches merged to a token; decoder of 2 x 4 heads of width 8, 2 key-value heads.
    """
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2VLImageProcessorPil

    path = _folder(folder, "tiny-qwen25vl")
    specials = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    tokenizer = make_tokenizer(specials)
    ids = {s: tokenizer.convert_tokens_to_ids(s) for s in specials}
    config = Qwen2_5_VLConfig(
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": 4,
            "spatial_merge_size": 2, "temporal_patch_size": 2,
            "window_size": 16, "fullatt_block_indexes": [1],
            "out_hidden_size": 32,
        },
        text_config={
            "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 1024,
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0},
            "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": None,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(config)
    images = Qwen2VLImageProcessorPil(
        patch_size=4,
        merge_size=2,
        temporal_patch_size=2,
        size={"shortest_edge": 16 * 16, "longest_edge": 40 * 40},
    )
    tokenizer.chat_template = QWEN_TEMPLATE
    tokenizer.save_pretrained(path)
    images.save_pretrained(path)
    _write_processor_class(path, "Qwen2_5_VLProcessor")
    (path / "chat_template.jinja").write_text(QWEN_TEMPLATE, "utf-8")
    return _save(model, path, tokenizer)


def _write_processor_class(folder: Path, name: str) -> None:
    """Published Qwen folders name their processor in preprocessor_config.json."""
    import json

    file = folder / "preprocessor_config.json"
    raw = json.loads(file.read_text("utf-8"))
    raw["processor_class"] = name
    raw["image_processor_type"] = "Qwen2VLImageProcessor"
    file.write_text(json.dumps(raw, indent=2), "utf-8")
