"""The atlas: reading heads from it, writing it, and refusing what it does not hold."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy import stats

from headscope.errors import StoreError, StudyError
from headscope.probing.atlas import AnswerScores, Atlas, AtlasHead
from headscope.probing.summary import derive, with_causal
from headscope.storage import read_table, write_table

FUNCTIONS = ["spatial_perception", "counting", "text_reading"]
HEADS = [AtlasHead(layer=i // 2, head=i % 2, label=f"L{i // 2}H{i % 2}", width=4) for i in range(6)]


def _scores(seed: int) -> dict[str, list[float | None]]:
    rng = np.random.default_rng(seed)
    return {f: rng.normal(size=6).tolist() for f in FUNCTIONS}


def _atlas() -> Atlas:
    independent = {f: [0.9, 0.5, 0.6, 0.5, 0.55, 0.8] for f in FUNCTIONS}
    answer = AnswerScores(
        score=[0.0, 0.3, None, 0.1, 0.0, 0.2],
        interval=[None] * 6,
        accuracy=[0.5] * 6,
        question=0.5,
        blank=None,
        chance=0.5,
        n=100,
        images=50,
        domains=[],
    )
    return Atlas(
        heads=HEADS,
        functions=FUNCTIONS,
        spatial=["spatial_perception"],
        from_picture=["spatial_perception", "text_reading"],
        rankings={
            "joint": {f: [0.1, -3.0, 0.2, 0.0, 2.0, None] for f in FUNCTIONS},
            "independent": independent,
        },
        significance={
            "independent": {f: [0.01, 0.9, 0.02, 0.5, 0.5, 0.04] for f in FUNCTIONS},
            "answer": {"spatial_perception": [0.9, 0.01, None, 0.2, 0.9, 0.03]},
        },
        selectivity={f: [0.3, 0.1, -0.1, 0.1, 0.1, 0.2] for f in FUNCTIONS},
        answers={"spatial_perception": answer},
    )


def test_top_heads_follow_the_size_of_importance_and_the_sign_of_everything_else() -> None:
    atlas = derive(_atlas())
    assert [str(h) for h in atlas.top("counting", 3, by="joint")] == ["L0H1", "L2H0", "L1H0"]
    assert [str(h) for h in atlas.top("counting", 2)] == ["L0H0", "L2H1"]
    assert [str(h) for h in atlas.top("spatial_perception", 9, by="answer")] == [
        "L0H1",
        "L2H1",
        "L1H1",
        "L0H0",
        "L2H0",
    ]
    caused = with_causal(_atlas(), {"counting": [-5.0, 0.0, 0.0, 1.0, 0.0, 0.0]})
    assert caused.default_ranking == "causal"
    assert str(caused.top("counting", 1)[0]) == "L1H1"


def test_functional_heads_pass_each_criterion_at_the_level() -> None:
    atlas = derive(_atlas())
    assert [str(h) for h in atlas.functional("counting", "independent")] == ["L0H0", "L2H1"]
    assert [str(h) for h in atlas.functional("spatial_perception", "answer")] == ["L0H1", "L2H1"]
    # decoding asks for both where the answer comes from the picture, and for the first elsewhere
    assert [str(h) for h in atlas.functional("spatial_perception")] == ["L2H1"]
    assert [str(h) for h in atlas.functional("counting")] == ["L0H0", "L2H1"]
    assert [str(h) for h in atlas.functional("counting", "joint")] == ["L0H1", "L2H0"]
    with pytest.raises(StudyError, match="does not hold"):
        atlas.functional("text_reading")  # its answers were not judged


def test_causal_scores_bring_p_from_their_intervals_and_false_discovery_control() -> None:
    score = [1.0, 0.2, 0.0, -1.0, 0.02, 0.5]
    half = np.array([0.1, 0.3, 0.0, 0.1, 0.1, 0.1])
    pairs = np.stack([np.array(score) - half, np.array(score) + half], 1)
    given = {"functions": {"counting": {"margin_drop": score, "margin_ci": pairs.tolist()}, "main": {}}}
    atlas = with_causal(_atlas(), given)
    p = [stats.norm.sf(s * 1.959964 / h) if h else 1.0 for s, h in zip(score, half, strict=True)]
    assert np.allclose(atlas.p["causal"]["counting"], p, atol=1e-9)
    assert np.allclose(atlas.significance["causal"]["counting"], stats.false_discovery_control(p))
    assert [str(h) for h in atlas.functional("counting")] == ["L0H0", "L2H1"]
    assert atlas.default_criterion == "causal"
    assert atlas.intervals["causal"]["counting"][0] == pytest.approx((0.9, 1.1))
    plain = with_causal(atlas, {"counting": score})
    assert "causal" not in plain.significance
    assert plain.default_criterion == "decoding"
    with pytest.raises(StudyError, match="6 heads"):
        with_causal(_atlas(), {"counting": [1.0]})


def test_rank_correlations_are_spearmans_over_heads() -> None:
    scores = {"joint": _scores(1), "independent": _scores(2), "causal": _scores(3)}
    atlas = _atlas().model_copy(update={"rankings": scores})
    found = {(c.function, c.a, c.b): c.rho for c in atlas.ranking_correlations()}
    wanted = stats.spearmanr(np.abs(_scores(1)["counting"]), _scores(3)["counting"]).statistic
    assert found["counting", "joint", "causal"] == pytest.approx(wanted)
    assert len(found) == 3 * 3 + 3  # three pairs a function, three more with the answer ranking of one


def test_what_follows_from_the_scores_is_derived_for_every_criterion() -> None:
    atlas = with_causal(_atlas(), {"counting": [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]})
    assert atlas.elbow["causal"] == {"counting": 1}
    assert set(atlas.elbow["joint"]) == set(FUNCTIONS)
    assert atlas.sparsity["independent"]["counting"].significant == 2
    assert atlas.sparsity["independent"]["counting"].by_layer == [1, 0, 1]
    assert atlas.scarcity["independent"].difference == pytest.approx(0)
    assert "answer" not in atlas.scarcity  # judged for spatial functions only
    joint = {f: np.abs(atlas.scores(f, "joint")) for f in FUNCTIONS}
    effective = {f: np.nansum(v) ** 2 / np.nansum(v**2) for f, v in joint.items()}
    assert atlas.scarcity["joint"].effective == pytest.approx(effective)
    judged = with_causal(atlas, {"counting": {"score": [0.3, 0.1, 0.6, -1.0, 0.0, 0.0], "p": [0.01] * 6}})
    assert judged.sparsity["causal"]["counting"].above == {"0.1": 1 / 2, "0.25": 1 / 3, "0.5": 1 / 6}
    assert judged.sparsity["causal"]["counting"].effective == pytest.approx(1.0 / (0.09 + 0.01 + 0.36))
    assert derive(atlas).model_dump() == atlas.model_dump()


def test_an_atlas_survives_saving_and_loading(tmp_path) -> None:
    atlas = with_causal(_atlas(), {"counting": [1.0, np.nan, 0.0, 0.0, 0.0, 0.0]})
    atlas.save(tmp_path / "atlas.json")
    text = (tmp_path / "atlas.json").read_text()
    assert "NaN" not in text
    assert json.loads(text)["schema"] == "headscope/atlas/2"
    assert Atlas.load(tmp_path / "atlas.json") == atlas


def test_the_table_has_a_row_for_every_head_and_function(tmp_path) -> None:
    atlas = derive(_atlas())
    write_table(tmp_path / "atlas.parquet", atlas.table())
    rows = read_table(tmp_path / "atlas.parquet")
    assert len(rows) == 18
    row = next(r for r in rows if r["label"] == "L0H1" and r["function"] == "spatial_perception")
    assert (row["joint"], row["independent"], row["answer"], row["answer_q"]) == (-3.0, 0.5, 0.3, 0.01)
    assert (row["selected_answer"], row["selected_independent"], row["causal"]) == (True, False, None)


def test_what_an_atlas_does_not_hold_is_refused_with_what_it_does(tmp_path) -> None:
    atlas = derive(_atlas())
    with pytest.raises(StudyError, match=r"causal ranking.*joint.*independent"):
        atlas.top("counting", 3, by="causal")
    with pytest.raises(StudyError, match="'singing'"):
        atlas.top("singing", 3)
    path = tmp_path / "atlas.json"
    with pytest.raises(StoreError, match="not found"):
        Atlas.load(path)
    path.write_text('{"schema": "headscope/atlas/9"}')
    with pytest.raises(StoreError, match="atlas/9"):
        Atlas.load(path)
    path.write_text('{"schema": "headscope/atlas/2", "heads": 3}')
    with pytest.raises(StoreError, match="heads"):
        Atlas.load(path)


@pytest.mark.parametrize("count", [-1, 2.5, True, "4"])
def test_a_number_of_heads_that_is_none_is_refused(count: Any) -> None:
    with pytest.raises(StudyError, match=r"strongest; expected a whole number, 0 or more"):
        derive(_atlas()).top("counting", count)


def test_an_atlas_is_shown_in_a_line() -> None:
    assert len(repr(derive(_atlas()))) < 300
