"""``headscope validate-method``: every measurement in turn, resumable, and one summary of all."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from headscope.storage import Ledger, Row, plain
from headscope.validation.coverage import coverage
from headscope.validation.embedded import embedded_muting, embedded_stability
from headscope.validation.nulls import label_nulls, random_weights
from headscope.validation.planted.frozen import check_frozen
from headscope.validation.planted_runs import (
    decoy_rejection,
    dependence_unit,
    planted_unit,
    summarise,
    summarise_dependence,
)
from headscope.validation.scoring import WAYS
from headscope.validation.settings import ValidateSettings, settings_for
from headscope.validation.validation_result import ValidationResult

FIRST = 10  # planted models of lower seeds served to find faults of the method; they are not scored


def validate_method(
    out: str | Path,
    *,
    quick: bool = False,
    seeds: int | None = None,
    settings: ValidateSettings | None = None,
    announce: Callable[[str], None] | None = None,
) -> ValidationResult:
    """Run the whole chain on models with known answers and on models with none; write ``summary.json``.

    Every unit of work is kept in ``out/units``, so that the same call after a kill goes on where it was. What
    the fields of the summary mean: docs/method.md.

    Args:
        out: folder; ``quick`` and full runs need one each.
        seeds: planted models of each level.
        settings: all sizes; by default those of ``quick`` or of the full run.

    Raises:
        StudyError: a constructor of planted models is not the one that was frozen.
        StoreError: the folder holds work made with other settings.
    """
    chosen = settings or settings_for(quick, seeds)
    out, say = Path(out), announce or (lambda _: None)
    constructor = check_frozen()
    ledger = Ledger(out / "units", {**asdict(chosen), "constructor": constructor})
    done: dict[str, Any] = {}
    seconds = 0.0
    work = _units(out, chosen)
    for number, (name, compute) in enumerate(work.items(), 1):
        say(f"validate-method {number}/{len(work)}: {name}")
        unit = ledger.get_or(name, partial(_timed, compute))
        done[name] = unit["value"]
        seconds += unit["seconds"]
        shutil.rmtree(out / "work" / name.replace(" ", "-"), ignore_errors=True)
    summary = _summary(done, chosen, quick, seconds, constructor)
    summary.save(out / "summary.json")
    return summary


def _timed(compute: Callable[[], Any]) -> Row:
    start = time.perf_counter()
    value = compute()
    return {"value": value, "seconds": round(time.perf_counter() - start, 2)}


def _units(out: Path, s: ValidateSettings) -> dict[str, Callable[[], Any]]:
    """Name -> unit of work; each works in a folder of its own, which is removed when the unit is kept."""

    def place(name: str) -> Path:
        return out / "work" / name.replace(" ", "-")

    units: dict[str, Callable[[], Any]] = {}
    for level in s.levels:
        for seed in range(FIRST, FIRST + s.seeds):
            name = f"planted {level} {seed}"
            units[name] = partial(planted_unit, place(name), level, seed, s)
    for seed in range(FIRST, FIRST + s.dependence_seeds):
        name = f"dependence {seed}"
        units[name] = partial(dependence_unit, place(name), seed, s)
    units["coverage"] = partial(coverage, s.simulations, s.seed)
    for name, measure in (
        ("null labels", label_nulls),
        ("null weights", random_weights),
        ("embedded muting", embedded_muting),
        ("embedded stability", embedded_stability),
    ):
        units[name] = partial(measure, place(name), s)
    return units


def _summary(
    done: Row, settings: ValidateSettings, quick: bool, seconds: float, constructor: str
) -> ValidationResult:
    rows = [v for n, v in done.items() if n.startswith("planted ")]
    planted = summarise(rows)
    labels, muting = done["null labels"], done["embedded muting"]
    test = muting["random_heads"]["random accuracy"]
    found = {
        "quick": quick,
        "constructor": constructor,
        "planted": planted,
        "default_ranking": best_ranking(planted),
        "decoy_rejection": decoy_rejection(planted),
        "null": {
            "claimed_share": {name: cell["claimed_share"] for name, cell in labels.items()},
            "reject_at_05": test["reject_at_05"],
            "reject_at_01": test["reject_at_01"],
            "replicates": test["replicates"],
            "labels": labels,
            "random_heads": muting["random_heads"],
            "random_weights": done["null weights"],
        },
        "coverage": done["coverage"],
        "power": muting["power"],
        "tested": muting["tested"],
        "stability": done["embedded stability"],
        "dependence": summarise_dependence([v for n, v in done.items() if n.startswith("dependence")]),
        "settings": asdict(settings),
        "wall_s": round(seconds, 1),
    }
    return ValidationResult.model_validate(plain(found))


def best_ranking(planted: Row) -> str:
    """The criterion with the greatest F1 on the plain models; ties go to the one that names fewer falsely."""
    cells = planted["plain"]
    ways = [w for w in WAYS if cells[w]["f1"] is not None]
    return max(ways, key=lambda w: (cells[w]["f1"], -cells[w]["false_discoveries"]))
