"""Whatever a source's file holds: cases and refusals that name file, line and field, and never a traceback.

``HEADSCOPE_FUZZ=100000`` runs so many mutated records through each importer instead of a few hundred.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import published as p
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzzed import ODD, little_memory, mutated, mutated_bytes, rows_tried
from headscope.benchmarks.importing.files import lines, rows_of
from headscope.benchmarks.importing.importer import run
from headscope.benchmarks.importing.sources import ImportPlace, SourceRow
from headscope.benchmarks.registry import import_cases, source, sources
from headscope.data.jsonstream import Decoder
from headscope.data.validation import inspect
from headscope.errors import DataError

_FORM = re.compile(r"[^\n]+:\d+: [^\n]+: [^\n]+, found [^\n]+, expected [^\n]+")
_CELLS = (*ODD, b"", b"not a picture")  # Parquet's cells may be bytes


def place_of(name: str, root: Path) -> ImportPlace:
    found = source(name)
    path = p.folder(root, name)
    files = {
        "gqa": "val_balanced_questions.json",
        "clevr": "questions/CLEVR_val_questions.json",
        "super_clevr": "superCLEVR_questions_5.json",
    }
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


def test_every_registered_source_has_a_row_here() -> None:
    """A new source without made-up records is not mutated: add it to ``published.py``."""
    assert set(p.NAMES) == set(sources())


@pytest.mark.parametrize("name", p.NAMES)
def test_mutated_records_are_cases_or_refusals(name: str, tmp_path: Path) -> None:
    place = place_of(name, tmp_path / "in")
    good = list(place.source.rows(place) if place.source.rows else rows_of(place))
    draw = random.Random(name)
    count = rows_tried(240)

    def rows() -> Iterator[SourceRow]:
        for i in range(count):
            row = draw.choice(good)
            yield row._replace(line=i + 1, value=mutated(row.value, draw, _CELLS))
        yield good[0]

    with little_memory():
        report = run(place, tmp_path / "out", rows=rows())
    assert report.rows == report.cases + report.refused + report.merged
    assert report.cases > 0
    assert report.refused > count // 20
    assert check(tmp_path / "out/refused.jsonl") <= report.refused
    found = inspect(tmp_path / "out", None, keep=True, decode=False, pictures=False)
    assert found.faults == []  # what was let through breaks no rule of cases
    assert len(found.cases) == report.cases


@pytest.mark.parametrize("name", p.NAMES)
def test_files_with_mutated_bytes_are_imported_or_refused(name: str, tmp_path: Path) -> None:
    draw = random.Random(name)
    place = place_of(name, tmp_path / "in")
    whole = place.files[0].read_bytes()
    for i in range(rows_tried(1000) // 100):  # each a whole import
        place.files[0].write_bytes(mutated_bytes(whole, draw))
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
