"""summary.json has the form that was promised, and its numbers are those of the stages."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from headscope.capturing.store import open_answers
from headscope.cli.summary_table import summary_table
from headscope.report.study_summary import Summary
from headscope.report.summary import write_summary
from headscope.storage import read_json

CONTEXTS = ("alone", "own", "gold", "wrong", "other")
FORM = {
    "schema": "headscope/summary/2",
    "wall_s": dict.fromkeys(
        (
            "data",
            "capture",
            "causal",
            "attend",
            "probe",
            "ablate",
            "emphasize",
            "wake",
            "overlay",
            "report",
            "total",
        ),
        0,
    ),
    "model": {"name": "", "revision": "", "parameters": 0, "layers": 0, "heads": 0},
    "cases": {"fit": 0, "select": 0, "test": 0},
    "steps": 0,
    "accuracy": {"spatial_perception": {"value": 0, "n": 0, "ci": [0, 0]}, "main": {}},
    "accuracy_by_things": {},
    "main_by_context": {"alone": 0, "gold": 0, "own": 0},
    "chain": dict.fromkeys(("alone", "own", "gold_without_verdict", "wrong", "other", "n"), 0),
    "form": dict.fromkeys(("n", "median", "below_1_percent", "thoughts"), 0),
    "joint_probe": dict.fromkeys(("accuracy", "words_alone", "majority", "shuffled", "beyond_words", "n"), 0)
    | {"words_by": "", "beyond_words_ci": [0, 0]},
    "functional_heads": {"spatial_perception": {"significant": 0, "share": 0, "elbow": 0}},
    "scarcity": {"difference": 0, "relabel_p": 0, "effective_heads": {"spatial_perception": 0}},
    "ablation": {
        "spatial_perception": dict.fromkeys(
            ("k", "n", "drop_points", "control_mean", "control_max", "draws", "distinct", "p", "q"), 0
        )
        | {"layer_matched": True, "claimed": True, "verdict": ""}
        | {"ci": [0, 0]}
    },
    "claims": [],
    "random_sets_claimed": {"share": 0, "sets": 0},
    "specificity": {"muted": [], "measured": [], "drop_points": [[]]},
    "emphasis": dict.fromkeys(
        ("strength", "n", "clean", "delta_points", "random_sets_mean", "random_sets_max", "p"), 0
    )
    | {"testable": True, "function": "", "edit": "", "ci": [0, 0], "worst_side_effect_points": 0},
    "wake": {
        "both": {"ci": [0, 0]}
        | dict.fromkeys(
            (
                "delta_points",
                "random_box_delta_points",
                "equal_area_delta_points",
                "reverse_mask_delta_points",
                "delta_points_in_training_range",
                "head_gain_spatial",
                "head_gain_other",
            ),
            0,
        )
    },
    "pointing": {
        "headline": {"n": 0, "pictures": 0, "plain": 0, "delta_points": 0, "ci": [0, 0]},
        "controls": dict.fromkeys(("equal_area", "other_boxes", "wrong_name", "empty_window"), 0),
        "leaky": {"n": 0, "delta_points": 0},
        "with_spatial_heads_muted": 0,
    },
}


def written(folder: Path) -> dict:
    """The content of ``summary.json``."""
    result = write_summary(folder)
    assert Summary.load(folder / "summary.json") == result
    found: dict = read_json(folder / "summary.json")
    return found


@pytest.fixture(scope="module")
def summary(study_folder: Path) -> dict:
    return written(study_folder)


def _same_form(form: object, found: object, where: str) -> None:
    if isinstance(form, dict):
        assert isinstance(found, dict), where
        assert set(form) <= set(found), where
        for key, value in form.items():
            _same_form(value, found[key], f"{where}.{key}")
    elif isinstance(form, list):
        assert isinstance(found, list), where
    elif isinstance(form, str):
        assert isinstance(found, str), where
    else:
        assert isinstance(found, int | float), where


def test_the_summary_has_the_promised_form(summary: dict) -> None:
    _same_form(FORM, summary, "summary")
    assert set(summary) == set(FORM)
    assert set(summary["wake"]["both"]) == set(FORM["wake"]["both"])  # type: ignore[index]


def test_accuracies_are_shares_of_right_answers_on_test(summary: dict, study_folder: Path) -> None:
    rows = [r for r in open_answers(study_folder / "capture") if r["split"] == "test"]
    for name, cell in summary["accuracy"].items():
        mine = [r["correct"] for r in rows if r["function"] == name and r["context"] == "gold"]
        assert cell["n"] == len(mine)
        assert cell["value"] == pytest.approx(np.mean(mine))
        assert cell["ci"][0] <= cell["value"] <= cell["ci"][1]
    for context, value in summary["main_by_context"].items():
        mine = [r["correct"] for r in rows if r["function"] == "main" and r["context"] == context]
        assert value == pytest.approx(np.mean(mine))
    chain = {**summary["chain"], "gold": summary["chain"]["gold_without_verdict"]}
    mains = [r for r in rows if r["function"] == "main"]
    asked = set.intersection(*({r["case"] for r in mains if r["context"] == c} for c in CONTEXTS))
    assert chain["n"] == len(asked) < len({r["case"] for r in mains})
    for context in CONTEXTS:
        mine = [r["correct"] for r in mains if r["context"] == context and r["case"] in asked]
        assert chain[context] == pytest.approx(100 * np.mean(mine))
    for count, value in summary["accuracy_by_things"].items():
        mine = [
            r["correct"]
            for r in rows
            if r["function"] != "main" and r["context"] == "gold" and r["things"] == int(count)
        ]
        assert value == pytest.approx(np.mean(mine))


def test_points_are_those_of_the_stages(summary: dict, study_folder: Path) -> None:
    ablation = json.loads((study_folder / "ablation.json").read_text())
    for name, cell in summary["ablation"].items():
        for key in ("k", "drop_points", "ci", "control_mean", "control_max", "draws", "distinct", "p", "q"):
            assert cell[key] == ablation["functions"][name][key]
    same = ("heads", "ranking", "n", "drop_points", "ci", "forced_drop_points", "forced_ci", "q", "verdict")
    for cell in summary["claims"]:
        test = ablation["functions"][cell["function"]]
        for key in (*same, "layer_matched", "distinct", "control_mean", "control_max", "claimed"):
            assert cell[key] == test[key]
        assert (cell["pictures"], cell["p"]) == (test["images"], test["p_claim"])
        assert (cell["clean_free"], cell["clean_forced"]) == (test["accuracy_clean"], test["forced_clean"])
        assert cell["elsewhere_points"] == test["elsewhere"]["points"]
        assert cell["elsewhere_ci"] == test["elsewhere"]["ci"]
        assert cell["unreadable_share"] == test["unreadable"] / 100
    assert [c["function"] for c in summary["claims"]] == list(ablation["functions"])
    random = [t["random_sets"] for t in ablation["functions"].values()]
    assert summary["random_sets_claimed"] == {
        "share": sum(r["claimed"] for r in random) / sum(r["sets"] for r in random),
        "sets": sum(r["sets"] for r in random),
    }
    assert summary["specificity"]["drop_points"] == ablation["specificity"]["drop_points"]
    atlas = json.loads((study_folder / "probe" / "atlas.json").read_text())
    contrast = atlas["scarcity"][atlas["default_criterion"]]
    assert summary["scarcity"]["difference"] == contrast["difference"]
    assert summary["scarcity"]["relabel_p"] == contrast["relabel_p"]
    for name, cell in atlas["sparsity"][atlas["default_criterion"]].items():
        assert summary["scarcity"]["effective_heads"][name] == cell["effective"]
    emphasis = json.loads((study_folder / "emphasis.json").read_text())
    best = emphasis["functions"][emphasis["headline"]["function"]]
    assert summary["emphasis"]["delta_points"] == best["delta_points"]
    assert summary["emphasis"]["clean"] == best["accuracy_clean"]
    for key in ("n", "ci", "random_sets_mean", "random_sets_max", "p", "q", "worst_side_effect_points"):
        assert summary["emphasis"][key] == best[key]
    wake = json.loads((study_folder / "wake.json").read_text())
    for key, value in wake["summary"]["both"].items():
        assert summary["wake"]["both"][key] == pytest.approx(value)
    assert summary["pointing"] == wake["summary"]["pointing"]


def test_parts_of_stages_that_were_not_run_are_empty(tmp_path: Path) -> None:
    summary = written(tmp_path)
    assert set(summary) == set(FORM)
    assert summary["accuracy"] == summary["ablation"] == summary["emphasis"] == summary["wake"] == {}
    assert summary["claims"] == []
    assert summary["random_sets_claimed"] == {"share": None, "sets": 0}
    assert set(summary["joint_probe"]) == set(FORM["joint_probe"])  # type: ignore[call-overload]
    assert set(summary["joint_probe"].values()) == {None, "", 0}
    assert summary["chain"] == dict.fromkeys(FORM["chain"]) | {"n": 0}  # type: ignore[call-overload]
    assert "Not run: emphasize, wake, ablate" in _printed(tmp_path)


def test_pointing_without_known_boxes_had_nothing_to_point_at(study_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(study_folder, folder)
    wake = read_json(folder / "wake.json")
    wake["questions"] = {"test": {"read": 0, "found": {"no boxes known": 104}}}
    wake["summary"] = {"both": {}, "pointing": {}}
    wake |= {"test": {}, "contrasts": {}, "heads": [], "select": {}}
    (folder / "wake.json").write_text(json.dumps(wake))
    summary = written(folder)
    assert summary["wake"] == {"unread": "nothing to point at: no boxes known for 104 questions"}
    assert "Pointing: nothing to point at" in _printed(folder)
    assert "Not run" not in _printed(folder)


def test_the_terminal_table_shows_each_function_with_its_loss(summary: dict, study_folder: Path) -> None:
    text = _printed(study_folder)
    assert "spatial perception" in text
    assert f"{summary['ablation']['spatial_perception']['drop_points']:.1f}" in text
    assert "Pointing (both)" in text
    assert "Wall time: 11.1 minutes" in text


def _printed(folder: Path) -> str:
    from rich.console import Console

    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(summary_table(Summary.load(folder / "summary.json")))
    return console.export_text()
