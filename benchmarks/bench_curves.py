"""Cost curves: what the scan gains and what capture costs, as one thing at a time grows.

    python benchmarks/bench_curves.py                                  # all of it, into curves.json
    python benchmarks/bench_curves.py --pairs 1 --values 2 --no-record # a look

Base: a random model of 4 layers x 4 heads of 64, a tower of 2 layers of 128, 64 image tokens, 64 text tokens.

`scan_all`, `scan_last`: the plain way over the causal scan of all heads, seconds a case, in turns. Plain:
whole runs of random heads over the cases at the quickest batch size, times the number of heads. Scan: the
next case (`all`), or the next eight, which share their clean run (`last`). On the axis of cases both scan so
many cases with a model that was never scanned: the check that comes first is in it. `limit`: whole
runs over the operations that no exact scan can do without (bench_scan.bound; for one position, below).

`capture_hooks`: generation with the reader's hooks, all readouts of all heads fetched, over the same
generation from the same encoded batch. `capture_stage`: the stage, choices scored and all written to disk,
over bare generation from the same pictures on disk. `limit` is 1 of the hooks, which add no matrix product;
the stage has none: it scores, which bare generation does not, and encodes a picture once for all its steps.
"""

from __future__ import annotations

import argparse
import copy
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from bench_capture import NEW, READOUTS, in_turns, make_sides
from bench_scan import MEMORY, bound, counted
from harness import ROOT, Ratio, machine, random_vlm
from headscope import generate as generate_cases
from headscope.asking.ask import ask
from headscope.asking.items import make_items
from headscope.edits.edits import Edit, edit, mute
from headscope.engine.replay_trial import logits_under, replay_of
from headscope.engine.sharing import PROMPTS, run_together
from headscope.engine.trace import run_clean
from headscope.functions import DEFAULT
from headscope.models.answering.generation import greedy_config
from headscope.models.types import Encoded, Prompt
from headscope.models.vlm import VLM, load_model
from headscope.storage import write_json

CURVES = ROOT / "curves.json"
PATCH = 16
BATCH = 8  # prompts of a batch of capture, and of a plain turn at least
BATCHES = (1, 2, 4, 8)  # of a plain run; the quickest is taken


@dataclass(frozen=True)
class Shape:
    """One point: a model (``layers``, ``heads`` a layer, ``pixels``) and what it is given."""

    layers: int = 4
    heads: int = 4
    pixels: int = 128
    text: int = 64
    new: int = NEW
    cases: int = 0  # on the axis of cases alone


BASE = Shape()
SCAN = {
    "heads": (2, 4, 8, 16),
    "layers": (2, 4, 8, 16, 32),
    "cases": (1, 2, 4, 8, 16),
    "text": (32, 64, 128, 256, 512),
    "pixels": (64, 128, 192, 256),
}
CAPTURE = {**SCAN, "cases": (1, 2, 4, 8), "new": (1, 2, 4, 8, 16)}


def shown(field: str, value: int) -> tuple[str, int]:
    """The axis as it is drawn, and the place on it."""
    if field == "pixels":
        return "image tokens", (value // PATCH) ** 2
    return {"text": "text tokens", "new": "new tokens"}.get(field, field), value


def long_question(vlm: VLM, picture: Image.Image, tokens: int) -> str:
    """A question whose prompt has so many tokens beside those of the picture."""
    words = "Where is the car?"
    for _ in range(tokens):
        encoded = vlm.encode([Prompt(picture, words)])
        missing = tokens - (encoded.length - int(encoded.image.sum()))
        if missing == 0:
            return words
        if missing < 0:
            break
        words = "the " * max(1, missing // 2) + words
    raise ValueError(f"no question of {tokens} text tokens; the shortest has more")


class Point:
    """The model of a shape, its prompts, and the pieces of work over them."""

    def __init__(self, vlm: VLM, shape: Shape) -> None:
        self.vlm, self.shape, self.random, self.turn = vlm, shape, random.Random(0), 0
        noise = np.random.default_rng(0)
        size = (shape.cases or BATCH, shape.pixels, shape.pixels, 3)
        pictures = [Image.fromarray(x) for x in noise.integers(0, 255, size, dtype=np.uint8)]
        question = long_question(vlm, pictures[0], shape.text)
        self.prompts = [Prompt(p, question) for p in pictures]
        self.alone = [vlm.encode([p]) for p in self.prompts]
        self.heads = vlm.geometry.heads

    @cached_property
    def batches(self) -> list[Encoded]:
        """The cases in batches of the size at which plain runs over all of them are quickest."""
        found = []
        for size in (b for b in BATCHES if b <= len(self.prompts)):
            batches = [self.vlm.encode(self.prompts[i : i + size]) for i in range(0, len(self.prompts), size)]
            self.mute_one(batches)
            start = time.perf_counter()
            for _ in range(3):
                self.mute_one(batches)
            found.append((time.perf_counter() - start, size, batches))
        return min(found)[2]

    def mute_one(self, batches: list[Encoded]) -> None:
        """One random head muted on whole runs."""
        for batch in batches:
            with torch.no_grad(), edit(self.vlm, [self.random.choice(self.heads)], mute()):
                self.vlm.model(**batch.inputs, use_cache=False, logits_to_keep=1)

    @property
    def plain_heads(self) -> int:
        """Heads of one plain turn, so that it is not too short to be timed."""
        return max(1, BATCH // len(self.prompts))

    def plain(self) -> None:
        """Whole runs of a few heads over all cases."""
        for _ in range(self.plain_heads):
            self.mute_one(self.batches)

    def scan(self, scope: str, cases: int, new: bool = False) -> None:
        """All heads on the next cases; ``new``: of a model that was not scanned before."""
        vlm = copy.copy(self.vlm) if new else self.vlm  # what was found out is kept for each VLM
        edits = [Edit((h,), mute(), scope) for h in self.heads]
        todo = [self.alone[(self.turn + i) % len(self.alone)] for i in range(cases)]
        self.turn += cases
        engine = replay_of(vlm, todo[0], scope)
        assert not engine.refusal, engine.refusal
        assert engine.sharing is not None
        for start in range(0, cases, PROMPTS):
            some = todo[start : start + PROMPTS]
            for trace in run_together(vlm, some, engine.sharing, engine.trimmed):
                logits_under(vlm, trace, edits, engine, MEMORY)

    def limits(self) -> dict[str, float]:
        """Largest possible gain of each scope, by counted operations."""
        case, heads = self.alone[0], len(self.heads)
        whole = heads * counted(lambda: self.mute_one([case]))
        trimmed = {s: replay_of(self.vlm, case, s).trimmed for s in ("all", "last")}
        clean = {s: counted(lambda t=t: run_clean(self.vlm, case, t)) for s, t in trimmed.items()}
        return {
            "scan_all": whole / bound(self.vlm, case, clean["all"]),
            "scan_last": whole / last_bound(self.vlm, case, clean["last"]),
        }


def last_bound(vlm: VLM, case: Encoded, clean: float) -> float:
    """Operations that an exact scan of all heads, scope ``last``, of one case cannot do without.

    The clean run, and for each head one position: its own columns of the output projection, the MLP of its
    layer, and the layers above.
    """
    text = vlm.config.text_config
    d, m = text.hidden_size, text.intermediate_size
    total, mlp = clean, 2 * 3 * d * m
    top = max(s.layer for s in vlm.geometry.sites)
    for site in vlm.geometry.sites:
        above = 2 * 4 * d * site.width + 4 * case.length * site.width + mlp
        one = 2 * site.head_dim * d + mlp + (top - site.layer) * above + 2 * d * text.vocab_size
        total += site.n_heads * one
    return float(total)


Record = dict[str, Any]


def scans(vlm: VLM, shape: Shape, pairs: int) -> Iterator[tuple[str, Record]]:
    """Gain of both scopes at one point."""
    point, new = Point(vlm, shape), shape.cases > 0
    cases = {"scan_all": shape.cases or 1, "scan_last": shape.cases or PROMPTS}
    sides: dict[str, Callable[[], object]] = {"plain": point.plain}
    for name, count in cases.items():
        scope = name.removeprefix("scan_")
        sides[name] = lambda s=scope, c=count: point.scan(s, c, new)
    times, limits = in_turns(sides, pairs), point.limits()
    runs = point.plain_heads * len(point.prompts)
    for name, count in cases.items():
        work = runs / (len(point.heads) * count)
        yield name, {**Ratio(times["plain"], times[name]).record(work), "limit": limits[name]}


def hooks(vlm: VLM, shape: Shape, pairs: int) -> Iterator[tuple[str, Record]]:
    """Cost of the hooks at one point."""
    point = Point(vlm, shape)
    batch, config = vlm.encode(point.prompts), greedy_config(vlm, shape.new)
    with tempfile.TemporaryDirectory() as scratch:  # what the answers are judged by
        items = list(make_items(generate_cases(scratch, BATCH, seed=5), DEFAULT, ("gold",)))[:BATCH]

    @torch.no_grad()
    def bare() -> None:
        vlm.model.generate(**batch.inputs, generation_config=config)

    def hooked() -> None:
        ask(vlm, batch, items, readouts=READOUTS, max_new_tokens=shape.new, score=False)

    times = in_turns({"bare": bare, "hooked": hooked}, pairs)
    yield "capture_hooks", {**Ratio(times["hooked"], times["bare"]).record(), "limit": 1.0}


def stages(vlm: VLM, shape: Shape, pairs: int) -> Iterator[tuple[str, Record]]:
    """Cost of hooks and of the whole stage for so many cases."""
    with tempfile.TemporaryDirectory() as scratch:
        cases = generate_cases(Path(scratch) / "cases", shape.cases, seed=5)
        every = make_sides(vlm, cases, BATCH, Path(scratch) / "capture")
        sides = {name: every[name] for name in ("bare", "capture", "bare_encoded", "hooks")}
        times = in_turns(sides, pairs)
    yield "capture_hooks", {**Ratio(times["hooks"], times["bare_encoded"]).record(), "limit": 1.0}
    yield "capture_stage", {**Ratio(times["capture"], times["bare"]).record(), "limit": None}


def plan(values: int) -> dict[tuple[Any, Shape], list[tuple[str, int]]]:
    """Kind of work and shape -> the axes and places where it stands; the base stands on most axes."""
    found: dict[tuple[Any, Shape], list[tuple[str, int]]] = {}
    for work, axes in ((scans, SCAN), (hooks, CAPTURE)):
        for field, every in axes.items():
            for value in every[:values]:
                kind = stages if work is hooks and field == "cases" else work
                shape = replace(BASE, **{field: value})
                found.setdefault((kind, shape), []).append(shown(field, value))
    return found


def measure(folder: Path, pairs: int, values: int) -> list[Record]:
    """All points, a model at a time."""
    todo = plan(values)
    models = {(s.layers, s.heads, s.pixels) for _, s in todo}
    points, start = [], time.perf_counter()
    for layers, heads, pixels in sorted(models):
        path = random_vlm(
            folder / f"{layers}-{heads}-{pixels}",
            layers=layers, heads=heads, pixels=pixels, patch=PATCH, tower_layers=2, tower_width=128,
        )  # fmt: skip
        vlm = load_model(path, prove=False)
        for (work, shape), places in todo.items():
            if (shape.layers, shape.heads, shape.pixels) != (layers, heads, pixels):
                continue
            for figure, record in work(vlm, shape, pairs):
                kept = {k: record[k] for k in ("median", "spread", "n", "limit")}
                points += [{"figure": figure, "axis": a, "value": v, **kept} for a, v in places]
                where = ", ".join(f"{a} {v}" for a, v in places)
                print(f"{time.perf_counter() - start:5.0f} s  {figure} at {where}: {kept}", flush=True)
    return sorted(points, key=lambda p: (p["figure"], p["axis"], p["value"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5, help="repetitions of a point")
    parser.add_argument("--values", type=int, default=9, help="points of an axis, the smallest ones")
    parser.add_argument("--folder", type=Path, default=None, help="where the random models are kept")
    parser.add_argument("--no-record", action="store_true", help="print only; leave curves.json alone")
    args = parser.parse_args()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as temporary:
        points = measure(args.folder or Path(temporary), args.pairs, args.values)
    if not args.no_record:
        write_json(CURVES, {"machine": machine(), "base": asdict(BASE), "points": points})


if __name__ == "__main__":
    main()
