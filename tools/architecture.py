"""Writes docs/architecture.md's table of rooms and docs/img/architecture.svg from the imports of the package.

    python tools/architecture.py

A room is a folder or a file at the top of the package. What it owns is its docstring's first paragraph; what
it imports is read from every import statement, those inside functions included.
"""

from __future__ import annotations

import ast
import html
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import permutations
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE, TESTS = ROOT / "src" / "headscope", ROOT / "tests"
PAGE, PICTURE = ROOT / "docs" / "architecture.md", ROOT / "docs" / "img" / "architecture.svg"
BEGIN, END = "<!-- rooms: begin -->", "<!-- rooms: end -->"
COLUMNS = 6  # of the picture
# Files that every room may use and that use none.

COMMON = ("errors", "functions", "notebook", "progress", "seals", "storage", "version")


def rooms() -> dict[str, Path]:
    """Room -> its folder or file; entry points (``__init__``, ``__main__``) are none."""
    found = {p.name: p for p in SOURCE.iterdir() if (p / "__init__.py").is_file()}
    found |= {p.stem: p for p in SOURCE.glob("*.py") if not p.stem.startswith("__")}
    return dict(sorted(found.items()))


def imports(path: Path) -> Iterator[str]:
    """Modules of headscope that a file imports at any level, types' imports aside: ``models.vlm``."""
    tree = ast.parse(path.read_text("utf-8"))
    typed = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typed:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "headscope":
            inner = (node.module or "").partition(".")[2]
            yield from (inner,) if inner else (alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (a.name.partition(".")[2] for a in node.names if a.name.startswith("headscope."))


def uses() -> dict[str, set[str]]:
    """Room -> the rooms that it imports, the common files left out."""
    known = rooms()
    found: dict[str, set[str]] = {}
    for room, place in known.items():
        files = [place] if place.is_file() else sorted(place.rglob("*.py"))
        named = {name.split(".")[0] for file in files for name in imports(file)}
        if room not in COMMON:
            found[room] = (named & known.keys()) - {room, *COMMON}
    return found


def order(graph: Mapping[str, set[str]]) -> list[str]:
    """Rooms from the lowest up.

    Raises:
        ValueError: rooms that import each other.
    """
    try:
        levels = level_of(graph)
    except CycleError as exc:
        raise ValueError(f"rooms import each other: {' -> '.join(exc.args[1])}") from exc
    return sorted(graph, key=lambda room: (levels[room], room))


def level_of(graph: Mapping[str, set[str]]) -> dict[str, int]:
    """Room -> length of the longest way down from it."""
    levels: dict[str, int] = {}
    for room in TopologicalSorter(graph).static_order():
        levels[room] = 1 + max((levels[other] for other in graph[room]), default=-1)
    return levels


def needed(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The imports that do not follow from others: what has to be drawn."""

    def below(room: str) -> set[str]:
        return set().union(*(({other} | below(other)) for other in graph[room])) if graph[room] else set()

    return {
        room: {other for other in others if not any(other in below(o) for o in others - {other})}
        for room, others in graph.items()
    }


def purpose(place: Path) -> str:
    """First paragraph of a room's docstring."""
    file = place / "__init__.py" if place.is_dir() else place
    text = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


def guards(room: str) -> str:
    """Where a room's tests are."""
    places = [p for p in (TESTS / room, TESTS / f"test_{room}.py") if p.exists()]
    places = places or sorted(TESTS.glob(f"test_{room}*.py"))
    return ", ".join(f"`{p.relative_to(ROOT)}{'/' if p.is_dir() else ''}`" for p in places) or "none"


def table() -> str:
    """Rooms from the lowest up: what each owns, imports, and which tests guard it."""
    graph, known = uses(), rooms()
    rows = ["| room | owns | imports | tests |", "|---|---|---|---|"]
    common = [(room, "nothing") for room in COMMON]
    for room, below in [
        *common,
        *((r, ", ".join(sorted(graph[r])) or "the seven above") for r in order(graph)),
    ]:
        rows.append(f"| `{room}` | {purpose(known[room])} | {below} | {guards(room)} |")
    return "\n".join(rows)


def columns_of(levels: Mapping[str, int], drawn: Mapping[str, set[str]]) -> dict[str, int]:
    """Room -> column, from the lowest row up: short lines, and few that pass behind a room between."""
    chosen: dict[str, int] = {}
    for level in range(max(levels.values()) + 1):
        row = sorted(room for room in levels if levels[room] == level)
        places = permutations(range(COLUMNS), len(row))
        _, best = min((_length(dict(zip(row, p, strict=True)), chosen, levels, drawn), p) for p in places)
        chosen |= dict(zip(row, best, strict=True))
    return chosen


def _length(
    row: Mapping[str, int], below: Mapping[str, int], levels: Mapping[str, int], drawn: Mapping[str, set[str]]
) -> float:
    """How far the lines of a row reach sideways; those behind a room count more, as does a place aside."""
    taken = {(levels[room], column) for room, column in below.items()}
    total = 0.0
    for room, column in row.items():
        total += 0.1 * abs(column - (COLUMNS - 1) / 2)
        for other in drawn[room]:
            down, across = levels[room] - levels[other], below[other] - column
            ways = [(levels[room] - k, column + across * k / down) for k in range(1, down)]
            hidden = [(at, x) for at, x in ways if (at, round(x)) in taken and abs(x - round(x)) < 0.4]
            total += abs(across) + 4 * len(hidden)
    return total


def picture() -> str:
    """The rooms in rows, each row above what it imports, and the imports that do not follow from others."""
    graph = uses()
    levels, drawn = level_of(graph), needed(graph)
    wide, high, gap, step = 118, 30, 26, 64
    columns = columns_of(levels, drawn)
    breadth = COLUMNS * (wide + gap) + gap
    depth = (max(levels.values()) + 1) * step + gap
    place = {
        room: (gap + column * (wide + gap), depth - gap - levels[room] * step - high)
        for room, column in columns.items()
    }
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {breadth} {depth}" role="img" '
        'font-family="sans-serif" font-size="13" aria-label="Rooms of headscope; each line leads down to '
        'a room that is imported">',
        f'<rect width="{breadth}" height="{depth}" fill="#ffffff"/>',
    ]
    for room, others in sorted(drawn.items()):
        x, y = place[room]
        for other in sorted(others):
            u, v = place[other]
            start, end = x + wide / 2, u + wide / 2
            bend = f"C{start:.0f} {y + high + 26:.0f} {end:.0f} {v - 26:.0f}"
            parts.append(
                f'<path d="M{start:.0f} {y + high:.0f} {bend} {end:.0f} {v:.0f}" fill="none" '
                'stroke="#9aa3ad" stroke-width="1.2"/>'
            )
    for room, (x, y) in sorted(place.items()):
        parts.append(
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{wide}" height="{high}" rx="5" fill="#eef3f8" '
            f'stroke="#3b5b7a"/><text x="{x + wide / 2:.0f}" y="{y + 20:.0f}" text-anchor="middle" '
            f'fill="#1c2b3a">{html.escape(room)}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def page_with(text: str) -> str:
    """The page with its table made anew."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


def main() -> None:
    try:
        PAGE.write_text(page_with(PAGE.read_text("utf-8")), "utf-8")
        PICTURE.write_text(picture(), "utf-8")
    except ValueError as exc:
        sys.exit(str(exc))


if __name__ == "__main__":
    main()
