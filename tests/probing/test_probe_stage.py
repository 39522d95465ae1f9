"""The probe stage on a small synthetic capture: files, splits, resuming."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import headscope.probing.stage as stage
from headscope.errors import StoreError, StudyError
from headscope.functions import Taxonomy
from headscope.probing.atlas import Atlas
from headscope.probing.settings import ProbeSettings
from headscope.probing.stage import probe
from headscope.probing.steps import choose_rows, gather_steps, probed_answers
from headscope.storage import read_json, read_table

FUNCTIONS = ("spatial_perception", "counting", "text_reading")
TAXONOMY = Taxonomy(
    "three", FUNCTIONS, frozenset(FUNCTIONS[:1]), frozenset(), frozenset(FUNCTIONS), {f: f for f in FUNCTIONS}
)
KNOBS = {
    "permutations": 20,
    "controls": 2,
    "draws": 50,
    "shared": 8,
    "hidden": 16,
    "epochs": 40,
    "logistic_heads": 2,
}
GIVEN = {"model": "toy", "revision": "1", "data": "abc", "note": "kept"}


def _capture(cases: int = 80, seed: int = 0) -> tuple[xr.Dataset, list[dict]]:
    """Two steps a function and case; head L0H1 carries the function, L1H0 the answer."""
    rng = np.random.default_rng(seed)
    rows, split = [], ["fit"] * 6 + ["select"] * 2 + ["test"] * 2
    for case in range(cases):
        for n, function in enumerate((*FUNCTIONS, *FUNCTIONS, "main")):
            truth = str(rng.choice(["left", "right"]))
            rows.append(
                {
                    "item": f"c{case}/s{n}/gold",
                    "case": f"c{case}",
                    "context": "gold",
                    "function": function,
                    "split": split[case % 10],
                    "wording": f"{function}.{rng.integers(4)}",
                    "question": f"{function}?",
                    "truth": truth,
                    "choices": ["left", "right"],
                }
            )
    z = rng.normal(size=(len(rows), 4, 5)).astype(np.float32)
    z[:, 3, 4] = np.nan
    for i, row in enumerate(rows):
        if row["function"] != "main":
            z[i, 1, FUNCTIONS.index(row["function"])] += 3
        z[i, 2, 0] += 3 if row["truth"] == "left" else -3
    coords = {
        "item": np.array([r["item"] for r in rows], dtype=np.dtypes.StringDType()),
        "head": np.array(["L0H0", "L0H1", "L1H0", "L1H1"], dtype=np.dtypes.StringDType()),
    }
    return xr.Dataset({"answer_mean": (("item", "head", "width"), z)}, coords=coords), rows


@pytest.fixture(scope="module")
def captured():
    return _capture()


def _probe(captured, folder, causal=None, blank=None, **more) -> Atlas:
    settings = ProbeSettings(**{**KNOBS, **more})
    about = {"taxonomy": TAXONOMY, "provenance": GIVEN, "settings": settings}
    return probe(*captured, folder, causal=causal, blank=blank, **about)


def test_a_study_gets_its_atlas_table_and_joint_report(captured, tmp_path) -> None:
    atlas = _probe(captured, tmp_path)
    assert Atlas.load(tmp_path / "atlas.json") == atlas
    assert len(read_table(tmp_path / "atlas.parquet")) == 4 * 3
    joint = read_json(tmp_path / "joint.json")
    assert joint["accuracy"] > 0.8 > joint["shuffled"]
    assert joint["majority"] == pytest.approx(1 / 3)
    assert [h.width for h in atlas.heads] == [5, 5, 5, 4]
    for function in FUNCTIONS:
        assert str(atlas.top(function, 1, "independent")[0]) == "L0H1"
        assert str(atlas.top(function, 1, "joint")[0]) == "L0H1"
        assert str(atlas.top(function, 1, "answer")[0]) == "L1H0"
        assert str(atlas.functional(function, "answer")[0]) == "L1H0"
    assert atlas.independent["logistic"]["greatest_gap"] < 0.1


def test_provenance_says_what_the_atlas_was_made_from(captured, tmp_path) -> None:
    found = _probe(captured, tmp_path).provenance.model_dump()
    assert {k: found[k] for k in GIVEN} == GIVEN
    assert found["splits"]["fit"] == {"steps": 288, "images": 48}
    assert found["readout"] == "answer_mean"
    assert found["versions"]["numpy"] == np.__version__


def test_a_second_run_computes_nothing_and_writes_the_same(captured, tmp_path, monkeypatch) -> None:
    _probe(captured, tmp_path)
    wanted = (tmp_path / "atlas.json").read_bytes()
    for name in ("independent_probes", "answer_probes", "joint_probe", "logistic_check"):
        monkeypatch.setattr(stage, name, None)
    _probe(captured, tmp_path)
    assert (tmp_path / "atlas.json").read_bytes() == wanted


def test_a_run_that_was_killed_ends_with_the_same_bytes(captured, tmp_path, monkeypatch) -> None:
    whole = _probe(captured, tmp_path / "whole")

    def killed(*_args, **_kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stage, "joint_probe", killed)
        with pytest.raises(KeyboardInterrupt):
            _probe(captured, tmp_path / "killed")
    assert not (tmp_path / "killed" / "atlas.json").exists()
    assert _probe(captured, tmp_path / "killed") == whole
    names = ("atlas.json", "atlas.parquet", "joint.json")
    assert all((tmp_path / "killed" / n).read_bytes() == (tmp_path / "whole" / n).read_bytes() for n in names)


def test_other_settings_in_the_same_folder_are_refused(captured, tmp_path) -> None:
    _probe(captured, tmp_path)
    with pytest.raises(StoreError, match="permutations"):
        _probe(captured, tmp_path, permutations=21)
    _probe(captured, tmp_path, level=0.01)  # the level is applied afterwards, nothing is computed for it


def test_units_made_on_one_device_serve_another_and_the_atlas_names_it(
    captured, tmp_path, monkeypatch
) -> None:
    plain = _probe(captured, tmp_path / "a")
    other = _probe(captured, tmp_path / "b", device="cpu:0")
    assert plain.provenance.model_dump()["settings"]["device"] == "cpu"
    assert other.provenance.model_dump()["settings"]["device"] == "cpu:0"
    assert {k for k, v in plain.rankings.items() if v != other.rankings[k]} == set()
    for function in FUNCTIONS:
        np.testing.assert_allclose(plain.control[function], other.control[function], atol=1e-4)
        np.testing.assert_allclose(
            plain.p["independent"][function], other.p["independent"][function], atol=0.02
        )
    monkeypatch.setattr(stage, "independent_probes", None)  # not refused, and nothing is made anew
    assert _probe(captured, tmp_path / "a", device="cpu:0").rankings == plain.rankings


def test_the_test_split_changes_nothing_but_the_joint_accuracy(captured, tmp_path) -> None:
    data, rows = captured
    spoiled = data.copy(deep=True)
    in_test = [i for i, r in enumerate(rows) if r["split"] == "test"]
    spoiled["answer_mean"][in_test] *= 0.0
    plain = _probe(captured, tmp_path / "a").model_dump()
    other = _probe((spoiled, rows), tmp_path / "b").model_dump()
    changed = {k for k in plain if plain[k] != other[k]}
    assert changed == {"joint"}


def test_causal_scores_become_the_default_ranking(captured, tmp_path) -> None:
    causal = {f: [0.0, 0.0, 0.0, 1.0] for f in FUNCTIONS}
    atlas = _probe(captured, tmp_path, causal=causal)
    assert str(atlas.top("counting", 1)[0]) == "L1H1"
    assert _probe(captured, tmp_path, causal=causal, default_ranking="joint").default_ranking == "joint"


def test_a_blank_picture_that_gives_the_same_takes_the_answer_away(captured, tmp_path) -> None:
    seen = [i for i, r in enumerate(captured[1]) if r["split"] != "test"]
    atlas = _probe(captured, tmp_path, blank=captured[0].isel(item=seen))
    assert atlas.answers["counting"].blank is not None
    assert max(s for s in atlas.answers["counting"].score if s is not None) <= 1e-9
    with pytest.raises(StudyError, match="blank"):
        _probe(captured, tmp_path / "b", blank=captured[0].isel(item=slice(0, 5)))


def test_steps_are_capped_per_function_and_whole_images_are_taken_first(captured) -> None:
    _, rows = captured
    images = [r["case"] for r in rows]
    kept = choose_rows(rows, FUNCTIONS, images, ("gold",), 30, seed=1)
    counts = {}
    for i in kept:
        key = (rows[i]["split"], rows[i]["function"])
        counts[key] = counts.get(key, 0) + 1
    assert counts == {(s, f): n for s, n in (("fit", 30), ("select", 10), ("test", 10)) for f in FUNCTIONS}
    assert len({images[i] for i in kept}) == 15 + 5 + 5
    turned = list(reversed(range(len(rows))))
    again = choose_rows(
        [rows[i] for i in turned], FUNCTIONS, [images[i] for i in turned], ("gold",), 30, seed=1
    )
    assert [turned[i] for i in again] == kept


def test_steps_chosen_from_a_stream_are_those_chosen_from_all_answers_in_the_same_order(captured) -> None:
    data, rows = captured
    settings = ProbeSettings(max_steps=30, seed=1)
    images = {f"c{i}": f"picture{i // 2}" for i in range(80)}
    chosen = probed_answers(lambda: iter(rows), FUNCTIONS, settings, images)
    part = data.isel(item=np.flatnonzero(np.isin(data["item"].values, [r["item"] for r in chosen])))
    found = gather_steps(part, chosen, FUNCTIONS, settings, images, chosen=True)
    wanted = gather_steps(data, rows, FUNCTIONS, settings, images)
    assert found.fingerprint == wanted.fingerprint
    np.testing.assert_array_equal(found.z, wanted.z)


def test_steps_with_an_empty_readout_are_left_out_and_no_steps_at_all_is_an_error(captured) -> None:
    data, rows = captured
    holed = data.copy(deep=True)
    holed["answer_mean"][0] = np.nan
    settings = ProbeSettings()
    found = gather_steps(holed, rows, FUNCTIONS, settings)
    assert len(found.rows) == 479
    assert "c0/s0/gold" not in {r["item"] for r in found.rows}
    with pytest.raises(StudyError, match="prompt_last"):
        gather_steps(data, rows, FUNCTIONS, ProbeSettings(readout="prompt_last"))
    with pytest.raises(StudyError, match="none in the split fit"):
        gather_steps(data, rows, FUNCTIONS, ProbeSettings(contexts=("own",)))


def test_cases_that_share_an_image_count_as_one_image(captured) -> None:
    data, rows = captured
    images = {f"c{i}": f"picture{i // 2}" for i in range(80)}
    found = gather_steps(data, rows, FUNCTIONS, ProbeSettings(), images)
    assert len(set(found.images.tolist())) == 40
