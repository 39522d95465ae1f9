"""Two studies on one page: differences, settings and maps as both studies hold them, and nothing loaded."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_fixture import HOSTILE

import headscope as hs
from browser import serious_findings
from experiments.test_compare import drawn
from headscope.experiments.ablation_result import AblationResult
from headscope.experiments.compare_result import CompareResult
from headscope.probing.atlas import Atlas
from headscope.report import beside
from headscope.report.beside import Side, write_comparison
from headscope.report.charts.heads import domain, rankings
from headscope.report.contents import read_contents
from headscope.study.record import StudyRecord


@pytest.fixture(scope="module")
def other(study_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same study with another batch size and name, another ranking, and one function that lost less."""
    folder = tmp_path_factory.mktemp("other") / "study"
    shutil.copytree(study_folder, folder, ignore=shutil.ignore_patterns("figures", "report.html"))
    record = StudyRecord.load(folder / "study.json")
    model = record.model.model_copy(update={"name": HOSTILE})
    record.model_copy(update={"batch_size": 8, "model": model}).save(folder / "study.json")
    atlas = Atlas.load(folder / "probe" / "atlas.json")
    turned = {
        name: {f: list(reversed(v)) for f, v in table.items()}
        for name, table in atlas.rankings.items()
        if table is not None
    }
    made = atlas.provenance.model_copy(update={"model": HOSTILE})
    atlas.model_copy(update={"rankings": turned, "provenance": made}).save(folder / "probe" / "atlas.json")
    result = AblationResult.load(folder / "ablation.json")
    counting = result.functions["counting"].model_copy(
        update={"drop_points": 1.0, "ci": (-2.0, 4.0), "claimed": False, "verdict": "no effect"}
    )
    functions = {**result.functions, "counting": counting}
    changed = result.model_copy(update={"functions": functions}).with_rows(list(result.rows))
    changed.save(folder / "ablation.json")
    (folder / "emphasis.json").unlink()
    return folder


@pytest.fixture(scope="module")
def found(study_folder: Path, other: Path) -> CompareResult:
    return hs.compare(study_folder, other, draws=50)


@pytest.fixture(scope="module")
def both(
    found: CompareResult, study_folder: Path, other: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The page."""
    return write_comparison(found, study_folder, other, tmp_path_factory.mktemp("page") / "both.html")


def side(folder: Path) -> Side:
    return Side(str(folder), Atlas.load(folder / "probe" / "atlas.json"), read_contents(folder))


def test_claims_stand_side_by_side_with_their_difference(found: CompareResult, study_folder: Path) -> None:
    header, rows = beside.claim_table(found)
    line = dict(zip(header, next(r for r in rows if r[0] == "counting"), strict=True))
    own = AblationResult.load(study_folder / "ablation.json").functions["counting"]
    assert line["B"] == "no claim: no effect"
    assert line["points lost, B"] == f"1.0 [−2.0, 4.0] (n = {own.n})"
    assert own.drop_points is not None
    low, high = (float(end) for end in own.ci)  # type: ignore[arg-type]
    below = np.sqrt((own.drop_points - low) ** 2 + (4.0 - 1.0) ** 2)
    above = np.sqrt((high - own.drop_points) ** 2 + (1.0 + 2.0) ** 2)
    gap = own.drop_points - 1.0
    told = f"{gap:+.1f} [{gap - below:+.1f}, {gap + above:+.1f}]".replace("-", "−")
    assert line["A − B"] == told
    assert line["heads muted in both"].startswith(
        f"{len(own.heads)} of {len(own.heads)} and {len(own.heads)}: "
    )


def test_settings_that_differ_are_named_and_no_others(study_folder: Path, other: Path) -> None:
    _, rows = beside.setting_table(side(study_folder), side(other))
    assert rows == [("batch_size", "64", "8")]
    assert beside.lone_stages(side(study_folder), side(other)) == ["emphasize in A alone"]
    assert beside.setting_table(side(study_folder), Side("b", drawn(1)))[1] == []


def test_answers_are_compared_on_the_questions_of_both(study_folder: Path) -> None:
    here, there = side(study_folder), side(study_folder)
    assert there.study is not None
    rows = [r for r in there.study.answers or () if r["split"] == "test" and r["context"] == "gold"]
    some = [{**r, "correct": False} for r in rows if r["function"] == "counting"][:5]
    changed = Side("b", there.atlas, read_contents(study_folder))
    object.__setattr__(changed.study, "answers", tuple(some))
    header, table = beside.accuracy_table(here, changed)
    line = dict(zip(header, next(r for r in table if r[0] == "counting"), strict=True))
    right = [r["correct"] for r in rows if r["function"] == "counting"]
    assert line["A, % right"].startswith(f"{100 * np.mean(right):.1f} [")
    assert line["A, % right"].endswith(f"(n = {len(right)})")
    assert line["A − B, points"].startswith(f"{100 * np.mean(right[:5]):+.1f} [")
    assert line["A − B, points"].endswith("(n = 5, the same questions)")
    assert {r[0]: r[3] for r in table}["text reading"] == "–"


def test_both_maps_of_a_function_have_one_scale_of_colours(
    found: CompareResult, study_folder: Path, other: Path
) -> None:
    pairs = beside.map_pairs(found, side(study_folder).atlas, side(other).atlas)
    assert [name for name, _ in pairs] == [f.replace("_", " ") for f in found.functions]
    scores = [
        next(r for r in rankings(side(folder).atlas) if r.name == found.ranking)
        for folder in (study_folder, other)
    ]
    for (_, (one, two)), function in zip(pairs, found.functions, strict=True):
        assert (one.low, one.high) == (two.low, two.high)
        highest = max(domain(r, function)[1] for r in scores)
        assert float(one.high) == pytest.approx(highest, abs=0.006)
        assert one.picture != two.picture


def test_an_atlas_alone_says_what_is_not_known(tmp_path: Path) -> None:
    a, b = drawn(1), drawn(2)
    text = write_comparison(hs.compare(a, b, draws=20), a, b, tmp_path / "atlases.html").read_text("utf-8")
    assert "an atlas alone does not hold the settings of its study" in text
    assert "no claim to compare" in text
    assert "Neither of the two holds answers" in text


def test_the_page_needs_no_network_shows_hostile_names_as_text_and_fits_a_phone(
    browser: Any, both: Path
) -> None:
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.get(both.as_uri())
        assert [e for e in browser.get_log("browser") if e["level"] in ("SEVERE", "WARNING")] == []
        assert browser.execute_script("return document.documentElement.scrollWidth") == 390
        assert HOSTILE in browser.execute_script("return document.getElementById('about').innerText")
        assert browser.execute_script("return document.querySelectorAll('script').length") == 0
        assert serious_findings(browser) == []
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
