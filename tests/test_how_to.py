"""The how-to page: every recipe is short, and runs on the embedded model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "how-to.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


def test_there_are_fifteen_recipes_of_at_most_five_lines() -> None:
    assert len(BLOCKS) - 1 >= 15
    assert max(block.count("\n") for block in BLOCKS[1:]) <= 5


def test_every_recipe_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first: dict[str, Any] = {}
    exec(compile(BLOCKS[0], str(PAGE), "exec"), first)
    for block in BLOCKS[1:]:
        exec(compile(block, str(PAGE), "exec"), dict(first))  # each stands by itself
    for name in ("pointed.png", "looks.png"):
        assert (tmp_path / name).exists()
    assert (tmp_path / "counting.csv").exists()
