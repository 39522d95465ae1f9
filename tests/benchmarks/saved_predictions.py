"""Predictions of four made-up cases of BLINK, in the forms in which tools save them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headscope.data.cases import Cases
from headscope.data.schema import Case

SAID = {"a": "B", "b": "(A) yes", "c": "I cannot tell", "d": "no"}


def blink_cases(folder: Path) -> Cases:
    """Four cases with the answers no, no, yes, no, whose records hold ``idx`` and ``index``."""
    lines = []
    for i, (name, answer) in enumerate({"a": "no", "b": "no", "c": "yes", "d": "no"}.items()):
        lines.append(
            {"id": f"blink-{name}", "answer": answer, "original": {"idx": f"val_{name}", "index": 10 + i}}
            | {"image": f"images/{i // 2}.png", "width": 0, "height": 0, "question": "Is it dark?"}
            | {"choices": ["yes", "no"], "source": "blink/val", "kind": "Dark"}
        )  # fmt: skip
    folder.mkdir()
    (folder / "cases.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    return Cases(folder, [Case.model_validate(x) for x in lines])


def table(path: Path, mark: str, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=mark)
        writer.writeheader()
        writer.writerows(rows)


def jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))


OWN = [{"id": f"blink-{k}", "prediction": v} for k, v in SAID.items()]
LMMS = [
    {"doc_id": i, "doc": {"idx": f"val_{k}"}, "target": "x", "resps": [[v]], "filtered_resps": [v.lower()]}
    for i, (k, v) in enumerate(SAID.items())
]
VLMEVAL = [{"index": 10 + i, "answer": "B", "A": "yes", "prediction": v} for i, v in enumerate(SAID.values())]
MAPPING = {f"val_{k}": v for k, v in SAID.items()}
ROWS = {"schema": "x", "rows": [{"case": f"blink-{k}", "text": v} for k, v in SAID.items()]}
BLINK = {
    "val": [
        {"idx": f"val_{k}", "answer": "(B)", "full_prediction": v, "prediction": "(Z)"}
        for k, v in SAID.items()
    ]
}


def parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), path)


def sheet(path: Path, rows: list[dict[str, Any]]) -> None:
    """VLMEvalKit's own form; needs openpyxl."""
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    page = book.create_sheet()
    page.append(list(rows[0]))
    for row in rows:
        page.append(list(row.values()))
    book.save(path)


FORMS: dict[str, Callable[[Path], object]] = {
    "lines.jsonl": lambda p: jsonl(p, OWN),
    "array.json": lambda p: p.write_text(json.dumps(OWN)),
    "mapping.json": lambda p: p.write_text(json.dumps(MAPPING)),
    "indented.json": lambda p: p.write_text(json.dumps(MAPPING, indent=1)),
    "rows.csv": lambda p: table(p, ",", OWN),
    "vlmeval.tsv": lambda p: table(p, "\t", VLMEVAL),
    "samples.jsonl": lambda p: jsonl(p, LMMS),
    "evaluation.json": lambda p: p.write_text(json.dumps(ROWS)),
    "rows.parquet": lambda p: parquet(p, OWN),
    "vlmeval.xlsx": lambda p: sheet(p, VLMEVAL),
    "blink.json": lambda p: p.write_text(json.dumps(BLINK)),
}
