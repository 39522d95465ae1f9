"""Patching on planted models: which heads it names, which sets it finds, which edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headscope.experiments.context import ExperimentContext
from headscope.experiments.patching.circuit import ALL, CircuitResult, CircuitSettings, circuit
from headscope.experiments.patching.edges import ANSWER
from headscope.experiments.patching.experiment import PatchSettings, patch
from headscope.experiments.patching.result import PatchedFunction, PatchResult, carriers
from headscope.models.vlm import load_model
from headscope.statistics.resampling import wilson_ci
from headscope.storage import read_json
from headscope.validation.known_pairs import known_pairs
from headscope.validation.planted.build import build_planted
from headscope.validation.planted.harder_build import build_harder
from headscope.validation.planted.plan import LEVELS
from headscope.validation.scoring import pooled, score

Row = dict[str, Any]
TWO_HOP = "two_hop"


@dataclass(frozen=True)
class KnownPatchSettings:
    """How much :func:`patching_unit` reads.

    Attributes:
        pairs: of each function on ``select``, and on ``test``.
        draws: random sets that a set is held against.
        edges_only: whether only the functions of two hops are read, for their edges: the rest of what a model
            of this level costs is spared where more models are wanted for the edges alone.
    """

    pairs: int = 24
    draws: int = 5
    edges_only: bool = False


def patching_unit(folder: Path, level: str, seed: int, settings: KnownPatchSettings) -> Row:
    """One planted model, patched: counts against the truth; of edges alone where nothing else is read."""
    (build_planted if level in LEVELS else build_harder)(folder / "model", level, seed)
    truth: Mapping[str, Any] = read_json(folder / "model" / "truth.json")
    pairs = known_pairs(folder / "pairs", level, settings.pairs, seed)
    vlm = load_model(folder / "model")
    context = ExperimentContext(vlm, pairs.cases, pairs.cases.splits, folder / "study", seed=seed)
    chosen = PatchSettings(
        pairs=str(folder / "pairs"),
        groups=("all",),
        select_pairs=settings.pairs,
        test_pairs=settings.pairs,
        estimate=False,
        pool=8,
        stand_ins=0,
        draws=settings.draws,
        functions=_moved(truth) if settings.edges_only else (),
    )
    found = patch(context, chosen)
    if settings.edges_only:
        return {"level": level, "seed": seed, "edges": _edges(context, found, truth, settings.pairs)}
    pictured = {**truth, "functions": {f: h for f, h in truth["functions"].items() if f in found.functions}}
    row: Row = {
        "level": level,
        "seed": seed,
        "right": {f: p.right / max(1, p.pairs) for f, p in found.functions.items()},
        "patching": score(
            {f: carriers(found.heads, p, chosen.floor) for f, p in found.functions.items()}, pictured
        ),
        "sets": score({f: _in_sets(p) for f, p in found.functions.items()}, pictured),
    }
    if level == TWO_HOP:
        row["edges"] = _edges(context, found, truth, settings.pairs)
    return row


def _edges(context: ExperimentContext, found: PatchResult, truth: Mapping[str, Any], pairs: int) -> Row:
    return score_edges(circuit(context, found, CircuitSettings(function=ALL, pairs=pairs)), truth)


def _moved(truth: Mapping[str, Any]) -> tuple[str, ...]:
    """Functions of two hops: a head moves something for them that another fetches."""
    return tuple(dict.fromkeys(f for h in truth["heads"] if h["role"] == "mover" for f in h["functions"]))


def _in_sets(patched: PatchedFunction) -> list[str]:
    sets = [s.heads for s in (patched.sufficient, patched.necessary) if s is not None]
    return list(dict.fromkeys(h for heads in sets for h in heads))


def score_edges(found: CircuitResult, truth: Mapping[str, Any]) -> Row:
    """Of each function of two hops: whether an edge from a mover to a fetcher is named, and other edges.

    Edges into the answer are no part of the plan, and count neither way.
    """
    roles = {h["label"]: (h["role"], tuple(h["functions"])) for h in truth["heads"]}
    row: Row = {"wanted": 0, "found": 0, "false": 0, "others": 0}
    for function, made in found.functions.items():
        moved = any(r == "mover" and function in f for r, f in roles.values())
        right = 0
        for edge in made.edges:
            if edge.receiver == ANSWER:
                continue
            ends = roles[edge.sender], roles[edge.receiver]
            planned = [e[0] for e in ends] == ["mover", "fetcher"] and all(function in e[1] for e in ends)
            right += planned and edge.named
            row["others"] += not planned
            row["false"] += edge.named and not planned
        row["wanted"] += moved
        row["found"] += moved and right > 0
    return row


def summarise_patching(rows: Sequence[Row]) -> tuple[dict[str, Row], dict[str, Row]]:
    """Level -> precision and recall of single heads, and of sets; each with how many models."""
    rows = [r for r in rows if "patching" in r]
    levels = list(dict.fromkeys(r["level"] for r in rows))
    kinds: list[dict[str, Row]] = []
    for kind in ("patching", "sets"):
        cells = {level: [r[kind] for r in rows if r["level"] == level] for level in levels}
        kinds.append({level: {**pooled(mine), "models": len(mine)} for level, mine in cells.items()})
    return kinds[0], kinds[1]


def summarise_edges(rows: Sequence[Row]) -> Row | None:
    """Functions whose two hops are found, other edges that are named, over the models of ``two_hop``."""
    mine = [r["edges"] for r in rows if "edges" in r]
    if not mine:
        return None
    total = {name: sum(int(r[name]) for r in mine) for name in ("wanted", "found", "false", "others")}
    interval = wilson_ci(total["found"], total["wanted"])
    return {"models": len(mine), **total, "found_ci": list(interval)}
