"""A made-up summary of ``validate-method``, in its form."""

from __future__ import annotations

from typing import Any

from headscope.validation.scoring import WAYS


def cell(f1: float, false: int = 0) -> dict[str, Any]:
    shares = {"precision": f1, "recall": f1, "f1": f1, "false_discoveries": false}
    return {**shares, "rank_median": 1.0, "rank_worst": 2.0, "counts": {"decoys": 3, "decoys_rejected": 3}}


def level_claims() -> dict[str, Any]:
    counts = {"models": 2, "replicates": 24, "false_claims": 1, "false_claim_share": 1 / 24}
    counts |= {"power_replicates": 6, "power_20_points": 0.5, "true_points": 19.5}
    return {**counts, "false_ci": (0.001, 0.211), "power_ci": (0.118, 0.882), "random_claimed_share": 0.03}


def made_up_summary(name: str = "spatial_perception") -> dict[str, Any]:
    """Figures that no run gave; ``name`` stands wherever a name does."""
    levels = ("plain", "decoy")
    planted = {
        level: {
            **{w: cell(0.1 * i + 0.5, i) for i, w in enumerate(WAYS)},
            "attention": cell(0.3, 4),
            "patching": {**cell(0.9, 1), "models": 1},
            "models": 2,
        }
        for level in levels
    }
    claim = {"claimed_share": 0.04, "bound": 0.05, "runs": 200, "within": True}
    rates: dict[str, Any] = {"replicates": 500}
    for level in ("05", "01"):
        rates |= {f"reject_at_{level}": 0.04, f"reject_at_{level}_within": True}
    return {
        "schema": "headscope/validation/1",
        "quick": True,
        "constructor": "0123456789abcdef",
        "planted": planted,
        "sets": {"plain": {**cell(0.8, 2), "models": 1}},
        "claims": {"backup": level_claims()},
        "default_ranking": "causal",
        "decoy_rejection": dict.fromkeys(WAYS, 0.9),
        "null": {
            "claimed_share": {"independent": 0.04},
            "reject_at_05": 0.04,
            "reject_at_01": 0.01,
            "replicates": 500,
            "labels": {"independent": claim},
            "random_heads": {"random accuracy": rates, "disjoint accuracy": {**rates, "reject_at_05": 0.11}},
            "random_weights": {
                "function_auroc_median": 0.99,
                "claimed": {"causal": 0.0},
                "pairs": {"causal": 224},
            },
        },
        "coverage": {"margin": {"share": 0.95, "simulations": 2000, "within": True}},
        "power": {name: {n: {"random": 0.5, "disjoint": 0.6} for n in ("5", "15")}},
        "tested": {name: {"heads": ["L0H1"], "drop_points": 70.0, "random_points": 25.0}},
        "stability": {
            "seeds": {"joint": 0.7},
            "halves": {"causal": 0.8},
            "top": {"joint": {name: {"always": [1], "sometimes": [2, 3]}}},
        },
        "dependence": {"readout": {}, "scope": {"all": {"causal": cell(1.0)}}},
        "settings": {},
        "wall_s": 61.0,
    }
