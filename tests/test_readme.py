"""The README's table is the one that its summary gives, and its links lead somewhere."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tools"))


def test_the_table_of_results_is_made_from_the_studies_beside_it() -> None:
    from readme import filled, summaries

    text = (ROOT / "README.md").read_text("utf-8")
    assert filled(text, summaries()) == text


def test_the_lines_on_pointing_and_turning_up_carry_their_n_and_controls() -> None:
    from readme import _pointing, _scarcity, _turning_up

    headline = {"n": 210, "pictures": 90, "plain": 88.6, "delta_points": 1.9, "ci": [-1.0, 4.8]}
    controls = {"equal_area": -3.0, "other_boxes": -30.0, "empty_window": -31.0, "wrong_name": 70.5}
    told = _pointing(
        {
            "headline": headline,
            "controls": {**controls, "wrong_name_share": 84.0},
            "leaky": {"n": 80, "delta_points": 11.2},
            "with_spatial_heads_muted": None,
        }
    )
    for part in ("+1.9 [-1.0, 4.8] points (n 210, 90 pictures, plain 88.6 %)", "other things boxed -30.0"):
        assert part in told
    assert "with the spatial heads muted -." in told
    assert "tell it: +11.2 (n 80)" in told
    assert "84.0 % of the time, +70.5 points more" in told
    assert _turning_up([{"testable": False, "reason": "no headroom"}]).endswith("not testable (no headroom).")
    few = {"counting": 3.04, "text_reading": None}
    said = _scarcity({"effective_heads": few, "difference": -1.25, "relabel_p": 0.2})
    assert said.startswith("- Effective number of heads: counting 3.0. ")
    assert said.endswith("-1.2 (relabelling functions: p 0.200).")


def test_what_is_needed_before_the_first_command_is_said() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    start = text[text.index("## Start") : text.index("## What it does")]
    assert f"Needs Python {project['requires-python'].removeprefix('>=')} or newer" in start
    assert re.search(r"\d GB of disk", start)
    assert re.search(r"takes \d+ to \d+ minutes", start)
    for said in (
        "source .venv/bin/activate",
        "make shell",
        "pip install headscope",
        "torch's CPU wheels first",
    ):
        assert said in start
    assert "headscope --install-completion" in start
    assert project["urls"]


def test_the_python_of_the_first_page_may_be_run_twice(
    tiny_llava_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:  # the same lines on a smaller model, with fewer scenes
        small = block.replace('"embedded"', repr(str(tiny_llava_folder))).replace("300", "8")
        small = small.replace('"quick"', '"smoke"')
        for _ in range(2):
            exec(compile(small, "README.md", "exec"), {})
    first, second = capsys.readouterr().out.splitlines()
    assert first == second
    assert first.count("Head(") == 4


def test_every_link_of_the_docs_leads_to_a_file() -> None:
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for link in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
            if not link.startswith("http"):
                assert (page.parent / link).exists(), f"{page.name}: {link}"
