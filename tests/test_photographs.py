"""The example that turns photographs with statements into cases, on the real rows where they are there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from headscope.data.cases import load_cases
from headscope.data.validation import validate

ROOT = Path(__file__).parent.parent
PHOTOS = ROOT.parent / "shared" / "data" / "vsr_photos"


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="the photographs of shared/data/vsr_photos are not here")
def test_every_row_becomes_a_valid_case_that_keeps_its_record(tmp_path: Path) -> None:
    script = ROOT / "examples" / "photographs.py"
    done = subprocess.run(
        [sys.executable, script, PHOTOS, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = (PHOTOS / "dev_half.jsonl").read_text().splitlines()
    cases = load_cases(tmp_path)
    assert len(cases) == len(rows)
    assert validate(tmp_path) == []
    for case in cases:
        assert case.original is not None
        assert case.answer == ("true" if case.original["label"] else "false")
        assert [s.function for s in case.steps][-1] == "decision_making"


def test_a_folder_without_the_rows_is_refused_in_one_line(tmp_path: Path) -> None:
    script = ROOT / "examples" / "photographs.py"
    done = subprocess.run(
        [sys.executable, script, tmp_path, tmp_path / "out"], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "dev_half.jsonl" in done.stderr
    assert "Traceback" not in done.stderr
