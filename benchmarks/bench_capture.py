"""What capture costs beside bare generation of the same questions.

Both sides start from the same cases on disk. Bare: read the picture, encode the batch, `model.generate`; no
hook, nothing kept, nothing written; the same batches in the same order. Capture: the stage itself with all
three readouts, answers parsed, z pooled in the hooks, everything written to disk.

`capture_ratio` and `capture_ratio_embedded` (bar 1) are whole captures, choices scored and all, though
scoring is work that bare generation does not do. Beside it: the same without scoring (`unscored`), and
the price of the hooks alone (`hooks`): encoded batches in memory on both sides, z pooled and fetched; nothing
shared, scored or written. Whole captures may cost less than bare generation, since a case's picture is read,
processed and encoded once for all its steps, which a bare loop over batches does not do.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from harness import Ratio, random_vlm, record

READOUTS = ("prompt_last", "answer_mean", "answer_content")
NEW = 8


def in_turns(sides: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, ...]]:
    """Seconds of every side in each round; who goes first moves on from round to round."""
    names = list(sides)
    for name in names:
        sides[name]()
    times: dict[str, list[float]] = {n: [] for n in names}
    for turn in range(rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            start = time.perf_counter()
            sides[name]()
            times[name].append(time.perf_counter() - start)
    return {n: tuple(t) for n, t in times.items()}


def make_sides(vlm: Any, cases: Any, batch_size: int, folder: Path) -> dict[str, Callable[[], object]]:
    """The pieces of work, all of them over the same questions in the same batches."""
    from headscope.asking.ask import ask
    from headscope.asking.batches import encode_batch
    from headscope.asking.items import make_items
    from headscope.capturing.captured import read_plan
    from headscope.capturing.run import capture
    from headscope.functions import DEFAULT
    from headscope.models.answering.generation import greedy_config

    def captured(score: bool) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        capture(
            vlm, cases, cases.splits, folder, readouts=READOUTS, batch_size=batch_size, max_new_tokens=NEW,
            score=score,
        )  # fmt: skip

    captured(True)
    items = {i.id: i for i in make_items(cases, DEFAULT, ("gold",))}
    batches = [[items[i] for i in ids] for s in read_plan(folder).shards for ids in s.batches]

    def encode(batch: list[Any]) -> Any:
        return encode_batch(vlm, batch, lambda i: cases.image(i.case))

    encoded = [encode(batch) for batch in batches]

    @torch.no_grad()
    def generate(one: Any) -> None:
        vlm.model.generate(**one.to(vlm.device).inputs, generation_config=greedy_config(vlm, NEW))

    def hooks() -> None:
        for one, batch in zip(encoded, batches, strict=True):
            ask(vlm, one, batch, readouts=READOUTS, max_new_tokens=NEW, score=False)

    return {
        "bare": lambda: [generate(encode(batch)) for batch in batches],
        "capture": lambda: captured(True),
        "unscored": lambda: captured(False),
        "bare_encoded": lambda: [generate(one) for one in encoded],
        "hooks": hooks,
    }


def measure(name: str, vlm: Any, n_cases: int, batch_size: int, rounds: int) -> None:
    """One record: the ratio of bar 1, and what it is made of."""
    from headscope import generate

    with tempfile.TemporaryDirectory() as scratch:
        cases = generate(Path(scratch) / "cases", n_cases, seed=5)
        sides = make_sides(vlm, cases, batch_size, Path(scratch) / "capture")
        times = in_turns(sides, rounds)
        questions = sum(len(c.steps) + 1 for c in cases)
    value = Ratio(times["capture"], times["bare"]).record()
    value["unscored"] = Ratio(times["unscored"], times["bare"]).record()
    value["hooks"] = Ratio(times["hooks"], times["bare_encoded"]).record()
    value["shape"] = {
        "parameters": vlm.parameters,
        "heads": len(vlm.geometry.heads),
        "questions": questions,
        "batch": batch_size,
        "new_tokens": NEW,
    }
    record(name, value)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--cases", type=int, default=48, help="on the embedded model")
    parser.add_argument("--cases-random", type=int, default=4)
    parser.add_argument("--only", choices=("random", "embedded"))
    args = parser.parse_args()
    from headscope.models.vlm import load_model

    if args.only != "random":
        measure("capture_ratio_embedded", load_model("embedded", prove=False), args.cases, 32, args.rounds)
    if args.only != "embedded":
        folder = Path(tempfile.gettempdir()) / "headscope-bench" / "vlm-100m"
        random_vlm(folder, layers=8, tower_layers=4)
        measure("capture_ratio", load_model(folder, prove=False), args.cases_random, 8, args.rounds)


if __name__ == "__main__":
    main()
