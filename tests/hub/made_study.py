"""Makes up what pushing reads of a study: its atlas, one function muted, the causal scores' n."""

from __future__ import annotations

import shutil
from pathlib import Path

from headscope.experiments.ablation_result import AblationResult, MutingTest
from headscope.experiments.causal import CausalScores, HeadCosts
from headscope.probing.atlas import Atlas


def muted_study(folder: Path, atlas_path: Path) -> Path:
    """Write the files into a new folder; the folder comes back."""
    (folder / "probe").mkdir(parents=True)
    shutil.copy(atlas_path, folder / "probe" / "atlas.json")
    atlas = Atlas.load(atlas_path)
    labels = tuple(h.label for h in atlas.heads)
    none, ends = (None,) * len(labels), ((None, None),) * len(labels)
    costs = HeadCosts(items=48, margin_drop=none, margin_ci=ends, drop_points=none, ci=ends, p=none)
    CausalScores(heads=labels, functions=dict.fromkeys(atlas.functions, costs)).save(folder / "causal.json")
    AblationResult(
        settings={},
        functions={"counting": _test(labels)},
        claimed=("counting",),
        skipped={"text_reading": "too few questions"},
    ).with_rows([{"phase": "control", "muted": "counting"}]).save(folder / "ablation.json")
    return folder


def _test(labels: tuple[str, ...]) -> MutingTest:
    given = {"ranking": "causal", "k": 2, "heads": labels[:2], "n": 60, "images": 30, "drop_points": 12.5}
    given |= {
        "ci": (4.0, 21.0),
        "q": 0.01,
        "draws": 250,
        "distinct": 200,
        "claimed": True,
        "verdict": "functional: every part holds",
    }
    return MutingTest.model_validate({**_empty(), **given})


def _empty() -> dict[str, object]:
    """Every field of a test that has no default, with nothing in it."""
    fields = {n: f for n, f in MutingTest.model_fields.items() if f.is_required()}
    return {n: _nothing(str(f.annotation)) for n, f in fields.items()}


def _nothing(annotation: str) -> object:
    if annotation.startswith("tuple"):
        return (None, None)
    return 0 if "int" in annotation and "None" not in annotation else None
