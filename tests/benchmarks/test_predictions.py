"""Saved predictions in the forms of other tools, matched with cases by id and scored by every rule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from saved_predictions import FORMS, LMMS, OWN, SAID, blink_cases, jsonl
from typer.testing import CliRunner

from headscope.benchmarks.predictions import FileReading, answer_rows, file_reading, read_predictions
from headscope.benchmarks.score_types import ParserScore
from headscope.benchmarks.scores import score
from headscope.cli.app import app
from headscope.data.cases import Cases
from headscope.errors import DataError


@pytest.fixture
def cases(tmp_path: Path) -> Cases:
    return blink_cases(tmp_path / "cases")


@pytest.mark.parametrize("name", FORMS)
def test_predictions_in_every_form_are_matched_with_their_cases(
    name: str, cases: Cases, tmp_path: Path
) -> None:
    if name.endswith(".xlsx"):
        pytest.importorskip("openpyxl")
    FORMS[name](tmp_path / name)
    found = read_predictions(tmp_path / name, cases)
    assert found.texts == {f"blink-{k}": v for k, v in SAID.items()}
    assert found.unknown == []
    rows = answer_rows(cases.cases, found.texts)
    assert [(r.answer, r.correct) for r in rows] == [
        ("no", True), ("yes", False), (None, False), ("no", True)
    ]  # fmt: skip
    result = score(rows, cases.by_id, {c.id: c.image for c in cases})
    assert result.accuracy.value == 0.5
    assert result.unreadable == 0.25
    assert result.official["blink"].table[0].value == 0.5
    assert result.official["blink"].parser == ParserScore(value=0.5, n=4)


def test_columns_may_be_named_and_nested(cases: Cases, tmp_path: Path) -> None:
    rows = [{"meta": {"name": f"val_{k}"}, "said": {"now": v}, "prediction": "x"} for k, v in SAID.items()]
    jsonl(tmp_path / "p.jsonl", rows)
    assert read_predictions(tmp_path / "p.jsonl", cases, "meta.name", "said.now").texts["blink-a"] == "B"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([OWN[0], OWN[0]], "a second prediction"),
        ([{"id": "other", "prediction": "x"}], "none of its 4 cases"),
        ([{"id": "blink-a", "words": "x"}], "found columns id, words"),
        ([{"prediction": "x"}], "found columns prediction"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(
    rows: list[dict[str, Any]], said: str, cases: Cases, tmp_path: Path
) -> None:
    jsonl(tmp_path / "p.jsonl", rows)
    with pytest.raises(DataError, match=said):
        read_predictions(tmp_path / "p.jsonl", cases)


def test_an_id_that_two_records_hold_names_neither(cases: Cases, tmp_path: Path) -> None:
    both = [c.model_copy(update={"original": {"idx": "same"}}) for c in cases]
    jsonl(tmp_path / "p.jsonl", [{"idx": "same", "prediction": "yes"}, OWN[0]])
    found = read_predictions(tmp_path / "p.jsonl", Cases(cases.folder, both))
    assert (found.texts, found.unknown) == ({"blink-a": "B"}, ["same"])


def test_the_command_prints_scores_and_what_is_missing(cases: Cases, tmp_path: Path) -> None:
    jsonl(tmp_path / "p.jsonl", [*OWN[:3], {"id": "x", "prediction": "yes"}])
    out = tmp_path / "score.json"
    words = [
        "score",
        "--data",
        str(cases.folder),
        "--predictions",
        str(tmp_path / "p.jsonl"),
        "--out",
        str(out),
    ]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "by the rule of BLINK" in done.output
    assert "3 of 4 cases have a prediction (column prediction); 1 have none" in done.output
    assert "read by headscope's parser instead: 25.0 % of 4" in done.output
    saved = json.loads(out.read_text())
    assert saved["accuracy"]["value"] == 0.25
    assert saved["fit"]["missing"] == ["blink-d"]
    assert saved["fit"]["unknown"] == ["x"]


JUDGED = {
    "val": [
        {"idx": "val_a", "answer": "(B)", "full_prediction": "<s> B", "prediction": "(B)"},
        {"idx": "val_b", "answer": "(B)", "full_prediction": "はい", "prediction": "(B)"},
        {"idx": "val_c", "answer": "(A)", "full_prediction": "It is dark, (A).", "prediction": "(Z)"},
        {"idx": "val_d", "answer": "(B)", "full_prediction": "(B) no", "prediction": "(B)"},
    ],
    "test": [{"idx": "test_a", "answer": "hidden", "full_prediction": "A", "prediction": "(A)"}],
}


def test_what_the_files_own_judge_read_is_scored_beside_the_rule_and_every_gap_is_named(
    cases: Cases, tmp_path: Path
) -> None:
    """BLINK's saved outputs: the official figure is that of ``prediction``, which a judge model wrote."""
    (tmp_path / "Dark.json").write_text(json.dumps(JUDGED))
    found = read_predictions(tmp_path / "Dark.json", cases)
    rows = answer_rows(cases.cases, found.texts)
    assert [r.correct for r in rows] == [True, False, True, True]
    assert file_reading(found, rows, cases) == FileReading(
        column="prediction", value=0.75, n=4, differ=("blink-b", "blink-c")
    )
    assert found.unknown == ["test_a"]
    out = ["--out", str(tmp_path / "score.json")]
    words = ["score", "--data", str(cases.folder), "--predictions", str(tmp_path / "Dark.json"), *out]
    done = CliRunner().invoke(app, words)
    assert "as the file itself reads them (column prediction): 75.0 % of 4" in done.output
    assert "judged otherwise here: 2 cases (blink-b, blink-c)" in done.output
    assert json.loads((tmp_path / "score.json").read_text())["reading"]["n"] == 4


def test_a_column_whose_name_has_lines_is_said_in_one(cases: Cases, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text('"a\nb",c\n1,2\n')
    with pytest.raises(DataError, match=r"found columns 'a\\nb', c; name them by"):
        read_predictions(tmp_path / "p.csv", cases)


# What a model's files hold for the same four readings: B, A, none, B.
WRITTEN = {
    "LLaVA-1.5": ("<s> B", "<s> (A) yes", "<s>", "<s> (B) no"),
    "OpenFlamingo": ("\u00a0B", "\u00a0yes", ".........", "\u00a0no"),
    "full-width": ("\uff08B\uff09", "\uff08A\uff09", "\uff1f", "\uff08B\uff09"),
    "plain": ("B", "(A) yes", "I cannot tell", "no"),
}


@pytest.mark.parametrize("model", WRITTEN)
def test_a_models_way_of_writing_moves_no_score_from_what_the_files_judge_gives(
    model: str, cases: Cases, tmp_path: Path
) -> None:
    """Whole models were read as nearly nothing before, for one mark in front of every answer."""
    rows = [
        {"idx": f"val_{name}", "answer": "(B)", "full_prediction": said, "prediction": f"({read})"}
        for name, said, read in zip("abcd", WRITTEN[model], "BAZB", strict=True)
    ]
    (tmp_path / "Dark.json").write_text(json.dumps({"val": rows}))
    found = read_predictions(tmp_path / "Dark.json", cases)
    own = answer_rows(cases.cases, found.texts)
    assert [r.correct for r in own] == [True, False, False, True]
    assert file_reading(found, own, cases) == FileReading(column="prediction", value=0.5, n=4, differ=())


def test_a_folder_of_files_is_one_set_of_predictions(cases: Cases, tmp_path: Path) -> None:
    folder = tmp_path / "said"
    folder.mkdir()
    jsonl(folder / "one.jsonl", OWN[:2])
    jsonl(folder / "two.jsonl", OWN[2:])
    assert read_predictions(folder, cases).texts == {f"blink-{k}": v for k, v in SAID.items()}
    jsonl(folder / "samples_x.jsonl", LMMS)
    (folder / "results.json").write_text(json.dumps({"results": {"x": {"acc": 1}}}))
    found = read_predictions(folder, cases)
    assert len(found.texts) == 4
    assert file_reading(found, answer_rows(cases.cases, found.texts), cases) is not None


def test_an_empty_folder_says_so(cases: Cases, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no file of predictions"):
        read_predictions(tmp_path / "none", cases)
