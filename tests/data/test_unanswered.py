"""Steps without an answer: kept by every store, asked by nobody, counted by capture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headscope.asking.items import count_unanswered, history_of, make_items
from headscope.capturing.run import capture
from headscope.capturing.store import open_answers
from headscope.data.blind import blind_table
from headscope.data.card import write_card
from headscope.data.cases import case_line, load_cases
from headscope.data.hub import from_dataset, to_dataset
from headscope.data.push import push_cases
from headscope.data.validation import validate
from headscope.errors import DataError
from headscope.functions import DEFAULT
from made_cases import record, write


def half(name: str = "a") -> dict[str, Any]:
    """The design's example with its second step unanswered; the fourth rests on it."""
    raw = record(name)
    raw["steps"][1] |= {"answer": "", "origin": "unanswered"}
    return raw


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "c", half("a"), half("b"))


def test_it_passes_validation_and_every_store(folder: Path, tmp_path: Path) -> None:
    assert validate(folder) == []
    cases = load_cases(folder)
    back = from_dataset(to_dataset(cases), tmp_path / "back")
    assert back.cases == cases.cases
    assert back.fingerprint == cases.fingerprint
    assert "| unanswered | 2 |" in write_card(cases, folder).read_text()
    assert sum(r.steps for r in blind_table(cases) if r.function == "spatial_perception") == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"origin": ""}, "answer: empty"),
        ({"answer": "left"}, "answer of an unanswered step, found 'left'"),
        ({"origin": "invented", "answer": "left"}, "origin: wrong value"),
    ],
)
def test_an_answer_and_its_origin_have_to_fit(tmp_path: Path, change: dict[str, str], message: str) -> None:
    raw = half()
    raw["steps"][1] |= change
    (fault,) = validate(write(tmp_path, raw))
    assert message in str(fault)
    assert "steps[1]" in str(fault)


def test_an_empty_origin_leaves_the_line_as_it_was(tmp_path: Path) -> None:
    (case,) = load_cases(write(tmp_path, record()))
    assert '"origin":' not in case_line(case)


def test_it_is_neither_asked_nor_part_of_a_dialogue(folder: Path) -> None:
    cases = load_cases(folder)
    items = make_items(cases, DEFAULT, ("gold", "own", "alone"))
    assert not [i for i in items if i.step.id == "s2"]
    fourth = next(i for i in items if i.id == "a/s4/gold")
    assert [q for q, _ in history_of(fourth)] == ["What is there?", "Which way does the dog look?"]
    assert count_unanswered(cases) == (2, 2)


def test_capture_says_how_many_it_leaves_out(tiny: Any, folder: Path, tmp_path: Path) -> None:
    said: list[str] = []
    cases = load_cases(folder)
    capture(tiny, cases, dict.fromkeys(cases.by_id, "test"), tmp_path / "out", announce=said.append)
    assert any(
        "2 steps without an answer are left out" in line and "2 steps that rest" in line for line in said
    )
    assert {r["step"] for r in open_answers(tmp_path / "out")} == {"s1", "s3", "s4", "main"}


def test_pushing_needs_a_name_and_a_way(folder: Path) -> None:
    cases = load_cases(folder)
    with pytest.raises(DataError, match="expected ORG/NAME"):
        push_cases(cases, "just-a-name")
    with pytest.raises(DataError, match="HF_HUB_OFFLINE is set"):
        push_cases(cases, "some/where")
