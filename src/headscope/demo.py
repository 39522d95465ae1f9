"""What ``make demo`` runs: scenes, then the whole study on the embedded model."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from headscope.data.cases import load_cases
from headscope.data.scenes.generate import generate
from headscope.storage import read_json, write_json
from headscope.study import Study


def run_demo(
    folder: str | Path,
    *,
    cases: int,
    seed: int,
    size: str = "demo",
    model: str = "embedded",
    announce: Callable[[str], None] | None = None,
) -> Study:
    """Draw ``cases`` scenes into ``folder/data``, then run every stage; resumes like any study."""
    folder = Path(folder)
    data = folder / "data"
    start = time.perf_counter()
    found = load_cases(data) if (data / "cases.jsonl").exists() else generate(data, cases, seed)
    seconds = round(time.perf_counter() - start, 2)
    study = Study.create(folder, model=model, data=found, size=size, seed=seed, announce=announce)
    path = folder / "timings.json"
    timings = read_json(path) if path.exists() else {}
    write_json(path, {"data": seconds, **timings})
    study.run()
    return study
