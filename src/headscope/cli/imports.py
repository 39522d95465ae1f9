"""``headscope data import`` and ``headscope data list``: other people's data as cases."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from headscope.cli.output import say, tell


def register(app: typer.Typer) -> None:
    """Add the commands to ``headscope data``."""
    app.command("import")(import_source)
    app.command("list")(list_sources)


def import_source(
    source: Annotated[str, typer.Argument(help="Name of the source; `headscope data list` names them.")],
    out: Annotated[Path, typer.Option("--out", help="New folder for the cases.")],
    place: Annotated[
        str | None,
        typer.Option("--from", help="A folder, a file or a hub id (org/name); by default the source's own."),
    ] = None,
    split: Annotated[str, typer.Option(help="Which part, as the source names it (zeroshot/dev).")] = "",
    images: Annotated[
        Path | None, typer.Option(help="Folder of pictures; by default the one beside the records.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Read so many rows at most.")] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", help="For table: question=COLUMN,answer=COLUMN,..., once or more."),
    ] = None,
    boxes: Annotated[
        str, typer.Option(help="How boxes are written, if not as the source says: xywh, xyxy, xywh01, ...")
    ] = "",
) -> None:
    """Turn a source's records into cases; says what was derived, guessed, left out and refused."""
    from headscope.benchmarks.registry import import_cases

    report = import_cases(
        source,
        out,
        place=place,
        split=split,
        images=images,
        limit=limit,
        columns=_map(columns or []),
        boxes=boxes,
    )
    for line in report.lines():
        tell(line)
    say(f"{out}: {report.cases} cases; report in {out / 'import.json'}")


def _map(texts: list[str]) -> dict[str, str]:
    """FIELD=COLUMN pairs, apart at commas before the next FIELD=, so that columns may hold commas."""
    from headscope.errors import DataError

    found: dict[str, str] = {}
    for part in (p for text in texts for p in re.split(r",(?=\s*\w+\s*=)", text) if p.strip()):
        name, equals, column = part.partition("=")
        if not equals or not name.strip() or not column.strip():
            raise DataError(f"--map: found {name!r}, expected FIELD=COLUMN, comma-separated")
        if name.strip() in found:
            raise DataError(f"--map: found {name.strip()} twice, expected each field once")
        found[name.strip()] = column.strip()
    return found


def list_sources(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with every detail.")] = False,
) -> None:
    """Every source: fields, licence, size, boxes or not, how it is scored, how to get it."""
    from headscope.benchmarks.registry import sources

    found = sources().values()
    if as_json:
        import json

        keys = ("name", "title", "size", "licence", "fields", "boxes", "steps", "scored", "hub", "get")
        rows = [{key: getattr(s, key) for key in keys} | {"splits": list(s.splits)} for s in found]
        tell(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    for source in found:
        tell(f"{source.name}: {source.title}")
        for key in ("size", "licence", "fields", "boxes", "steps", "scored", "splits", "get"):
            value = getattr(source, key) if key != "splits" else ", ".join(source.splits)
            if value:
                tell(f"  {key}: {value}")
