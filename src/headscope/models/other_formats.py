"""What people give instead of a checkpoint folder: recognised by its files and refused with advice."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from headscope.errors import ModelError
from headscope.records import JsonObject

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")
ADAPTER = "adapter_config.json"
# What is read of a folder, by ending.
_READ = (".json", ".safetensors", ".jinja", ".txt", ".model", ".tiktoken")
_ORIGINAL = (
    "download the model in transformers' form instead (config.json, model*.safetensors); its page on the hub "
    "holds it beside this one, or under a name that ends in -hf"
)
# Model types of published code -> a checkpoint of the same family in transformers' own form.
_OWN_FORMS = {
    "internvl_chat": "OpenGVLab/InternVL3-1B-hf (the others' names end in -hf as well)",
    "florence2": "florence-community/Florence-2-base",
    "llava_llama": "llava-hf/llava-1.5-7b-hf",
    "llava_mistral": "llava-hf/llava-v1.6-mistral-7b-hf",
    "llava_qwen": "llava-hf/llava-onevision-qwen2-7b-ov-hf",
    "multi_modality": "deepseek-community/deepseek-vl-1.3b-chat",
    "ovis": "thisisiron/Ovis2-1B-hf",
}


def refuse_file(path: Path) -> None:
    """Refuse a single file, by what it is.

    Raises:
        ModelError: always.
    """
    refuse_names(str(path), [path.name], path.parent)
    where = path.parent if path.parent.name else path.parent.resolve()
    raise ModelError(
        f"{path}: is a file; give the folder that holds config.json and *.safetensors"
        + (f": {where}" if (where / "config.json").is_file() else "")
    )


def refuse_folder(folder: Path) -> None:
    """Refuse a folder that holds something else than a checkpoint with safetensors.

    Raises:
        ModelError: another format; git-lfs pointers; an adapter; a folder around checkpoints.
    """
    files = sorted(p for p in folder.iterdir() if p.is_file())
    pointers = [p.name for p in files if p.suffix in _READ and _is_pointer(p)]
    if pointers:
        more = f" (and {len(pointers) - 1} more)" if len(pointers) > 1 else ""
        raise ModelError(
            f"{folder}: {pointers[0]}{more} is a git-lfs pointer, not the file itself; fetch what it stands "
            f"for: git -C {folder} lfs pull"
        )
    names = [p.name for p in files]
    if "config.json" not in names and ADAPTER not in names:
        _refuse_outer(folder)
    refuse_names(str(folder), [*names, *(f"onnx/{p.name}" for p in folder.glob("onnx/*.onnx"))], folder)


def _is_pointer(file: Path) -> bool:
    if file.stat().st_size > 1024:
        return False
    return file.read_bytes().startswith(b"version https://git-lfs.github.com/")


def refuse_names(where: str, names: Iterable[str], folder: Path) -> None:
    """Refuse what the names of the files tell: a folder's, a single file's or a hub repository's.

    Args:
        where: what the message begins with.
        names: paths inside the folder or repository.
        folder: where config.json and adapter_config.json are, if they are.

    Raises:
        ModelError: an adapter, or weights in another format than safetensors.
    """
    names = sorted(names)
    top = [n for n in names if "/" not in n]
    others = ("adapter_", "consolidated")
    weights = [n for n in top if n.endswith(".safetensors") and not n.startswith(others)]
    whole = "config.json" in top and bool(weights)
    if ADAPTER in top:
        _refuse_adapter(where, folder, whole)
    if whole:
        refuse_mlx(where, read_settings(folder / "config.json"), {})
        return
    for (start, end), what, advice in _FORMATS:
        found = [n for n in names if PurePosixPath(n).name.startswith(start) and n.endswith(end)]
        if found:
            raise ModelError(f"{where}: found {found[0]}, {what}, which headscope does not read; {advice}")
    if found := [n for n in top if n.endswith(PICKLES)]:
        raise ModelError(
            f"{where}: weights only as {found[0]}, a format that can run code when it is read; headscope "
            "reads safetensors only; convert it with save_pretrained, or look for a safetensors revision"
        )


# (beginning and end of a file's name), what it is, what to do.
_FORMATS: tuple[tuple[tuple[str, str], str, str], ...] = (
    (
        ("", ".gguf"),
        "weights of llama.cpp (GGUF)",
        "give the checkpoint that they were made from (its page names it as base model), with "
        "--quantization 4bit if memory is short",
    ),
    (
        ("model_index", ".json"),
        "a diffusers pipeline",
        "it makes pictures; give a vision-language model, which answers in text",
    ),
    (("consolidated", ".safetensors"), "weights in their maker's own form", _ORIGINAL),
    (("consolidated", ".pth"), "pickled weights in their maker's own form", _ORIGINAL),
    (("params", ".json"), "settings in their maker's own form", _ORIGINAL),
    (("", ".onnx"), "an ONNX export", "give the checkpoint that it was exported from"),
    (("weights", ".npz"), "weights of MLX", "give the checkpoint that they were made from"),
)


def _refuse_outer(folder: Path) -> None:
    """A folder whose subfolders are the checkpoints: a hub cache, a training run, one folder too high."""
    inner = sorted(p for p in folder.iterdir() if p.is_dir())
    snapshots = sorted((folder / "snapshots").glob("*/config.json"))
    if snapshots:
        name = "/".join(folder.name.split("--")[1:]) or folder.name
        raise ModelError(
            f"{folder}: is a folder of the hub's cache; give the model's name, {name} (it is read from the "
            f"cache, without network too), or the snapshot's folder, {snapshots[-1].parent}"
        )
    cached = [p for p in inner if p.name.startswith("models--") and (p / "snapshots").is_dir()]
    if cached:
        names = ", ".join("/".join(p.name.split("--")[1:]) for p in cached[:3])
        raise ModelError(f"{folder}: is the hub's cache; give the name of a model in it, such as {names}")
    holding = [p for p in inner if (p / "config.json").is_file() or (p / ADAPTER).is_file()]
    if holding and not (folder / "model_index.json").is_file():
        names = ", ".join(str(p) for p in holding[:3])
        raise ModelError(f"{folder}: holds no checkpoint itself; its subfolders do: give one, as in {names}")


def _refuse_adapter(where: str, folder: Path, full: bool) -> None:
    settings = read_settings(folder / ADAPTER)
    kind = str(settings.get("peft_type") or "PEFT")
    base = str(settings.get("base_model_name_or_path") or "a model that adapter_config.json does not name")
    if full:
        raise ModelError(
            f"{where}: holds a whole model and beside it an adapter ({kind} of {base}), and headscope does "
            f"not guess which is meant; move {ADAPTER} and adapter_model.safetensors away to load the model"
        )
    raise ModelError(
        f"{where}: is an adapter ({kind}) of {base}, not a whole model; merge the two and load the result: "
        f"headscope models merge {where} --out FOLDER"
    )


def refuse_mlx(where: str, settings: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """Refuse weights that were converted for Apple's MLX: safetensors too, in another layout.

    Args:
        where: what the message begins with.
        settings: the content of config.json.
        metadata: what a file of weights says of itself, if that is known.

    Raises:
        ModelError: so they are.
    """
    packed = settings.get("quantization")
    if metadata.get("format") == "mlx" or (isinstance(packed, dict) and {"bits", "group_size"} <= {*packed}):
        raise ModelError(
            f"{where}: was converted for MLX, which headscope does not read; give the checkpoint that it was "
            "made from"
        )


def own_code(settings: Mapping[str, Any]) -> str:
    """What to say of a configuration that is written for code of its authors' own; empty if it is not."""
    from transformers import CONFIG_MAPPING

    kind = str(settings.get("model_type", ""))
    form = f"transformers' own form of such a model is {_OWN_FORMS[kind]}" if kind in _OWN_FORMS else ""
    if "auto_map" in settings:
        return f"it brings its own code, which headscope never runs{'; ' if form else ''}{form}"
    return form if kind not in CONFIG_MAPPING else ""


@contextmanager
def naming_own_code(folder: Path) -> Iterator[None]:
    """Within, what fails on a folder that brings code of its own says so too: the likely cause.

    Raises:
        ModelError: what was raised, and that.
    """
    try:
        yield
    except ModelError as exc:
        own = own_code(read_settings(folder / "config.json"))
        if not own or own in str(exc):
            raise
        raise ModelError(f"{exc}; {own}") from exc


def read_settings(file: Path) -> JsonObject:
    """A small JSON object beside the weights; empty where there is none that can be read."""
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
