"""Processors without torchvision: the image processor's PIL form, and no video processor where that needs
it."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from headscope.errors import ModelError, in_one_line

# The one processor class that names torchvision although its image processor has a PIL form.
_PIXTRAL = "PixtralProcessor"


def load_processor(folder: Path, config: Any) -> Any:
    """A model's processor, padding left, images read with PIL.

    Raises:
        ModelError: the folder's processor files cannot be used.
    """
    from transformers import AutoProcessor
    from transformers.utils import is_torchvision_available

    kind = _class(folder, config)
    try:
        if not is_torchvision_available():
            kind = _without_torchvision(folder, config, kind)
        if not is_torchvision_available() and (
            "video_processor" in _attributes(kind) or kind.__name__ == _PIXTRAL
        ):
            processor = _of_parts(folder, kind)
        else:
            processor = AutoProcessor.from_pretrained(
                folder, backend="pil", local_files_only=True, trust_remote_code=False
            )
    except ModelError:
        raise
    except Exception as exc:  # transformers raises many kinds here; each means the same to the user
        raise ModelError(f"{folder}: its processor cannot be loaded: {in_one_line(exc)}") from exc
    return prepared(processor, str(folder))


def prepared(processor: Any, where: str) -> Any:
    """The processor, changed to pad left with a token that is there.

    Raises:
        ModelError: it reads no text or no images, or its tokens cannot be traced back to characters.
    """
    if not hasattr(processor, "tokenizer") or not hasattr(processor, "image_processor"):
        raise ModelError(f"{where}: {type(processor).__name__} is not a processor of text and images")
    tokenizer = processor.tokenizer
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"{where}: {type(tokenizer).__name__} does not say which characters a token stands for; "
            "tokenizer.json needed"
        )
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return processor


def _class(folder: Path, config: Any) -> Any:
    """The family's processor class: by its configuration, else the one that the folder names."""
    import transformers
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING, PROCESSOR_MAPPING_NAMES

    if (known := PROCESSOR_MAPPING.get(type(config), None)) is not None:
        return known
    for name in ("processor_config.json", "preprocessor_config.json"):
        try:
            named = json.loads((folder / name).read_text("utf-8")).get("processor_class")
        except (OSError, ValueError, AttributeError):
            continue
        if named in PROCESSOR_MAPPING_NAMES.values():
            return getattr(transformers, named)
    return None


def _without_torchvision(folder: Path, config: Any, kind: Any) -> Any:
    """The processor class; families whose pictures transformers reads with torchvision alone are refused.

    Raises:
        ModelError: the processor or its image processor has no form without torchvision.
    """
    from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES

    forms = IMAGE_PROCESSOR_MAPPING_NAMES.get(str(config.model_type)) or {}
    needing = next((str(v) for v in forms.values()), "") if forms and "pil" not in forms else ""
    if "torchvision" in (getattr(kind, "_backends", None) or ()):
        if kind.__name__ == _PIXTRAL and not needing:
            return _pixtral()
        needing = str(kind.__name__)
    if needing:
        raise ModelError(
            f"{folder}: {needing} of family {config.model_type!r} exists only with torchvision, which "
            "headscope does without; not supported"
        )
    return kind


def _pixtral() -> Any:
    """Pixtral's processor class, imported without torchvision.

    Its module takes one function, the size of a resized picture, from the torchvision image processor's
    module; the PIL image processor's has the same one.
    """
    place = "transformers.models.pixtral."
    wanted = place + "image_processing_pixtral"
    sys.modules[wanted] = import_module(place + "image_processing_pil_pixtral")
    try:
        return getattr(import_module(place + "processing_pixtral"), _PIXTRAL)
    finally:
        del sys.modules[wanted]


def _attributes(kind: Any) -> list[str]:
    return list(kind.get_attributes()) if kind is not None else []


def _of_parts(folder: Path, family: Any) -> Any:
    """The family's processor with images (by PIL) and text only; its video part alone needs torchvision."""

    def check(self: Any, name: str, argument: Any) -> Any:
        if name == "video_processor" and argument is None:
            return None
        return family.check_argument_for_proper_class(self, name, argument)

    def parts(cls: Any, where: Any, _settings: Any = None, **options: Any) -> list[Any]:
        return [_part(name, where, options) for name in cls.get_attributes()]

    own = {"check_argument_for_proper_class": check, "_get_arguments_from_pretrained": classmethod(parts)}
    kind = type(family.__name__, (family,), own)
    # Through from_pretrained, which reads the processor's own settings (tokens a tile, ...) and template.
    return kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False)  # type: ignore[attr-defined]


def _part(name: str, folder: Any, options: dict[str, Any]) -> Any:
    """One part of a processor; no video part."""
    from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoTokenizer

    if name == "video_processor":
        return None
    if name == "tokenizer":
        return AutoTokenizer.from_pretrained(folder, **options)
    if name == "feature_extractor":
        return AutoFeatureExtractor.from_pretrained(folder, **options)
    return AutoImageProcessor.from_pretrained(folder, **{**options, "backend": "pil"})
