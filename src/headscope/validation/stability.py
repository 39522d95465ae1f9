"""Does the same model give the same map again? Other probe seeds, other halves, other wordings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headscope.data.cases import Cases
from headscope.edits.edits import mute
from headscope.experiments.context import identity
from headscope.experiments.items import choose_items, open_readers
from headscope.functions import DEFAULT
from headscope.models.vlm import VLM
from headscope.probing.independent import independent_probes
from headscope.probing.joint import importance, joint_probe
from headscope.progress import track
from headscope.statistics.resampling import group_codes, spearman
from headscope.storage import Ledger
from headscope.validation.settings import ValidateSettings

Floats = NDArray[np.float64]
Maps = dict[str, Floats]  # variant -> (function, head) strengths
Row = dict[str, Any]
TOP = 5


@dataclass(frozen=True, eq=False)
class Material:
    """Captured steps of the embedded model.

    ``z`` (item, head, width); ``labels`` (item,) function; ``images`` (item,); ``unseen`` (item,) whether the
    wording occurs in test only; ``layers`` (head,).
    """

    z: NDArray[Any]
    labels: NDArray[np.int64]
    images: NDArray[np.int64]
    wordings: Sequence[str]
    unseen: NDArray[np.bool_]
    layers: Sequence[int]
    functions: Sequence[str]


def probe_stability(material: Material, settings: ValidateSettings) -> Row:
    """Rank correlations of the independent and the joint ranking over seeds, halves and wordings."""
    seen = np.flatnonzero(~material.unseen)
    seeds = range(settings.probe_seeds)
    epochs = settings.epochs
    maps = {
        "independent": {f"seed {s}": _independent(material, seen, s) for s in seeds},
        "joint": {f"seed {s}": _joint(material, seen, s, epochs) for s in track(seeds, "joint seeds")},
    }
    result: Row = {"seeds": {way: correlations(table) for way, table in maps.items()}}
    halves: dict[str, list[Maps]] = {"independent": [], "joint": []}
    for number in range(settings.halvings):
        parts = halved(material.images, seen, settings.seed + number)
        halves["independent"].append({str(i): _independent(material, p, 0) for i, p in enumerate(parts)})
        halves["joint"].append({str(i): _joint(material, p, 0, epochs) for i, p in enumerate(parts)})
    result["halves"] = {way: _mean([correlations(m) for m in tables]) for way, tables in halves.items()}
    unseen = np.flatnonzero(material.unseen)
    if len(np.unique(material.images[unseen])) >= 10:
        both = {"seen": maps["independent"]["seed 0"], "unseen": _independent(material, unseen, 0)}
        result["wordings"] = {"independent": correlations(both), "steps": len(unseen)}
    every = {way: list(table.values()) for way, table in maps.items()}
    for way, tables in halves.items():
        every[way] += [one for table in tables for one in table.values()]
    result["top"] = {way: recurring(tables, material.functions) for way, tables in every.items()}
    return result


def causal_stability(
    vlm: VLM, cases: Cases, splits: Mapping[str, str], folder: Path, settings: ValidateSettings
) -> Row:
    """The causal ranking in both halves of the questions, several times; every head is muted once."""
    ledger = Ledger(folder, {"seed": settings.seed, "items": settings.items, **identity(vlm, cases)})
    items = choose_items(cases, splits, "select", DEFAULT, settings.items, settings.seed, ())
    names = [f for f in settings.embedded_functions if f in items]
    readers = open_readers(vlm, cases, {f: items[f] for f in names}, ledger)
    lost, images = {}, {}
    for name, reader in readers.items():
        readings = reader.read_many([(h,) for h in vlm.geometry.heads], mute(), label=f"stability: {name}")
        lost[name] = np.array([reader.clean.margin - r.margin for r in readings])
        images[name] = group_codes(reader.groups, len(reader))[0]
    found, tables = [], []
    for number in range(settings.halvings):
        parts = {f: halved(images[f], np.arange(len(images[f])), settings.seed + number) for f in names}
        half = {str(i): np.stack([lost[f][:, parts[f][i]].mean(1) for f in names]) for i in (0, 1)}
        found.append(correlations(half))
        tables += list(half.values())
    return {"halves": _mean(found), "top": recurring(tables, names), "functions": names}


def halved(images: NDArray[Any], items: NDArray[np.int64], seed: int) -> tuple[Any, Any]:
    """Items in two halves that share no image."""
    names = np.unique(images[items])
    chosen = np.random.default_rng([seed, 41]).permutation(names)[: len(names) // 2]
    first = np.isin(images[items], chosen)
    return items[first], items[~first]


def correlations(maps: Mapping[str, Floats]) -> float | None:
    """Mean Spearman correlation over heads, over all pairs of variants and all functions."""
    found = [
        spearman(one, other)
        for a, b in combinations(maps.values(), 2)
        for one, other in zip(a, b, strict=True)
    ]
    found = [r for r in found if np.isfinite(r)]
    return float(np.mean(found)) if found else None


def recurring(tables: Sequence[Floats], functions: Sequence[str], k: int = TOP) -> Row:
    """Of the ``k`` greatest heads of each function: how many are there in every variant, and in some only.

    Example:
        >>> recurring([np.array([[3.0, 2, 1]]), np.array([[3.0, 1, 2]])], ["a"], k=2)["a"]
        {'always': [0], 'sometimes': [1, 2]}
    """
    found = {}
    for number, function in enumerate(functions):
        lines = [-np.nan_to_num(table[number], nan=-np.inf) for table in tables]
        tops = [set(np.argsort(line, kind="stable")[:k].tolist()) for line in lines]
        always = set.intersection(*tops) if tops else set()
        union = set.union(*tops) if tops else set()
        found[function] = {"always": sorted(always), "sometimes": sorted(union - always)}
    return found


def _mean(values: Iterable[float | None]) -> float | None:
    kept = [v for v in values if v is not None]
    return float(np.mean(kept)) if kept else None


def _independent(material: Material, items: NDArray[np.int64], seed: int) -> Floats:
    probes = independent_probes(
        material.z[items],
        material.labels[items],
        material.images[items],
        functions=len(material.functions),
        permutations=0,
        controls=0,
        seed=seed,
    )
    return probes.auroc.T


def _joint(material: Material, items: NDArray[np.int64], seed: int, epochs: int) -> Floats:
    """Trained on three quarters of the images, importance taken on the others, by size."""
    names = np.unique(material.images[items])
    aside = np.random.default_rng([seed, 42]).permutation(names)[: max(2, len(names) // 4)]
    judged = np.isin(material.images[items], aside)
    fit, select = items[~judged], items[judged]
    trained = joint_probe(
        material.z[fit],
        material.labels[fit],
        material.images[fit],
        layers=material.layers,
        functions=len(material.functions),
        epochs=epochs,
        seed=seed,
    )
    weight = importance(
        trained.probe, material.z[select], material.labels[select], material.images[select], 2
    )
    return np.abs(weight.mean)
