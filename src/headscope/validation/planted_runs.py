"""Planted models, level by level: what each ranking finds, what it invents, and what that depends on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from headscope.edits.edits import mute
from headscope.experiments.items import choose_items, open_readers
from headscope.experiments.named_attention import AttentionScores
from headscope.functions import DEFAULT
from headscope.models.geometry import parse_head
from headscope.probing.atlas import Atlas
from headscope.probing.summary import with_ranking
from headscope.storage import Ledger
from headscope.validation.chain import READOUT, PlantedStudy
from headscope.validation.scoring import WAYS, named_heads, pooled, ranks, score
from headscope.validation.settings import READOUTS, ValidateSettings

Row = dict[str, Any]
SCOPES = ("all", "image", "question", "last", "answer")


def planted_unit(folder: Path, level: str, seed: int, settings: ValidateSettings) -> Row:
    """One planted model through the whole chain: a row of counts per ranking."""
    study = PlantedStudy(folder, level, seed, settings)
    study.capture()
    causal = study.causal()
    atlas = study.probe(causal)
    truth = study.truth
    ways = {**judged(atlas, truth), "attention": attended(atlas, study.attention(), truth)}
    row: Row = {"level": level, "seed": seed, "accuracy": study.accuracy(), "ways": ways}
    row["suppressors_below_zero"] = _suppressors(atlas, truth)
    if truth["saturating"]:
        row["pairs"] = _pairs(study)
    return row


def judged(atlas: Atlas, truth: Mapping[str, Any]) -> Row:
    """Criterion -> counts against the truth and places of the true heads."""
    found = {}
    for way, ranking in WAYS.items():
        found[way] = {**score(named_heads(atlas, way), truth), "ranks": ranks(atlas, truth, ranking)}
    return found


def attended(atlas: Atlas, seen: AttentionScores, truth: Mapping[str, Any]) -> Row:
    """Counts for the heads that look at what is named, and places of the true heads by that ranking."""
    named = {f: a.lookers(seen.heads) for f, a in seen.functions.items()}
    shares = {f: a.share for f, a in seen.functions.items() if f in atlas.functions}
    intervals = {f: seen.functions[f].ci for f in shares}
    ranked = with_ranking(atlas, "attention", shares, intervals)
    return {**score(named, truth), "ranks": ranks(ranked, truth, "attention")}


def dependence_unit(folder: Path, seed: int, settings: ValidateSettings) -> Row:
    """One plain model again: the probes on every readout, the causal scan at every scope."""
    study = PlantedStudy(folder, "plain", seed, settings)
    study.capture()
    truth = study.truth
    row: Row = {"readout": {}, "scope": {}}
    for readout in READOUTS:
        ways = judged(study.probe(None, readout), truth)
        row["readout"][readout] = {way: cell for way, cell in ways.items() if way != "causal"}
    for scope in SCOPES:
        atlas = study.probe(study.causal(scope), READOUT)
        row["scope"][scope] = {"causal": judged(atlas, truth)["causal"]}
    return row


def summarise(rows: list[Row]) -> Row:
    """Per level and ranking: precision, recall, F1, places of the true heads."""
    found: Row = {}
    for level in dict.fromkeys(r["level"] for r in rows):
        mine = [r for r in rows if r["level"] == level]
        found[level] = {way: _cell([r["ways"][way] for r in mine]) for way in (*WAYS, "attention")}
        found[level]["models"] = len(mine)
        found[level]["accuracy"] = float(np.mean([a for r in mine for a in r["accuracy"].values()]))
        if any(r["suppressors_below_zero"] for r in mine):
            signs = [s for r in mine for s in r["suppressors_below_zero"]]
            found[level]["suppressors_below_zero"] = float(np.mean(signs))
        pairs = [p for r in mine for p in r.get("pairs", ())]
        if pairs:
            found[level]["pairs"] = {k: float(np.mean([p[k] for p in pairs])) for k in pairs[0]}
    return found


def summarise_dependence(rows: list[Row]) -> Row:
    """Precision, recall and F1 by readout and by scope."""
    found: Row = {}
    for kind in ("readout", "scope"):
        found[kind] = {
            name: {way: _cell([r[kind][name][way] for r in rows]) for way in cells}
            for name, cells in (rows[0][kind] if rows else {}).items()
        }
    return found


def _cell(rows: list[Row]) -> Row:
    places = [p for r in rows for p in r["ranks"]]
    cell = pooled(rows)
    cell["rank_median"] = float(np.median(places)) if places else None
    cell["rank_worst"] = float(np.max(places)) if places else None
    return cell


def decoy_rejection(planted: Mapping[str, Any]) -> Row:
    """Criterion -> share of the decoys that it does not name, at the level that has them."""
    cells = planted.get("decoy")
    if not cells:
        return {}
    counts = {way: cells[way]["counts"] for way in WAYS}
    return {way: c["decoys_rejected"] / c["decoys"] for way, c in counts.items()}


def _suppressors(atlas: Atlas, truth: Mapping[str, Any]) -> list[bool]:
    """For each suppressor, whether its causal score is clear of zero on the side of hindering."""
    place = {h.label: i for i, h in enumerate(atlas.heads)}
    found = []
    for function, heads in truth["suppressors"].items():
        pairs = atlas.intervals.get("causal", {}).get(function) or []
        intervals = [pairs[place[head]] for head in heads if pairs]
        found += [interval is not None and interval[1] < 0 for interval in intervals]
    return found


def _pairs(study: PlantedStudy) -> list[Row]:
    """For each redundant pair on ``test``: points lost without one, without the other, without both."""
    ledger = Ledger(study.folder / "pairs", {"seed": study.seed})
    s = study.settings
    items = choose_items(study.cases, study.splits, "test", DEFAULT, s.causal_items, s.seed, ())
    truth = study.truth
    readers = open_readers(study.vlm, study.cases, items, ledger, max_new_tokens=4)
    found = []
    for function in truth["saturating"]:
        one, other = (parse_head(h) for h in truth["functions"][function])
        reader = readers[function]
        readings = reader.read_many([(one,), (other,), (one, other)], mute())
        lost = [reader.clean.accuracy - r.accuracy for r in readings]
        found.append({"one": lost[0], "other": lost[1], "both": lost[2], "clean": reader.clean.accuracy})
    return found
