"""The summary's table as text to paste into a paper."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headscope.cli.app import app
from headscope.cli.summary_table import table_in
from headscope.cli.text_tables import FORMATS
from headscope.errors import StudyError
from headscope.report.summary import write_summary


@pytest.mark.parametrize("form", FORMATS)
def test_the_table_comes_as_csv_latex_or_markdown(form: str, study_folder: Path) -> None:
    summary = write_summary(study_folder)
    text = table_in(summary, form)
    lines = text.splitlines()
    if form == "csv":
        rows = list(csv.reader(io.StringIO(text)))
        assert rows[0][0] == "function"
        assert len(rows) == 1 + len(summary.accuracy)
        assert {len(row) for row in rows} == {9}
    elif form == "markdown":
        assert len(lines) == 2 + len(summary.accuracy)
        assert {line.count("|") for line in lines} == {10}
    else:
        assert lines[0] == r"\begin{tabular}{lrrrrrrrr}"
        assert lines[-1] == r"\end{tabular}"
        assert all(line.endswith(r"\\") for line in lines if "&" in line)
        assert "–" not in text


def test_a_study_without_a_summary_and_an_unknown_form_are_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["study", "table", str(tmp_path)])
    assert isinstance(done.exception, StudyError)
    assert "holds no study" in str(done.exception)
    (tmp_path / "study.json").write_text("{}")
    done = CliRunner().invoke(app, ["study", "table", str(tmp_path)])
    assert f"`headscope report --study {tmp_path}` writes it" in str(done.exception)
    done = CliRunner().invoke(app, ["study", "table", str(tmp_path), "--format", "word"])
    assert "there are: csv, latex, markdown" in str(done.exception)
