"""Checkpoint folders: what is in them, whether it can be loaded, and what identifies it."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from headscope.errors import ModelError, in_one_line, quoted
from headscope.models import other_formats
from headscope.models.library_messages import quiet
from headscope.models.revisions import revision

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_HUB_PAGE = re.compile(r"(?:https?://|hf://)?(?:huggingface\.co/|hf\.co/)?([\w.-]+/[\w.-]+)(?:/tree/\w+)?/?")
_PROCESSOR = ("preprocessor_config.json", "processor_config.json")
# What a tokenizer is made from; tokenizer_config.json alone makes none.
_TOKENIZER = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")
_FILES = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model", "*.tiktoken"]


def locate(name: str | Path) -> tuple[Path, str, str]:
    """Folder, display name and hub commit (empty for local ones) of a model.

    Only a name of the form org/name that is no local path may reach the network.

    Raises:
        ModelError: the name is none of "embedded", a folder, or a reachable hub id.
    """
    text = str(name)
    folder = local_folder(text)
    if folder is None:
        return _download(text)
    return folder, "embedded" if text == "embedded" else folder.resolve().name, ""


def local_folder(text: str) -> Path | None:
    """The folder of a model that is on this machine; None for a hub id.

    Raises:
        ModelError: the name is none of "embedded", a folder, or a possible hub id.
    """
    if text == "embedded":
        return _embedded()
    path = Path(text).expanduser()
    try:
        if text and path.is_dir():
            return path
        there = bool(text) and path.exists()
    except (OSError, ValueError):  # a name that no file can have
        path, there = Path(), False
    if there:
        other_formats.refuse_file(path)
    if _HUB_ID.fullmatch(text):
        return None
    page = _HUB_PAGE.fullmatch(text)
    near = f"; did you mean {page[1]}?" if page else _near(text, ["embedded", *_beside(path), *_cached()])
    raise ModelError(
        f'unknown model {quoted(text)}; possible are "embedded" (ships with headscope), the path of a '
        f"checkpoint folder (no such folder here), or a Hugging Face Hub id of the form org/name{near}"
    )


def _embedded() -> Path:
    try:
        from headscope.models.embedded import weights_folder
    except ImportError as exc:
        raise ModelError(
            "the embedded model is missing from this installation; install headscope again"
        ) from exc
    folder = Path(weights_folder())
    if not (folder / "config.json").is_file():
        raise ModelError(
            "the embedded model's weights are missing from this installation; install headscope again (in "
            "the repository, `python tools/train_embedded.py` trains them)"
        )
    return folder


def _near(asked: str, known: list[str]) -> str:
    """The known name that is most like the one asked for, as the end of a message; empty if none is."""
    ends = [n for n in known if n.rsplit("/", 1)[-1].lower() == asked.lower()]
    found = ends or get_close_matches(asked, known, n=1, cutoff=0.75)
    return f"; did you mean {found[0]}?" if found else ""


def _beside(path: Path) -> list[str]:
    """Folders beside a path that is not there."""
    parent = path.parent
    return [str(parent / p.name) for p in parent.iterdir() if p.is_dir()] if parent.is_dir() else []


def _cached() -> list[str]:
    """Names of the models in the hub's cache."""
    from huggingface_hub import constants

    return [p.name[8:].replace("--", "/") for p in Path(constants.HF_HUB_CACHE).glob("models--*--*")]


def _download(name: str) -> tuple[Path, str, str]:
    """Fetch a hub checkpoint, its configuration first: what is of no use is refused before it is fetched."""
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        first = Path(snapshot_download(name, allow_patterns=["config.json", other_formats.ADAPTER]))
        if (first / "config.json").is_file():
            check_config(first)
        if not constants.HF_HUB_OFFLINE:
            names = HfApi().list_repo_files(name)
            other_formats.refuse_names(name, names, first)
            if "config.json" not in names:
                raise ModelError(f"{name}: holds no config.json, so it is no checkpoint of transformers'")
            _check_names(name, names)
        folder = Path(snapshot_download(name, allow_patterns=_FILES))
    except (OSError, ValueError, HfHubHTTPError) as exc:
        raise ModelError(
            f"{name}: no folder of that name here, and {_why_not_fetched(exc)}{_near(name, _cached())}"
        ) from exc
    except Exception as exc:
        if isinstance(exc, ModelError) or not type(exc).__module__.startswith("httpx"):
            raise
        raise ModelError(
            f"{name}: the Hugging Face Hub cannot be reached ({exc}); give a local folder"
        ) from exc
    return folder, name, folder.name


def _why_not_fetched(exc: Exception) -> str:
    from huggingface_hub import constants, errors

    if isinstance(exc, errors.GatedRepoError):
        return (
            "as a Hugging Face Hub id it asks for consent to its terms; give it on the model's page, then: "
            "hf auth login"
        )
    if isinstance(exc, errors.RepositoryNotFoundError):
        return "the Hugging Face Hub has no such model, or a private one (then: hf auth login)"
    if constants.HF_HUB_OFFLINE:
        return (
            "it is not in the hub's cache, and HF_HUB_OFFLINE forbids to fetch it; check the name, unset "
            "HF_HUB_OFFLINE, or give a folder"
        )
    return (
        f"as a Hugging Face Hub id it could not be fetched: {in_one_line(exc)}; check the name and the "
        "network, or download the folder and give its path"
    )


def check_folder(folder: Path) -> Any:
    """Refuse what cannot be loaded, before any weight is read; returns the configuration.

    Raises:
        ModelError: parts are missing, truncated or pickled, or it is no vision-language model.
    """
    other_formats.refuse_folder(folder)
    config = check_config(folder)
    _check_names(str(folder), [p.name for p in folder.iterdir()])
    for file in _weights(folder):
        _check_complete(file)
    needed = {"processor": _PROCESSOR, "tokenizer": _TOKENIZER}
    missing = [
        f"{p} ({names[0]})" for p, names in needed.items() if not any((folder / n).is_file() for n in names)
    ]
    if missing:
        raise ModelError(
            f"{folder}: found no {' and no '.join(missing)}; get it from the model that this one was made "
            "from: hf download ORG/NAME --include '*process*' --include '*token*' --include '*template*' "
            f"--local-dir {folder}"
        )
    return config


def check_config(folder: Path) -> Any:
    """The configuration of a vision-language model that transformers itself can build.

    Raises:
        ModelError: no readable configuration, code of its own, an unknown or a text-only model.
    """
    from transformers import CONFIG_MAPPING, AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    file = folder / "config.json"
    if not file.is_file():
        raise ModelError(
            f"{folder}: found no config.json; expected a checkpoint folder as save_pretrained writes it"
        )
    try:
        raw = json.loads(file.read_text("utf-8"))
        kind = str(raw.get("model_type", ""))
    except (ValueError, AttributeError, OSError) as exc:
        raise ModelError(f"{file}: cannot be read as a model configuration: {exc}") from exc
    _refuse_enormous(file, raw)
    try:
        with quiet():
            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as exc:  # transformers raises many kinds here; each is a refusal
        said = other_formats.own_code(raw) or in_one_line(exc)
        if kind in CONFIG_MAPPING:
            raise ModelError(f"{file}: is no usable configuration of a {kind!r} model: {said}") from exc
        raise ModelError(
            f"{folder}: model type {kind!r} is unknown to the installed transformers: {said}"
        ) from exc
    if _foreign_parts(raw, config):
        raise ModelError(
            f"{folder}: is a {kind!r} model in another form than transformers': {other_formats.own_code(raw)}"
        )
    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise ModelError(
            f"{folder}: model type {kind!r} is not an image-text-to-text model; headscope needs a "
            "vision-language model that answers in text, such as LLaVA or Qwen2.5-VL"
        )
    return config


# No model has more; a configuration that says so would fill the memory before its weights are looked at.
_MOST = (
    (re.compile(r"(num_|n_)?(\w*_)?(layers?|depth|depths|blocks)"), 10_000),
    (
        re.compile(r"(num_|n_)(\w*_)?(heads|experts)|\w*(_dim|_size|_width|d_model|d_ff|n_embd|channels)"),
        10**7,
    ),
    (re.compile(r"vocab_size"), 10**8),
)


def _refuse_enormous(file: Path, raw: object) -> None:
    """Refuse a configuration whose numbers no model has, before anything is built of it.

    Raises:
        ModelError: names the field.
    """
    todo: list[tuple[str, object]] = [("", raw)]
    while todo:
        place, value = todo.pop()
        if isinstance(value, dict):
            todo += [(f"{place}.{k}".lstrip("."), v) for k, v in value.items()]
        elif isinstance(value, list):
            todo += [(place, v) for v in value if isinstance(v, dict | int)]
        elif isinstance(value, int) and not isinstance(value, bool):
            name = place.rpartition(".")[2]
            most = next((m for words, m in reversed(_MOST) if words.fullmatch(name)), None)
            if most is not None and value > most:
                raise ModelError(f"{file}: {place}: found {value:,}, expected at most {most:,}; refused")


def _foreign_parts(raw: Mapping[str, Any], config: Any) -> bool:
    """Whether a configuration with code of its own has parts of other types than transformers' form has."""
    if "auto_map" not in raw:
        return False
    parts = {p: raw[p].get("model_type") for p in config.sub_configs if isinstance(raw.get(p), dict)}
    return any(kind not in (None, type(getattr(config, part)).model_type) for part, kind in parts.items())


def _check_names(where: str, names: list[str]) -> None:
    """Weights must be there."""
    if not any(n.endswith(".safetensors") for n in names):
        raise ModelError(f"{where}: found no weights; expected *.safetensors beside config.json")


def _weights(folder: Path) -> list[Path]:
    """Safetensors files of a checkpoint; those that an index names must be there."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        found = sorted(folder.glob("*.safetensors"))
        if found and not (folder / "model.safetensors").is_file():
            raise ModelError(
                f"{folder}: found {found[0].name}, but neither model.safetensors nor {index.name}, "
                "which says what lies in which file; fetch the index too"
            )
        return found
    try:
        names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as exc:
        raise ModelError(f"{index}: cannot be read as an index of weights: {exc!r}") from exc
    missing = [n for n in names if not (folder / n).is_file()]
    if missing:
        raise ModelError(
            f"{folder}: {len(missing)} of {len(names)} weight files are missing, first {missing[0]}"
        )
    return [folder / n for n in names]


def _check_complete(file: Path) -> None:
    """A safetensors file says in its header how long it is."""
    size = file.stat().st_size
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(size, 100_000_000):
                raise ValueError(f"its header claims {length} bytes")
            header = json.loads(stream.read(length))
        other_formats.refuse_mlx(str(file), {}, header.get("__metadata__", {}))
        ends = [v["data_offsets"][1] for k, v in header.items() if k != "__metadata__"]
        expected = 8 + length + max(ends, default=0)
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ModelError(
            f"{file}: is not a safetensors file, or a damaged one ({exc}); fetch it again"
        ) from exc
    if size != expected:
        raise ModelError(
            f"{file}: is truncated or damaged: {size} bytes, its header says {expected}; fetch it again"
        )


def folder_revision(folder: Path) -> str:
    """What identifies a folder's content: 16 hex digits over configuration and weights, in order of names."""
    return revision([folder / "config.json", *_weights(folder)])
