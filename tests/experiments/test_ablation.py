from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from edits.fixtures import make_atlas
from headscope.asking.ask import ask
from headscope.engine import engine as engines
from headscope.errors import StoreError, StudyError
from headscope.experiments.ablation import ablate
from headscope.experiments.ablation_result import AblationResult
from headscope.experiments.context import ExperimentContext
from headscope.experiments.settings import AblationSettings
from headscope.models.geometry import parse_head
from headscope.storage import read_json, read_table

KNOBS = AblationSettings(
    draws=12,
    random_draws=6,
    layer_rounds=1,
    layer_limit=100.0,
    neutral_pictures=1,
    divergence_items=1,
    damage_draws=2,
    main_draws=3,
    ks=(1, 2),
    select_items=4,
    test_items=4,
    mean_items=2,
    rows=64,
)
SPATIAL = "spatial_perception"


@pytest.fixture
def run(atlas, tmp_path, context):
    def go(name="study", settings=KNOBS):
        return ablate(replace(context, folder=tmp_path / name), atlas, settings)

    return go


@pytest.fixture(scope="module")
def finished(tiny, cases, splits, tmp_path_factory):
    """A folder that holds one whole experiment; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("finished")
    ablate(ExperimentContext(tiny, cases, splits, folder), make_atlas(tiny), KNOBS)
    return folder


@pytest.fixture
def content(finished):
    return read_json(finished / "ablation.json")


def test_the_whole_experiment_is_written_as_documented(finished, content, run, tmp_path, llava):
    shutil.copytree(finished, tmp_path / "study")
    result = run()
    assert result == AblationResult.load(finished / "ablation.json")
    assert json.loads(json.dumps({"schema": result.schema_, **result.content()})) == content
    assert list(content["functions"]) == ["attribute_perception", SPATIAL, "counting"]
    for name, result in content["functions"].items():
        assert result["k"] == len(result["heads"]) in (1, 2)
        assert result["ranking"] in ("joint", "independent")
        assert {"drop_points", "ci", "control_mean", "control_max", "draws", "p", "q"} <= set(result)
        assert {"margin_drop", "margin_ci", "margin_control_mean", "margin_p"} <= set(result)
        assert {"forced_drop_points", "forced_ci", "forced_control_mean", "forced_p"} <= set(result)
        assert result["p_claim"] == max(result[p] for p in ("p", "forced_p", "p_random"))
        assert set(result["elsewhere"]["functions"]) == set(content["functions"]) - {name}
        assert (result["damage"]["prompts"], result["damage"]["draws"]) == (4, 2)
        assert result["damage"]["kl_neutral"] > 0 < result["damage"]["kl_elsewhere_controls"]
        assert list(result["mutes"]) == ["zero", "small", "mean", "resample"]
        assert list(result["scopes"]) == ["all", "image", "question", "last", "answer"]
        assert set(result["main"]) == {"alone", "gold"}
        assert {"drop_points", "ci", "control_mean", "p"} <= set(result["alone"])
        assert ("p" in result["main"]["gold"]) == (name == SPATIAL)
        assert result["mutes"]["zero"]["margin_drop"] == result["margin_drop"]
        assert result["scopes"]["all"]["margin_drop"] == result["margin_drop"]
        assert result["claimed"] is False
        assert result["verdict"] == f"not testable: {result['not_testable']}"
        assert "sets match the layers of its heads, a claim needs 200" in result["verdict"]
        assert result["random_sets"] is None
        assert all(parse_head(h) in llava.geometry.heads for h in result["heads"])
    assert "relational_reasoning" in content["skipped"]


def test_the_matrix_holds_every_pair_and_its_diagonal_is_the_claim(content):
    table = content["specificity"]
    assert table["muted"] == table["measured"] == list(content["functions"])
    assert np.array(table["drop_points"]).shape == (3, 3)
    for i, name in enumerate(table["muted"]):
        assert table["drop_points"][i][i] == content["functions"][name]["drop_points"]
        assert table["forced_drop_points"][i][i] == content["functions"][name]["forced_drop_points"]
        elsewhere = [x for j, x in enumerate(table["forced_drop_points"][i]) if j != i]
        assert content["functions"][name]["elsewhere"]["points"] == pytest.approx(np.mean(elsewhere))
        assert table["margin_drop"][i][i] == content["functions"][name]["margin_drop"]


def test_p_values_follow_from_the_controls_in_the_table(finished, content):
    rows = read_table(finished / "ablation.parquet")
    for name, result in content["functions"].items():
        held = [r for r in rows if r["phase"] == "control" and r["muted"] == name]
        assert len(held) == result["draws"] == 12
        once = list({r["heads"]: r for r in held}.values())  # a set read twice is no second witness
        assert len(once) == result["distinct"]
        columns = (("drop_points", "p"), ("margin_drop", "margin_p"), ("forced_drop_points", "forced_p"))
        for column, key in columns:
            as_bad = sum(r[column] >= result[column] for r in once)
            assert result[key] == pytest.approx((1 + as_bad) / (1 + len(once)))
        assert result["control_mean"] == pytest.approx(np.mean([r["drop_points"] for r in held]))
        assert result["control_max"] == max(r["drop_points"] for r in held)
        tested = set(result["heads"])
        assert all(not tested & set(r["heads"].split(",")) for r in held)
        assert all(r["split"] == "test" for r in held)
    doses = [r for r in rows if r["phase"] == "dose"]
    assert len(doses) == 3 * 2 * 2
    assert all(r["split"] == "select" for r in doses)


def test_test_is_read_only_after_the_choice_is_frozen(run, tmp_path, splits, monkeypatch):
    seen = []

    def spy(vlm, encoded, items, **knobs):
        frozen = (tmp_path / "study" / "choices.json").exists()
        seen.extend((splits[i.case.id], frozen) for i in items)
        return ask(vlm, encoded, items, **knobs)

    monkeypatch.setattr(engines, "ask", spy)
    run()
    assert ("test", False) not in seen
    assert ("select", False) in seen
    assert ("test", True) in seen
    assert not any(split == "fit" for split, _ in seen)


def test_a_run_that_is_killed_at_any_moment_ends_with_the_same_bytes(finished, run, tmp_path, monkeypatch):
    names = (
        *("ablation.json", "ablation.parquet", "choices.json"),
        *("ablation-answers.json", "ablation-answers.parquet"),
    )
    expected = {n: (finished / n).read_bytes() for n in names}
    left = [0]

    def dying(vlm, encoded, items, **knobs):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return ask(vlm, encoded, items, **knobs)

    monkeypatch.setattr(engines, "ask", dying)
    for _ in range(60):
        left[0] = 25
        try:
            run("killed")
            break
        except KeyboardInterrupt:
            continue
    else:
        raise AssertionError("never finished")
    assert {n: (tmp_path / "killed" / n).read_bytes() for n in names} == expected


def test_a_finished_experiment_asks_nothing_again(finished, run, tmp_path, monkeypatch):
    shutil.copytree(finished, tmp_path / "study")
    monkeypatch.setattr(engines, "ask", None)
    assert run() == AblationResult.load(finished / "ablation.json")


def test_a_changed_choice_and_changed_settings_are_refused(finished, run, tmp_path):
    shutil.copytree(finished, tmp_path / "study")
    with pytest.raises(StoreError, match="other settings"):
        run(settings=replace(KNOBS, draws=13))
    path = tmp_path / "study" / "choices.json"
    held = json.loads(path.read_text())
    del held["checksum"]
    held["ablation"]["functions"][SPATIAL]["k"] = 99
    path.write_text(json.dumps(held))
    with pytest.raises(StoreError, match="frozen"):
        run()


def test_nothing_to_test_is_said_plainly(atlas, context):
    atlas.rankings = {"joint": None}
    with pytest.raises(StudyError, match="no ranking"):
        ablate(context, atlas, KNOBS)


def test_a_function_whose_heads_have_no_score_is_skipped(atlas, llava, context):
    atlas.rankings = {"joint": {**atlas.rankings["joint"], SPATIAL: [None] * len(llava.geometry.heads)}}
    few = replace(KNOBS, rankings=("joint",), draws=2, main_draws=1, mutes=("zero", "clamp"), scopes=("all",))
    found = ablate(context, atlas, few)
    assert found.skipped[SPATIAL] == "no ranking of heads"
    assert SPATIAL not in found.functions
    for result in found.functions.values():
        assert list(result.mutes) == ["zero", "clamp"]
        assert result.mutes["clamp"].margin_drop != result.mutes["zero"].margin_drop


def test_functions_that_are_not_tested_are_measured_beside_the_others(run):
    found = run(settings=replace(KNOBS, functions=("counting",), mutes=("zero",), scopes=("all",)))
    assert list(found.functions) == ["counting"]
    assert "not among the functions to test" in found.skipped[SPATIAL]
    assert set(found.functions["counting"].elsewhere.functions) == {"attribute_perception", SPATIAL}
    assert found.specificity.muted == ("counting",)
    assert found.specificity.measured == ("attribute_perception", SPATIAL, "counting")


def test_a_function_that_the_taxonomy_does_not_have_is_refused(run):
    with pytest.raises(StudyError, match="smelling"):
        run(settings=replace(KNOBS, functions=("smelling",)))


def test_where_every_layer_carries_everything_there_is_nothing_to_test(run):
    found = run(settings=replace(KNOBS, layer_limit=-100.0))
    assert found.functions == {}
    assert found.claimed == ()
    assert all(layer.left_out for layer in found.layers)
    assert "the layers that are not left out (0 of 3) hold fewer than every k" in found.skipped[SPATIAL]
