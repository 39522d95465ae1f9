"""Ways to spoil a checkpoint folder, each with words that the refusal must hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from safetensors.torch import load_file, save_file

HEAD = "language_model.lm_head.weight"  # as stored; transformers renames it on the way in
WEIGHTS = "model.safetensors"
Spoil = Callable[[Path], None]


def rewrite(name: str = "config.json", **changes: object) -> Spoil:
    """Change entries of a JSON file."""

    def change(folder: Path) -> None:
        file = folder / name
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


def write(name: str, text: str) -> Spoil:
    """Put a text in the place of a file."""
    return lambda folder: (folder / name).write_text(text) and None


def without(*names: str) -> Spoil:
    """Take files away."""

    def remove(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return remove


def all_of(*spoils: Spoil) -> Spoil:
    """One after another."""

    def change(folder: Path) -> None:
        for spoil in spoils:
            spoil(folder)

    return change


def truncate(kept: int) -> Spoil:
    """Keep the first bytes of the weights (all but the last, where negative)."""

    def cut(folder: Path) -> None:
        file = folder / WEIGHTS
        file.write_bytes(file.read_bytes()[:kept])

    return cut


def rename(old: str, new: str) -> Spoil:
    """Call a file by another name."""
    return lambda folder: (folder / old).rename(folder / new) and None


def drop_a_weight(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    del weights[HEAD]
    save_file(weights, folder / WEIGHTS, {"format": "pt"})


def reshape_a_weight(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    weights[HEAD] = weights[HEAD][:-3].clone()
    save_file(weights, folder / WEIGHTS, {"format": "pt"})


def leave_out_a_layer(folder: Path) -> None:
    """The configuration says two layers, the weights hold three."""
    file = folder / "config.json"
    config = json.loads(file.read_text())
    text = config["text_config"]
    text["num_hidden_layers"] = 2
    if "layer_types" in text:
        text["layer_types"] = text["layer_types"][:2]
    file.write_text(json.dumps(config))


def miss_a_shard(folder: Path) -> None:
    index = {"weight_map": {"a": WEIGHTS, "b": "model-00002.safetensors"}}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))


def text_only(folder: Path) -> None:
    from transformers import LlamaConfig

    LlamaConfig().save_pretrained(folder)


def clip(folder: Path) -> None:
    from transformers import CLIPConfig

    CLIPConfig().save_pretrained(folder)


def own_code(folder: Path) -> None:
    """A model type of its own, and code that says if it was run."""
    names = {"AutoConfig": "code.Config", "AutoModel": "code.Model", "AutoModelForImageTextToText": "code.M"}
    rewrite(model_type="own_vlm", auto_map=names)(folder)
    (folder / "code.py").write_text("raise SystemExit('code of a checkpoint was run')\n")


def own_processor(folder: Path) -> None:
    """A processor of its own beside a known model."""
    own = {"processor_class": "OwnProcessor", "auto_map": {"AutoProcessor": "code.OwnProcessor"}}
    rewrite("processor_config.json", **own)(folder)
    rewrite("tokenizer_config.json", processor_class="OwnProcessor")(folder)
    (folder / "code.py").write_text("raise SystemExit('code of a checkpoint was run')\n")


def nameless_own_code(folder: Path) -> None:
    """Code of its own, and no model type at all."""
    own_code(folder)
    file = folder / "config.json"
    config = json.loads(file.read_text())
    del config["model_type"]
    file.write_text(json.dumps(config))


def empty(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


REFUSALS: dict[str, tuple[Spoil, str]] = {
    "an empty folder": (empty, "found no config.json"),
    "truncated weights": (truncate(-100), "truncated or damaged"),
    "weights cut within their header": (truncate(40), "not a safetensors file"),
    "weights of no length": (truncate(0), "not a safetensors file"),
    "weights that are none": (write(WEIGHTS, "not a tensor in sight, nor a header"), "not a safetensors"),
    "pickled weights": (rename(WEIGHTS, "pytorch_model.bin"), "safetensors only"),
    "no weights": (without(WEIGHTS), "found no weights"),
    "a missing weight": (drop_a_weight, "missing_keys"),
    "a weight of another shape": (reshape_a_weight, "lm_head.weight"),
    "weights of more layers": (leave_out_a_layer, "weights of layers that it leaves out"),
    "a missing shard": (miss_a_shard, "model-00002.safetensors"),
    "a shard without its index": (rename(WEIGHTS, "model-00001-of-00002.safetensors"), "00001-of-00002"),
    "a broken index": (write(f"{WEIGHTS}.index.json", "{"), "index of weights"),
    "no configuration": (without("config.json"), "found no config.json"),
    "a broken configuration": (write("config.json", '{"model_type": "llava",'), "model configuration"),
    "a configuration that is no object": (write("config.json", "[]"), "model configuration"),
    "impossible values": (rewrite(text_config={"model_type": "qwen3", "hidden_size": "wide"}), "'llava'"),
    "no processor": (without("processor_config.json"), "processor"),
    "a broken processor": (write("processor_config.json", "{"), "processor"),
    "a processor with code of its own": (own_processor, "processor"),
    "no tokenizer": (without("tokenizer.json", "tokenizer_config.json"), "found no tokenizer"),
    "a broken tokenizer": (write("tokenizer.json", "{}"), "processor cannot be loaded"),
    "a text-only model": (text_only, "'llama' is not an image-text-to-text model"),
    "a CLIP model": (clip, "'clip' is not an image-text-to-text model"),
    "an unknown model type": (rewrite(model_type="nobody_knows"), "'nobody_knows' is unknown"),
    "a model with code of its own": (own_code, "never runs"),
    "code of its own and no name": (nameless_own_code, "never runs"),
    "code of its own, pickled": (all_of(own_code, rename(WEIGHTS, "pytorch_model.bin")), "never runs"),
}
