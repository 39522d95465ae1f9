"""Writes docs/cli.md: every command with its arguments, options and defaults, from the commands themselves.

python tools/cli_page.py
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import typer

from headscope.cli.app import app

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
_HEAD = """# Commands

Written by `python tools/cli_page.py` from the commands themselves; `headscope COMMAND --help` says the same.
A command's result goes to standard output, what it says meanwhile to standard error. It ends with status 1
where something cannot be done ([errors](errors.md)), 2 where an option is not known, 130 after Ctrl-C.
The words are those of the [glossary](glossary.md).
"""
_BEGUN = "run"  # whose options every stage has
_MANY = 10  # options that a command has to share with it for them to be named by reference
Command = Any  # of typer's own copy of click, which has no public name


def commands(
    group: Command | None = None, path: Sequence[str] = ()
) -> Iterator[tuple[tuple[str, ...], Command]]:
    """(words, command) of every command; groups that do something by themselves are among them."""
    group = group if group is not None else _root()
    for name, command in group.commands.items():
        if command.hidden:
            continue
        words = (*path, name)
        inner = getattr(command, "commands", None)
        if inner is None or command.invoke_without_command:
            yield words, command
        if inner:
            yield from commands(command, words)


@cache
def _root() -> Command:
    return typer.main.get_command(app)


def page() -> str:
    """The whole page."""
    found = list(commands())
    index = ", ".join(f"[`{' '.join(words)}`](#{anchor(words)})" for words, _ in found)
    return (
        "\n".join([_HEAD, index, "", *(section(words, command) for words, command in found)]).rstrip() + "\n"
    )


def anchor(words: Sequence[str]) -> str:
    """Where a command stands on the page."""
    return f"headscope-{'-'.join(words)}"


def section(words: Sequence[str], command: Command) -> str:
    """One command: how it is said, what it does, what it takes."""
    taken = [p for p in shown(command) if not option(p)]
    given = [p for p in shown(command) if option(p)]
    said = " ".join(["headscope", *words, *map(usage, taken), *(["[OPTIONS]"] if given else [])])
    help_ = re.sub(r"\s*\n\s*", " ", command.help or "").strip()
    lines = [f"## headscope {' '.join(words)}", "", help_, "", f"```\n{said}\n```", ""]
    if taken:
        lines += ["| argument | default | meaning |", "|---|---|---|", *(row(usage(p), p) for p in taken), ""]
    lines += _options(words, [row(names(p), p) for p in given])
    return "\n".join(lines)


def _options(words: Sequence[str], rows: list[str]) -> Iterator[str]:
    """The table of options; those that a stage shares with ``run`` are named by reference."""
    begun = next(command for said, command in commands() if said == (_BEGUN,))
    known = {row(names(p), p): names(p).split()[0] for p in shown(begun) if option(p)}
    shared = [one for one in rows if one in known]
    if tuple(words) != (_BEGUN,) and len(shared) >= _MANY:
        lacking = ", ".join(f"`{name}`" for one, name in known.items() if one not in shared)
        rows = [one for one in rows if one not in known]
        besides = f" but {lacking}" if lacking else ""
        yield f"The options of [headscope run](#{anchor((_BEGUN,))}){besides}{'; and' if rows else '.'}"
        yield ""
    if rows:
        yield from ("| option | default | meaning |", "|---|---|---|", *rows, "")


def shown(command: Command) -> list[Command]:
    """The parameters that help shows."""
    return [p for p in command.params if not p.hidden and p.name != "help"]


def option(parameter: Command) -> bool:
    """Whether a parameter is said by a name with dashes."""
    return any(name.startswith("-") for name in parameter.opts)


def usage(argument: Command) -> str:
    """An argument as the line of usage has it."""
    name = argument.metavar or str(argument.name).upper()
    return name if argument.required else f"[{name}]"


def names(parameter: Command) -> str:
    """How an option is said, and what follows it."""
    said = [*parameter.opts, *parameter.secondary_opts]
    return ", ".join(said) if parameter.is_flag else f"{', '.join(said)} {kind(parameter)}"


def kind(parameter: Command) -> str:
    """What an option takes: ``PATH``, ``INT INT``."""
    return parameter.metavar or _kind(parameter.type_descriptor.annotation)


def _kind(annotation: Any) -> str:
    if get_origin(annotation) is tuple:
        return " ".join(_kind(part) for part in get_args(annotation))
    if get_origin(annotation) in (list, Union, UnionType):
        return _kind(next(part for part in get_args(annotation) if part is not type(None)))
    return {"str": "TEXT"}.get(annotation.__name__, annotation.__name__.upper())


def row(said: str, parameter: Command) -> str:
    """A row of a table: the name, the default, what it means."""
    cells = (f"`{said}`", default(parameter), parameter.help or "")
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def default(parameter: Command) -> str:
    """What stands where it is not said."""
    value = parameter.default
    several = "; may be repeated" if parameter.multiple else ""
    if parameter.required:
        return f"required{several}"
    if value in (None, "", False, ()):
        return several.removeprefix("; ")
    if value is True:
        return f"`{parameter.opts[0]}`"
    text = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return f"`{text}`{several}"


def _cell(text: str) -> str:
    """Text in a cell, on one line; outside of backquotes, signs of markup are plain."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    plain = [p if p.startswith("`") else re.sub(r"([<*\[\]_])", r"\\\1", p) for p in parts]
    return "".join(plain).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
