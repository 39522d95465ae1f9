"""The how-to page: every recipe is short, and runs on the embedded model."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "how-to.md"
FIRST, *SECTIONS = PAGE.read_text("utf-8").split("\n## ... ")
RECIPES = {
    section.partition("\n")[0]: re.findall(r"```python\n(.*?)```", section, re.S) for section in SECTIONS
}
LEAVES = {  # recipe -> what it leaves behind
    "see where in the picture a head looks": "looks.png",
    "point at something in the picture": "pointed.png",
    "rank heads, and put tables into a paper": "counting.csv",
    "write an edit into a checkpoint that any engine serves": "baked/model.safetensors",
    "run a study, and go on with it tomorrow": "runs/mine/capture/plan.json",
}


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the lines at the top of the page define, in the folder that they were run in."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("how-to"))
    names: dict[str, Any] = {}
    (block,) = re.findall(r"```python\n(.*?)```", FIRST, re.S)
    exec(compile(block, str(PAGE), "exec"), names)
    yield names
    os.chdir(before)


def test_there_are_fifteen_recipes_of_at_most_five_lines() -> None:
    assert len(RECIPES) >= 15
    for title, blocks in RECIPES.items():
        assert len(blocks) == 1, title
        assert blocks[0].count("\n") <= 5, title


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_runs_by_itself(title: str, begun: dict[str, Any]) -> None:
    exec(compile(RECIPES[title][0], str(PAGE), "exec"), dict(begun))
    assert Path(LEAVES.get(title, ".")).exists()
