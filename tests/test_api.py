"""The public names: one sorted screen of them, a page made from their docstrings, examples that run."""

from __future__ import annotations

import doctest
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import headscope as hs
from api_page import PAGE, page

# What neither ``import headscope`` nor ``headscope --help`` may load.
HEAVY = (
    "torch",
    "transformers",
    "numpy",
    "scipy",
    "sklearn",
    "pandas",
    "xarray",
    "zarr",
    "pyarrow",
    "PIL",
    "altair",
    "pydantic",
)


def test_the_public_names_are_sorted_and_fit_on_a_screen() -> None:
    assert hs.__all__ == sorted(hs.__all__, key=lambda name: (not name.isupper(), name))
    assert len(hs.__all__) <= 26
    assert set(dir(hs)) == {*hs.__all__, "__version__"}


def test_every_public_name_is_there_under_its_own_name() -> None:
    for name in hs.__all__:
        assert getattr(hs, name).__name__ == name


def test_an_unknown_name_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(AttributeError, match="no attribute 'generate'; public names: VLM, Atlas"):
        _ = hs.generate


def test_the_page_of_public_names_is_not_stale() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python tools/api_page.py"


@pytest.mark.parametrize("name", hs.__all__)
def test_the_example_of_a_public_name_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = getattr(hs, name)
    example = doctest.DocTestParser().get_doctest(inspect.getdoc(found) or "", {}, name, None, 0)
    assert example.examples, f"hs.{name} has no example"
    said: list[str] = []
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.DocTestRunner(optionflags=flags).run(example, out=said.append)
    assert not result.failed, "".join(said)


@pytest.mark.parametrize("arguments", [["-c", "import headscope"], ["-m", "headscope", "--help"]])
def test_neither_the_package_nor_its_help_loads_anything_heavy(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, check=True
    )
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "headscope" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_naming_heads_and_comparing_studies_needs_no_model() -> None:
    code = "import headscope as hs, sys; hs.Head, hs.Atlas, hs.Taxonomy, hs.compare; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "headscope.experiments.comparing" in loaded
    assert loaded.isdisjoint(("torch", "transformers"))


def test_the_commands_are_imported_in_less_than_a_third_of_a_second() -> None:
    code = "from time import process_time as now; t = now(); import headscope.cli.app; print(now() - t)"
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(3)
    ]
    assert min(times) < 0.3, times


def test_methods_stand_there_with_their_types() -> None:
    text = PAGE.read_text("utf-8")
    assert "- `top(function: str, k: int, by: str | None = None) -> list[Head]`: " in text
    assert "- `Atlas.load(path: str | Path) -> Self`: " in text
    assert "model_post_init" not in text


def test_functions_beyond_the_public_names_stand_there_too() -> None:
    text = PAGE.read_text("utf-8").partition("## Beyond hs")[2]
    assert "push_atlas(\n    given: Comparable,\n    name: str," in text
    assert "pull_atlas(\n    name: str,\n    out: str | Path," in text
