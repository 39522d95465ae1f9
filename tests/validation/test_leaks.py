"""Studies in which something leaked from test are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from headscope.data.cases import Cases, save_cases
from headscope.data.schema import Case
from headscope.data.splits import assign_splits
from headscope.errors import StudyError
from headscope.storage import read_json, write_json, write_table
from headscope.validation.leaks import check_leaks, leaks


def candidate(head: str, points: float) -> dict[str, Any]:
    found: dict[str, Any] = {"ranking": "causal", "k": 1, "heads": [head], "drop_points": points}
    return found | {
        "sets": 213,
        "forced_drop_points": points,
        "smooth_points": points,
        "elsewhere_points": 1.0,
    }


@pytest.fixture
def study(tmp_path: Path) -> tuple[Path, Cases]:
    """Five pictures (two cases each), an honest split, and a muting whose heads select picks."""
    data, folder = tmp_path / "data", tmp_path / "study"
    data.mkdir()
    made = []
    for number in range(10):
        picture = f"p{number // 2}.png"
        Image.new("RGB", (8, 8), (number // 2 * 20, 0, 0)).save(data / picture)
        made.append(Case(id=f"c{number}", image=picture, width=8, height=8, question="?", answer="no"))
    cases = save_cases(Cases(data, made), data)
    write_json(folder / "splits.json", dict(assign_splits(cases)))
    write_json(folder / "causal" / "settings.json", {"split": "select"})
    dose = {"n": 9, "candidates": [candidate("L0H0", 30.0), candidate("L0H1", 10.0)]}
    write_json(folder / "ablation.json", {"dose": {"f": dose}, "functions": {"f": {"heads": ["L0H0"]}}})
    write_json(folder / "choices.json", {"ablation": {"functions": {"f": {"heads": ["L0H0"]}}}})
    write_table(folder / "ablation.parquet", [{"phase": "dose", "split": "select", "muted": "f"}])
    return folder, cases


def test_an_honest_study_has_no_leak(study: tuple[Path, Cases]) -> None:
    assert leaks(*study) == []
    check_leaks(*study)


def test_shuffling_images_between_splits_is_found(study: tuple[Path, Cases]) -> None:
    folder, cases = study
    splits = read_json(folder / "splits.json")
    write_json(folder / "splits.json", splits | {"c0": "fit", "c1": "test"})
    with pytest.raises(StudyError, match=r"picture p0\.png is in fit and test"):
        check_leaks(folder, cases)


def test_the_same_picture_under_two_names_is_found(study: tuple[Path, Cases]) -> None:
    folder, cases = study
    (cases.folder / "p1.png").write_bytes((cases.folder / "p0.png").read_bytes())
    splits = dict.fromkeys(("c0", "c1"), "fit") | dict.fromkeys(("c2", "c3"), "test")
    write_json(folder / "splits.json", read_json(folder / "splits.json") | splits)
    assert any("in fit and test" in line for line in leaks(folder, cases))


def test_choosing_heads_on_test_is_found(study: tuple[Path, Cases]) -> None:
    folder, cases = study
    # On test the other head looked better, and it was taken.
    write_json(folder / "choices.json", {"ablation": {"functions": {"f": {"heads": ["L0H1"]}}}})
    content = read_json(folder / "ablation.json")
    content["functions"]["f"]["heads"] = ["L0H1"]
    write_json(folder / "ablation.json", content)
    with pytest.raises(StudyError, match="not those that select picks"):
        check_leaks(folder, cases)


def test_reading_test_with_other_heads_than_the_frozen_ones_is_found(study: tuple[Path, Cases]) -> None:
    folder, cases = study
    content = read_json(folder / "ablation.json")
    content["functions"]["f"]["heads"] = ["L0H1"]
    write_json(folder / "ablation.json", content)
    assert any("frozen were" in line for line in leaks(folder, cases))


@pytest.mark.parametrize("where", ["causal", "dose"])
def test_a_ranking_or_a_dose_read_on_test_is_found(study: tuple[Path, Cases], where: str) -> None:
    folder, cases = study
    if where == "causal":
        write_json(folder / "causal" / "settings.json", {"split": "test"})
    else:
        write_table(folder / "ablation.parquet", [{"phase": "dose", "split": "test", "muted": "f"}])
    assert any("on test" in line for line in leaks(folder, cases))
