"""The tour of the house is made from the code, and the files that it names are there."""

from __future__ import annotations

import re

import pytest

import architecture
from architecture import PAGE, PICTURE, ROOT, level_of, needed, order, page_with, picture, uses


def test_page_and_picture_are_those_of_the_code() -> None:
    text = PAGE.read_text("utf-8")
    assert page_with(text) == text, "python tools/architecture.py writes them anew"
    assert picture() == PICTURE.read_text("utf-8")


def test_every_room_has_tests_and_a_purpose() -> None:
    rows = [line.split(" | ") for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    rooms = {row[0].strip("| `"): row for row in rows if len(row) == 4}
    assert {*uses(), *architecture.COMMON} == rooms.keys()
    for name, row in rooms.items():
        assert len(row[1]) > 15, name


def test_files_that_the_tour_names_are_there() -> None:
    for name in re.findall(r"`((?:src|tests|tools)/[\w/.]+)`", PAGE.read_text("utf-8")):
        assert (ROOT / name).exists(), name


def test_rooms_that_import_each_other_are_named() -> None:
    with pytest.raises(ValueError, match=r"rooms import each other: (a -> b -> a|b -> a -> b)"):
        order({"a": {"b"}, "b": {"a"}})


def test_what_follows_from_other_imports_is_not_drawn() -> None:
    graph = {"top": {"middle", "low"}, "middle": {"low"}, "low": set[str]()}
    assert needed(graph) == {"top": {"middle"}, "middle": {"low"}, "low": set()}
    assert level_of(graph) == {"low": 0, "middle": 1, "top": 2}
