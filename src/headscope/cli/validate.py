"""``headscope validate-method``: the method on models with known answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headscope.cli.output import say


def validate_method(
    quick: Annotated[bool, typer.Option("--quick", help="A look in minutes, for every commit.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the results; by default under runs/.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that share the work.")] = 2,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="Planted models of each level; full: 5, quick: 1.")
    ] = None,
) -> None:
    """Measure the method's errors on models with planted heads, and on models with nothing to find."""
    from headscope.report.validation import validation_table, write_validation_page
    from headscope.validation.run import validate_method as measure

    folder = out or Path("runs/validate-method-quick" if quick else "runs/validate-method")
    summary = measure(folder, quick=quick, seeds=seeds, workers=workers, announce=say)
    page = write_validation_page(folder)
    from rich.console import Console

    Console().print(validation_table(summary))
    say(f"summary: {folder / 'summary.json'}")
    say(f"page: {page}")
