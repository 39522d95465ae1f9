"""Whatever a file holds: validate never raises, load_cases raises DataError or loads, and both agree."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzzed import little_memory, mutated, mutated_bytes, rows_tried
from headscope.data.cases import load_cases, save_cases
from headscope.data.checks import check_case, parse
from headscope.data.validation import validate
from headscope.errors import DataError
from headscope.functions import DEFAULT
from made_cases import json_values, picture, record

_FORM = re.compile(r"[^:]*cases\.jsonl:\d+: [^:]+.*: .+, found .+, expected .+")
_TEXTS = ["", "a", "dog", "s1", "s4", "main", "../a.png", "images/a.png", "\ud800", "a\x00", "fit"]
_NUMBERS = [10**400, -1, 1e308, True, None]
_LISTS = [[], [[]], ["s4", "s4"], ["x,"], [0, 0, 0, 0], [1e308, -1e308, 1e308, 10**400]]
_odd = json_values | st.floats() | st.sampled_from([*_TEXTS, *_NUMBERS, *_LISTS, {}, {"": {}}])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pictures of two cases, whose cases.jsonl each example writes anew."""
    path = tmp_path_factory.mktemp("mutated")
    picture(path, "images/a.png", "red")
    picture(path, "images/b.png", "blue")
    return path


def both_agree(folder: Path, content: bytes) -> None:
    (folder / "cases.jsonl").write_bytes(content)
    faults = validate(folder)
    for fault in faults:
        assert _FORM.fullmatch(str(fault)), str(fault)
        assert str(fault).isprintable()
    try:
        cases = load_cases(folder)
    except DataError as exc:
        assert faults
        assert str(exc).startswith(str(faults[0]))  # noqa: PT017  (it may also load)
    else:
        assert not faults
        save_cases(cases, folder)
        assert load_cases(folder).cases == cases.cases


@st.composite
def mutated_records(draw: st.DrawFn) -> list[Any]:
    records = [record("a"), record("b")]
    for _ in range(draw(st.integers(1, 3))):
        place: Any = records
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and draw(st.integers(0, 3)):
                place = place[key]
                continue
            how = draw(st.sampled_from(["replace", "delete", "repeat", "add"]))
            if how == "replace":
                place[key] = deepcopy(draw(_odd))
            elif how == "delete":
                del place[key]
            elif isinstance(place, list):
                place.append(deepcopy(place[key]) if how == "repeat" else deepcopy(draw(_odd)))
            else:
                place[draw(st.text(max_size=3))] = deepcopy(draw(_odd))
            break
    return records


@settings(max_examples=150, deadline=None)
@given(records=mutated_records())
def test_mutated_records_are_faults_and_never_a_traceback(folder: Path, records: list[Any]) -> None:
    both_agree(folder, "\n".join(json.dumps(r) for r in records).encode())


@settings(max_examples=100, deadline=None)
@given(
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 5), st.binary(max_size=4)), min_size=1, max_size=5
    )
)
def test_mutated_bytes_are_faults_and_never_a_traceback(
    folder: Path, edits: list[tuple[float, int, bytes]]
) -> None:
    content = "\n".join(json.dumps(record(n)) for n in "ab").encode()
    for where, removed, added in edits:
        at = int(where * len(content))
        content = content[:at] + added + content[at + removed :]
    both_agree(folder, content)


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=200))
def test_arbitrary_bytes_are_faults_and_never_a_traceback(folder: Path, content: bytes) -> None:
    both_agree(folder, content)


@pytest.mark.parametrize("cut", range(0, 700, 23))
def test_a_line_cut_off_anywhere_is_one_fault(folder: Path, cut: int) -> None:
    line = json.dumps(record("a")).encode()
    (folder / "cases.jsonl").write_bytes(line[: cut + 1])
    faults = validate(folder)
    assert [(f.line, f.field) for f in faults] == [(1, "json")]


@settings(max_examples=100, deadline=None)
@given(value=_odd)
def test_parsing_and_checking_any_value_only_finds(value: Any) -> None:
    raw, case, found = parse(json.dumps(value))
    assert case is None
    assert found
    list(check_case(raw, DEFAULT))


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=300), where=st.floats(0, 1))
def test_damaged_pictures_are_faults_and_never_a_traceback(
    folder: Path, content: bytes, where: float
) -> None:
    (folder / "cases.jsonl").write_text(json.dumps(record("c")))
    whole = picture(folder, "images/c.png", "green").read_bytes()
    at = int(where * len(whole))
    (folder / "images/c.png").write_bytes(whole[:at] + content + whole[at + len(content) :])
    faults = validate(folder)
    assert all(_FORM.fullmatch(str(f)) for f in faults)
    try:
        load_cases(folder).image("c")
    except DataError:
        assert faults
    else:
        assert not faults


def first_version(name: str) -> dict[str, Any]:
    return record(name)


def second_version(name: str) -> dict[str, Any]:
    """A case of two pictures, one of whose things lies in the second."""
    things = [{**o, "picture": i} for i, o in enumerate(record(name)["objects"])]
    steps = [s | {"origin": "derived"} for s in record(name)["steps"]]
    return record(
        name, objects=things, steps=steps, more=[{"image": "images/b.png", "width": 40, "height": 30}]
    )


@pytest.mark.parametrize("version", [first_version, second_version])
def test_many_mutated_cases_of_both_versions_are_faults_and_never_a_traceback(
    version: Callable[[str], dict[str, Any]], folder: Path
) -> None:
    """Every line of one file is mutated but the first, so that each is judged by itself."""
    draw, tried, a_file = random.Random(version.__name__), rows_tried(300), 50
    bad = good = 0
    with little_memory():
        for start in range(0, tried, a_file):
            lines = [json.dumps(version("a")).encode()]
            for i in range(a_file):
                line = json.dumps(mutated(version("a") | {"id": f"n{i}"}, draw)).encode()
                lines.append(mutated_bytes(line, draw).replace(b"\n", b" ") if (start + i) % 4 == 0 else line)
            (folder / "cases.jsonl").write_bytes(b"\n".join(lines))
            faults = validate(folder)
            assert all(_FORM.fullmatch(str(f)) and str(f).isprintable() for f in faults)
            faulty = {f.line for f in faults}
            assert 1 not in faulty
            bad += len(faulty)
            good += a_file - len(faulty)
            kept = [line for n, line in enumerate(lines, 1) if n not in faulty and line.strip()]
            (folder / "cases.jsonl").write_bytes(b"\n".join(kept))
            assert len(load_cases(folder)) == len(kept)
    assert bad > 0
    assert good > 0
