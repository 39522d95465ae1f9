"""Ratios of peers and of headscope to the bare model on the same work: ``make bench-peers``.

Each peer runs in an environment of its own (``~/.cache/headscope-bench/<peer>``, about 1 GB each, made here
by pip) and in a process of its own, where its work and the bare run take turns. What a peer cannot do is
recorded with the first line of its error.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

from harness import ROOT, random_vlm, record

CACHE = Path(os.environ.get("HEADSCOPE_BENCH", Path.home() / ".cache" / "headscope-bench"))
TORCH = "torch==2.13.0"
PEERS = {  # script -> what pip installs; none: this environment
    "plain": (),
    "headscope": (),
    "nnsight": ("nnsight==0.8.1",),
    "nnterp": ("nnterp==1.3.0", "nnsight==0.7.0"),
    "pyvene": ("pyvene==0.1.8",),
    "transformer_lens": ("transformer-lens==4.3.0",),
    "interp_engine": ("interp-engine==1.14.2",),
}


def environment(name: str, packages: tuple[str, ...]) -> Path:
    """The peer's interpreter; installed at the first call.

    Raises:
        subprocess.CalledProcessError: pip failed.
    """
    if not packages:
        return Path(sys.executable)
    folder = CACHE / name
    python, ready = folder / "bin" / "python", folder / "ready.txt"
    if not ready.is_file() or ready.read_text("utf-8") != " ".join(packages):
        venv.create(folder, with_pip=True, symlinks=True, clear=True)
        install = [str(python), "-m", "pip", "install", "--quiet"]
        for wanted in ((TORCH,), (*packages, "safetensors", "pillow")):
            subprocess.run([*install, *wanted], check=True, capture_output=True, text=True)
        ready.write_text(" ".join(packages), "utf-8")
    return python


def encoded_batch(folder: Path, out: Path, items: int) -> Path:
    """Inputs of a left-padded batch of pictures and questions of different lengths, as a safetensors file."""
    import numpy as np
    from PIL import Image
    from safetensors.torch import save_file

    from headscope.models.types import Prompt
    from headscope.models.vlm import load_model

    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)) for _ in range(items)]
    asked = [
        Prompt(p, "Where in the picture is the red car" + " now" * i + "?") for i, p in enumerate(pictures)
    ]
    encoded = load_model(folder, prove=False).encode(asked)
    save_file({k: v.contiguous() for k, v in encoded.inputs.items()}, out)
    return out


def measure(name: str, folder: Path, inputs: Path, pairs: int) -> dict[str, Any]:
    """One peer's record: work -> ratio, or why not."""
    try:
        python = environment(name, PEERS[name])
    except subprocess.CalledProcessError as exc:
        reason = (exc.stderr or "").strip().splitlines()
        return {"cannot": f"not installed here: {reason[-1][:300] if reason else exc}"}
    script = ROOT / "peers" / f"{name}_peer.py"
    # Read-only and offline; nothing of this interpreter's path leaks into the peer's.
    own = os.environ | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    command = [str(python), str(script), str(folder), str(inputs), str(pairs)]
    done = subprocess.run(command, env=own, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines()
    try:
        found: dict[str, Any] = json.loads(lines[-1])
    except (IndexError, ValueError):
        reason = done.stderr.strip().splitlines()
        return {"cannot": f"ended with code {done.returncode}: {reason[-1][:300] if reason else ''}"}
    if any("cannot" in w for w in found.values()):
        (Path(tempfile.gettempdir()) / f"headscope-peer-{name}.log").write_text(done.stderr, "utf-8")
    return {"version": " ".join(PEERS[name]) or "here", **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--items", type=int, default=8)
    parser.add_argument("--only", nargs="*", choices=list(PEERS), default=list(PEERS))
    args = parser.parse_args()
    # 28 M parameters beside the tower, as in the issue's own survey.
    folder = random_vlm(
        CACHE / "models" / "peers", layers=8, heads=8, width=64, tower_layers=4, tower_width=256, pixels=112
    )
    with tempfile.TemporaryDirectory() as scratch:
        inputs = encoded_batch(folder, Path(scratch) / "inputs.safetensors", args.items)
        from harness import RESULTS

        found = json.loads(RESULTS.read_text("utf-8")).get("peers", {}) if RESULTS.is_file() else {}
        for name in args.only:
            found[name] = measure(name, folder, inputs, args.pairs)
            record("peers", {k: v for k, v in found.items() if k != "machine"})


if __name__ == "__main__":
    main()
