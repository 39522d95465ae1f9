"""The rooms of the package import in one direction, and importing it does no work."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "headscope"
ORDER = (
    "data",
    "evaluation",
    "models",
    "capture",
    "probing",
    "interventions",
    "visual_prompting",
    "validation",
    "study",
    "report",
    "acceptance",
)
TOP = ("demo", "cli")


def imports(path: Path) -> set[str]:
    """Rooms of headscope that a module imports when it is itself imported."""
    tree = ast.parse(path.read_text("utf-8"))
    found = set()
    for node in tree.body:  # module level only: imports inside functions are made when they are needed
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("headscope."):
            found.add((node.module or "").split(".")[1])
    return found


@pytest.mark.parametrize("room", ORDER)
def test_a_room_imports_only_from_rooms_before_it(room: str) -> None:
    later = {*ORDER[ORDER.index(room) + 1 :], *TOP}
    for path in (SOURCE / room).rglob("*.py"):
        assert not imports(path) & later, path


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, headscope; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_code_of_a_checkpoint_is_trusted_and_nothing_is_pickled() -> None:
    for path in SOURCE.rglob("*.py"):
        text = path.read_text("utf-8")
        assert "import pickle" not in text, path
        assert "torch.load(" not in text, path
        assert "trust_remote_code=True" not in text, path
