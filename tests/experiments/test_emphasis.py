from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from headscope.asking.ask import ask
from headscope.capturing.run import capture
from headscope.edits.edits import Edit, scale
from headscope.edits.means import Direction, steering_direction
from headscope.engine import engine as engines
from headscope.engine.readings import Reading
from headscope.errors import StudyError
from headscope.experiments.ablation import ablate
from headscope.experiments.choices import frozen
from headscope.experiments.emphasis import emphasize
from headscope.experiments.emphasis_result import EmphasisResult
from headscope.experiments.options import Option, best, directions, options
from headscope.experiments.settings import AblationSettings, EmphasisSettings
from headscope.experiments.significance import emphasis_claim
from headscope.models.geometry import Head, parse_head
from headscope.storage import Ledger, read_json, read_table

KNOBS = EmphasisSettings(
    ks=(2, 3), scales=(1.5, 3.0), strengths=(1.0,), select_items=4, test_items=5, side_items=5, rows=24,
    headroom=(0.0, 100.0), random_sets=3,
)  # fmt: skip


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
    assert {r["phase"] for r in rows} == {"select", "test", "random", "side", "main"}
    assert all((r["split"] == "select") == (r["phase"] == "select") for r in rows)


def test_the_gain_stands_among_random_heads_of_the_same_layers_turned_up_alike(
    llava, atlas, tmp_path, context
):
    found = emphasize(context, atlas, settings=KNOBS)
    for name, test in found.functions.items():
        drawn = [r for r in found.rows if r["phase"] == "random" and r["function"] == name]
        own = sorted(parse_head(h) for h in test.heads)
        layers = Counter(h.layer for h in own)
        sets = {r["heads"] for r in drawn}
        for row in drawn:
            others = [parse_head(h) for h in row["heads"].split(",")]
            assert Counter(h.layer for h in others) == layers
            assert not set(others) & set(own)
            assert (row["edit"], row["strength"], row["scope"]) == (test.edit, test.strength, test.scope)
        gains = {row["heads"]: row["delta_points"] for row in drawn}
        assert test.random_sets == len(sets) == 3
        assert test.random_sets_mean == pytest.approx(np.mean(list(gains.values())))
        assert test.random_sets_max == pytest.approx(max(gains.values()))
        as_much = sum(g >= test.delta_points - 1e-9 for g in gains.values())
        assert test.p == pytest.approx((1 + as_much) / (1 + len(sets)))
        assert not test.claimed
        assert "a claim needs 50" in test.verdict
    readers = context.choose("test", 5)
    name = found.headline.function
    ledger = Ledger(tmp_path / "again", {})
    reader = context.readers({name: readers[name]}, ledger, KNOBS)[name]
    row = next(r for r in found.rows if r["phase"] == "random" and r["function"] == name)
    heads = tuple(parse_head(h) for h in row["heads"].split(","))
    edited = reader.read(Edit(heads, scale(row["strength"]), row["scope"]))
    assert row["delta_points"] == pytest.approx(100 * (edited.correct - reader.clean.correct).mean())


def test_at_the_ceiling_nothing_is_tried_and_the_reason_is_given(atlas, tmp_path, context, monkeypatch):
    monkeypatch.setattr(Reading, "accuracy", property(lambda self: 85.5))
    seen = []
    monkeypatch.setattr(engines, "ask", spying(seen))
    found = emphasize(context, atlas, settings=replace(KNOBS, headroom=(40.0, 85.0)))
    assert EmphasisResult.load(tmp_path / "emphasis.json") == found
    assert found.functions == {}
    assert found.headline is None
    assert {room.reason for room in found.headroom.values()} == {
        "no headroom: more than 85 % right on select as it is"
    }
    assert found.untestable == "no headroom: more than 85 % right on select as it is"
    assert {item.case.id for item in seen} <= {c for c, s in context.splits.items() if s == "select"}
    assert frozen(tmp_path, "emphasis")["functions"] == {}


def test_below_the_floor_a_function_is_left_out_too(atlas, context, monkeypatch):
    monkeypatch.setattr(Reading, "accuracy", property(lambda self: 39.9))
    found = emphasize(context, atlas, settings=replace(KNOBS, headroom=(40.0, 85.0)))
    assert "below 40 % right on select" in found.untestable


def test_head_sets_without_enough_random_ones_of_their_layers_are_not_tried(llava, atlas, context):
    """Layers have four heads: one head of a layer leaves three other sets, four heads leave none."""
    found = emphasize(context, atlas, settings=replace(KNOBS, random_sets=4, ks=(2, 3)))
    assert sum(len(test.tried) for test in found.functions.values()) > 2
    for test in found.functions.values():
        for option in test.tried:
            layers = Counter(parse_head(h).layer for h in option.heads)
            assert math.prod(math.comb(4 - k, k) for k in layers.values()) >= 4


def spying(seen):
    def spy(vlm, encoded, items, **knobs):
        seen.extend(items)
        return ask(vlm, encoded, items, **knobs)

    return spy


@pytest.mark.parametrize(
    ("changes", "claimed", "says"),
    [
        ({}, True, "helps: gains beyond random heads"),
        ({"q": 0.2}, False, "random heads gain as much"),
        ({"low": 0.0}, False, "the gain may be nothing"),
        ({"low": None}, False, "the gain may be nothing"),
        ({"forced_low": -1.0}, False, "by forced choice"),
        ({"sets": 49}, False, "a claim needs 50"),
        ({"q": None}, False, "a claim needs 50"),
        ({"matched": False, "why_not": "layer 0 is full"}, False, "not testable: .*layer 0 is full"),
    ],
)
def test_what_a_claim_that_turning_up_helps_needs(changes, claimed, says):
    held = {"q": 0.02, "sets": 60, "low": 1.0, "forced_low": 0.5, "matched": True, **changes}
    found, words = emphasis_claim(**held)
    assert found == claimed
    assert re.match(f".*{says}", words)


def test_heads_frozen_by_the_ablation_are_tried_too_and_kept_in_choices(atlas, tmp_path, context):
    few = AblationSettings(
        draws=2, random_draws=2, layer_sets=1, ks=(3,), main_draws=0, mutes=("zero",), scopes=("all",),
        select_items=3, test_items=3,
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
