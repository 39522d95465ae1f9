from __future__ import annotations

from pathlib import Path

import pytest

from headscope.data.card import write_card
from headscope.data.cases import Cases, load_cases
from made_cases import record, write


@pytest.fixture
def cases(tmp_path: Path) -> Cases:
    records = []
    for i in range(40):
        raw = record(f"c{i}", kind="facing" if i % 4 else "between", answer="true" if i % 2 else "false")
        raw["held_out"] = ["sprite", "wording"] if i < 5 else []
        records.append(raw)
    return load_cases(write(tmp_path / "d", *records))


def rows(text: str) -> dict[str, list[str]]:
    """First cell of each table row -> the other cells (last table wins)."""
    lines = [line.strip("| ").split(" | ") for line in text.split("\n") if line.startswith("| ")]
    return {line[0].strip(): [cell.strip() for cell in line[1:]] for line in lines}


def test_the_card_counts_what_there_is(cases: Cases, tmp_path: Path) -> None:
    text = write_card(
        cases, tmp_path, name="My cases", licence="cc-by-4.0", notes="Drawn by hand."
    ).read_text()
    found = rows(text.split("## Balance")[0])
    assert (found["between"], found["facing"]) == (["10"], ["30"])
    assert (found["fit"], found["select"], found["test"]) == (["21"], ["7"], ["12"])
    assert (found["sprite"], found["wording"], found["(nothing)"]) == (["5"], ["5"], ["35"])
    assert found["2"] == ["40"]
    assert found["spatial_perception"][0] == "40"
    assert "40 cases with 160 steps" in text
    assert "Drawn by hand." in text


def test_the_card_shows_the_balance_of_answers(cases: Cases, tmp_path: Path) -> None:
    text = write_card(cases, tmp_path).read_text()
    balance = rows(text.split("## Balance")[1].split("## What the questions")[0])
    assert balance["main"] == ["false / true", "40", "false 50.0 %, true 50.0 %"]
    assert balance["object_recognition"] == ["open", "40", "a dog, a horse 100.0 %"]


def test_the_card_has_the_blind_table_with_its_verdict(cases: Cases, tmp_path: Path) -> None:
    text = write_card(cases, tmp_path).read_text()
    blind = rows(text.split("## What the questions")[1])
    assert blind["orientation_perception"] == ["40", "50.0 %", "100.0 %", "100.0 %", "+0.0 ± 0.0", "yes"]
    assert " None is." in text


def test_a_leak_is_named_in_the_card(tmp_path: Path) -> None:
    records = []
    for i in range(60):
        raw = record(f"c{i}", question=f"Is the {'cat' if i % 2 else 'cow'} near?")
        records.append(raw | {"answer": "true" if i % 2 else "false"})
    text = write_card(load_cases(write(tmp_path, *records)), tmp_path).read_text()
    assert "**1 are: main.**" in text
    assert rows(text)["main"][-1] == "LEAK"


def test_the_header_is_yaml_and_the_card_is_the_same_each_time(cases: Cases, tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    text = write_card(cases, tmp_path, name='A "b": c', licence="mit").read_text()
    header = yaml.safe_load(text.split("---")[1])
    assert header["pretty_name"] == 'A "b": c'
    assert header["license"] == "mit"
    assert header["size_categories"] == ["n<1K"]
    assert header["configs"] == [{"config_name": "default", "data_files": "cases.jsonl"}]
    again = load_cases(cases.folder)
    assert write_card(again, tmp_path, name='A "b": c', licence="mit").read_text() == text


def test_names_from_the_data_cannot_break_the_tables(tmp_path: Path) -> None:
    evil = "a|b\n<script>alert(1)</script> [x](y)"
    cases = load_cases(write(tmp_path, record("a", kind=evil)))
    text = write_card(cases, tmp_path, name="<b>x</b>").read_text()
    assert "<script>" not in text
    assert "# &lt;b&gt;x" in text
    assert "| a\\|b &lt;script&gt;alert(1)&lt;/script&gt; \\[x\\](y) | 1 |" in text
