"""The page: complete, offline, escaped, and plain about what is missing."""

from __future__ import annotations

import io
import re
import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from study_fixture import HOSTILE, build_study

from headscope.errors import StudyError
from headscope.probing.atlas import Atlas
from headscope.report.contents import StudyContents, read_contents
from headscope.report.page import render, write_report
from headscope.report.sections import sections
from headscope.report.svg import draw
from headscope.study.record import StudyRecord


def test_the_page_holds_every_section_and_every_figure_once(page: Path, study: StudyContents) -> None:
    text = page.read_text("utf-8")
    for part in sections(study):
        assert text.count(f'<section id="{part.id}">') == 1
        assert part.missing is None
        for figure in part.figures:
            assert text.count(f'<figure id="{figure.name}">') == 1
    assert "Not run" not in text
    assert (
        len(re.findall(r'<svg class="map"', text)) == 9 * 4 + 1
    )  # functions x rankings, and the first screen's


def test_the_page_is_small_and_names_no_address_to_load_from(page: Path) -> None:
    text = page.read_text("utf-8")
    assert page.stat().st_size < 5_000_000
    addresses = set(re.findall(r"https?://[^\s\"'<)]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not re.findall(r'(?:src|href)="(?!#|data:)', text)
    assert "default-src 'none'" in text


def test_text_of_cases_is_shown_as_text(page: Path) -> None:
    text = page.read_text("utf-8")
    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert text.count("</script>") == 5  # tables of heads, cases, attention, failures, and the page's script


def test_ids_in_the_page_are_unique(page: Path) -> None:
    ids = re.findall(r'\bid="([^"]+)"', page.read_text("utf-8"))
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page.read_text("utf-8"))) <= set(ids)


def test_every_figure_is_a_picture_in_both_forms(page: Path, study: StudyContents) -> None:
    names = {f.name for part in sections(study) for f in part.figures}
    names |= {f"heads-{r}" for r in ("joint", "independent", "answer", "causal")}
    folder = page.parent / "figures"
    assert {p.stem for p in folder.glob("*.png")} == names
    for name in names:
        picture = Image.open(io.BytesIO((folder / f"{name}.png").read_bytes()))
        assert picture.width > 300
        low, high = picture.convert("L").getextrema()
        assert low < 100 < high, f"{name} is blank"
        assert ET.parse(folder / f"{name}.svg").getroot().tag.endswith("svg")


def test_stages_that_were_not_run_are_named_with_their_command(tmp_path: Path) -> None:
    folder = build_study(tmp_path / "bare", count=5, stages=())
    text = write_report(folder).read_text("utf-8")
    for stage in ("capture", "probe", "ablate", "emphasize", "wake", "overlay"):
        assert f"headscope {stage} --study {folder}" in text
    assert text.count("<b>Not run.</b>") == 4 + 8  # the first screen's parts, and the sections
    assert "Nothing has been measured on test yet." in text


def test_an_empty_folder_still_gives_a_page_and_no_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "Not run" in write_report(tmp_path / "empty").read_text("utf-8")
    with pytest.raises(StudyError, match="no such folder"):
        write_report(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "name", ["study.json", "probe/atlas.json", "ablation.json", "emphasis.json", "wake.json", "timings.json"]
)
@pytest.mark.parametrize("content", ["{", "[]", '{"schema": "other"}'])
def test_a_damaged_file_is_a_sentence_on_the_page_not_a_failure(
    tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(content)
    study = read_contents(tmp_path)
    text = render(study, sections(study), {})
    if name != "timings.json" or content == "{":
        assert f"{name} is there but cannot be read" in text
    assert "Not run" in text


def test_pictures_are_left_out_with_a_reason_where_the_cases_are_gone(
    study_folder: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(study_folder, moved, ignore=shutil.ignore_patterns("figures"))
    record = StudyRecord.load(moved / "study.json")
    gone = record.data.model_copy(update={"path": str(tmp_path / "gone")})
    record.model_copy(update={"data": gone}).save(moved / "study.json")
    study = read_contents(moved)
    parts = sections(study)
    text = render(
        study, parts, {f.name: "<svg xmlns='http://www.w3.org/2000/svg'/>" for p in parts for f in p.figures}
    )
    assert "the folder of the cases was not found" in text
    assert "A case, step by step" not in text


def test_the_same_study_gives_the_same_page(page: Path, study: StudyContents, study_folder: Path) -> None:
    again = read_contents(study_folder)
    parts = sections(again)
    documents = {f.name: draw(f.spec()) for part in parts for f in part.figures}
    assert render(again, parts, documents) == page.read_text("utf-8")


def test_hostile_names_of_model_and_functions_stay_text(study: StudyContents) -> None:
    name = "</script><script>alert(2)</script>"
    assert study.record is not None
    model = study.record.model.model_copy(update={"name": name})
    about = study.record.model_copy(update={"model": model})
    assert study.atlas is not None
    joint = study.atlas.rankings["joint"]
    assert joint is not None
    scores = {"joint": {HOSTILE: next(iter(joint.values()))}}
    atlas = Atlas(heads=study.atlas.heads, functions=[HOSTILE], rankings=scores)
    changed = replace(study, record=about, results={"probe": atlas})
    parts = sections(changed)
    text = render(changed, parts, {f.name: draw(f.spec()) for part in parts for f in part.figures})
    assert "<script>alert" not in text
    assert text.count("</script>") == 4
