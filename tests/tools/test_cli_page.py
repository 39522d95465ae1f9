"""The page of commands is made from the commands, and holds every one with every option."""

from __future__ import annotations

import pytest

from cli_page import PAGE, commands, default, kind, page, section, shown

COMMANDS = {" ".join(words): command for words, command in commands()}


def test_the_page_of_commands_is_not_stale() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python tools/cli_page.py"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_stands_there_with_every_argument_and_option(name: str) -> None:
    text = section(name.split(), COMMANDS[name])
    own = text if "The options of" not in text else text + section(["run"], COMMANDS["run"])
    assert text.startswith(f"## headscope {name}\n\n{COMMANDS[name].help.split()[0]}")
    for parameter in shown(COMMANDS[name]):
        assert parameter.help, f"{name}: {parameter.name} says nothing of itself"
        for said in (n for n in parameter.opts if n.startswith("-")):
            assert f"`{said}" in own, said


def test_groups_are_walked_through_and_one_that_acts_by_itself_is_a_command() -> None:
    assert {"run", "data generate", "atlas push", "models", "models check", "study move"} <= COMMANDS.keys()
    assert "data" not in COMMANDS


def test_defaults_and_kinds_are_those_of_the_command() -> None:
    generate = {p.name: p for p in COMMANDS["data generate"].params}
    assert (default(generate["cases"]), kind(generate["cases"])) == ("`1000`", "INT")
    assert (default(generate["things"]), kind(generate["things"])) == ("`2 8`", "INT INT")
    assert default(generate["out"]) == "required"
    play = {p.name: p for p in COMMANDS["play"].params}
    assert default(play["browser"]) == "`--browser`"
    asked = {p.name: p for p in COMMANDS["ask"].params}
    assert default(asked["images"]) == "required; may be repeated"
