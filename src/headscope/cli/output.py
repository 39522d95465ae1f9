"""What commands say beside their result, and the one form of their tables."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headscope.errors import StoreError, shown

if TYPE_CHECKING:
    from rich.table import Table

OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace the file of --out if it is there.")
]


def say(text: str) -> None:
    """A line for people, on standard error."""
    typer.echo(shown(text), err=True)


def tell(text: str) -> None:
    """A line of the result, on standard output."""
    typer.echo(shown(text))


def any_terminal() -> None:
    """A terminal without UTF-8 ends no work that is done: signs that it lacks are written plainly."""
    codecs.register_error("headscope", _plainly)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="headscope")


_PLAIN = {"–": "-", "—": "-", "…": "...", "×": "x", "·": "*", "−": "-", "’": "'", "“": '"', "”": '"'}


def _plainly(exc: UnicodeError) -> tuple[str, int]:
    """What stands for signs that a terminal's encoding does not have."""
    if not isinstance(exc, UnicodeEncodeError):
        raise exc
    signs = exc.object[exc.start : exc.end]
    return "".join(_PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in signs), exc.end


def table_of(columns: Iterable[str], left: int = 1) -> Table:
    """An empty table without a frame; the first columns stand left, the others, numbers, right."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i < left else "right")
    return table


def new_file(path: Path, overwrite: bool, option: str = "--out") -> None:
    """Refuse, before any work is done for it, a file that cannot be written or would replace another.

    Raises:
        StoreError: it is there already and is not to be replaced, or it is a folder.
    """
    if path.is_dir():
        raise StoreError(f"{option} {path}: is a folder; name a file in it, such as {path / 'result.json'}")
    if path.exists() and not overwrite:
        raise StoreError(
            f"{option} {path}: is there already; name another file by {option}, or say --overwrite"
        )
