"""Processors without torchvision: the image processor's PIL form, and no video processor where that needs
it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headscope.errors import ModelError


def load_processor(folder: Path, config: Any) -> Any:
    """A model's processor, padding left, images read with PIL.

    Raises:
        ModelError: the folder's processor files cannot be used.
    """
    from transformers import AutoProcessor
    from transformers.utils import is_torchvision_available

    try:
        if not is_torchvision_available() and "video_processor" in _attributes(config):
            processor = _without_video(folder, config)
        else:
            processor = AutoProcessor.from_pretrained(
                folder, backend="pil", local_files_only=True, trust_remote_code=False
            )
    except Exception as exc:  # transformers raises many kinds here; each means the same to the user
        first = (str(exc).strip().splitlines() or [type(exc).__name__])[0]
        raise ModelError(f"{folder}: its processor cannot be loaded: {first}") from exc
    if not hasattr(processor, "tokenizer") or not hasattr(processor, "image_processor"):
        raise ModelError(f"{folder}: {type(processor).__name__} is not a processor of text and images")
    tokenizer = processor.tokenizer
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"{folder}: {type(tokenizer).__name__} does not say which characters a token stands for; "
            "tokenizer.json needed"
        )
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return processor


def _class(config: Any) -> Any:
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

    return PROCESSOR_MAPPING.get(type(config), None)


def _attributes(config: Any) -> list[str]:
    kind = _class(config)
    return list(kind.get_attributes()) if kind is not None else []


def _without_video(folder: Path, config: Any) -> Any:
    """The family's processor with images and text only; its video part alone would need torchvision."""
    from transformers import AutoImageProcessor, AutoTokenizer

    family = _class(config)

    def check(self: Any, name: str, argument: Any) -> Any:
        if name == "video_processor" and argument is None:
            return None
        return family.check_argument_for_proper_class(self, name, argument)

    kind = type(family.__name__, (family,), {"check_argument_for_proper_class": check})
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    images = AutoImageProcessor.from_pretrained(folder, backend="pil", **options)
    template = folder / "chat_template.jinja"
    chat = template.read_text("utf-8") if template.is_file() else tokenizer.chat_template
    return kind(image_processor=images, tokenizer=tokenizer, video_processor=None, chat_template=chat)
