"""A study runs end to end, resumes after kill -9, and refuses what does not belong to it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headscope.data.cases import load_cases
from headscope.errors import StudyError
from headscope.making.scenes.generate import draw_scenes
from headscope.storage import read_json
from headscope.study.record import StudyRecord
from headscope.study.study import Study

# Hold seconds.
TIMED = ("timings.json", "summary.json", "report.html", "report.json")
COMMAND = [sys.executable, "-m", "headscope"]


@pytest.fixture(scope="module")
def cases_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study-data") / "cases"
    draw_scenes(folder, 60, seed=4, things=(2, 5), hard=0.1, card=False)
    return folder


def run_command(cases: Path, model: Path, study: Path) -> list[str]:
    return [
        *COMMAND,
        "run",
        *("--model", str(model), "--data", str(cases), "--study", str(study)),
        *("--size", "quick", "--batch-size", "32"),
        # Layers of four heads, of which one may be taken; of a random model none carries everything.
        *("--set", "ablate.ks=[1, 2]", "--set", "ablate.layer_limit=100"),
    ]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


@pytest.fixture(scope="module")
def finished(cases_folder: Path, tiny_llava_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that ran without interruption."""
    study = tmp_path_factory.mktemp("studies") / "whole"
    made = subprocess.run(
        run_command(cases_folder, tiny_llava_folder, study),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return study


def contents(study: Path) -> dict[str, str]:
    """Digest of every artefact; those with seconds in them are left out."""
    return {
        str(p.relative_to(study)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(study.rglob("*"))
        if p.is_file() and p.name not in TIMED
    }


@pytest.mark.slow
def test_a_run_writes_every_artefact_and_a_summary_of_the_documented_form(finished: Path) -> None:
    for name in ("report.html", "summary.json", "choices.json", "probe/atlas.json", "ablation.parquet"):
        assert (finished / name).stat().st_size > 0
    ways = json.loads((finished / "ways.json").read_text())["ways"]
    for way in ("edits of one prompt in one forward, scope all", "pictures encoded once"):
        assert ways[way]["refusal"] == ""
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["schema"] == "headscope/summary/2"
    assert set(summary["wall_s"]) >= {"capture", "probe", "ablate", "emphasize", "wake", "report", "total"}
    assert set(summary["cases"]) == {"fit", "select", "test"}
    assert set(summary["main_by_context"]) == {"alone", "gold", "own"}
    assert summary["ablation"]["spatial_perception"]["draws"] == 20
    assert len(summary["specificity"]["drop_points"]) == len(summary["specificity"]["muted"])
    assert "random_box_delta_points" in summary["wake"]["both"]


@pytest.mark.slow
def test_kills_at_random_moments_end_with_the_same_artefacts(
    finished: Path,
    cases_folder: Path,
    tiny_llava_folder: Path,
    tmp_path: Path,
    pytestconfig: pytest.Config,
) -> None:
    study = tmp_path / "whole"
    command = run_command(cases_folder, tiny_llava_folder, study)
    seconds = read_json(finished / "timings.json")
    rng = random.Random(int(time.time()))  # moments differ from run to run; the outcome must not
    kills = pytestconfig.getoption("--kills") or 6
    longest = 4 + 1.7 * sum(seconds.values()) / kills
    finished_files: dict[str, int] = {}
    for _ in range(kills):
        process = subprocess.Popen(
            command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(timeout=rng.uniform(1.0, longest))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        now = {str(p): p.stat().st_mtime_ns for p in units(study)}
        assert all(now.get(p) == t for p, t in finished_files.items()), "a finished unit was made again"
        finished_files = now
    last = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stderr
    assert contents(study) == contents(finished)


def units(study: Path) -> list[Path]:
    """Files of finished units of work, which nothing may write twice."""
    folders = (
        "causal",
        "ablate",
        "emphasize",
        "wake",
        "probe/units",
        "capture/shards",
        "capture-blank/shards",
    )
    return [
        p
        for f in folders
        for p in (study / f).rglob("*")
        if p.is_file() and not p.name.startswith(".") and "tmp" not in str(p.relative_to(study))
    ]


def test_a_study_with_other_settings_is_refused(
    finished: Path, cases_folder: Path, tiny_llava_folder: Path
) -> None:
    with pytest.raises(StudyError, match="seed"):
        Study.create(
            finished, model=str(tiny_llava_folder), data=cases_folder, size="quick", seed=1, batch_size=32
        )


def test_changed_cases_are_refused(finished: Path, tmp_path: Path) -> None:
    study = tmp_path / "moved"
    shutil.copytree(finished, study)
    record = StudyRecord.load(study / "study.json")
    other = tmp_path / "other"
    draw_scenes(other, 3, seed=8, card=False)
    data = record.data.model_copy(update={"path": str(other), "beside": None})
    record.model_copy(update={"data": data}).save(study / "study.json")
    with pytest.raises(StudyError, match="changed"):
        _ = Study(study).cases


def test_a_study_in_which_something_leaked_from_test_gets_no_report(finished: Path, tmp_path: Path) -> None:
    study = tmp_path / "leaked"
    shutil.copytree(finished, study)
    (study / "report.html").unlink()
    record = StudyRecord.load(study / "study.json")
    record.model_copy(update={"splits": None}).save(study / "study.json")  # one that cannot tell by itself
    splits = json.loads((study / "splits.json").read_text())
    moved = next(case for case, split in splits.items() if split == "fit")
    (study / "splits.json").write_text(json.dumps(splits | {moved: "test"}))
    with pytest.raises(StudyError, match=rf"captured under another split.*{moved}"):
        Study(study).report()
    assert not (study / "report.html").exists()


def test_a_folder_without_a_study_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="headscope run"):
        Study(tmp_path)


def test_splits_keep_every_held_out_case_for_test(finished: Path, cases_folder: Path) -> None:
    splits = json.loads((finished / "splits.json").read_text())
    held = [c.id for c in load_cases(cases_folder) if c.held_out]
    assert held
    assert {splits[i] for i in held} == {"test"}
