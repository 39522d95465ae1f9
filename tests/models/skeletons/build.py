"""Few-layer models from published folders without their weights: the class that the configuration names, as
many heads a layer and as wide as published, random weights under the published names, all other files as they
are.

Cut, and said in :attr:`Skeleton.cuts`: the number of layers (every kind of layer kept), the width of MLPs,
the hidden sizes where the heads stay as they are, the heads of the vision tower, experts.
"""

from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from headscope.models.finding import find_geometry
from models.skeletons.tokenizers_of import complete_tokenizer

_LAYERS = ("num_hidden_layers", "depth", "n_layers", "num_layers")
_MLP = {
    "intermediate_size": 64, "ffn_dim": 64, "mlp_dim": 64, "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 32, "hidden_size_per_layer_input": 16,
}  # fmt: skip
_EXPERTS = {"n_routed_experts": 8, "num_experts": 8, "num_local_experts": 8}
_HEADS = ("num_attention_heads", "num_heads", "attention_heads")
_LISTS = ("layer_types", "mlp_layer_types", "no_rope_layers", "layer_rope_theta")
_NUMBERED = re.compile(r"\.(\d+)\.")
WIDTH = 256
"""Hidden size, about, of decoders that can have another than heads x head width."""


@dataclass
class Skeleton:
    """A folder that ``headscope.load_model`` takes, and what was cut from what was published."""

    path: Path
    family: str
    cuts: list[str] = field(default_factory=list)


def published_folders(shared: Path) -> list[Path]:
    """Folders of published files, by name."""
    return sorted(p for p in shared.iterdir() if (p / "config.json").is_file()) if shared.is_dir() else []


def build_skeleton(published: Path, path: Path, layers: int = 2, seed: int = 0) -> Skeleton:
    """Write a few-layer model of a published folder.

    Args:
        published: config.json, processor and tokenizer files.
        path: the new folder.
        layers: decoder layers; more where there are more kinds of layers.
        seed: of the weights.
    """
    path.mkdir(parents=True)
    for file in published.iterdir():
        if file.is_file() and not file.name.endswith((".safetensors", ".index.json", "SOURCE.txt")):
            shutil.copyfile(file, path / file.name)  # contents alone: the originals may be read-only
    raw = json.loads((published / "config.json").read_text("utf-8"))
    cuts = [complete_tokenizer(published, path)]
    wanted = _heads(raw, published)
    for thin in ((True, True), (False, True), (True, False), (False, False)):
        cut, said = cut_config(raw, published, layers, *thin)
        try:
            found = _heads(cut, path)
        except Exception:  # a cut that this class does not allow
            continue
        if set(found) <= set(wanted):
            break
    else:
        raise AssertionError(f"{published.name}: no cut leaves the heads as they are")
    _write(path / "config.json", cut)
    _write_weights(path, published, seed)
    return Skeleton(path, str(raw["model_type"]), [c for c in (*cuts, *said) if c])


def _heads(raw: dict[str, Any], folder: Path) -> list[tuple[int, int]]:
    """(heads, head width) of each decoder layer that a configuration stands for."""
    with torch.device("meta"):
        model = _class_of(raw, folder)
    return [(site.n_heads, site.head_dim) for site in find_geometry(model).sites]


def _class_of(raw: dict[str, Any], folder: Path, dtype: torch.dtype = torch.float32) -> nn.Module:
    from transformers import CONFIG_MAPPING, AutoModelForImageTextToText

    del folder
    config = CONFIG_MAPPING[raw["model_type"]].from_dict(raw)
    model: nn.Module = AutoModelForImageTextToText.from_config(config, dtype=dtype)
    return model


def cut_config(
    raw: dict[str, Any], published: Path, layers: int, thin_text: bool, thin_vision: bool
) -> tuple[dict[str, Any], list[str]]:
    """A published configuration with fewer layers, in its own spelling, and what was cut.

    Args:
        thin_text: give the decoder another hidden size than heads x head width.
        thin_vision: leave the vision tower one head.
    """
    from transformers import CONFIG_MAPPING

    del published
    cut: dict[str, Any] = json.loads(json.dumps(raw))
    config = CONFIG_MAPPING[raw["model_type"]].from_dict(raw)
    said: list[str] = []
    for name in config.sub_configs:
        sub = getattr(config, name)
        if sub is None:
            continue
        text = "text" in name or "llm" in name
        # Older configurations hold the decoder's fields at the top.
        part = cut[name] if isinstance(cut.get(name), dict) else cut if text else cut.setdefault(name, {})
        if "audio" in name or "dit" in name:
            _cut_layers(part, sub, 1, said, name)
            continue
        _cut_layers(part, sub, layers if text else _vision_layers(raw), said, name)
        for key, size in {**_MLP, **_EXPERTS}.items():
            before = getattr(sub, key, None)
            if isinstance(before, int) and before > size:
                part[key] = size
                said.append(f"{name}.{key} {before} -> {size}")
        if text and thin_text:
            _thin_text(part, sub, said, name)
        if not text and thin_vision:
            _thin_vision(part, sub, said, name)
    text_width = _width(cut, config)
    for name in config.sub_configs:  # towers that write into the decoder's width
        sub, part = getattr(config, name), cut.get(name)
        if sub is None or not isinstance(part, dict):
            continue
        for holder in (part, cut):
            if holder.get("projection_dim") == config.get_text_config().hidden_size:  # PaliGemma's
                holder["projection_dim"] = text_width
        if getattr(sub, "out_hidden_size", None):
            part["out_hidden_size"] = text_width
        elif "embed_dim" in part:
            part["hidden_size"] = text_width
    return cut, said


def _vision_layers(raw: dict[str, Any]) -> int:
    """As many layers of the vision tower as the decoder reads from: the last but one of two, or one."""
    read = raw.get("vision_feature_layer", -1)
    layers = read if isinstance(read, list) else [read]
    return max(2 if layer != -1 else 1 for layer in layers)


def _width(cut: dict[str, Any], config: Any) -> int:
    text = cut.get("text_config") if isinstance(cut.get("text_config"), dict) else cut
    return int((text or {}).get("hidden_size") or config.get_text_config().hidden_size)


def _cut_layers(part: dict[str, Any], sub: Any, layers: int, said: list[str], name: str) -> None:
    """Fewer layers; lists of layers and of layer numbers cut to match, every kind of layer kept."""
    key = _named(_LAYERS, part, sub)
    if key is None:
        return
    before = int(getattr(sub, key))
    kinds = getattr(sub, "layer_types", None)
    keep = list(range(min(before, layers)))
    if kinds is not None and len(set(kinds)) > 1:
        firsts = sorted({kinds.index(k) for k in kinds})
        keep = firsts if len(firsts) >= layers else keep
        if getattr(sub, "num_kv_shared_layers", 0):  # some layers of each kind share another's keys
            keep = [*keep, *keep]
            part["num_kv_shared_layers"] = len(keep) // 2
    crossing = getattr(sub, "cross_attention_layers", None)
    if crossing:
        keep, part["cross_attention_layers"] = list(range(layers + 1)), [1]
    for field_name in _LISTS:
        values = part.get(field_name)
        if isinstance(values, list) and len(values) == before:
            part[field_name] = [values[i] for i in keep]
    for field_name in ("deepstack_visual_indexes", "fullatt_block_indexes", "intermediate_layers_indices"):
        values = getattr(sub, field_name, None)
        if values:  # as many as fit, the last layer among them
            part[field_name] = list(range(len(keep)))[-len(values) :]
    if isinstance(getattr(sub, "num_global_layers", None), int):
        part["num_global_layers"] = 1
    part[key] = len(keep)
    said.append(f"{name}.{key} {before} -> {len(keep)}")


def _named(names: tuple[str, ...], part: dict[str, Any], sub: Any) -> str | None:
    """By which of the names a setting goes: as the published file spells it, else as its class does."""
    return next(
        (n for n in (*(n for n in names if n in part), *names) if isinstance(getattr(sub, n, None), int)),
        None,
    )


def _thin_text(part: dict[str, Any], sub: Any, said: list[str], name: str) -> None:
    heads, hidden = int(sub.num_attention_heads), int(sub.hidden_size)
    try:
        own = getattr(sub, "head_dim", None)
    except Exception:  # a width by layer: the published fields say it
        own = part["head_dim"]
    width = heads * max(1, WIDTH // heads)  # some classes want a multiple of the heads
    if hidden <= width:
        return
    part["head_dim"], part["hidden_size"] = int(own or hidden // heads), width
    said.append(f"{name}.hidden_size {hidden} -> {width}")


def _thin_vision(part: dict[str, Any], sub: Any, said: list[str], name: str) -> None:
    key = _named(_HEADS, part, sub)
    wide = "embed_dim" if "embed_dim" in part else "hidden_size"  # Qwen2-VL's hidden size is the decoder's
    hidden = getattr(sub, wide, None)
    if key is None or not isinstance(hidden, int) or int(getattr(sub, key)) == 1:
        return
    heads = int(getattr(sub, key))
    part[key], part[wide] = 1, hidden // heads
    if isinstance(getattr(sub, "num_key_value_heads", None), int):
        part["num_key_value_heads"] = 1
    if isinstance(getattr(sub, "vision_output_dim", None), int):
        taken = part.get("intermediate_layers_indices") or []
        part["vision_output_dim"] = part[wide] * (len(taken) + 1)
    said.append(f"{name}.{key} {heads} -> 1, {wide} {hidden} -> {part[wide]}")


def _write_weights(path: Path, published: Path, seed: int) -> None:
    """Random weights in the published number format, split into files where the published ones are."""
    raw = json.loads((path / "config.json").read_text("utf-8"))
    named = raw.get("torch_dtype") or raw.get("dtype") or "float32"
    model = _class_of(raw, path, getattr(torch, str(named)))
    randomise(model, seed)
    index = published / "model.safetensors.index.json"
    size = sum(v.numel() * v.element_size() for v in model.state_dict().values())
    mine, config = path / "config.json", (path / "config.json").read_bytes()
    model.save_pretrained(path, max_shard_size=size // 2 if index.is_file() else "99GB")
    mine.write_bytes(config)  # not as this transformers would write it
    if index.is_file():
        _rename(path, names_of(index))
    generation = published / "generation_config.json"
    if generation.is_file():
        shutil.copyfile(generation, path / generation.name)
    else:
        (path / generation.name).unlink(missing_ok=True)


@torch.no_grad()
def randomise(model: nn.Module, seed: int) -> None:
    """Draw all weights so that every layer acts: matrices keep variance, vectors vary around their start."""
    draw = torch.Generator().manual_seed(seed)
    for name, value in model.named_parameters():
        if value.ndim <= 1:
            value.add_(torch.empty_like(value).normal_(0, 0.1, generator=draw))
            if "gate" in name:  # tanh(0) would keep a cross-attention layer shut
                value.add_(0.5)
        else:
            fan_in = value[0].numel() if value.ndim > 2 else value.shape[-1]
            value.normal_(0, 1 / math.sqrt(max(fan_in, 1)), generator=draw)


def names_of(index: Path) -> set[str]:
    """Weight names of an index, layer numbers left out."""
    return {_NUMBERED.sub(".*.", n) for n in json.loads(index.read_text("utf-8"))["weight_map"]}


def _rename(path: Path, published: set[str]) -> None:
    """Give weights their published names where this transformers writes others."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    index = path / "model.safetensors.index.json"
    written = json.loads(index.read_text("utf-8"))
    new = {name: _published_name(name, published) for name in written["weight_map"]}
    for file in sorted(set(written["weight_map"].values())):
        with safe_open(path / file, "pt") as stream:
            weights = {new[k]: stream.get_tensor(k) for k in stream.keys()}  # noqa: SIM118 (no mapping)
        save_file(weights, path / file, {"format": "pt"})
    _write(index, {**written, "weight_map": {new[k]: v for k, v in written["weight_map"].items()}})


def _published_name(name: str, published: set[str]) -> str:
    """The published name with the longest end in common; the name itself where none shares its beginning."""
    plain = _NUMBERED.sub(".*.", name)
    if plain in published:
        return name
    parts = plain.split(".")

    def common(other: str) -> int:
        pairs = zip(reversed(parts), reversed(other.split(".")), strict=False)
        return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(parts), other.count(".") + 1))

    best = max((o for o in published if o.split(".")[0] == parts[0]), key=common, default=plain)
    if common(best) < 2:
        return name
    numbers = iter(_NUMBERED.findall(name))
    return re.sub(r"\.\*\.", lambda _: f".{next(numbers)}.", best)


def _write(file: Path, value: dict[str, Any]) -> None:
    file.write_text(json.dumps(value, indent=2), "utf-8")
