"""Whatever a source's file holds: cases and refusals that name file, line and field, and never a traceback.

``HEADSCOPE_FUZZ=100000`` runs so many mutated records through every importer instead of a few hundred.
"""

from __future__ import annotations

import json
import os
import random
import re
import resource
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import published as p
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headscope.benchmarks.importing.files import lines, rows_of
from headscope.benchmarks.importing.importer import run
from headscope.benchmarks.importing.sources import ImportPlace, SourceRow
from headscope.benchmarks.registry import import_cases, source
from headscope.data.jsonstream import Decoder
from headscope.data.validation import inspect
from headscope.errors import DataError

COUNT = int(os.environ.get("HEADSCOPE_FUZZ", "6000"))
_FORM = re.compile(r"[^\n]+:\d+: [^\n]+: [^\n]+, found [^\n]+, expected [^\n]+")
_ODD: list[Any] = [
    *(None, True, False, 0, -1, 1, 2**70, 10**500, 1.5, 1e308, -1e308, "", " ", "A", "(Z)", "a.jpg"),
    *("../../etc/passwd", "/etc/passwd", "C:\\x", "a\x00b", "\ud800", "x" * 300, "true", "64x48", "0x0", "1"),
    *(
        [],
        [[]],
        {},
        {"": {}},
        [1, 2, 3, 4],
        [0, 0, 0, 0],
        ["", ""],
        ["a", "a"],
        {"x": 1e308},
        "select",
        "(-)",
    ),
    *("a,b,s (1)", "A. x\nB. y", b"", b"not a picture"),
]


def mutated(value: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    """A copy with one to three fields replaced, removed, doubled or added, at any depth."""
    out = deepcopy(value)
    for _ in range(draw.randint(1, 3)):
        place: Any = out
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw.choice(keys)
            if isinstance(place[key], dict | list) and draw.random() < 0.75:
                place = place[key]
                continue
            how = draw.choice(["replace", "replace", "delete", "add", "swap"])
            if how == "delete":
                del place[key]
            elif how == "swap":
                other = draw.choice(keys)
                place[key], place[other] = place[other], place[key]
            elif how == "add" and isinstance(place, list):
                place.append(deepcopy(draw.choice([place[key], *_ODD])))
            elif how == "add":
                place[draw.choice(["", "x", "row", "scene", "_key", "_merged"])] = deepcopy(draw.choice(_ODD))
            else:
                place[key] = deepcopy(draw.choice(_ODD))
            break
    return out


def place_of(name: str, root: Path) -> ImportPlace:
    found = source(name)
    path = p.folder(root, name)
    files = {"gqa": "val_balanced_questions.json", "clevr": "questions/CLEVR_val_questions.json"}
    file = path / files[name] if name in files else next(x for x in sorted(path.rglob("*")) if _records(x))
    columns = p.COLUMNS if name == "table" else {}
    return ImportPlace(found, path, (file,), p.SPLIT.get(name, ""), None, columns)


def _records(path: Path) -> bool:
    return path.suffix in (".json", ".jsonl", ".tsv", ".parquet")


def check(refused: Path) -> int:
    """Every refusal has the one form, on one line."""
    count = 0
    for line in refused.read_text("utf-8").splitlines():
        f = json.loads(line)
        place = f"{f['file']}:{f['line']}: {f['field']}"
        text = f"{place}: {f['what']}, found {f['found']}, expected {f['expected']}"
        assert _FORM.fullmatch(text), text
        assert f["line"] >= 1
        count += 1
    return count


def peak() -> int:
    """The most memory that this process ever held, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.parametrize("name", p.NAMES)
def test_mutated_records_are_cases_or_refusals(name: str, tmp_path: Path) -> None:
    place = place_of(name, tmp_path / "in")
    good = list(place.source.rows(place) if place.source.rows else rows_of(place))
    draw = random.Random(name)
    count = COUNT // len(p.NAMES) + 1

    def rows() -> Iterator[SourceRow]:
        for i in range(count):
            row = draw.choice(good)
            yield row._replace(line=i + 1, value=mutated(row.value, draw))
        yield good[0]

    before = peak()
    report = run(place, tmp_path / "out", rows=rows())
    grown = peak() - before
    assert report.rows == report.cases + report.refused + report.merged
    assert report.cases > 0
    assert report.refused > count // 20
    assert check(tmp_path / "out/refused.jsonl") <= report.refused
    found = inspect(tmp_path / "out", None, keep=True, decode=False, pictures=False)
    assert found.faults == []  # what was let through breaks no rule of cases
    assert len(found.cases) == report.cases
    assert grown < 300_000  # KiB: records are streamed


@pytest.mark.parametrize("name", p.NAMES)
def test_files_with_mutated_bytes_are_imported_or_refused(name: str, tmp_path: Path) -> None:
    draw = random.Random(name)
    place = place_of(name, tmp_path / "in")
    whole = place.files[0].read_bytes()
    for i in range(max(COUNT // 600, 4)):
        content = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(content))
            content[at : at + draw.randint(0, 6)] = draw.randbytes(draw.randint(0, 6))
        place.files[0].write_bytes(content)
        out = tmp_path / f"out{i}"
        columns = p.COLUMNS if name == "table" else None
        try:
            report = import_cases(
                name, out, place=tmp_path / "in", split=p.SPLIT.get(name, ""), columns=columns
            )
            assert report.rows == report.cases + report.refused + report.merged
        except DataError as exc:
            assert "\n" not in str(exc)  # noqa: PT017  (it may also be imported)
        if (out / "refused.jsonl").exists():
            check(out / "refused.jsonl")


@settings(max_examples=150, deadline=None)
@given(content=st.binary(max_size=120) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_rows_or_faults(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("bytes") / "rows.jsonl"
    path.write_bytes(content)
    for row in lines(path):
        assert row.fault is not None or isinstance(row.value, dict)


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.sampled_from('{}[]":,0123eE+-.ntfa\\u NI'), max_size=40))
def test_the_decoder_agrees_with_json_on_what_is_plain(text: str) -> None:
    value, fault = Decoder().loads(text)
    if fault is None:
        assert value == json.loads(text)
    else:
        assert all(part.isprintable() and part for part in fault)
