"""Do the findings repeat when the embedded model is trained again? One row for each finished demo study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headscope.errors import StoreError
from headscope.probing.sparsity import over_models
from headscope.storage import read_json

SCHEMA = "headscope/training-seeds/1"
Row = dict[str, Any]
_CONTRAST = ("spatial", "other", "difference", "relabel_p")


def training_row(name: str, summary: Mapping[str, Any], atlas: Mapping[str, Any] | None = None) -> Row:
    """What one model's study found: accuracy, sparsity, spatial against other, muting, waking.

    Args:
        name: of the model in the table. summary: content of the study's ``summary.json``. atlas: content of
            its ``probe/atlas.json``; without it the contrast spatial vs others is left empty.

    Returns:
        Shares in 0..1, drops and gains in percentage points; ``muting`` holds points lost and p by function.
    """
    accuracy, both = summary["accuracy"], summary["wake"].get("both") or {}
    contrast = ((atlas or {}).get("scarcity") or {}).get("causal")
    heads = {f: c["share"] for f, c in summary["functional_heads"].items() if c.get("share") is not None}
    return {
        "name": name,
        "revision": summary["model"]["revision"],
        "accuracy": {f: c["value"] for f, c in accuracy.items()},
        "main_by_context": dict(summary["main_by_context"]),
        "head_share": heads,
        "spatial_vs_other": {"unit": "effective heads", **{k: contrast[k] for k in _CONTRAST}}
        if contrast
        else None,
        "muting": {
            f: {k: c[k] for k in ("k", "drop_points", "ci", "control_mean", "p")}
            for f, c in summary["ablation"].items()
        },
        "wake": {k: both.get(k) for k in ("delta_points", "ci", "random_box_delta_points")},
    }


def read_training_row(folder: str | Path, name: str | None = None) -> Row:
    """The row of a study folder, or of a lone summary file.

    Raises:
        StoreError: no finished study there, or the file is not a study's summary.
    """
    folder = Path(folder)
    path = folder if folder.is_file() else folder / "summary.json"
    if not path.is_file():
        raise StoreError(f"{folder}: holds no summary.json; run headscope demo --study {folder} first")
    summary = read_json(path)
    missing = {"accuracy", "ablation", "functional_heads", "wake"} - set(summary)
    if missing:
        raise StoreError(f"{path}: not the summary of a finished study (no {', '.join(sorted(missing))})")
    atlas = folder / "probe" / "atlas.json"
    return training_row(name or folder.stem, summary, read_json(atlas) if atlas.is_file() else None)


def training_seeds(rows: Sequence[Row], level: float = 0.05) -> Row:
    """Rows side by side, and in how many of them each finding holds.

    Args:
        rows: of :func:`training_row`. level: a function counts as hit by muting if the points lost are above
            those of the controls and p <= level.

    Raises:
        StoreError: two rows are of one revision, so that nothing was repeated.
    """
    revisions = [r["revision"] for r in rows]
    if len(set(revisions)) < len(revisions):
        raise StoreError(f"asked to compare training seeds; two studies are of one model: {revisions}")
    functions = list(dict.fromkeys(f for r in rows for f in r["muting"]))
    contrasts = [r["spatial_vs_other"] for r in rows if r["spatial_vs_other"]]
    return {
        "schema": SCHEMA,
        "models": list(rows),
        "repeats": {
            "models": len(rows),
            "muting": {
                f: _share([_hurt(r["muting"][f], level) for r in rows if f in r["muting"]]) for f in functions
            },
            "spatial_fewer": _share([c["difference"] < 0 for c in contrasts]),
            "spatial_more": _share([c["difference"] > 0 for c in contrasts]),
            "over_models": _over_models(contrasts),
            "pointing_helps": _share([_above_zero(r["wake"]["ci"]) for r in rows]),
        },
    }


def _over_models(contrasts: Sequence[Row]) -> Row | None:
    """Mean difference over models and its sign-flip p: the unit is the model."""
    if not contrasts:
        return None
    mean, p = over_models([c["difference"] for c in contrasts])
    return {"models": len(contrasts), "unit": contrasts[0]["unit"], "difference": mean, "p": p}


def _hurt(cell: Mapping[str, Any], level: float) -> bool:
    return bool(cell["drop_points"] > cell["control_mean"] and cell["p"] <= level)


def _above_zero(ci: Sequence[float | None] | None) -> bool:
    return bool(ci and ci[0] is not None and ci[0] > 0)


def _share(found: Sequence[bool]) -> Row:
    return {"holds": int(sum(found)), "of": len(found)}
