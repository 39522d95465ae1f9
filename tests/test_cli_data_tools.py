"""The commands on data that people have: questions, decompose, review, push, evaluate."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from headscope.cli import main
from headscope.data.cases import load_cases

sys.path.insert(0, str(Path(__file__).parent / "data"))
from made_cases import record, write


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["headscope", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def test_rules_fill_cases_in_place_and_say_what_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "c", record("a", steps=[]), record("b", steps=[], question="Why?"))
    assert run(monkeypatch, "data", "decompose", folder) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "2 cases, 1 decomposed" in said
    assert "1 cases: no statement about two things and a known relation (b)" in said
    a, b = load_cases(folder)
    assert len(a.steps) == 7
    assert b.steps == ()
    assert f"{sum(not s.answered for s in a.steps)} of them unanswered" in said
    report = json.loads((folder / "decompose" / "rules.json").read_text())
    assert [r["relation"] for r in report["relations"]] == ["facing"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data", "decompose", "FOLDER", "--with", "magic"], "there are: rules, llm"),
        (["data", "decompose", "FOLDER", "--with", "llm"], "say --server URL and --model NAME"),
        (["data", "decompose", "NOWHERE"], "no cases"),
        (["data", "questions", "NOWHERE", "--images", "FOLDER", "--out", "OUT"], "asked for COCO instances"),
        (["data", "review", "FOLDER", "--agree", "bob"], "no reviews by 'me'"),
        (["data", "review", "FOLDER", "--reviewer", "../x", "--apply"], "reviewer '../x'"),
        (["data", "push", "FOLDER", "nonsense"], "expected ORG/NAME"),
        (["data", "push", "FOLDER", "org/name"], "HF_HUB_OFFLINE"),
        (
            ["evaluate", "--data", "FOLDER", "--mute", "counting", "--wake", "both"],
            "one intervention at a time",
        ),
        (["evaluate", "--data", "FOLDER", "--model", "x", "--mute", "counting"], "say --study"),
        (["capture", "--study", "OUT", "--data", "FOLDER", "--protocol", "paper"], "is for `headscope run`"),
        (["run", "--study", "OUT", "--data", "FOLDER", "--protocol", "other"], "'other'; there is: paper"),
    ],
)
def test_a_wrong_call_ends_in_one_message(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    names = {"FOLDER": write(tmp_path / "c", record()), "NOWHERE": tmp_path / "no", "OUT": tmp_path / "out"}
    assert run(monkeypatch, *[names.get(w, w) for w in words]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_prompts_are_written_for_changing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "user.md").write_text("$question")
    assert run(monkeypatch, "data", "decompose", tmp_path, "--write-prompts", mine) == 0
    assert sorted(p.name for p in mine.iterdir()) == ["retry.md", "system.md", "user.md"]
    assert (mine / "user.md").read_text() == "$question"


def test_pairs_of_scenes_and_of_mirror_images_are_counted_and_wrong_options_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pairs"
    assert run(monkeypatch, "data", "pairs", "--out", out, "--pairs", 2, "--fact", "facing") == 0
    assert "2 pairs (facing 2)" in capsys.readouterr().out
    mirrored = tmp_path / "mirrored"
    assert run(monkeypatch, "data", "pairs", "--out", mirrored, "--from", out) == 0
    assert "8 pairs (mirror 8)" in capsys.readouterr().out
    assert run(monkeypatch, "data", "pairs", "--out", tmp_path / "x", "--from", out, "--fact", "size") != 0
    assert "--fact is for scenes" in capsys.readouterr().err
    assert run(monkeypatch, "data", "pairs", "--out", tmp_path / "x", "--function", "counting") != 0
    assert "--function chooses" in capsys.readouterr().err
