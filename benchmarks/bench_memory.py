"""Peak memory against the number of questions: ``rss_growth``.

A process of its own for each size runs a tiny model over synthetic cases (20 steps each) that share one
picture file and their texts, so that what is measured is the stage, not the cases; these take about 1.5 kB a
step more in memory, and are the caller's. ``median`` is peak over peak, less what the cases
themselves took on loading; ``raw`` is peak over peak as they are.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from harness import record

STEPS = 20  # of a case


def resident() -> float:
    """Megabytes in memory now."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def synthetic(folder: Path, n_cases: int) -> Any:
    """Cases that share a picture and the texts of their steps."""
    from PIL import Image

    from headscope.data.cases import Cases
    from headscope.data.schema import Case, Step

    folder.mkdir(parents=True)
    Image.new("RGB", (24, 24)).save(folder / "a.png")
    steps = tuple(
        Step(id=f"s{i}", question=f"How many {'sheep ' * (i % 5)}are there?", answer="two",
             function="counting", choices=("two", "one"))
        for i in range(STEPS)
    )  # fmt: skip
    made = [
        Case(id=f"c{i}", image="a.png", width=24, height=24, question="?", answer="no", choices=("yes", "no"),
             steps=steps)
        for i in range(n_cases)
    ]  # fmt: skip
    return Cases(folder, made)


def run_capture(n_steps: int) -> dict[str, float]:
    """Capture so many steps in this process and say what memory it took, in megabytes."""
    from headscope.capturing.run import SHARD_ITEMS, capture
    from headscope.models.vlm import load_model
    from tiny import tiny_llava

    with tempfile.TemporaryDirectory() as scratch:
        vlm = load_model(tiny_llava(Path(scratch) / "model"), prove=False)
        before = resident()
        cases = synthetic(Path(scratch) / "cases", n_steps // STEPS)
        took = resident() - before
        capture(
            vlm, cases, {c.id: "fit" for c in cases}, Path(scratch) / "capture", contexts=("alone",),
            main_contexts=(), batch_size=128, max_new_tokens=2,
        )  # fmt: skip
        z = len(vlm.geometry.heads) * vlm.geometry.max_width * 4
    # KiB on Linux. Three shards: one in the making, one waiting, one being written.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return {"peak": peak, "cases": took, "store": 3 * SHARD_ITEMS * z / 1e6}


def run_probe(n_steps: int) -> dict[str, float]:
    """Probe a capture of so many steps with random z in this process and say what memory it took.

    As a study does it: the steps to probe are chosen from all answers, and their z alone is loaded.
    """
    from headscope.capturing.store import iter_answers, open_activations
    from headscope.functions import DEFAULT
    from headscope.probing.settings import ProbeSettings
    from headscope.probing.stage import probe
    from headscope.probing.steps import probed_answers

    with tempfile.TemporaryDirectory() as scratch:
        captured = Path(scratch) / "capture"
        subprocess.run(
            [sys.executable, __file__, "--write", str(captured), "--steps", str(n_steps)], check=True
        )
        settings = ProbeSettings(
            readout="prompt_last", max_steps=60, permutations=20, controls=2, draws=50, epochs=3
        )
        answers = probed_answers(lambda: iter_answers(captured), DEFAULT.functions, settings)
        activations = open_activations(captured, "prompt_last", items={r["item"] for r in answers})
        probe(activations, answers, Path(scratch) / "probe", settings=settings, chosen=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return {"peak": peak, "cases": 0.0, "store": HEADS * WIDTH * SHARD * 4 / 1e6}


HEADS, WIDTH, SHARD = 64, 24, 500


def write_store(folder: Path, n_steps: int) -> None:
    """A finished capture with random z: nine functions, twenty steps a picture, 64 heads of 24."""
    import numpy as np

    from headscope.capturing.captured import (
        SCHEMA,
        CapturedHeads,
        CapturedSettings,
        CapturePlan,
        Shard,
        write_plan,
    )
    from headscope.capturing.store import write_shard
    from headscope.functions import DEFAULT

    labels = [f"L{i // 8}H{i % 8}" for i in range(HEADS)]
    layers = tuple(i // 8 for i in range(HEADS))
    heads = CapturedHeads(head=tuple(labels), layer=layers, head_width=(WIDTH,) * HEADS)
    settings = CapturedSettings(
        contexts=("gold",), main_contexts=(), readouts=("prompt_last",), batch_size=1, max_new_tokens=1,
        shard_items=SHARD, score=True, taxonomy="noise", pictures="plain", splits="noise",
    )  # fmt: skip
    shards = tuple(Shard(name=f"{k:05d}", batches=()) for k in range(n_steps // SHARD))
    plan = CapturePlan(
        schema=SCHEMA, settings=settings, heads=heads, width=WIDTH, shards=shards, model="noise",
        model_name="noise", dtype="float32", items=n_steps, cases="noise",
    )  # fmt: skip
    write_plan(folder, plan)
    rng = np.random.default_rng(0)
    functions = DEFAULT.functions
    for k, shard in enumerate(shards):
        rows = [_row(i, functions[i % len(functions)]) for i in range(k * SHARD, (k + 1) * SHARD)]
        z = {"prompt_last": rng.normal(size=(SHARD, HEADS, WIDTH)).astype(np.float32)}
        write_shard(folder, shard.name, rows, z, heads, {})


def _row(i: int, function: str) -> dict[str, Any]:
    case, splits = f"c{i // STEPS}", ("fit", "fit", "fit", "select", "test")
    return {
        "item": f"{case}/s{i % STEPS}@gold", "case": case, "step": f"s{i % STEPS}", "context": "gold",
        "function": function, "split": splits[(i // STEPS) % 5], "things": 3, "kind": "k", "held_out": None,
        "wording": f"w{i % 40}", "question": f"question {i % 40}?", "truth": ("yes", "no")[i % 7 % 2],
        "choices": ["yes", "no"], "text": "yes", "answer": "yes", "correct": True, "margin": 1.0,
        "logprob": -0.1, "tokens": 1, "content_found": True,
    }  # fmt: skip


def in_a_process(stage: str, n_steps: int) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--stage", stage, "--steps", str(n_steps)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


STAGES = {"capture": run_capture, "probe": run_probe}


def measure(stage: str, few: int, many: int, repeats: int) -> dict[str, Any]:
    """Growth of a stage from few steps to many; the small size is run several times for its spread."""
    small = [in_a_process(stage, few) for _ in range(repeats)]
    large = in_a_process(stage, many)
    base = sorted(r["peak"] - r["cases"] for r in small)
    middle = base[len(base) // 2]
    return {
        "median": (large["peak"] - large["cases"]) / middle,
        "spread": [(large["peak"] - large["cases"]) / b for b in (base[-1], base[0])],
        "raw": large["peak"] / sorted(r["peak"] for r in small)[len(base) // 2],
        "n": repeats,
        "steps": [few, many],
        "megabytes": [middle, large["peak"] - large["cases"]],
        "cases_megabytes": large["cases"],
        "store_megabytes": large["store"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stage", choices=list(STAGES), help="run one size in this process")
    parser.add_argument("--write", type=Path, help="write a capture of random z into this folder")
    parser.add_argument("--steps", type=int, default=1_000)
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    if args.write:
        write_store(args.write, args.steps)
    elif args.stage:
        print(json.dumps(STAGES[args.stage](args.steps)))
    else:
        record("rss_growth", {s: measure(s, args.few, args.many, args.repeats) for s in STAGES})


if __name__ == "__main__":
    main()
