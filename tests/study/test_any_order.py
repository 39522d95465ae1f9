"""Any order of commands: a stage twice, a demo on an old folder, and a machine that walks at random."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import walk
from headscope.errors import StudyError
from walk import STAGES, Fault, Outcome, Walk, digests, make_home, run


@pytest.fixture(scope="module")
def home(tiny_llava_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cases, a model, and a study of three stages in which nothing went wrong."""
    return make_home(tmp_path_factory.mktemp("walk"), tiny_llava_folder, STAGES)


def test_a_stage_run_twice_does_nothing(home: Path) -> None:
    study = home / "study"
    before, times = digests(study), {p: p.stat().st_mtime_ns for p in study.rglob("*.parquet")}
    for stage in STAGES:
        done = run([stage, "--study", str(study)])
        assert (done.code, done.text) == (0, f"{stage}: done, in {study}\n")
    assert digests(study) == before
    assert {p: p.stat().st_mtime_ns for p in study.rglob("*.parquet")} == times


def test_a_demo_on_the_folder_of_another_study_is_refused_and_leaves_it_as_it_was(home: Path) -> None:
    study = home / "study"
    before = digests(study)
    done = run(["demo", "--study", str(study), "--cases", "3"])
    assert done.code == 1
    assert done.text.startswith(f"error: {study}: holds a study of the cases in ")
    assert digests(study) == before


def test_a_demo_whose_scenes_are_lost_draws_them_again_and_no_others(
    tiny_llava_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headscope.demo import run_demo
    from headscope.study.study import Study

    monkeypatch.setattr(Study, "run", lambda _study: None)
    asked = {"model": str(tiny_llava_folder), "size": "smoke", "seed": 2}
    run_demo(tmp_path, cases=4, **asked)
    before = digests(tmp_path)
    shutil.rmtree(tmp_path / "data")
    with pytest.raises(StudyError, match=r"the scenes are lost, and 5 drawn anew are others .* \(seed 2\)"):
        run_demo(tmp_path, cases=5, **asked)
    assert not (tmp_path / "data" / "cases.jsonl").exists()
    run_demo(tmp_path, cases=4, **asked)
    assert before.items() <= digests(tmp_path).items()  # a picture of the other scenes may be left


@pytest.mark.skipif(
    not os.environ.get("HEADSCOPE_WALK"),
    reason="a walk takes minutes: set HEADSCOPE_WALK=1, or tools/walk.py",
)
@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_order_commands_come_in_no_finished_work_is_lost(
    seed: int, home: Path, tmp_path: Path
) -> None:
    Walk(home, tmp_path, seed, STAGES).go(3)


def test_the_walk_sees_what_it_looks_for(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walked = Walk(home, tmp_path, 0, STAGES)
    circle = "error: damaged; `headscope study repair runs/a` mends it"
    for said, expected, fault in (
        (Outcome(99, "Traceback (most recent call last)"), "any", "exit code 99"),
        (Outcome(-11, "Segmentation fault"), "any", "exit code -11"),
        (Outcome(1, " \n"), "any", "without a word"),
        (Outcome(0, "done"), "wrong", "exit code 0 of a command that makes no sense"),
        (Outcome(1, "error: no"), "right", "exit code 1 of a command that makes sense"),
        (Outcome(1, circle), "any", "advice in a circle"),
    ):
        monkeypatch.setattr(walk, "run", lambda _words, answer=said: answer)
        with pytest.raises(Fault, match=fault):
            walked._check(["study", "status", "runs/a"], expected)
    monkeypatch.setattr(walk, "run", lambda _words: Outcome(0, "done"))
    states = iter([{"probe", "capture"}, {"capture"}])
    monkeypatch.setattr(walked, "_done", lambda: next(states))
    with pytest.raises(Fault, match="no longer done: probe"):
        walked._check(["study", "status", "runs/a"], "any")
