"""Fills the tables of docs/benchmarks.md from results.json: ``python benchmarks/table.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
PAGE = ROOT.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
PARTS = ("unscored", "hooks", "capture", "probe", "before")
WORKS = ("capture", "mute", "generate")


def number(value: Any) -> str:
    """A figure as the page shows it."""
    return f"{value:.3g}" if isinstance(value, int | float) else "-"


def span(record: dict[str, Any]) -> str:
    """The interval of a median, or its quartiles."""
    ends = record.get("ci") or record.get("spread")
    return f"{number(ends[0])} to {number(ends[1])}" if ends else "-"


def rows(name: str, record: dict[str, Any]) -> list[str]:
    """One line of the table, and one for each part of it that has a median of its own."""
    out = []
    if "median" in record:
        out.append(f"| `{name}` | {number(record['median'])} | {span(record)} | {record.get('n', '-')} |")
        if "largest_gap_points" in record:
            out.append(f"| `{name}`, largest gap | {number(record['largest_gap_points'])} points | - | - |")
    elif isinstance(record.get("seconds"), float):
        out.append(f"| `{name}` | {number(record['seconds'])} s | - | {record.get('n', '-')} |")
    for part in PARTS:
        if isinstance(record.get(part), dict) and "median" in record[part]:
            out += rows(f"{name}.{part}", record[part])
    return out


def peers(record: dict[str, Any]) -> list[str]:
    """Ratio to the bare run for each library and piece of work, with quartiles."""
    out = ["| library, n | capture | mute | generate |", "|---|---|---|---|"]
    for name, works in record.items():
        if name == "machine":
            continue
        cells = []
        for work in WORKS:
            one = works.get(work, works)
            cannot = str(one.get("cannot", "")).replace("|", "/").replace("<", "&lt;")
            agrees = "" if one.get("agrees", True) else " (another result)"
            cells.append(
                f"cannot: {cannot}" if cannot else f"{number(one.get('median'))} ({span(one)}){agrees}"
            )
        n = max((one.get("n", 0) for one in works.values() if isinstance(one, dict)), default=0)
        out.append(f"| {name} ({works.get('version', '-')}), {n or '-'} | {' | '.join(cells)} |")
    return out


def filled(text: str, results: dict[str, Any]) -> str:
    """The page with its tables made from the results."""
    lines = ["| figure | median | interval | n |", "|---|---|---|---|"]
    for name, record in results.items():
        if name != "peers":
            lines += rows(name, record)
    if "peers" in results:
        lines += ["", *peers(results["peers"])]
    head, _, rest = text.partition(BEGIN)
    return "\n".join([head + BEGIN, *lines, END]) + rest.partition(END)[2]


if __name__ == "__main__":
    found = json.loads((ROOT / "results.json").read_text("utf-8"))
    PAGE.write_text(filled(PAGE.read_text("utf-8"), found), "utf-8")
