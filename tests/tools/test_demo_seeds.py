"""README's studies: seeds that follow from a commit, and medians over them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import demo_seeds
from headscope.storage import write_json


def test_seeds_follow_from_the_commit_alone_and_are_none_of_development() -> None:
    found = demo_seeds.seeds_of("a" * 40)
    assert found == demo_seeds.seeds_of("a" * 40)
    assert len(set(found)) == demo_seeds.COUNT
    assert found != demo_seeds.seeds_of("b" * 40)
    assert not set(found) & set(demo_seeds.DEVELOPMENT)
    assert all(1000 <= seed < 10_000 for seed in found)


@pytest.mark.parametrize(
    ("values", "middle"),
    [
        ([1, 5, 2], 2.0),
        ([1, None, 3], 2.0),
        ([None, None], None),
        ([[1, 2], [3, 8], [5, 5]], [3.0, 5.0]),
        ([{"a": 1, "b": "x"}, {"a": 4, "b": "x"}], {"a": 2.5, "b": "x"}),
        ([{"b": "x"}, {"b": "y"}], {"b": "various"}),
        ([True, False], False),
    ],
)
def test_medians_are_taken_number_by_number(values: list[object], middle: object) -> None:
    assert demo_seeds.median_of(values) == middle


def test_the_page_is_made_from_the_studies_beside_it() -> None:
    content = json.loads(demo_seeds.STUDIES.read_text("utf-8"))
    assert demo_seeds.PAGE.read_text("utf-8") == demo_seeds.page(content["studies"], content["commit"])
    there = [s["seed"] for s in content["studies"]]
    assert there == [seed for seed in demo_seeds.seeds_of(content["commit"]) if seed in there]


def test_every_study_of_readme_has_matched_sets_behind_what_it_claims() -> None:
    for study in json.loads(demo_seeds.STUDIES.read_text("utf-8"))["studies"]:
        for claim in study["summary"]["claims"]:
            if claim["claimed"]:
                assert claim["layer_matched"]
                assert claim["distinct"] >= 200
                assert claim["ci"][0] > 0 < claim["forced_ci"][0]
                assert claim["beyond_ci"][0] > 0
                assert claim["q"] < 0.05


def test_the_commands_are_those_that_its_first_lines_name() -> None:
    from typer.testing import CliRunner

    for name in ("run", "collect"):
        shown = CliRunner().invoke(demo_seeds.app, [name, "--help"]).output
        assert f"python tools/demo_seeds.py {name} COMMIT --out FOLDER" in str(demo_seeds.__doc__)
        assert "--out" in shown
        assert "COMMIT" in shown.upper()


def test_collecting_keeps_studies_of_the_same_commit_whose_folders_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = json.loads(demo_seeds.STUDIES.read_text("utf-8"))
    commit, kept = before["commit"], before["studies"][0]
    monkeypatch.setattr(demo_seeds, "STUDIES", tmp_path / "seeds.json")
    monkeypatch.setattr(demo_seeds, "PAGE", tmp_path / "seeds.md")
    write_json(tmp_path / "seeds.json", {**before, "studies": [kept]})
    (new,) = (s for s in demo_seeds.seeds_of(commit)[1:2])
    write_json(tmp_path / "runs" / str(new) / "summary.json", kept["summary"])
    demo_seeds.collect(commit, tmp_path / "runs")
    found = json.loads((tmp_path / "seeds.json").read_text("utf-8"))
    assert [s["seed"] for s in found["studies"]] == [
        s for s in demo_seeds.seeds_of(commit) if s in (kept["seed"], new)
    ]
    assert f"| {new} |" in (tmp_path / "seeds.md").read_text("utf-8")
    demo_seeds.collect("0" * 40, tmp_path / "runs")
    assert json.loads((tmp_path / "seeds.json").read_text("utf-8"))["studies"] == [], "another code's studies"
