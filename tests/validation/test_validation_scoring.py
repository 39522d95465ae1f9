"""Counts against the truth, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from headscope.probing.atlas import Atlas, AtlasHead
from headscope.statistics.resampling import wilson_ci
from headscope.validation.planted_runs import decoy_rejection
from headscope.validation.run import best_ranking
from headscope.validation.scoring import WAYS, named_heads, pooled, ranks, score

TRUTH = {
    "functions": {"a": ["L0H0"], "b": ["L0H1", "L0H2"], "c": []},
    "decoys": {"a": ["L0H3"], "b": [], "c": []},
    "suppressors": {"b": ["L0H0"]},
    "heads": [{"label": f"L0H{i}", "role": "mixer" if i > 3 else "planted"} for i in range(6)],
}


def atlas() -> Atlas:
    heads = [AtlasHead(layer=0, head=i, label=f"L0H{i}", width=2) for i in range(6)]
    return Atlas(
        heads=heads,
        functions=["a", "b", "c"],
        rankings={"causal": {"a": [3.0, 1, 1, 1, 0, 0], "b": [9.0, 5, 1, 0, 0, 0]}},
        selected={"causal": {"a": [True] + [False] * 5, "b": None, "c": [False] * 5 + [True]}},
    )


def test_named_heads_are_those_that_pass_and_none_where_it_was_not_judged() -> None:
    assert named_heads(atlas(), "causal") == {"a": ["L0H0"], "b": [], "c": ["L0H5"]}
    assert named_heads(atlas(), "joint") == {"a": [], "b": [], "c": []}


def test_hits_misses_and_false_names_are_counted_over_functions() -> None:
    named = {"a": ["L0H0", "L0H3"], "b": ["L0H1", "L0H0", "L0H5"], "c": ["L0H4"]}
    row = score(named, TRUTH)
    assert (row["hits"], row["missed"], row["false"]) == (2, 1, 4)
    assert (row["decoys"], row["decoys_rejected"]) == (1, 0)
    assert (row["suppressors"], row["suppressors_named"]) == (1, 1)
    assert row["false_heads"] == {"planted": 2, "mixer": 2}


def test_pooled_shares_follow_from_the_counts() -> None:
    first = score({"a": ["L0H0"], "b": ["L0H1", "L0H2"]}, TRUTH)
    second = score({"a": ["L0H4"], "b": []}, TRUTH)
    found = pooled([first, second])
    precision, recall = 3 / 4, 3 / 6
    assert found["precision"] == precision
    assert found["recall"] == recall
    assert found["f1"] == pytest.approx(2 * precision * recall / (precision + recall))
    assert found["recall_ci"] == list(wilson_ci(3, 6))
    assert found["false_by_role"] == {"mixer": 1}


def test_a_ranking_that_names_nothing_has_no_precision_and_no_recall() -> None:
    found = pooled([score({}, TRUTH)])
    assert found["precision"] is None
    assert (found["recall"], found["f1"]) == (0.0, 0.0)


def test_places_of_true_heads_count_from_one_and_ties_share_the_middle() -> None:
    assert ranks(atlas(), TRUTH, "causal") == [1.0, 2.0, 3.0]
    tied = atlas()
    tied.rankings["causal"]["b"] = [0.0, 1, 1, 0, 0, 0]
    assert ranks(tied, TRUTH, "causal") == [1.0, 1.5, 1.5]


def test_the_best_ranking_has_the_greatest_f1_then_the_fewest_false_names() -> None:
    cells = {way: {"f1": 0.5, "false_discoveries": 3} for way in WAYS}
    cells["answer"] = {"f1": 0.9, "false_discoveries": 3}
    cells["causal"] = {"f1": 0.9, "false_discoveries": 1}
    assert best_ranking({"plain": cells}) == "causal"


def test_decoy_rejection_is_the_share_of_decoys_not_named() -> None:
    cells = {way: {"counts": {"decoys": 4, "decoys_rejected": n}} for n, way in enumerate(WAYS)}
    assert decoy_rejection({"decoy": cells}) == dict(zip(WAYS, np.arange(5) / 4, strict=True))
    assert decoy_rejection({"plain": cells}) == {}
