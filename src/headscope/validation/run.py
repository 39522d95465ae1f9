"""``headscope validate-method``: every measurement in turn, resumable, and one summary of all."""

from __future__ import annotations

import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from headscope.storage import Ledger, Row, plain
from headscope.validation.claim_cases import ClaimSizes
from headscope.validation.claim_scores import summarise_claims
from headscope.validation.claims import ClaimSettings, KnownClaim, claims_on_known_answers
from headscope.validation.coverage import coverage
from headscope.validation.embedded import embedded_muting, embedded_stability
from headscope.validation.emphasis_claims import (
    KnownEmphasis,
    emphasis_on_known_answers,
    summarise_emphasis,
)
from headscope.validation.nulls import label_nulls, random_weights
from headscope.validation.patching import (
    TWO_HOP,
    KnownPatchSettings,
    patching_unit,
    summarise_edges,
    summarise_patching,
)
from headscope.validation.planted.frozen import check_frozen
from headscope.validation.planted_runs import (
    decoy_rejection,
    dependence_unit,
    planted_unit,
    summarise,
    summarise_dependence,
)
from headscope.validation.pointing_claims import (
    KnownPointing,
    pointing_on_known_answers,
    summarise_pointing,
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
    workers: int = 1,
    announce: Callable[[str], None] | None = None,
) -> ValidationResult:
    """Run the whole chain on models with known answers and on models with none; write ``summary.json``.

    Every unit of work is kept in ``out/units``, so that the same call after a kill goes on where it was. What
    the fields of the summary mean: docs/method.md.

    Args:
        out: folder; ``quick`` and full runs need one each.
        seeds: planted models of each level.
        settings: all sizes; by default those of ``quick`` or of the full run.
        workers: processes; units of work do not depend on each other.

    Raises:
        StudyError: a constructor of planted models is not the one that was frozen.
        StoreError: the folder holds work made with other settings.
    """
    chosen = settings or settings_for(quick, seeds)
    out, say = Path(out), announce or (lambda _: None)
    constructor = check_frozen()
    ledger = Ledger(out / "units", {**asdict(chosen), "constructor": constructor})
    work = _units(out, chosen)
    missing = {name: compute for name, compute in work.items() if name not in ledger}
    for number, (name, unit) in enumerate(_computed(missing, workers), 1):
        ledger.put(name, unit)
        say(f"validate-method {number}/{len(missing)}: {name}, {unit['seconds']:.0f} s")
        shutil.rmtree(out / "work" / name.replace(" ", "-"), ignore_errors=True)
    units = {name: ledger.get(name) for name in work}
    done = {name: unit["value"] for name, unit in units.items()}
    summary = _summary(done, chosen, quick, sum(u["seconds"] for u in units.values()), constructor)
    summary.save(out / "summary.json")
    return summary


def _computed(work: Mapping[str, Callable[[], Any]], workers: int) -> Iterator[tuple[str, Row]]:
    """Units with their seconds, as they are done."""
    if workers < 2:
        yield from ((name, _timed(compute)) for name, compute in work.items())
        return
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=fresh, initializer=_one_thread) as pool:
        names = {pool.submit(_timed, compute): name for name, compute in work.items()}
        try:
            for future in as_completed(names):
                yield names[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # else all that is left would be done, and lost
            raise


def _one_thread() -> None:
    """Models this small are slower on several threads than on one."""
    import torch

    torch.set_num_threads(1)


def _timed(compute: Callable[[], Any]) -> Row:
    start = time.perf_counter()
    value = compute()
    return {"value": value, "seconds": round(time.perf_counter() - start, 2)}


def _units(out: Path, s: ValidateSettings) -> dict[str, Callable[[], Any]]:
    """Name -> unit of work; each works in a folder of its own, which is removed when the unit is kept."""

    def place(name: str) -> Path:
        return out / "work" / name.replace(" ", "-")

    units: dict[str, Callable[[], Any]] = {}
    for seed in range(FIRST, FIRST + s.claim_seeds):
        for level in s.claim_levels:
            name = f"claims {level} {seed}"
            units[name] = partial(claims_unit, place(name), level, seed, s)
    for level in s.levels:
        for seed in range(FIRST, FIRST + s.seeds):
            name = f"planted {level} {seed}"
            units[name] = partial(planted_unit, place(name), level, seed, s)
    for seed in range(FIRST, FIRST + s.emphasis_seeds):
        name = f"emphasis {seed}"
        units[name] = partial(emphasis_unit, place(name), seed)
    for seed in range(FIRST, FIRST + s.pointing_seeds):
        name = f"pointing {seed}"
        units[name] = partial(pointing_unit, place(name), seed)
    for level in s.patch_levels:
        models = max(s.patch_seeds, s.edge_seeds) if level == TWO_HOP else s.patch_seeds
        for number in range(models):
            seed, edges_only = FIRST + number, number >= s.patch_seeds
            name = f"patching {level} {seed}"
            how = KnownPatchSettings(s.patch_pairs, edges_only=edges_only)
            units[name] = partial(patching_unit, place(name), level, seed, how)
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


def claims_unit(folder: Path, level: str, seed: int, s: ValidateSettings) -> list[Row]:
    """One planted model through the muting experiment: each claim beside the truth."""
    sizes = ClaimSizes(test_pictures=s.claim_pictures, test_questions=s.claim_questions)
    default = ClaimSettings()
    ablation = replace(default.ablation, test_items=s.claim_questions)
    chosen = replace(default, sizes=sizes, ablation=ablation)
    return [claim.content() for claim in claims_on_known_answers(folder, level, seed, chosen)]


def emphasis_unit(folder: Path, seed: int) -> list[Row]:
    """One weakened model through the emphasis experiment: each claim beside the truth."""
    return [claim.content() for claim in emphasis_on_known_answers(folder, seed)]


def pointing_unit(folder: Path, seed: int) -> list[Row]:
    """One planted model that errs, for two reasons, pointed at: each claim beside the truth."""
    return [claim.content() for claim in pointing_on_known_answers(folder, seed)]


def _summary(
    done: Row, settings: ValidateSettings, quick: bool, seconds: float, constructor: str
) -> ValidationResult:
    rows = [v for n, v in done.items() if n.startswith("planted ")]
    planted, patched = summarise(rows), [v for n, v in done.items() if n.startswith("patching ")]
    single, sets = summarise_patching(patched)
    for level, cell in single.items():
        if level in planted:
            planted[level]["patching"] = cell
    raised = [c for n, v in done.items() if n.startswith("emphasis ") for c in v]
    turned_up = summarise_emphasis([KnownEmphasis.model_validate(c) for c in raised])
    pointed = [
        KnownPointing.model_validate(c) for n, v in done.items() if n.startswith("pointing ") for c in v
    ]
    claims = [KnownClaim.model_validate(c) for n, v in done.items() if n.startswith("claims ") for c in v]
    labels, muting = done["null labels"], done["embedded muting"]
    test = muting["random_heads"]["random accuracy"]
    found = {
        "quick": quick,
        "constructor": constructor,
        "planted": planted,
        "emphasis": None if turned_up is None else turned_up.content(),
        "pointing": {claim: cell.content() for claim, cell in summarise_pointing(pointed).items()},
        "sets": sets,
        "edges": summarise_edges(patched),
        "claims": {level: cell.content() for level, cell in summarise_claims(claims).items()},
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
