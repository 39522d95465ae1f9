"""The page and the packaged figures: offline, escaped, and saying the same as the JSON."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from made_up_validation import made_up_summary

from headscope.errors import StoreError
from headscope.report.method_errors import method_errors
from headscope.report.validation import tables, validation_table, write_validation_page
from headscope.storage import write_json
from headscope.validation.scoring import WAYS
from headscope.validation.validation_result import ValidationResult
from method_page.measured import measured

HOSTILE = "<script>alert(1)</script>"


def test_the_page_names_no_address_and_runs_no_script(tmp_path: Path) -> None:
    write_json(tmp_path / "summary.json", made_up_summary())
    text = write_validation_page(tmp_path).read_text("utf-8")
    assert "<script" not in text
    addresses = set(re.findall(r"https?://[^\s\"'<)]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_names_in_the_summary_are_escaped(tmp_path: Path) -> None:
    write_json(tmp_path / "summary.json", made_up_summary(HOSTILE))
    text = write_validation_page(tmp_path).read_text("utf-8")
    assert HOSTILE not in text
    assert "&lt;script&gt;" in text


def test_every_ranking_of_every_level_has_its_row(tmp_path: Path) -> None:
    _, header, rows, _ = tables(ValidationResult.model_validate(made_up_summary()))[0]
    assert [r[:2] for r in rows] == [(level, way) for level in ("plain", "decoy") for way in _order()]
    assert all(len(r) == len(header) for r in rows)
    assert validation_table(ValidationResult.model_validate(made_up_summary())).row_count == len(rows)


def test_claims_stand_beside_the_rankings() -> None:
    made = {title: rows for title, _, rows, _ in tables(ValidationResult.model_validate(made_up_summary()))}
    (row,) = made["Claims of the muting experiment"]
    assert row[:5] == ("backup", "2", "24", "4.2 %", "0.1 % to 21.1 %")
    assert row[5:] == ("50.0 %", "11.8 % to 88.2 %", "6", "19.5", "3.0 %")


def test_a_summary_of_another_schema_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "summary.json", {"schema": "other"})
    with pytest.raises(StoreError, match=r"asked for schema headscope/validation/1, found .other."):
        write_validation_page(tmp_path)


def test_packaged_figures_are_those_of_the_summary_with_their_source() -> None:
    kept = measured(made_up_summary(), "headscope validate-method --quick")
    assert kept["planted"]["plain"]["joint"]["precision"] == pytest.approx(0.5)
    assert kept["null"]["claimed_share"] == {"independent": 0.04}
    found = method_errors(kept)
    assert set(found.lines) == {*WAYS, "attention", "patching"}
    assert "precision 0.50, recall 0.50, decoys rejected 90 %" in found.lines["joint"]
    assert "validate-method --quick (a quick run) on 4 models, 2 of them plain" in found.source


def test_figures_of_another_schema_are_not_shown() -> None:
    assert method_errors({"schema": "other"}).lines == {}


def _order() -> list[str]:
    from headscope.report.validation import WAYS as shown

    assert set(shown) == {*WAYS, "attention", "patching"}
    return list(shown)
