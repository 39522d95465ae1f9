"""Models of published size, weights random: memory and seconds of load, proof, one question, one scan.

    python benchmarks/bench_real_size.py                   # every shape below, one process each, in bfloat16
    python benchmarks/bench_real_size.py qwen2_vl_2b --no-record

The configurations are the published ones (layers, heads, widths, vocabulary); weights are noise, so answers
mean nothing, and times and bytes are those of the real model. The tokenizer is the small one of the tests: a
question has more tokens than with the published one. The picture is a photograph's size, 640 x 480.

Figures, in gigabytes of 10^9 bytes, each the high-water mark of the process's resident memory in that phase:
`real_load_gb` (weights into memory, proof left out), `real_proof_gb` (the proof that runs at load;
`above_forward`: less the peak of one plain forward of a photograph and a question), `real_ask_s` (seconds of
one answer of at most 16 tokens with two choices scored, second of two). `--scan` takes minutes more.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from harness import record

SHARD = 1 << 30  # bytes of a weight file, about
PHOTOGRAPH = (640, 480)
QUESTION = "Is the dog facing the horse?"
ROPE = {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6}
SPECIALS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")


def qwen2_vl_2b(ids: dict[str, int]) -> tuple[Any, str]:
    """Qwen2-VL 2B: 28 layers of 12 heads of 128, 2 key-value heads."""
    from transformers import Qwen2VLConfig

    text = {"vocab_size": 151936, "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28,
            "num_attention_heads": 12, "num_key_value_heads": 2, "max_position_embeddings": 32768,
            "tie_word_embeddings": True,
            "rope_parameters": ROPE}  # fmt: skip
    vision = {"depth": 32, "embed_dim": 1280, "hidden_size": 1536, "mlp_ratio": 4, "num_heads": 16}
    return Qwen2VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True, **ids), "Qwen2VL"


def qwen2_5_vl_3b(ids: dict[str, int]) -> tuple[Any, str]:
    """Qwen2.5-VL 3B: 36 layers of 16 heads of 128, 2 key-value heads."""
    from transformers import Qwen2_5_VLConfig

    text = {"vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36,
            "num_attention_heads": 16, "num_key_value_heads": 2, "max_position_embeddings": 128000,
            "tie_word_embeddings": True,
            "rope_parameters": ROPE}  # fmt: skip
    vision = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16,
              "out_hidden_size": 2048, "window_size": 112,
              "fullatt_block_indexes": [7, 15, 23, 31]}  # fmt: skip
    return Qwen2_5_VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=True, **ids
    ), "Qwen2_5_VL"


SHAPES: dict[str, Callable[[dict[str, int]], tuple[Any, str]]] = {
    "qwen2_vl_2b": qwen2_vl_2b,
    "qwen2_5_vl_3b": qwen2_5_vl_3b,
}


def make_folder(shape: str, folder: Path) -> Path:
    """A checkpoint folder of a published shape: bfloat16 noise in shards, a working processor."""
    import transformers

    from tiny import QWEN_TEMPLATE, make_tokenizer

    folder.mkdir(parents=True)
    tokenizer = make_tokenizer(list(SPECIALS))
    token = {s: tokenizer.convert_tokens_to_ids(s) for s in SPECIALS}
    names = {"vision_start_token_id": SPECIALS[0], "vision_end_token_id": SPECIALS[1],
             "image_token_id": SPECIALS[2], "video_token_id": SPECIALS[3]}  # fmt: skip
    config, family = SHAPES[shape]({name: token[special] for name, special in names.items()})
    for part in (config, config.text_config):
        part.eos_token_id, part.pad_token_id, part.bos_token_id = (
            tokenizer.eos_token_id,
            tokenizer.pad_token_id,
            None,
        )
    config.dtype = "bfloat16"
    model_class = getattr(transformers, f"{family}ForConditionalGeneration")
    config.architectures = [model_class.__name__]
    config.save_pretrained(folder)
    with torch.device("meta"):
        shell = model_class(config)
    write_noise(shell, folder)
    tokenizer.chat_template = QWEN_TEMPLATE
    tokenizer.save_pretrained(folder)
    images = transformers.Qwen2VLImageProcessorPil(
        size={"shortest_edge": 56 * 56, "longest_edge": 1280 * 784}
    )
    images.save_pretrained(folder)
    file = folder / "preprocessor_config.json"
    raw = json.loads(file.read_text("utf-8"))
    raw |= {"processor_class": f"{family}Processor", "image_processor_type": "Qwen2VLImageProcessor"}
    file.write_text(json.dumps(raw), "utf-8")
    (folder / "chat_template.jinja").write_text(QWEN_TEMPLATE, "utf-8")
    generation = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    (folder / "generation_config.json").write_text(json.dumps(generation), "utf-8")
    return folder


def write_noise(model: torch.nn.Module, folder: Path) -> None:
    """Weights of a model that is not in memory, shard by shard: matrices that keep variance, norms at one."""
    from safetensors.torch import save_file

    draw = torch.Generator().manual_seed(0)
    shard: dict[str, torch.Tensor] = {}
    placed: dict[str, str] = {}
    total = 0

    def flush() -> None:
        name = f"model-{len(set(placed.values())):05d}.safetensors"
        save_file(shard, folder / name, {"format": "pt"})
        placed.update(dict.fromkeys(shard, name))
        shard.clear()

    for name, weight in model.named_parameters():  # tied weights come once
        value = torch.empty(weight.shape, dtype=torch.bfloat16)
        if weight.ndim > 1:
            value.normal_(0.0, weight[0].numel() ** -0.5, generator=draw)
        else:
            value.fill_(0.0 if name.endswith("bias") else 1.0)
        shard[name] = value
        total += value.nbytes
        if sum(v.nbytes for v in shard.values()) >= SHARD:
            flush()
    if shard:
        flush()
    index = {"metadata": {"total_size": total}, "weight_map": placed}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")


def peak_of(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What a piece of work gives, its seconds on the clock and of CPU, and the most resident memory in it."""
    Path("/proc/self/clear_refs").write_text("5", "ascii")
    start, cpu = time.perf_counter(), time.process_time()
    found = work()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return found, {"seconds": seconds, "cpu_s": cpu, "peak_gb": kilobytes * 1024 / 1e9}


def phases(folder: Path, scan: bool) -> dict[str, dict[str, float]]:
    """Load, forward, proof, ask and scan of a folder in this process."""
    import numpy as np
    from PIL import Image

    from headscope.engine.replay_trial import replay_of
    from headscope.models.proofs.full import prove
    from headscope.models.types import Prompt

    pixels = np.random.default_rng(0).integers(0, 255, (*PHOTOGRAPH[::-1], 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    vlm, load = peak_of(lambda: loaded(folder))
    encoded = vlm.encode([Prompt(picture, QUESTION)])

    def forward() -> None:
        with torch.no_grad():
            vlm.model(**encoded.inputs, use_cache=False, logits_to_keep=1)

    forward()
    found = {"load": load, "forward": peak_of(forward)[1], "proof": peak_of(lambda: prove(vlm))[1]}

    def ask() -> None:
        vlm.answer(picture, QUESTION, choices=("yes", "no"))

    ask()
    found["ask"] = peak_of(ask)[1]
    if scan:
        # Whether replay is right for the model is found out once; every further case takes the scan alone.
        engine, found["scan_check"] = peak_of(lambda: replay_of(vlm, encoded, "last"))
        found["scan_last"] = peak_of(lambda: scan_one(vlm, encoded, engine))[1]
    about = {"parameters": vlm.parameters, "positions": encoded.length, "heads": len(vlm.geometry.heads)}
    return {"about": about, **found}


def loaded(folder: Path) -> Any:
    """The model with every page of its weights in memory, where transformers would map the file only."""
    from headscope.models.vlm import load_model

    vlm = load_model(folder, dtype="bfloat16", prove=False)
    for weight in vlm.model.parameters():
        weight.view(-1)[:: 4096 // weight.element_size()].sum()
    return vlm


def scan_one(vlm: Any, encoded: Any, engine: Any) -> None:
    """Every head muted alone at the last position, one case: a clean run and the replays."""
    from headscope.edits.edits import Edit, mute
    from headscope.engine.replay_trial import logits_under
    from headscope.engine.trace import run_clean

    edits = [Edit((h,), mute(), "last") for h in vlm.geometry.heads]
    logits_under(vlm, run_clean(vlm, encoded), edits, engine, 2**30)


def in_a_process(folder: Path, scan: bool) -> dict[str, dict[str, float]]:
    """The same in a process of its own, whole seconds of it and its own peak besides."""
    start = time.perf_counter()
    command = [sys.executable, __file__, "--folder", str(folder), *(["--scan"] if scan else [])]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, dict[str, float]] = json.loads(done.stdout.strip().splitlines()[-1])
    found["whole"] = {"seconds": time.perf_counter() - start}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("shapes", nargs="*", choices=[*SHAPES, []], help="which shapes; all by default")
    parser.add_argument("--folder", type=Path, help="measure this folder in this process")
    parser.add_argument("--scan", action="store_true", help="also scan every head of one prompt (minutes)")
    parser.add_argument("--keep", type=Path, help="where the folders are kept for another run")
    parser.add_argument("--no-record", action="store_true", help="print only; leave results.json alone")
    args = parser.parse_args()
    if args.folder:
        print(json.dumps(phases(args.folder, args.scan)))
        return
    root = args.keep or Path(tempfile.mkdtemp(prefix="headscope-real-size-"))
    found = {}
    for shape in args.shapes or SHAPES:
        folder = root / shape
        if not (folder / "generation_config.json").is_file():
            make_folder(shape, folder)
        found[shape] = in_a_process(folder, args.scan)
        print(shape, json.dumps(found[shape], indent=1), flush=True)
        if not args.keep:
            shutil.rmtree(folder)
    if not args.no_record:
        keep(found)


def keep(found: dict[str, dict[str, dict[str, float]]]) -> None:
    """The three figures, the largest of the shapes first and each shape beside it."""

    def worst(values: dict[str, float]) -> dict[str, Any]:
        return {"median": max(values.values()), "n": len(values), "shapes": values}

    record("real_load_gb", worst({s: f["load"]["peak_gb"] for s, f in found.items()}))
    above = {s: f["proof"]["peak_gb"] - f["forward"]["peak_gb"] for s, f in found.items()}
    proof = worst({s: f["proof"]["peak_gb"] for s, f in found.items()})
    record("real_proof_gb", {**proof, "above_forward": above})
    record("real_ask_s", {**worst({s: f["ask"]["seconds"] for s, f in found.items()}), "phases": found})


if __name__ == "__main__":
    main()
