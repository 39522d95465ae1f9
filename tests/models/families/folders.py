"""Ordinary checkpoint folders of many families, made offline: a small random model, a tokenizer trained in
place, an image processor and a chat template, as a published folder holds them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from tiny import LLAVA_TEMPLATE, QWEN_TEMPLATE, _save, make_tokenizer, tiny_llava, tiny_qwen25vl

QWEN_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
IDEFICS_TEMPLATE = (
    "<|begin_of_text|>{% for m in messages %}{{ m['role'] | capitalize }}"
    "{{ ':' if m['content'][0]['type'] == 'image' else ': ' }}"
    "{% for c in m['content'] %}{{ c['text'] if c['type'] == 'text' else '<image>' }}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)
GEMMA_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ '<start_of_turn>' }}"
    "{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] | trim }}{% else %}{% for c in m['content'] %}"
    "{{ c['text'] | trim if c['type'] == 'text' else '<start_of_image>' }}{% endfor %}{% endif %}"
    "<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
LLAMA_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for c in m['content'] %}"
    "{{ c['text'] if c['type'] == 'text' else '<|image|>' }}{% endfor %}{% endif %}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
INST_TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'user' %}[INST] {% for c in m['content'] %}"
    "{{ c['text'] if c['type'] == 'text' else '<image>\n' }}{% endfor %} [/INST]"
    "{% else %} {{ m['content'][0]['text'] }}{{ eos_token }}{% endif %}{% endfor %}"
)
THINKING_TEMPLATE = QWEN_TEMPLATE.replace(
    "{{ '<|im_start|>assistant\n' }}{% endif %}",
    "{{ '<|im_start|>assistant\n' }}{% if enable_thinking is defined and not enable_thinking %}"
    "{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}",
)


class Parts(NamedTuple):
    """What a folder is written from; ``options`` are the processor's own settings."""

    config: Any
    tokenizer: Any
    images: Any
    processor: str
    template: str | None
    options: dict[str, Any] | None = None


def tokenizer_of(specials: tuple[str, ...], bos: str | None = None, **named: str) -> Any:
    """A tokenizer trained in place; ``named`` special tokens become its attributes (image_token, ...)."""
    from transformers import PreTrainedTokenizerFast

    known = list(dict.fromkeys([*specials, *named.values(), *([bos] if bos else [])]))
    base = make_tokenizer(known)
    return PreTrainedTokenizerFast(
        tokenizer_object=base.backend_tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        bos_token=bos,
        extra_special_tokens=named or ["<|im_start|>", *known],
        padding_side="left",
    )


def text(tokenizer: Any, **more: Any) -> dict[str, Any]:
    """Settings of a small decoder: 2 layers, 4 heads over 2 key-value heads."""
    return {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096,
        "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id, "tie_word_embeddings": False, **more,
    }  # fmt: skip


def vision(**more: Any) -> dict[str, Any]:
    """Settings of a small vision tower: 2 layers, 2 heads, 4 x 4 patches of 8 pixels."""
    return {
        "hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": 32, "patch_size": 8, **more,
    }  # fmt: skip


def token(tokenizer: Any, name: str) -> int:
    """Id of a special token."""
    return int(tokenizer.convert_tokens_to_ids(name))


FAMILIES: dict[str, Callable[[], Parts]] = {}


def family(name: str) -> Callable[[Callable[[], Parts]], Callable[[], Parts]]:
    """Enter a family's parts in the table."""

    def enter(make: Callable[[], Parts]) -> Callable[[], Parts]:
        FAMILIES[name] = make
        return make

    return enter


def family_folder(name: str, path: Path, seed: int = 0) -> Path:
    """Write a tiny random checkpoint folder of a family; ``headscope.load_model`` takes it.

    Args:
        name: model type in transformers' words; any of ``FAMILIES``, ``llava`` or ``qwen2_5_vl``.
        path: the folder, made if it is not there.
    """
    from transformers import AutoModelForImageTextToText

    import models.families.kinds
    import models.families.kinds_encoders
    import models.families.kinds_surveyed
    import models.families.kinds_torchvision  # noqa: F401  (all fill the table)

    made = {"llava": tiny_llava, "qwen2_5_vl": tiny_qwen25vl}.get(name)
    if made is not None:
        return made(path, seed)
    path.mkdir(parents=True, exist_ok=True)
    parts = FAMILIES[name]()
    torch.manual_seed(seed)
    model = AutoModelForImageTextToText.from_config(parts.config).float()
    open_gates(model)
    parts.tokenizer.save_pretrained(path)
    parts.images.save_pretrained(path)
    write_json(path / "processor_config.json", {"processor_class": parts.processor, **(parts.options or {})})
    kind = type(parts.images).__name__.removesuffix("Pil")
    raw = json.loads((path / "preprocessor_config.json").read_text("utf-8"))
    write_json(
        path / "preprocessor_config.json",
        {**raw, "processor_class": parts.processor, "image_processor_type": kind},
    )
    if parts.template is not None:
        (path / "chat_template.jinja").write_text(parts.template, "utf-8")
    return _save(model, path, parts.tokenizer)


def skip_unless_readable(name: str) -> None:
    """Skip a test of a family whose pictures only torchvision reads, where that is not installed."""
    from transformers.utils import is_torchvision_available

    from models.families.kinds_torchvision import TORCHVISION_ONLY

    if name in TORCHVISION_ONLY and not is_torchvision_available():
        pytest.skip("torchvision is not installed")


def open_gates(model: Any) -> None:
    """Give what starts at or next to zero (gates, some projectors) random values, or the picture would not
    matter."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            if float(value.abs().max()) < 1e-6 and "bias" not in name:
                value.normal_(0.0, 0.5)


def write_json(file: Path, value: dict[str, Any]) -> None:
    """Write settings as published folders hold them."""
    file.write_text(json.dumps(value, indent=2), "utf-8")


def chatml(picture: str) -> str:
    """A ChatML template with a picture's text before the question."""
    return LLAVA_TEMPLATE.replace("'<image>\n'", repr(picture).replace("\\n", "\n"))
