"""The measured error rates that the package carries, and how they are taken from a run's summary."""

from __future__ import annotations

from typing import Any

SCHEMA = "headscope/measured/1"
Row = dict[str, Any]


def measured(summary: Row, made_by: str) -> Row:
    """The few figures of a summary that stand beside every head map.

    Args:
        summary: the content of ``summary.json``. made_by: the command that wrote it.
    """
    kept = ("precision", "recall", "f1", "false_discoveries")
    planted = {
        level: {w: {k: c[k] for k in kept} for w, c in cells.items() if isinstance(c, dict) and "f1" in c}
        for level, cells in summary["planted"].items()
    }
    return {
        "schema": SCHEMA,
        "provenance": {
            "command": made_by,
            "quick": summary["quick"],
            "constructor": summary["constructor"],
            "models": {level: cells["models"] for level, cells in summary["planted"].items()},
            "wall_s": summary["wall_s"],
        },
        "planted": planted,
        "claims": summary.get("claims", {}),
        "patched": {
            level: {"models": c["models"], **{k: c[k] for k in kept}}
            for level, c in summary.get("sets", {}).items()
        },
        "edges": summary.get("edges"),
        "emphasis": summary.get("emphasis"),
        "pointing": summary.get("pointing", {}),
        "default_ranking": summary["default_ranking"],
        "decoy_rejection": summary["decoy_rejection"],
        "null": _null(summary),
        "coverage": {name: cell["share"] for name, cell in summary["coverage"].items()},
        "dependence": {
            kind: {n: {w: {k: c[k] for k in kept} for w, c in ways.items()} for n, ways in table.items()}
            for kind, table in summary["dependence"].items()
        },
        "stability": {k: v for k, v in summary["stability"].items() if k != "model"},
    }


def _null(summary: Row) -> Row:
    """What is found where there is nothing, and what the two muting tests find where there is something."""
    null = summary["null"]
    found = {k: null[k] for k in ("claimed_share", "reject_at_05", "reject_at_01", "replicates")}
    found["random_weights"] = null["random_weights"]["claimed"]
    found["disjoint_at_05"] = null["random_heads"]["disjoint accuracy"]["reject_at_05"]
    found["power"] = {f: by_cases for f, by_cases in summary["power"].items() if "15" in by_cases}
    found["tested"] = {f: summary["tested"][f] for f in found["power"]}
    return found
