"""The rooms of the package import in one direction, and importing it does no work."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "headscope"
# A room imports from those before it; those in one row know nothing of each other.
ORDER = (
    ("errors", "version"),
    ("functions", "notebook", "progress", "seals"),
    ("storage",),
    ("workers",),
    ("records",),
    ("data", "statistics"),
    ("models", "pointing"),
    ("asking", "benchmarks", "edits", "making"),
    ("capturing", "engine", "probing"),
    ("experiments",),
    ("validation",),
    ("study",),
    ("report",),
    ("acceptance", "demo", "hub", "play"),
    ("cli",),
    ("__main__",),
)
ROW = {room: row for row, rooms in enumerate(ORDER) for room in rooms}


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(module: str, types_too: bool = True) -> set[str]:
    """Modules of the package that a module imports, inside functions too.

    Args:
        module: its dotted name.
        types_too: whether what is imported for type checkers alone counts.
    """
    found: set[str] = set()
    for node in statements(ast.parse(modules()[module].read_text("utf-8")), types_too):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: relative imports are not used"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules() else str(node.module) for name in inner}
    return {name for name in found if name in modules() and name != module}


def statements(tree: ast.AST, types_too: bool) -> Iterator[ast.AST]:
    """Every node of a tree, those under ``if TYPE_CHECKING`` only where they are asked for."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and not types_too:
            yield from (inner for other in node.orelse for inner in statements(other, types_too))
            continue
        yield node
        yield from statements(node, types_too)


def room(module: str) -> str:
    """The folder or file at the top of the package that a module belongs to; empty for the package itself."""
    return module.split(".")[1] if "." in module else ""


def test_every_room_has_its_place() -> None:
    assert {room(module) for module in modules()} - {""} == set(ROW)


@pytest.mark.parametrize("name", list(ROW))
def test_a_room_imports_only_from_rooms_before_it(name: str) -> None:
    for module in modules():
        if room(module) == name:
            for other in imports(module):
                assert room(other), f"{module} imports the package itself"
                before = ROW[room(other)] < ROW[name]
                assert before or room(other) == name, f"{module} imports {other}"


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {module: imports(module, types_too=False) for module in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as exc:
        pytest.fail(" <- ".join(exc.args[1]))


def test_imports_inside_functions_are_seen() -> None:
    tree = ast.parse("def f():\n    if x:\n        from headscope.data import cases\nimport os")
    assert sum(isinstance(node, ast.Import | ast.ImportFrom) for node in statements(tree, False)) == 2


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, headscope; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_code_of_a_checkpoint_is_trusted_and_nothing_is_pickled() -> None:
    for path in SOURCE.rglob("*.py"):
        text = path.read_text("utf-8")
        assert "import pickle" not in text, path
        assert "torch.load(" not in text, path
        assert "trust_remote_code=True" not in text, path
