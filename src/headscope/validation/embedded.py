"""Measurements on the embedded model: the muting test under random heads, and the stability of its maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from headscope.capturing.run import capture
from headscope.capturing.store import open_activations, open_answers
from headscope.data.cases import Cases, load_cases
from headscope.data.splits import assign_splits, picture_groups
from headscope.making.scenes.generate import draw_scenes
from headscope.models.embedded import weights_folder
from headscope.models.vlm import VLM, load_model
from headscope.probing.atlas import Atlas
from headscope.statistics.resampling import group_codes
from headscope.validation.muting import power, profile, random_heads, record
from headscope.validation.settings import ValidateSettings
from headscope.validation.stability import Material, causal_stability, probe_stability

Row = dict[str, Any]
TESTED = 4  # heads that are muted together


def scenes(folder: Path, settings: ValidateSettings) -> tuple[Cases, dict[str, str]]:
    """Scenes that the embedded model is read on, and their splits."""
    if not (folder / "data" / "cases.jsonl").exists():
        draw_scenes(folder / "data", settings.embedded_cases, settings.seed + 71, card=False)
    cases = load_cases(folder / "data")
    return cases, {str(k): str(v) for k, v in assign_splits(cases, settings.seed).items()}


def embedded_muting(folder: Path, settings: ValidateSettings) -> Row:
    """The muting test's error rate under randomly drawn heads, and its power for the atlas's best heads."""
    cases, splits = scenes(folder, settings)
    vlm = load_model("embedded")
    atlas = Atlas.load(Path(weights_folder()) / "atlas.json")
    tested = {f: atlas.top(f, TESTED) for f in settings.embedded_functions}
    recorded = record(vlm, cases, splits, tested, folder / "sets", settings)
    return {
        "random_heads": random_heads(list(recorded.values()), settings.replicates, settings.seed),
        "power": {f: power(one, 500, settings.seed) for f, one in recorded.items()},
        "tested": {
            f: {
                "heads": [str(h) for h in heads],
                "per_layer": profile(heads),
                "cases": int(recorded[f].drop.shape[1]),
                "sets": len(recorded[f].drop) - 1,
                "drop_points": 100 * float(recorded[f].drop[0].mean()),
                "random_points": 100 * float(recorded[f].drop[1:].mean()),
            }
            for f, heads in tested.items()
        },
        "model": vlm.revision,
    }


def embedded_stability(folder: Path, settings: ValidateSettings) -> Row:
    """Rank correlations of all three rankings on the embedded model."""
    cases, splits = scenes(folder, settings)
    vlm = load_model("embedded")
    common: dict[str, Any] = {"contexts": ("gold",), "main_contexts": (), "batch_size": settings.batch_size}
    capture(vlm, cases, splits, folder / "capture", readouts=("prompt_last",), **common)
    found = probe_stability(_material(vlm, cases, folder), settings)
    causal = causal_stability(vlm, cases, splits, folder / "readings", settings)
    found["halves"]["causal"], found["top"]["causal"] = causal["halves"], causal["top"]
    found["causal_functions"], found["model"] = causal["functions"], vlm.revision
    return found


def _material(vlm: VLM, cases: Cases, folder: Path) -> Material:
    rows = open_answers(folder / "capture")
    names = list(dict.fromkeys(r["function"] for r in rows))
    z = open_activations(folder / "capture", "prompt_last", context="gold")["prompt_last"].values
    groups = picture_groups(cases)
    images = [groups[r["case"]] for r in rows]
    sites = list(dict.fromkeys((h.tower, h.layer, h.site) for h in vlm.geometry.heads))
    return Material(
        z=np.asarray(z, dtype=np.float32),
        labels=np.array([names.index(r["function"]) for r in rows]),
        images=group_codes(images, len(rows))[0],
        wordings=[str(r["wording"]) for r in rows],
        unseen=np.array(["wording" in str(r["held_out"]).split(",") for r in rows]),
        layers=[sites.index((h.tower, h.layer, h.site)) for h in vlm.geometry.heads],
        functions=names,
    )
