"""A whole study through the command line on many families with random weights: every stage runs, and the
report says that the model is at chance."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headscope.cli.app import app
from headscope.making.scenes.generate import draw_scenes
from models.families.folders import family_folder

FAMILIES = (
    "llava", "llava_next", "llava_onevision", "qwen2_vl", "qwen3_vl", "idefics3", "smolvlm", "internvl",
    "gemma3", "paligemma", "mllama", "florence2", "t5gemma2",
)  # fmt: skip


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("family-cases") / "cases"
    draw_scenes(folder, 20, seed=4, things=(2, 4), hard=0.1, card=False)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_whole_run_passes_and_its_report_calls_the_findings_noise(
    family: str, cases: Path, tmp_path: Path
) -> None:
    model, study = family_folder(family, tmp_path / "model"), tmp_path / "study"
    words = ["run", "--model", model, "--data", cases, "--study", study, "--size", "smoke"]
    app([str(word) for word in words], standalone_mode=False)
    for made in ("probe/atlas.json", "ablation.parquet", "emphasis.parquet", "wake.parquet", "summary.json"):
        assert (study / made).is_file(), made
    page = (study / "report.html").read_text("utf-8")
    assert "This model reads these data badly" in page
    assert "read the maps, the muting and the gains below as noise" in page
    heads = json.loads((study / "wake.json").read_text("utf-8"))["spatial_heads"]
    assert heads
