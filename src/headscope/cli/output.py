"""What commands say beside their result."""

from __future__ import annotations

import typer


def say(text: str) -> None:
    """A line for people, on standard error."""
    typer.echo(text, err=True)
