"""Memory of the proof at load: a small model with a large vocabulary, whose pictures are 2,025 tokens each.

    python benchmarks/bench_proof_memory.py             # one process a phase; writes results.json
    python benchmarks/bench_proof_memory.py --no-record

71 million weights, float32, a vocabulary of 151,936: one picture's logits at all positions are 1.2 GB, and
the proof reads a batch of two. `proof_above_forward_gb` is the peak of resident memory of the proof less that
of one forward of the same batch that gives the logits of the last position alone.
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

import torch

from harness import record
from wordy import wordy_llava

SIDE, HIDDEN, LAYERS = 360, 224, 6
PHASES = ("load", "forward", "all_logits", "proof")


def phase(folder: Path, name: str) -> dict[str, float]:
    """The peak of resident memory in one phase, in this process."""
    from PIL import Image

    from headscope.models.proofs.full import prove
    from headscope.models.types import Prompt
    from headscope.models.vlm import load_model

    vlm = load_model(folder, prove=False)
    for weight in vlm.model.parameters():  # a file that is only mapped takes no memory yet
        weight.view(-1)[::1024].sum()
    prompts = [Prompt(Image.new("RGB", (32, 32)), "What is it?"), Prompt(Image.new("RGB", (9, 7)), "Where?")]
    encoded = vlm.encode(prompts)
    Path("/proc/self/clear_refs").write_text("5", "ascii")
    start = time.perf_counter()
    with torch.no_grad():
        if name == "proof":
            assert prove(vlm).status == "PROVED"
        elif name in ("forward", "all_logits"):
            vlm.model(**encoded.inputs, use_cache=False, logits_to_keep=int(name == "forward"))
    seconds = time.perf_counter() - start
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e9
    return {
        "peak_gb": peak,
        "seconds": seconds,
        "weights": float(vlm.parameters),
        "positions": encoded.length,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, help="measure this folder in this process")
    parser.add_argument("--phase", choices=PHASES)
    parser.add_argument("--no-record", action="store_true", help="print only; leave results.json alone")
    args = parser.parse_args()
    if args.folder:
        print(json.dumps(phase(args.folder, args.phase)))
        return
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as root:
        folder = wordy_llava(Path(root) / "model", SIDE, HIDDEN, LAYERS)
        for name in PHASES:
            command = [sys.executable, __file__, "--folder", str(folder), "--phase", name]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found[name] = json.loads(done.stdout.strip().splitlines()[-1])
            print(name, found[name], flush=True)
    above = found["proof"]["peak_gb"] - found["forward"]["peak_gb"]
    print(f"above the forward: {above:.3f} GB")
    if not args.no_record:
        record("proof_above_forward_gb", {"median": above, "n": 1, "phases": found})


if __name__ == "__main__":
    main()
