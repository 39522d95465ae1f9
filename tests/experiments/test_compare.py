"""Two atlases side by side: what is counted is what a plain count gives, and chance is what chance gives."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from headscope.data.cases import Cases
from headscope.errors import StoreError, StudyError
from headscope.experiments.compare import CompareSettings, compare_stage
from headscope.experiments.compare_result import CompareResult
from headscope.experiments.context import ExperimentContext
from headscope.experiments.significance import overlap_p
from headscope.probing.atlas import Atlas, AtlasHead

FUNCTIONS = ("counting", "spatial_perception", "text_reading")


def atlas(scores: dict[str, np.ndarray], layers: int, per_layer: int) -> Atlas:
    """An atlas of one ranking."""
    return Atlas(
        heads=[
            AtlasHead(layer=a, head=b, label=f"L{a}H{b}", width=4)
            for a in range(layers)
            for b in range(per_layer)
        ],
        functions=list(scores),
        default_ranking="causal",
        rankings={"causal": {f: s.tolist() for f, s in scores.items()}},
    )


def drawn(seed: int, layers: int = 8, per_layer: int = 8) -> Atlas:
    rng = np.random.default_rng(seed)
    return atlas({f: rng.normal(size=layers * per_layer) for f in FUNCTIONS}, layers, per_layer)


@pytest.fixture
def run(tmp_path: Path):
    def go(here: Atlas, there: Atlas, **settings) -> CompareResult:
        context = ExperimentContext(
            lambda: pytest.fail("needs no model"), Cases(tmp_path, []), {}, tmp_path, seed=3
        )
        there.save(tmp_path / "other" / "probe" / "atlas.json")
        asked = CompareSettings(other=str(tmp_path / "other"), **{"draws": 200, **settings})
        found = compare_stage(context, here, asked)
        assert CompareResult.load(tmp_path / "compare.json") == found
        return found

    return go


def test_an_atlas_agrees_with_itself(run) -> None:
    here = drawn(0)
    found = run(here, here)
    assert found.same_heads
    for one in found.functions.values():
        assert (one.overlap.k, one.overlap.shared, one.overlap.share) == (4, 4, 1.0)
        assert one.over_heads.rho == pytest.approx(1)
        assert one.over_depth.rho == pytest.approx(1)
        assert one.over_depth.here == one.over_depth.there
    assert found.mean_overlap.value == 1
    assert found.mean_over_depth.n == 3


def test_overlap_and_correlation_are_those_of_a_plain_count(run) -> None:
    here, there = drawn(1), drawn(2)
    found = run(here, there, heads=10)
    for name, one in found.functions.items():
        a, b = (np.array(x.rankings["causal"][name]) for x in (here, there))
        top = [set(np.argsort(-s)[:10]) for s in (a, b)]
        assert one.overlap.shared == len(top[0] & top[1])
        both = [str(h) for h in here.top(name, 10) if h in there.top(name, 10)]
        assert list(one.overlap.heads) == both
        assert one.overlap.expected == pytest.approx(10 / 64)
        assert one.over_heads.rho == pytest.approx(stats.spearmanr(a, b).statistic)
        means = [
            [np.mean([(r - 1) / 63 for r in stats.rankdata(s)[8 * i : 8 * i + 8]]) for i in range(8)]
            for s in (a, b)
        ]
        assert one.over_depth.rho == pytest.approx(stats.spearmanr(*means).statistic)
        np.testing.assert_allclose(one.over_depth.here, means[0])
        low, high = one.over_depth.ci
        assert -1 <= low <= high <= 1
    q = [one.overlap.q for one in found.functions.values()]
    p = [one.overlap.p for one in found.functions.values()]
    np.testing.assert_allclose(q, stats.false_discovery_control(p))


def test_p_of_an_overlap_counts_all_pairs_of_sets() -> None:
    sets = list(combinations(range(6), 3))
    for shared in range(4):
        as_many = np.mean([len(set(a) & set(b)) >= shared for a in sets for b in sets])
        assert overlap_p(shared, 3, 6) == pytest.approx(as_many)


def test_models_of_another_depth_are_compared_over_relative_depth_alone(run) -> None:
    def rising(layers: int, per_layer: int) -> Atlas:
        rng = np.random.default_rng(layers)
        depth = np.repeat(np.linspace(0, 1, layers), per_layer)
        scores = {f: depth + 0.1 * rng.normal(size=depth.size) for f in FUNCTIONS[:2]}
        return atlas(scores, layers, per_layer)

    found = run(rising(6, 4), rising(12, 3))
    assert not found.same_heads
    assert found.mean_overlap is None
    for one in found.functions.values():
        assert one.overlap is None
        assert one.over_heads is None
        assert one.over_depth.n == 6
        assert one.over_depth.rho > 0.9
        assert one.over_depth.ci[0] > 0.5
    assert (found.here.layers, found.there.layers) == (6, 12)


def test_intervals_of_unrelated_rankings_cover_nothing_about_as_often_as_they_say(run) -> None:
    hits = 0
    for seed in range(40):
        found = run(drawn(2 * seed + 100), drawn(2 * seed + 101))
        hits += sum(one.over_heads.ci[0] <= 0 <= one.over_heads.ci[1] for one in found.functions.values())
    assert hits / 120 > 0.88


def test_functions_and_rankings_that_one_side_lacks_are_said(run, tmp_path: Path) -> None:
    here, there = drawn(1), drawn(2).model_copy(update={"functions": ["counting", "singing"]})
    found = run(here, there)
    assert set(found.functions) == {"counting"}
    assert found.skipped["spatial_perception"] == "no causal ranking in the other atlas"
    assert found.skipped["singing"] == "no causal ranking in this and the other atlas"
    with pytest.raises(StudyError, match="no function is ranked by joint"):
        run(here, there, ranking="joint")
    context = ExperimentContext(lambda: pytest.fail("no model"), Cases(tmp_path, []), {}, tmp_path)
    with pytest.raises(StoreError, match="not found"):
        compare_stage(context, here, replace(CompareSettings(), other=str(tmp_path / "nowhere")))
