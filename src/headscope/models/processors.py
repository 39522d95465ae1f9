"""A model's processor of pictures and text: read with torchvision or with PIL, and never its video part."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from headscope.errors import ModelError, in_one_line
from headscope.models.library_messages import quiet

IMAGE_BACKENDS = ("auto", "pil", "torchvision")
# The one processor class that names torchvision although its image processor has a PIL form.
_PIXTRAL = "PixtralProcessor"
_INSTALL = "pip install torchvision"
# Mistral's VLMs were published with a tokenizer that splits words by a false pattern; transformers puts it
# right where it is told to, and leaves alone what transformers 5 has written.
_MENDED = {"fix_mistral_regex": True}
_MISTRAL = ("mistral3", "pixtral")
# Files that may name the processor's class, in the order in which transformers asks them.
_NAMING = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json", "config.json")


def load_processor(folder: Path, config: Any, image_backend: str = "auto") -> Any:
    """A model's processor of pictures and text, padding left.

    Its video part is left out: headscope asks about pictures, and that part needs torchvision.

    Args:
        folder: the checkpoint folder.
        config: the model's configuration.
        image_backend: one of ``IMAGE_BACKENDS``; "auto" is what the folder states (``image_backend``
            in processor_config.json), else what transformers itself takes: torchvision where it is installed
            and the family has that form, else PIL.

    Raises:
        ModelError: the folder's processor files cannot be used, or not with that image backend here.
    """
    if image_backend == "auto":
        image_backend = _stated(folder)
    kind = _class(folder, config)
    try:
        with quiet():
            words = _MENDED if config.model_type in _MISTRAL else {}
            processor = _without_video(folder, kind, image_backend, words)
    except ModelError:
        raise
    except Exception as exc:  # transformers raises many kinds here; each means the same to the user
        raise ModelError(f"{folder}: its processor cannot be loaded: {in_one_line(exc)}") from exc
    processor = prepared(processor, str(folder))
    found = image_backend_of(processor)
    if image_backend not in ("auto", found):
        raise ModelError(
            f"{folder}: asked for image backend {image_backend!r}; "
            f"{type(processor.image_processor).__name__} of family {config.model_type!r} exists only with "
            f"{found}; leave the option out"
        )
    return processor


def prepared(processor: Any, where: str) -> Any:
    """The processor, changed to pad left with a token that is there.

    Raises:
        ModelError: it reads no text or no images, or its tokens cannot be traced back to characters.
    """
    if not hasattr(processor, "tokenizer") or not hasattr(processor, "image_processor"):
        raise ModelError(f"{where}: {type(processor).__name__} is not a processor of text and images")
    if "text" not in inspect.signature(type(processor).__call__).parameters:
        raise ModelError(
            f"{where}: {type(processor).__name__} takes a picture and no question; not supported"
        )
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


def image_backend_of(processor: Any) -> str:
    """What a processor turns pictures into numbers with: ``torchvision`` or ``pil``."""
    return "torchvision" if getattr(processor.image_processor, "backend", "") == "torchvision" else "pil"


def _stated(folder: Path) -> str:
    """The image backend that a folder states, "auto" if none.

    Raises:
        ModelError: one that does not exist, or not here.
    """
    stated = next(iter(_settings(folder, "image_backend", _NAMING[:1])), "auto")
    try:
        check_image_backend(stated)
    except ModelError as exc:
        raise ModelError(f"{folder}/processor_config.json: {exc}") from exc
    return stated


def check_image_backend(name: str) -> None:
    """Refuse an image backend that does not exist, or not here.

    Raises:
        ModelError: no such backend, or torchvision is not installed.
    """
    from transformers.utils import is_torchvision_available

    if name not in IMAGE_BACKENDS:
        raise ModelError(f"asked for image backend {name!r}; there are: {', '.join(IMAGE_BACKENDS)}")
    if name == "torchvision" and not is_torchvision_available():
        raise ModelError(f"asked for image backend 'torchvision', which is not installed: {_INSTALL}")


def _class(folder: Path, config: Any) -> Any:
    """The processor class that the folder names, else the family's own.

    Raises:
        ModelError: there is none, or none here.
    """
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING, processor_class_from_name
    from transformers.utils import is_torchvision_available

    names = [name for name in _settings(folder, "processor_class") if isinstance(name, str)]
    own = any("AutoProcessor" in code for code in _settings(folder, "auto_map") if isinstance(code, dict))
    if names and own and processor_class_from_name(names[0]) is None:
        raise ModelError(
            f"{folder}: its processor {names[0]} is unknown to the installed transformers: it brings its own "
            "code, which headscope never runs"
        )
    kind = next((k for n in names if (k := processor_class_from_name(n)) is not None), None)
    kind = kind or PROCESSOR_MAPPING.get(type(config), None)
    if kind is None:
        raise ModelError(
            f"{folder}: names no processor that transformers knows for family {config.model_type!r}; copy "
            "processor_config.json from where the model came from"
        )
    return kind if is_torchvision_available() else _without_torchvision(folder, config, kind)


def _settings(folder: Path, key: str, names: tuple[str, ...] = _NAMING) -> list[Any]:
    """What a folder's files say under a key, in their order; those that say nothing are left out."""
    found = []
    for name in names:
        try:
            found.append(json.loads((folder / name).read_text("utf-8")).get(key))
        except (OSError, ValueError, AttributeError):  # what cannot be read is refused where it is needed
            continue
    return [value for value in found if value is not None]


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
            f"{folder}: {needing} of family {config.model_type!r} exists only with torchvision: {_INSTALL}"
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


class _NoVideo(dict[str, None]):
    """In the place of a processor's video part: takes no input, and every setting of it is None.

    A dictionary, since transformers writes a processor's parts out as JSON.
    """

    model_input_names: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):  # what Python itself asks for
            raise AttributeError(name)


def _without_video(folder: Path, family: Any, image_backend: str, words: Mapping[str, Any]) -> Any:
    """The family's processor with pictures and text (and sound) only.

    Args:
        words: options of its tokenizer.
    """
    from transformers import AutoImageProcessor

    names: list[str] = list(family.get_attributes())
    own = ("image_processor", "video_processor")

    class Rest(family):
        """What transformers loads of the other parts, in its own way."""

        @classmethod
        def get_attributes(cls) -> list[str]:
            return [name for name in names if name not in own]

    def check(self: Any, name: str, argument: Any) -> Any:
        if isinstance(argument, _NoVideo):
            return _NoVideo
        return family.check_argument_for_proper_class(self, name, argument)

    def parts(_cls: Any, where: Any, *given: Any, **options: Any) -> list[Any]:
        rest = iter(Rest._get_arguments_from_pretrained(where, *given, **options, **words))
        chosen = {} if image_backend == "auto" else {"backend": image_backend}
        made = {
            "image_processor": lambda: AutoImageProcessor.from_pretrained(where, **options, **chosen),
            "video_processor": _NoVideo,
        }
        return [made[name]() if name in made else next(rest) for name in names]

    methods = {"check_argument_for_proper_class": check, "_get_arguments_from_pretrained": classmethod(parts)}
    Rest.__name__ = family.__name__  # transformers loads some families' tokenizers by the class's name
    # Through from_pretrained, which reads the processor's own settings (tokens a tile, ...) and template.
    kind: Any = type(family.__name__, (family,), methods)
    return kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
