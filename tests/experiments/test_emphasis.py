from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from headscope.asking.ask import ask
from headscope.capturing.run import capture
from headscope.edits.means import Direction, steering_direction
from headscope.engine import engine as engines
from headscope.errors import StudyError
from headscope.experiments.ablation import ablate
from headscope.experiments.emphasis import emphasize
from headscope.experiments.emphasis_result import EmphasisResult
from headscope.experiments.options import Option, best, directions, options
from headscope.experiments.settings import AblationSettings, EmphasisSettings
from headscope.models.geometry import Head, parse_head
from headscope.storage import read_json, read_table

KNOBS = EmphasisSettings(
    ks=(1, 2), scales=(1.5, 3.0), strengths=(1.0,), select_items=4, test_items=5, rows=24
)


def test_the_whole_experiment_is_written_as_documented(llava, atlas, tmp_path, context):
    result = emphasize(context, atlas, settings=KNOBS)
    assert EmphasisResult.load(tmp_path / "emphasis.json") == result
    content = read_json(tmp_path / "emphasis.json")
    assert len(content["functions"]) == 3
    for name, result in content["functions"].items():
        assert result["edit"] == "scale"
        assert "no captured activations" in result["steering"]["reason"]
        assert len(result["tried"]) == 2 * 2
        most = max(o["gain_points"] for o in result["tried"])
        assert result["gain_points"] == most
        assert set(result["side_effects"]) == set(content["functions"]) - {name}
        worst = min(v["delta_points"] for v in result["side_effects"].values())
        assert result["worst_side_effect_points"] == worst
        assert set(result["main"]) == {"alone", "gold"}
        assert all(parse_head(h) in llava.geometry.heads for h in result["heads"])
        assert result["ci"][0] <= result["delta_points"] <= result["ci"][1]
    top = content["headline"]
    gains = {f: r["gain_points"] for f, r in content["functions"].items()}
    assert gains[top["function"]] == max(gains.values())
    assert set(top) >= {"function", "edit", "strength", "delta_points", "ci", "worst_side_effect_points"}
    rows = read_table(tmp_path / "emphasis.parquet")
    assert {r["phase"] for r in rows} == {"select", "test", "side", "main"}
    assert all((r["split"] == "select") == (r["phase"] == "select") for r in rows)


def test_heads_frozen_by_the_ablation_are_tried_too_and_kept_in_choices(atlas, tmp_path, context):
    few = AblationSettings(
        draws=2, select_draws=1, ks=(3,), main_draws=0, mutes=("zero",), scopes=("all",), select_items=3,
        test_items=3,
    )  # fmt: skip
    ablation = ablate(context, atlas, few)
    before = read_json(tmp_path / "choices.json")["ablation"]
    content = emphasize(context, atlas, ablation, KNOBS).content()
    held = read_json(tmp_path / "choices.json")
    assert held["ablation"] == before
    assert held["emphasis"]["headline"] == content["headline"]["function"]
    for name, result in content["functions"].items():
        tried = [list(o["heads"]) for o in result["tried"] if o["source"] == "ablation"]
        assert tried == [before["functions"][name]["heads"]] * 2


def test_test_is_read_only_after_the_choice_is_frozen_and_nothing_is_read_twice(
    splits, atlas, tmp_path, monkeypatch, context
):
    seen = []

    def spy(vlm, encoded, items, **knobs):
        seen.extend((splits[i.case.id], (tmp_path / "choices.json").exists()) for i in items)
        return ask(vlm, encoded, items, **knobs)

    monkeypatch.setattr(engines, "ask", spy)
    first = emphasize(context, atlas, settings=KNOBS)
    assert ("test", False) not in seen
    assert ("test", True) in seen
    monkeypatch.setattr(engines, "ask", None)
    assert emphasize(context, atlas, settings=KNOBS) == first


def test_directions_come_from_gold_answers_on_fit_alone(llava, cases, splits, tmp_path, context):
    from headscope.capturing.store import open_activations, open_answers

    capture(llava, cases, splits, tmp_path / "capture", contexts=("gold", "alone"), batch_size=8)
    found = directions(tmp_path / "capture", ["counting"], "prompt_last")["counting"]
    rows = [
        r
        for r in open_answers(tmp_path / "capture")
        if r["function"] == "counting" and r["context"] == "gold" and splits[r["case"]] == "fit"
    ]
    assert found.right + found.wrong == len(rows) == 4
    assert found.vectors is None  # too few
    data = open_activations(tmp_path / "capture", "prompt_last", items={r["item"] for r in rows})
    flags = np.arange(4) < 2
    expected = steering_direction(data["prompt_last"].values, flags, least=2)
    assert expected.vectors is not None
    assert expected.vectors.shape == (12, 12)


def test_a_steering_option_adds_its_direction_at_the_answer(llava):
    vectors = np.random.default_rng(0).normal(size=(12, 12))
    option = Option("steer", 0.5, "answer", "joint", (Head(0, 1), Head(2, 2)))
    made = option.made(Direction(vectors, 9, 9))
    assert made.scope == "answer"
    np.testing.assert_allclose(made.what.block(llava.geometry, Head(2, 2), 12), 0.5 * vectors[10], rtol=1e-6)


def test_every_head_set_meets_every_strength_and_equal_sets_are_tried_once():
    one, two = (Head(0, 0),), (Head(0, 1), Head(1, 1))
    found = options({"ablation": [two], "joint": [one, two[::-1]]}, (1.5, 2.0), (1.0,), ("all", "answer"))
    assert [(o.edit, o.strength, o.source, len(o.heads)) for o in found] == [
        ("scale", 1.5, "ablation", 2),
        ("scale", 2.0, "ablation", 2),
        ("scale", 1.5, "joint", 1),
        ("scale", 2.0, "joint", 1),
        ("steer", 1.0, "ablation", 2),
        ("steer", 1.0, "joint", 1),
    ]


def test_the_rule_goes_by_accuracy_then_margin_then_the_gentler_edit():
    def one(strength, points, margin, k=1):
        return Option("scale", strength, "all", "joint", tuple(Head(0, i) for i in range(k)), points, margin)

    assert best([one(1.5, 5, 9), one(3, 6, 0)]).strength == 3
    assert best([one(1.5, 5, 1), one(3, 5, 2)]).strength == 3
    assert best([one(3, 5, 1), one(1.5, 5, 1)]).strength == 1.5
    assert len(best([one(3, 5, 1, 4), one(3, 5, 1, 2)]).heads) == 2


def test_a_missing_ranking_is_said_plainly(atlas, context):
    with pytest.raises(StudyError, match="no ranking 'causal'"):
        emphasize(
            context,
            atlas,
            settings=replace(KNOBS, ranking="causal"),
        )


def test_a_function_whose_heads_have_no_score_is_left_out(llava, atlas, context):
    atlas.rankings["joint"]["counting"] = [None] * len(llava.geometry.heads)
    found = emphasize(context, atlas, settings=KNOBS)
    assert set(found.functions) == {"spatial_perception", "attribute_perception"}
