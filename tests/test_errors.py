"""What messages advise can be pasted into a shell."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import headscope

ROOM = Path(headscope.__file__).parent
COMMANDS = {"command", "name"}  # variables that hold the name of a command, which needs no quotes


def advised(source: str) -> Iterator[str]:
    """What is filled into every ``headscope ...`` between backticks of a source text."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            parts = [
                f"\0{ast.unparse(v.value)}\1"
                if isinstance(v, ast.FormattedValue)
                else str(getattr(v, "value", ""))
                for v in node.values
            ]
            for command in re.findall(r"`headscope [^`]*`?", "".join(parts)):
                yield from re.findall("\0(.*?)\1", command)


def test_a_name_in_an_advised_command_is_quoted_for_the_shell() -> None:
    """By ``command_line``: a folder may have a space in it."""
    assert list(advised("f'do `headscope run --study '\nf'x'")) == []
    assert list(advised("print(f'do `headscope run --study {folder}` again')")) == ["folder"]
    found = {
        f"{path.relative_to(ROOM)}: {value}"
        for path in sorted(ROOM.rglob("*.py"))
        if path.name != "errors.py"
        for value in advised(path.read_text("utf-8"))
        if value not in COMMANDS
    }
    assert found == set()
