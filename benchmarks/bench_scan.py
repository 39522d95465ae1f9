"""The causal scan against one whole run per head: time, error, and the share of what is possible.

    python benchmarks/bench_scan.py                      # bar 2's shape, about 15 minutes on 2 cores
    python benchmarks/bench_scan.py --layers 4 --heads 4 --no-record   # a look

Plain way: the mute of one head on a whole run (`use_cache=False`, logits of the last position alone) at the
batch size that is quickest of those tried. One plain run per head for all heads and cases would take hours:
each pair measures one such run of a random head over one batch of cases, next to a complete scan of all heads
on the next cases (scope `last`: eight, which share their clean run; `all`: one); a ratio is (plain seconds
per case x heads) / (scan seconds per case).
Operations are counted by torch's flop counter (matrix products and attention, a multiply-add as two).
The bound counts what no exact scan can do without: the clean run once a case, and for each head its own
columns of the output projection and the MLP of its layer, the layers above, and of the last layer keys and
values of all positions but queries, attention, projection and MLP at the one position that is read.
`scan_flop_share`: time that the bound's operations would take at the plain run's rate over the scan's time.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from harness import interleaved, random_vlm, record
from headscope.edits.edits import Edit, edit, mute
from headscope.engine.estimate import estimate_drops
from headscope.engine.replay_trial import logits_under, replay_of
from headscope.engine.sharing import PROMPTS, run_together
from headscope.engine.trace import run_clean
from headscope.models.types import Encoded, Prompt
from headscope.models.vlm import VLM, load_model

ANSWERS = ("yes", "no", "true", "false", "left", "right", "two", "one")
MEMORY = 2 * 2**30


class Bench:
    """A model, its cases encoded alone and in batches, and one item whose choices are one token each."""

    def __init__(self, vlm: VLM, cases: int, batch: int, pixels: int) -> None:
        self.vlm, self.random, self.turn = vlm, random.Random(0), 0
        rng = np.random.default_rng(0)
        pictures = [
            Image.fromarray(rng.integers(0, 255, (pixels, pixels, 3), dtype=np.uint8)) for _ in range(cases)
        ]
        prompts = [Prompt(p, "Where in the picture is the red car? left or right?") for p in pictures]
        self.alone = [vlm.encode([p]) for p in prompts]
        self.batches = [vlm.encode(prompts[i : i + batch]) for i in range(0, cases, batch)]
        single = [a for a, ids in zip(ANSWERS, vlm.encode_answers(ANSWERS), strict=True) if len(ids) == 1]
        self.item: Any = SimpleNamespace(choices=tuple(single[:2]), truth=single[0])

    def plain(self, batch: Encoded | None = None) -> None:
        """One head muted on a whole run over one batch."""
        batch = batch or self.random.choice(self.batches)
        with edit(self.vlm, [self.random.choice(self.vlm.geometry.heads)], mute()):
            _whole(self.vlm, batch)

    def scan(self, scope: str, cases: int = 1) -> None:
        """All heads on the next cases."""
        some = [self.alone[(self.turn + i) % len(self.alone)] for i in range(cases)]
        self.turn += cases
        self.logits(scope, some, [Edit((h,), mute(), scope) for h in self.vlm.geometry.heads])

    def logits(self, scope: str, some: list[Encoded], edits: list[Edit]) -> list[torch.Tensor]:
        """Of each case (edit, vocabulary) by the scan; the cases share their clean run."""
        engine = replay_of(self.vlm, some[0], scope)
        assert not engine.refusal, engine.refusal
        assert engine.sharing is not None
        traces = run_together(self.vlm, some, engine.sharing, engine.trimmed)
        return [logits_under(self.vlm, trace, edits, engine, MEMORY) for trace in traces]

    def estimate(self) -> None:
        """All heads on the next case, estimated."""
        self.turn += 1
        estimate_drops(self.vlm, self.alone[self.turn % len(self.alone)], self.item)

    def error(self, scope: str, heads: int) -> float:
        """Largest difference of a log-probability from whole runs, over random heads of two cases."""
        some = self.random.sample(self.alone, 2)
        edits = [Edit((h,), mute(), scope) for h in self.random.sample(self.vlm.geometry.heads, heads)]
        worst = 0.0
        for case, found in zip(some, self.logits(scope, some, edits), strict=True):
            for one, row in zip(edits, found.log_softmax(dim=-1), strict=True):
                with self.vlm.reading(case), one.applied(self.vlm):
                    gap = (_whole(self.vlm, case)[0].log_softmax(dim=-1) - row).abs().max()
                worst = max(worst, float(gap))
        return worst


def _whole(vlm: VLM, batch: Encoded) -> torch.Tensor:
    with torch.no_grad():
        return vlm.model(**batch.inputs, use_cache=False, logits_to_keep=1).logits[:, -1]  # type: ignore[no-any-return]


def counted(work: Any) -> float:
    """Operations of a piece of work; with the plain attention kernel, the one whose products are counted."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        work()
    return float(counter.get_total_flops())


def bound(vlm: VLM, case: Encoded, clean: float) -> float:
    """Operations that an exact scan of all heads, scope ``all``, of one case cannot do without."""
    text = vlm.config.text_config
    t, d, m = case.length, text.hidden_size, text.intermediate_size
    total = clean
    layers = sorted({s.layer for s in vlm.geometry.sites})
    for site in vlm.geometry.sites:
        w = site.width  # as many key-value heads as heads
        mlp = 2 * 3 * d * m
        whole = t * (2 * 4 * d * w + mlp) + 4 * t * t * w
        last = t * 2 * 2 * d * w + 2 * 2 * d * w + 4 * t * w + mlp
        own_rows = 1 if site.layer == layers[-1] else t
        above = len(layers) - 1 - site.layer
        one = own_rows * (2 * site.head_dim * d + mlp) + max(0, above - 1) * whole + (above > 0) * last
        total += site.n_heads * (one + 2 * d * text.vocab_size)
    return total


def best_batch(vlm: VLM, args: argparse.Namespace) -> int:
    """The batch size at which a plain run is quickest a case."""
    from time import perf_counter

    found = {}
    for size in (1, 2, 4, 8):
        bench = Bench(vlm, size, size, args.pixels)
        bench.plain()
        start = perf_counter()
        bench.plain()
        found[size] = (perf_counter() - start) / size
    return min(found, key=found.__getitem__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name, value in {"layers": 12, "heads": 12, "cases": 32, "pairs": 7, "pixels": 224}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--tower-layers", type=int, default=12)
    parser.add_argument("--folder", type=Path, default=None, help="where the random model is kept")
    parser.add_argument("--no-record", action="store_true", help="print only; leave results.json alone")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        shape = f"{args.layers}-{args.heads}-{args.tower_layers}-{args.pixels}"
        folder = random_vlm(
            (args.folder or Path(temporary)) / shape,
            layers=args.layers,
            heads=args.heads,
            tower_layers=args.tower_layers,
            pixels=args.pixels,
        )
        measure(load_model(folder, prove=False), args)


def measure(vlm: VLM, args: argparse.Namespace) -> None:
    keep = (lambda name, value: print(name, value, flush=True)) if args.no_record else record
    batch = best_batch(vlm, args)
    bench = Bench(vlm, args.cases, batch, args.pixels)
    heads = len(vlm.geometry.heads)
    about = {"heads": heads, "plain_batch": batch, "positions": bench.alone[0].length}
    keep("scan_max_error", {"n": 24, "median": max(bench.error(s, 4) for s in ("all", "last", "answer"))})
    last = interleaved(bench.plain, lambda: bench.scan("last", PROMPTS), args.pairs)
    keep("scan_last_speedup", {**last.record(batch / heads / PROMPTS), "clean_batch": PROMPTS, **about})
    gradient = interleaved(bench.estimate, bench.plain, args.pairs)
    keep("scan_estimate_ratio", {**gradient.record(1 / batch), **about})
    every = interleaved(bench.plain, lambda: bench.scan("all"), args.pairs, warmup=0)
    speed = every.record(batch / heads)
    keep("scan_all_speedup", {**speed, **about})
    case = bench.alone[0]
    plain, clean = counted(lambda: bench.plain(case)), counted(lambda: run_clean(vlm, case))
    least, done = bound(vlm, case, clean), counted(lambda: bench.scan("all"))
    limit = heads * plain / least
    share = {
        "n": speed["n"],
        "median": speed["median"] / limit,
        "spread": [q / limit for q in speed["spread"]],
        "limit": limit,
        "counted_speedup": heads * plain / done,
        "counted_share": least / done,
    }
    keep("scan_flop_share", share)


if __name__ == "__main__":
    main()
