"""Checkpoint folders: what is in them, whether it can be loaded, and what identifies it."""

from __future__ import annotations

import hashlib
import json
import re
import struct
from pathlib import Path
from typing import Any

from headscope.errors import ModelError

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")
_FILES = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model", "*.tiktoken"]


def locate(name: str | Path) -> tuple[Path, str, str]:
    """Folder, display name and hub commit (empty for local ones) of a model.

    Only a name of the form org/name that is no local path may reach the network.

    Raises:
        ModelError: the name is none of "embedded", a folder, or a reachable hub id.
    """
    text = str(name)
    if text == "embedded":
        return _embedded(), "embedded", ""
    path = Path(text).expanduser()
    if text and path.is_dir():
        return path, path.resolve().name, ""
    if text and path.exists():
        raise ModelError(f"{text}: is a file; expected the folder that holds config.json and *.safetensors")
    if _HUB_ID.fullmatch(text):
        return _download(text)
    raise ModelError(
        f'unknown model {text!r}; possible are "embedded" (ships with headscope), the path of a checkpoint '
        "folder (no such folder here), or a Hugging Face Hub id of the form org/name"
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


def _download(name: str) -> tuple[Path, str, str]:
    """Fetch a hub checkpoint, its configuration first: what is of no use is refused before it is fetched."""
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        config = Path(snapshot_download(name, allow_patterns=["config.json"]))
        if (config / "config.json").is_file():
            check_config(config)
        if not constants.HF_HUB_OFFLINE:
            _check_names(name, HfApi().list_repo_files(name))
        folder = Path(snapshot_download(name, allow_patterns=_FILES))
    except (OSError, ValueError, HfHubHTTPError) as exc:
        first = (str(exc).strip().splitlines() or [type(exc).__name__])[0]
        raise ModelError(
            f"{name}: no folder of that name here, and as a Hugging Face Hub id it could not be fetched: "
            f"{first}; check the name and the network, or download the folder and give its path"
        ) from exc
    except Exception as exc:
        if isinstance(exc, ModelError) or not type(exc).__module__.startswith("httpx"):
            raise
        raise ModelError(
            f"{name}: the Hugging Face Hub cannot be reached ({exc}); give a local folder"
        ) from exc
    return folder, name, folder.name


def check_folder(folder: Path) -> Any:
    """Refuse what cannot be loaded, before any weight is read; returns the configuration.

    Raises:
        ModelError: parts are missing, truncated or pickled, or it is no vision-language model.
    """
    config = check_config(folder)
    _check_names(str(folder), [p.name for p in folder.iterdir()])
    for file in _weights(folder):
        _check_complete(file)
    if not any((folder / n).is_file() for n in ("preprocessor_config.json", "processor_config.json")):
        raise ModelError(
            f"{folder}: found no preprocessor_config.json or processor_config.json; headscope needs the "
            "processor that the model was trained with; copy it from where the model came from"
        )
    if not any(
        (folder / n).is_file() for n in ("tokenizer.json", "tokenizer.model", "tokenizer_config.json")
    ):
        raise ModelError(
            f"{folder}: found no tokenizer (tokenizer.json); copy it from where the model came from"
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
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as exc:  # transformers raises many kinds here; each is a refusal
        said = (str(exc).strip().splitlines() or [type(exc).__name__])[0]
        if kind in CONFIG_MAPPING:
            raise ModelError(f"{file}: is no usable configuration of a {kind!r} model: {said}") from exc
        own = "it brings its own code, which headscope never runs" if "auto_map" in raw else said
        raise ModelError(
            f"{folder}: model type {kind!r} is unknown to the installed transformers: {own}"
        ) from exc
    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise ModelError(
            f"{folder}: model type {kind!r} is not an image-text-to-text model; headscope needs a "
            "vision-language model that answers in text, such as LLaVA or Qwen2.5-VL"
        )
    return config


def _check_names(where: str, names: list[str]) -> None:
    """Weights must be there, and as safetensors."""
    if any(n.endswith(".safetensors") for n in names):
        return
    pickles = sorted(n for n in names if n.endswith(_PICKLES))
    if pickles:
        raise ModelError(
            f"{where}: weights only as {pickles[0]}, a format that can run code when it is read; headscope "
            "reads safetensors only; convert it with save_pretrained, or look for a safetensors revision"
        )
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


def revision(folder: Path) -> str:
    """Sixteen hex digits of SHA-256 over configuration and weights, file by file in the order of their
    names."""
    digest = hashlib.sha256()
    for file in [folder / "config.json", *_weights(folder)]:
        digest.update(f"{file.name}:{file.stat().st_size}\n".encode())
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 22):
                digest.update(chunk)
    return digest.hexdigest()[:16]
