"""What commands say beside their result, and the one form of their tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.table import Table


def say(text: str) -> None:
    """A line for people, on standard error."""
    typer.echo(text, err=True)


def table_of(columns: Iterable[str], left: int = 1) -> Table:
    """An empty table without a frame; the first columns stand left, the others, numbers, right."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i < left else "right")
    return table
