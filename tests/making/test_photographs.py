"""The sequence of docs/photographs.md on a slice of the real rows, up to a report that says how bad it is."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from pathlib import Path

import pytest

from headscope.data.cases import load_cases
from headscope.data.validation import validate

ROOT = Path(__file__).parents[2]
PHOTOS = ROOT.parent / "shared" / "data" / "vsr_photos"

pytestmark = pytest.mark.skipif(
    not PHOTOS.is_dir(), reason="the photographs of shared/data/vsr_photos are not here"
)


def headscope(*words: str | Path) -> str:
    command = [sys.executable, "-m", "headscope", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty rows with their photographs, decomposed by rules."""
    folder = tmp_path_factory.mktemp("photographs") / "cases"
    headscope("data", "import", "vsr", "--from", PHOTOS, "--limit", "40", "--out", folder)
    headscope("data", "decompose", folder)
    return folder


def test_rows_become_chains_that_invent_nothing(photographs: Path) -> None:
    cases = load_cases(photographs)
    assert len(cases) == 40
    assert validate(photographs) == []
    for case in cases:
        assert case.original is not None
        assert case.answer == ("true" if case.original["label"] else "false")
        assert len(case.steps) >= 3
        assert case.steps[-1].function == "decision_making"
        answered = [s for s in case.steps if s.answered]
        assert len(answered) >= 3  # both things are there, and the verdict
        assert all(not s.answer for s in case.steps if not s.answered)


@pytest.mark.slow
def test_a_study_of_photographs_ends_in_a_report_that_says_how_bad_it_is(
    photographs: Path, tmp_path: Path
) -> None:
    study = tmp_path / "study"
    headscope("run", "--model", "embedded", "--data", photographs, "--study", study, "--size", "quick")
    text = html.unescape((study / "report.html").read_text("utf-8"))
    steps = [s for c in load_cases(photographs) for s in c.steps]
    missing = sum(not s.answered for s in steps)
    grave = re.search(r'<div class="banner" role="note">(.*?)</div>', text)
    assert grave is not None
    assert grave[1].startswith("This model reads these data badly")
    assert "main question" in grave[1]
    assert f"{missing} of {len(steps)} steps have no answer in the data and were left out" in text
    assert f"{len(steps)}, {missing} of them unanswered and left out" in text
    walked = text[text.index('<figure id="case">') :].partition("</figure>")[0]
    assert "<td>unanswered</td><td>not asked</td>" in walked
    assert "nobody has looked at the picture for it yet" in walked
    assert "no boxes known" in text
