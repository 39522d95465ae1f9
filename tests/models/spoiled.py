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


ADAPTER = {"peft_type": "LORA", "base_model_name_or_path": "org/base", "target_modules": ["q_proj"]}


def other_model(**files: str) -> Spoil:
    """Other files instead of the weights and configuration; ``__`` stands for a dot, ``_in_`` for a slash."""

    def change(folder: Path) -> None:
        empty(folder)
        for name, text in files.items():
            file = folder / name.replace("__", ".").replace("_in_", "/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    return change


def without_weights(name: str) -> Spoil:
    """Another file instead of the weights, the configuration left."""
    return all_of(without(WEIGHTS), write(name, "x"))


def one_folder_down(*parts: str) -> Spoil:
    """The checkpoint lies in a folder of its own inside."""

    def move(folder: Path) -> None:
        files = list(folder.iterdir())
        inner = folder.joinpath(*parts)
        inner.mkdir(parents=True)
        for file in files:
            file.rename(inner / file.name)

    return move


def for_mlx(folder: Path) -> None:
    save_file(load_file(folder / WEIGHTS), folder / WEIGHTS, {"format": "mlx"})


def florence(folder: Path) -> None:
    """As the published folder: a type that transformers knows, with parts of the authors' own."""
    names = {"AutoConfig": "configuration_florence2.Florence2Config"}
    vision = {"model_type": "davit", "dim_embed": [8, 8], "depths": [1, 1]}
    write("config.json", json.dumps({"model_type": "florence2", "auto_map": names, "vision_config": vision}))(
        folder
    )


def own_code_beside(folder: Path) -> None:
    """A known type with code of its own and a processor that transformers cannot read."""
    rewrite(auto_map={"AutoModel": "code.Model"})(folder)
    write("processor_config.json", "{")(folder)


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n"
FLASH = "names attention 'flash_attention_2', which needs the package flash-attn.*say --attention sdpa"

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
    "a type of published code": (rewrite(model_type="internvl_chat"), "InternVL3-1B-hf"),
    "Florence-2 with its own code": (florence, "never runs; .*florence-community/Florence-2-base"),
    "own code where something else fails": (own_code_beside, "processor cannot be loaded.*never runs"),
    "no tokenizer files": (without("tokenizer.json"), "found no tokenizer .*hf download ORG/NAME"),
    "an adapter": (
        other_model(adapter_config__json=json.dumps(ADAPTER), adapter_model__safetensors="x"),
        r"adapter \(LORA\) of org/base, .*headscope models merge .* --out",
    ),
    "an adapter beside a model": (write("adapter_config.json", json.dumps(ADAPTER)), "does not guess"),
    "a GGUF folder": (other_model(model_Q4__gguf="GGUF"), "llama.cpp.*give the checkpoint"),
    "GGUF beside a configuration": (without_weights("model-Q4.gguf"), "llama.cpp.*give the checkpoint"),
    "a diffusers pipeline": (
        other_model(model_index__json="{}", unet_in_config__json="{}"),
        "diffusers.*answers in text",
    ),
    "Mistral's own form": (
        other_model(params__json="{}", consolidated__safetensors="x"),
        "consolidated.safetensors.*transformers' form",
    ),
    "Meta's own form": (other_model(params__json="{}", consolidated__00__pth="x"), "transformers' form"),
    "an ONNX export": (without_weights("model.onnx"), "an ONNX export"),
    "an ONNX export in a folder": (other_model(onnx_in_decoder__onnx="x"), "onnx/decoder.onnx, an ONNX"),
    "a conversion for MLX": (for_mlx, "converted for MLX"),
    "packed by MLX": (rewrite(quantization={"bits": 4, "group_size": 64}), "converted for MLX"),
    "a folder too high": (one_folder_down("checkpoint-500"), "its subfolders do: give one, as in .*-500"),
    "the hub's cache": (one_folder_down("models--org--name", "snapshots", "abc"), "such as org/name"),
    "a folder of the hub's cache": (one_folder_down("snapshots", "abc"), "the snapshot's folder, .*/abc"),
    "a pointer for weights": (write(WEIGHTS, POINTER), "model.safetensors is a git-lfs pointer.* lfs pull"),
    "a pointer for a tokenizer": (write("tokenizer.json", POINTER), "tokenizer.json is a git-lfs pointer"),
    "a pointer for a configuration": (write("config.json", POINTER), "config.json is a git-lfs pointer"),
    "flash attention": (rewrite(attn_implementation="flash_attention_2"), FLASH),
    "flash attention, as it was spelt": (rewrite(_attn_implementation="flash_attention_2"), FLASH),
    "flash attention 3": (rewrite(attn_implementation="flash_attention_3"), "flash-attn-3.*--attention sdpa"),
    "flash attention of a part": (
        rewrite(attn_implementation={"text_config": "flash_attention_2"}),
        FLASH,
    ),
    "a kernel of the hub": (
        rewrite(attn_implementation="kernels-community/flash-attn2"),
        "is code on the Hugging Face Hub, .*--attention sdpa",
    ),
    "a kernel that nobody knows": (rewrite(attn_implementation="warp"), "none of sdpa.*--attention sdpa"),
    "settings at odds": (
        rewrite(attn_implementation="sdpa", output_attentions=True),
        "'llava' model: .*output_attentions.*not supported",
    ),
    "code of its own, pickled": (all_of(own_code, rename(WEIGHTS, "pytorch_model.bin")), "never runs"),
}
