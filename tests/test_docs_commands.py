"""Command lines and Python on the pages: commands and options exist, blocks parse and import."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from headscope.cli.app import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TREE: Any = typer.main.get_command(app)
NOTHING = {"COMMAND"}  # stands for any command
ADDED = {"--help", "--install-completion", "--show-completion"}  # which every command, or the whole, has


def lines(text: str) -> Iterator[str]:
    """Command lines of a page: in blocks of code, where a backslash goes on, and between backquotes."""
    blocks = re.findall(r"^```(?:\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    for block in blocks:
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.sub(r"(^|\s)#.*", "", line).split(";"):
                found = re.fullmatch(r"\s*(?:\$ |[A-Z_]+=\S+ )*(headscope [a-z-].*)", part)
                if found:
                    yield found[1].strip()
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    yield from (" ".join(one.split()) for one in re.findall(r"`+ ?(headscope [A-Za-z-][^`]*?) ?`+", prose))


def wrong(line: str) -> str:
    """What a command line names that there is not; empty if nothing."""
    command, words = TREE, shlex.split(line.replace("...", "").replace("[OPTIONS]", ""))[1:]
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        word = words.pop(0)
        if word in NOTHING:
            return ""
        if word not in command.commands:
            return f"no command {word!r}"
        command = command.commands[word]
    known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)} | ADDED
    unknown = [w for w in words if w.startswith("--") and w.partition("=")[0] not in known]
    return f"no option {', '.join(unknown)}" if unknown else ""


def python_blocks(text: str) -> list[str]:
    """The blocks of Python of a page."""
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_commands_and_options_of_a_page_exist(path: Path) -> None:
    faults = [f"{line}: {said}" for line in lines(path.read_text("utf-8")) if (said := wrong(line))]
    assert faults == []


def test_commands_are_found_on_the_pages_and_wrong_ones_are_told() -> None:
    found = {path.name: len(list(lines(path.read_text("utf-8")))) for path in PAGES}
    assert found["README.md"] > 30
    assert found["importers.md"] > 8
    assert sum(found.values()) > 200
    block = "```\nheadscope run --sise quick \\\n  --seed 1;  headscope ply  # a note\n```\n"
    text = f"`headscope stduy status X`\n\n{block}"
    assert [wrong(line) for line in lines(text)] == [
        "no option --sise", "no command 'ply'", "no command 'stduy'",
    ]  # fmt: skip
    assert wrong("headscope play --no-browser --port=0") == ""


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_python_of_a_page_parses_and_what_it_imports_is_there(path: Path) -> None:
    for block in python_blocks(path.read_text("utf-8")):
        if path.name == "api.md" and re.match(r"(hs\.)?\w+(\(\n|\(\w+: |\(\)|$)", block):  # a signature
            continue
        examples = doctest.DocTestParser().get_examples(block)
        code = "".join(e.source for e in examples) if examples else block
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("headscope"):
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)
