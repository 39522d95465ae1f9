"""Readings under many random mutes: one row up to the first edited layer, against every edit on whole runs.

    python benchmarks/bench_experiments.py [--pairs 7] [--edits 50] [--items 20] [--large]

Writes ``experiments_speedup`` (whole runs over shared prefix, embedded model, all functions) and
``experiments_max_error`` into results.json; ``--large`` adds the same on a random VLM of 12 x 12 heads.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness import interleaved, random_vlm, record
from headscope import load_model
from headscope.data.cases import Cases
from headscope.edits.edits import mute
from headscope.engine.engine import SHARED_PREFIX
from headscope.engine.readings import Reader, Reading
from headscope.experiments.controls import draw
from headscope.experiments.items import choose_items, open_readers
from headscope.functions import DEFAULT
from headscope.making.scenes.generate import draw_scenes
from headscope.models.geometry import Head
from headscope.storage import Ledger

HEADS = 8


class Side:
    """All functions' readers, one way of reading; every call reads everything anew."""

    def __init__(self, vlm: Any, cases: Cases, items: int, edits: int, strategies: Sequence[str]) -> None:
        chosen = choose_items(cases, {c.id: "test" for c in cases}, "test", DEFAULT, items, 0, ())
        self.readers: dict[str, Reader] = open_readers(vlm, cases, chosen, _ledger(), strategies=strategies)
        sizes = np.random.default_rng(0).permutation(len(vlm.geometry.heads))[:HEADS]
        tested: list[Head] = [vlm.geometry.heads[i] for i in sizes]
        self.sets = draw(vlm.geometry, tested, edits, 1).draws
        for reader in self.readers.values():
            reader.clean  # noqa: B018 - read before the clock runs
        self.readings: list[Reading] = []

    def __call__(self) -> None:
        self.readings = []
        for reader in self.readers.values():
            reader.ledger = _ledger()
            self.readings += reader.read_many(self.sets, mute())

    @property
    def answers(self) -> int:
        """How many answers one call reads."""
        return len(self.sets) * sum(len(reader) for reader in self.readers.values())


def _ledger() -> Ledger:
    return Ledger(Path(tempfile.mkdtemp(prefix="headscope-bench-")), {})


def measure(name: str, vlm: Any, cases: Cases, items: int, edits: int, pairs: int) -> None:
    """Both ways in turns; their readings must agree."""
    whole, shared = (Side(vlm, cases, items, edits, some) for some in ((), (SHARED_PREFIX,)))
    times = interleaved(whole, shared, pairs)
    error = max(
        float(np.abs(a.margin - b.margin).max()) for a, b in zip(whole.readings, shared.readings, strict=True)
    )
    differ = sum(
        int((a.correct != b.correct).sum()) for a, b in zip(whole.readings, shared.readings, strict=True)
    )
    found = times.record()
    rates = {"whole": whole.answers / found["seconds"][0], "shared": whole.answers / found["seconds"][1]}
    record(f"experiments_speedup{name}", {**found, "answers": whole.answers, "answers_per_s": rates})
    record(f"experiments_max_error{name}", {"margin": error, "answers_that_differ": differ})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--edits", type=int, default=50)
    parser.add_argument("--items", type=int, default=20)
    parser.add_argument(
        "--large", action="store_true", help="also a random VLM of 12 layers x 12 heads of 64"
    )
    given = parser.parse_args()
    torch.manual_seed(0)
    folder = Path(tempfile.mkdtemp(prefix="headscope-bench-"))
    cases = draw_scenes(folder / "data", 3 * given.items, 0)
    measure("", load_model("embedded"), cases, given.items, given.edits, given.pairs)
    if given.large:
        vlm = load_model(random_vlm(folder / "vlm"))
        measure("_large", vlm, cases, min(4, given.items), min(24, given.edits), given.pairs)


if __name__ == "__main__":
    main()
