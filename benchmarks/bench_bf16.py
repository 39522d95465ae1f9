"""bfloat16 beside float16 on a CPU: peak memory and seconds of a batch that is asked, ``bf16``.

    python benchmarks/bench_bf16.py               # about 8 minutes and 4 GB
    python benchmarks/bench_bf16.py --no-before   # 2 GB: without the run that shows the fault

Each run is a process of its own: it loads a random model with a vocabulary of 150,000 (2 layers, hidden size
2,048; embeddings and head 600 MB each) and asks a batch of questions, answers and choices of several tokens
included. ``median`` is the peak of a bfloat16 run over that of a float16 run, over pairs; ``seconds`` is
asking alone, bfloat16 and float16. ``before`` is a smaller batch in bfloat16, no choices scored, with torch
left to itself: its peak over that of the same batch now, choices and all, and the seconds of both.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from harness import random_vlm, record

SHAPE: dict[str, Any] = {
    "layers": 2, "heads": 16, "width": 128, "tower_layers": 2, "tower_width": 256, "pixels": 112,
    "vocabulary": 150_000,
}  # fmt: skip
PLACES = ("top left", "top right", "bottom left", "bottom right of the middle")


def peak() -> float:
    """Megabytes that this process has held at most."""
    line = next(x for x in Path("/proc/self/status").read_text("ascii").splitlines() if "VmHWM" in x)
    return int(line.split()[1]) * 1024 / 1e6


def run(folder: str, dtype: str, batch: int, bare: bool) -> dict[str, float]:
    """Ask one batch in this process; ``bare``: without contiguous inputs for linear layers."""
    import torch
    from PIL import Image

    from headscope.models.answering.generation import generate
    from headscope.models.answering.scoring import score_choices
    from headscope.models.contiguous import gives_contiguous
    from headscope.models.types import Prompt
    from headscope.models.vlm import load_model

    torch.set_num_threads(1)
    vlm = load_model(folder, dtype=dtype, prove=False)
    for module in vlm.model.modules() if bare else ():
        for key in [k for k, hook in module._forward_pre_hooks.items() if gives_contiguous(hook)]:
            del module._forward_pre_hooks[key]
    pixels = np.random.default_rng(0).integers(0, 255, (batch, 112, 112, 3), dtype=np.uint8)
    questions = ["Where is the dog?" + " And the cat?" * i for i in range(batch)]
    encoded = vlm.encode([Prompt(Image.fromarray(p), q) for p, q in zip(pixels, questions, strict=True)])
    start = time.perf_counter()
    with torch.no_grad(), vlm.reading(encoded):
        _, prefill = generate(vlm, encoded, 2)
        if not bare:  # minutes more
            score_choices(vlm, encoded, prefill, [PLACES] * batch)
    return {"peak": peak(), "seconds": time.perf_counter() - start}


def in_a_process(folder: Path, dtype: str, batch: int, bare: bool = False) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--folder", str(folder), "--dtype", dtype, "--batch", str(batch)]
    done = subprocess.run([*command, *["--bare"] * bare], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def measured(folder: Path, batch: int, before: int, pairs: int) -> dict[str, Any]:
    """What is recorded; ``before`` is the size of the batch of the run that shows the fault, 0 for none."""
    for dtype in ("bfloat16", "float16"):
        make = ["--make", str(folder / dtype), "--dtype", dtype]
        subprocess.run([sys.executable, __file__, *make], check=True)
    runs = {d: [in_a_process(folder / d, d, batch) for _ in range(pairs)] for d in ("bfloat16", "float16")}
    half, full = runs["bfloat16"], runs["float16"]
    ratios = [a["peak"] / b["peak"] for a, b in zip(half, full, strict=True)]
    value: dict[str, Any] = {
        "n": pairs,
        "median": float(np.median(ratios)),
        "spread": [float(q) for q in np.quantile(ratios, [0.25, 0.75])],
        "megabytes": [float(np.median([r["peak"] for r in rs])) for rs in (half, full)],
        "seconds": [float(np.median([r["seconds"] for r in rs])) for rs in (half, full)],
        "batch": batch,
    }
    if before:
        bare, now = (in_a_process(folder / "bfloat16", "bfloat16", before, bare) for bare in (True, False))
        value["before"] = {
            "n": 1,
            "median": bare["peak"] / now["peak"],
            "seconds": [bare["seconds"], now["seconds"]],
            "batch": before,
        }
    return value


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", help="ask one batch of the model there, in this process")
    parser.add_argument("--make", type=Path, help="write the model into this folder")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--no-before", action="store_true")
    args = parser.parse_args()
    if args.make:
        random_vlm(args.make, **SHAPE, dtype=args.dtype)
    elif args.folder:
        print(json.dumps(run(args.folder, args.dtype, args.batch, args.bare)))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            record("bf16", measured(Path(scratch), args.batch, 0 if args.no_before else 4, args.pairs))


if __name__ == "__main__":
    main()
