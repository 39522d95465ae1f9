"""What holds of every importer: its rows are accounted for, its steps tell no answer, its boxes are seen."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import published as p
import pytest

from fuzzed import mutated
from headscope.benchmarks.importing.files import rows_of
from headscope.benchmarks.importing.importer import run
from headscope.benchmarks.registry import _local, import_cases, source, sources
from headscope.data.answered_leak import answered_leak
from headscope.data.cases import Cases, load_cases
from headscope.making.decompose.rules import decompose_all
from headscope.making.review.contact_sheet import contact_sheet

# Sources whose records say where things are; all others say why they have no boxes.
BOXED = {"nlvr", "gqa", "coco", "multihopspatial", "robospatial", "where2place", "refspatial"}


def test_every_registered_source_is_tried_here() -> None:
    assert set(p.NAMES) == set(sources())


def columns(name: str) -> dict[str, str]:
    return p.COLUMNS if name == "table" else {}


@pytest.mark.parametrize("name", p.NAMES)
def test_rows_in_are_cases_and_refusals_each_with_its_reason_and_no_step_tells_an_answer(
    name: str, tmp_path: Path
) -> None:
    """Eighty rows with something changed in each, beside their pictures."""
    place = _local(
        source(name), p.folder(tmp_path / "in", name), p.SPLIT.get(name, ""), None, columns(name), ""
    )
    good = list(place.source.rows(place) if place.source.rows else rows_of(place))
    draw = random.Random(name)
    rows = [draw.choice(good) for _ in range(80)]
    changed = (r._replace(line=i + 1, value=mutated(r.value, draw)) for i, r in enumerate(rows))
    report = run(place, tmp_path / "out", rows=iter([*changed, good[0]]))
    lines = (tmp_path / "out/refused.jsonl").read_text("utf-8").splitlines()
    assert report.rows == report.cases + report.refused + report.merged
    assert sum(report.reasons.values()) == report.refused >= len(lines) > 0
    assert all(": " in reason for reason in report.reasons)
    cases = load_cases(tmp_path / "out", pictures=False)
    assert len(cases) == report.cases > 0
    leak = answered_leak(decompose_all(cases).cases)
    assert leak is None or leak.p > 0.01


@pytest.mark.parametrize("name", p.NAMES)
def test_a_contact_sheet_shows_every_box_that_an_importer_read(name: str, tmp_path: Path) -> None:
    place = p.folder(tmp_path / "in", name)
    import_cases(name, tmp_path / "out", place=place, split=p.SPLIT.get(name, ""), columns=columns(name))
    cases = load_cases(tmp_path / "out")
    boxed = sum(o.box is not None for c in cases for o in c.objects)
    assert (boxed > 0) == (name in BOXED)
    sheet, ids = contact_sheet(cases, 20)
    assert len(ids) == len(cases)
    plain, _ = contact_sheet(Cases(cases.folder, [c.model_copy(update={"objects": ()}) for c in cases]), 20)
    drawn = np.asarray(sheet)[:250] != np.asarray(plain)[:250]  # above the text, which counts the things
    assert drawn.any() == (boxed > 0)
