"""Whatever a file of predictions holds: it is read or refused in one line, and never a traceback."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from saved_predictions import BLINK, FORMS, LMMS, MAPPING, OWN, ROWS, VLMEVAL, blink_cases, parquet, sheet

from fuzzed import ODD, little_memory, mutated, mutated_bytes, rows_tried
from headscope.benchmarks.predictions import answer_rows, file_reading, read_predictions
from headscope.data.cases import Cases
from headscope.errors import DataError

# What the writers of tables take: no half characters, no control characters, no numbers beyond 64 bits.
_PLAIN = [
    v for v in ODD if v is None or isinstance(v, bool | float) or (isinstance(v, str) and v.isprintable())
]


def read_or_refused(path: Path, cases: Cases) -> bool:
    """Whether the file was read; else its refusal is one line that names it."""
    try:
        found = read_predictions(path, cases)
    except DataError as exc:
        said = str(exc)
    else:
        rows = answer_rows(cases.cases, found.texts)
        assert len(rows) == len(cases)
        file_reading(found, rows, cases)
        return True
    assert said.isprintable()
    assert path.stem in said
    return False


@pytest.mark.parametrize("name", FORMS)
def test_files_with_mutated_bytes_are_read_or_refused_in_one_line(name: str, tmp_path: Path) -> None:
    cases, draw, path = blink_cases(tmp_path / "cases"), random.Random(name), tmp_path / name
    if path.suffix == ".xlsx":
        pytest.importorskip("openpyxl")
    FORMS[name](path)
    whole = path.read_bytes()
    with little_memory():
        for _ in range(rows_tried(200) // 4):  # each holds four rows
            path.write_bytes(mutated_bytes(whole, draw))
            read_or_refused(path, cases)


RECORDS: dict[str, tuple[str, Any]] = {
    "lines": ("p.jsonl", OWN),
    "array": ("p.json", OWN),
    "mapping": ("p.json", MAPPING),
    "lmms-eval": ("samples.jsonl", LMMS),
    "VLMEvalKit": ("p.jsonl", VLMEVAL),
    "headscope": ("evaluation.json", ROWS),
    "BLINK": ("blink.json", BLINK),
}


@pytest.mark.parametrize("name", RECORDS)
def test_mutated_records_of_predictions_are_read_or_refused(name: str, tmp_path: Path) -> None:
    cases, draw = blink_cases(tmp_path / "cases"), random.Random(name)
    file, whole = RECORDS[name]
    path, read, tried = tmp_path / file, 0, rows_tried(200) // 4
    with little_memory():
        for _ in range(tried):
            changed = mutated(whole, draw)
            if path.suffix == ".jsonl":
                path.write_text("".join(json.dumps(r) + "\n" for r in changed))
            else:
                path.write_text(json.dumps(changed))
            read += read_or_refused(path, cases)
    assert 0 < read <= tried


@pytest.mark.parametrize("name", ["parquet", "xlsx"])
def test_tables_with_any_plain_cells_are_read_or_refused(name: str, tmp_path: Path) -> None:
    if name == "xlsx":
        pytest.importorskip("openpyxl")
    cases, draw, path = blink_cases(tmp_path / "cases"), random.Random(name), tmp_path / f"p.{name}"
    with little_memory():
        for _ in range(rows_tried(200) // 4):
            rows = [r | {draw.choice(list(r)): draw.choice(_PLAIN)} for r in map(dict, VLMEVAL)]
            if name == "parquet":
                parquet(path, [{k: str(v) for k, v in r.items()} for r in rows])
            else:
                sheet(path, rows)
            read_or_refused(path, cases)
