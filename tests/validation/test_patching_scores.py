"""What patching names on a planted model, counted against the truth by hand."""

from __future__ import annotations

from headscope.experiments.patching.circuit import Circuit, CircuitResult, Edge
from headscope.experiments.patching.result import PatchedFunction, PatchedGroup, Standby, carriers
from headscope.validation.patching import (
    score_edges,
    summarise_edges,
    summarise_patching,
)
from headscope.validation.scoring import score

HEADS = ("L0H0", "L0H1", "L1H0", "L1H1")
TRUTH = {
    "functions": {"where": ["L0H1", "L1H0"]},
    "decoys": {"where": ["L0H0"]},
    "suppressors": {},
    "heads": [
        {"label": "L0H0", "role": "decoy", "functions": ["where"]},
        {"label": "L0H1", "role": "mover", "functions": ["where"]},
        {"label": "L1H0", "role": "fetcher", "functions": ["where"]},
        {"label": "L1H1", "role": "reader", "functions": []},
    ],
}


def patched() -> PatchedFunction:
    alone = PatchedGroup(
        pairs=9,
        recovered=(0.04, 0.9, 0.0, 0.2),
        ci=((0.01, 0.06), (0.8, 1.0), (0.0, 0.0), (-0.1, 0.5)),
        estimate=(None,) * 4,
    )
    standby = Standby(
        muted=("L0H1",),
        pairs=9,
        remaining=0.5,
        recovered=(0.0, None, 0.4, 0.0),
        ci=((0.0, 0.0), (None, None), (0.3, 0.5), (0.0, 0.0)),
    )
    return PatchedFunction(
        facts={"place": 18}, pairs=9, refused={}, right=9, pictures=9, difference=4.0, groups={"all": alone},
        standby=standby,
    )  # fmt: skip


def test_heads_are_named_that_carry_a_twentieth_alone_or_while_the_carriers_are_muted() -> None:
    named = carriers(HEADS, patched(), 0.05)
    assert named == ["L0H1", "L1H0"]
    counts = score({"where": named}, TRUTH)
    assert (counts["hits"], counts["false"], counts["missed"], counts["decoys_rejected"]) == (2, 0, 0, 1)
    rows = [{"level": "two_hop", "patching": counts, "sets": score({"where": ["L0H1", "L1H1"]}, TRUTH)}]
    single, sets = (found["two_hop"] for found in summarise_patching(rows))
    assert (single["precision"], single["recall"], single["models"]) == (1.0, 1.0, 1)
    assert (sets["precision"], sets["recall"], sets["models"]) == (0.5, 0.5, 1)


def edge(sender: str, receiver: str, named: bool) -> Edge:
    return Edge(sender=sender, receiver=receiver, share=0.5, ci=(0.4, 0.6), p=0.01, q=0.02, named=named)


def test_an_edge_from_mover_to_fetcher_is_found_and_every_other_named_edge_is_false() -> None:
    edges = (
        edge("L0H1", "L1H0", True),
        edge("L0H0", "L1H0", True),
        edge("L0H1", "L1H1", False),
        edge("L1H0", "answer", True),
    )
    made = Circuit(heads=HEADS, pairs=9, pictures=9, null_edges=20, null_max=0.1, edges=edges)
    row = score_edges(CircuitResult(settings={}, fingerprint="0", functions={"where": made}), TRUTH)
    assert row == {"wanted": 1, "found": 1, "false": 1, "others": 2}
    total = summarise_edges([{"edges": row}, {"edges": {**row, "found": 0}}, {}])
    assert total is not None
    assert {k: total[k] for k in ("models", "wanted", "found", "false", "others")} == {
        "models": 2, "wanted": 2, "found": 1, "false": 2, "others": 4,
    }  # fmt: skip
    assert summarise_edges([{}]) is None
