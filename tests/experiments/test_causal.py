from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from engine.test_readings import naive
from headscope.errors import StoreError
from headscope.experiments.causal import CausalScores, causal_scores
from headscope.experiments.items import choose_items
from headscope.experiments.settings import CausalSettings
from headscope.functions import DEFAULT
from headscope.models.geometry import Head


def test_scores_equal_one_run_per_head_and_item(llava, cases, splits, context):
    scores = causal_scores(context, CausalSettings(max_items=4, rows=10))
    items = choose_items(cases, splits, "select", DEFAULT, 4, 0, ())
    assert tuple(scores.functions) == tuple(items)
    for name, found in scores.functions.items():
        clean = naive(llava, cases, items[name])
        for head in (Head(0, 0), Head(1, 3), Head(2, 2)):
            muted = naive(llava, cases, items[name], [head])
            lost = [a["margin"] - b["margin"] for a, b in zip(clean, muted, strict=True)]
            j = llava.geometry.index(head)
            assert found.margin_drop[j] == pytest.approx(np.mean(lost), abs=2e-4)
            assert found.margin_ci[j][0] <= found.margin_drop[j] <= found.margin_ci[j][1]
            right = [100.0 * (a["correct"] - b["correct"]) for a, b in zip(clean, muted, strict=True)]
            flips = [
                stats.permutation_test((v,), np.mean, permutation_type="samples", alternative="greater")
                for v in (lost, right)
            ]
            assert found.p[j] == pytest.approx(min(1.0, 2 * min(f.pvalue for f in flips)), abs=1e-9)
            assert found.drop_points[j] == pytest.approx(np.mean(right), abs=1e-9)


def test_scores_are_written_read_back_and_resumed_with_the_same_bytes(llava, tmp_path, context):
    scores = causal_scores(context, CausalSettings(max_items=3))
    written = (tmp_path / "causal.json").read_bytes()
    units = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "causal").iterdir()}
    causal_scores(context, CausalSettings(max_items=3))
    assert (tmp_path / "causal.json").read_bytes() == written
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "causal").iterdir()} == units
    back = CausalScores.load(tmp_path / "causal.json")
    assert back == scores
    assert back.heads == tuple(str(h) for h in llava.geometry.heads)
    np.testing.assert_array_equal(back.margin, scores.margin)


def test_other_settings_in_the_same_folder_are_refused(context):
    causal_scores(context, CausalSettings(max_items=2))
    with pytest.raises(StoreError, match="max_items"):
        causal_scores(context, CausalSettings(max_items=3))
