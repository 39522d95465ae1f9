"""What docstrings, comments and pages point at exists."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = sorted((ROOT / "src").rglob("*.py"))
NO_MODULES = ("headscope.json", "headscope.libraries")  # a file of checkpoints, the name of a log
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_code_points_at_pages_that_are_there() -> None:
    for path in CODE:
        text = path.read_text("utf-8")
        for page in re.findall(r"\bdocs/[\w-]+\.md\b", text):
            assert (ROOT / page).exists(), f"{path}: {page}"
        unkept = re.search(r"\bdesign(\.md)?,? (section )?\d", text, re.IGNORECASE)
        assert unkept is None, f"{path}: {unkept and unkept.group(0)!r} is on no page of this project"


@pytest.mark.parametrize("path", [*CODE, *PAGES], ids=lambda p: str(p.relative_to(ROOT)))
def test_dotted_names_are_there(path: Path) -> None:
    for name in set(re.findall(r"\bheadscope(?:\.[a-z_]\w*)+(?:\.[A-Z]\w*)?", path.read_text("utf-8"))):
        assert name in NO_MODULES or found(name), f"{path}: {name}"


def found(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for stop in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:stop]))
        except ModuleNotFoundError:
            continue
        for part in parts[stop:]:
            if not hasattr(thing, part):
                return False
            thing = getattr(thing, part)
        return True
    return False
