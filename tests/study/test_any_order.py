"""Any order of commands: a stage twice, a demo on an old folder, and a machine that walks at random."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
from pathlib import Path

import pytest

from headscope.errors import StudyError
from study_walk import checks
from study_walk.checks import EITHER, REFUSED, RIGHT
from study_walk.commands import Fault, Outcome, Stop, run
from study_walk.home import SMALL, STAGES, begin, digests, make_home
from study_walk.walk import Walk


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


def test_a_stage_that_says_it_is_done_has_read_every_file_that_it_left(home: Path, tmp_path: Path) -> None:
    study = Path(shutil.copytree(home / "study", tmp_path / "study"))
    chunk = next(p for p in (study / "capture").rglob("*") if p.is_file() and "prompt_last" in p.parts)
    content = bytearray(chunk.read_bytes())
    content[-1] ^= 1
    chunk.write_bytes(content)
    done = run(["capture", "--study", str(study)])
    assert done.code == 0
    assert done.text.startswith(f"capture: is made again: {study / 'capture'}")
    assert digests(study) == digests(home / "study")


def test_advice_for_a_folder_with_a_space_in_its_name_can_be_pasted_into_a_shell(
    home: Path, tmp_path: Path
) -> None:
    study = Path(shutil.copytree(home / "study", tmp_path / "my study"))
    (study / "study.json").write_text("{}", "utf-8")
    done = run(["capture", "--study", str(study)])
    assert done.code == 1
    (advised,) = re.findall(r"`headscope ([^`]+)`", done.text)
    assert shlex.split(advised) == ["study", "repair", str(study)]
    assert run(shlex.split(advised)).code == 0


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


@pytest.mark.parametrize("seed", range(8))
def test_whatever_order_commands_come_in_no_finished_work_is_lost(
    seed: int, home: Path, tmp_path: Path
) -> None:
    Walk(home, tmp_path, seed, STAGES).go(4)


def test_a_command_is_killed_or_interrupted_where_the_walk_says(home: Path, tmp_path: Path) -> None:
    words = begin(home, home / "cases", tmp_path / "study", "causal")
    assert run(words, Stop(signal.SIGKILL, change=20)).code is None
    told = run(words, Stop(signal.SIGINT, change=20))
    assert told.code == 130
    assert "interrupted; finished work is kept" in told.text
    assert run(words, Stop(signal.SIGKILL, seconds=1e-3)).code is None
    assert run(words).code == 0


def test_the_walk_sees_what_it_looks_for(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walked = Walk(home, tmp_path, 0, STAGES)
    circle = "error: damaged; `headscope study repair runs/a` mends it"
    for said, codes, fault in (
        (Outcome(99, "Traceback (most recent call last)"), EITHER, "exit code 99"),
        (Outcome(-11, "Segmentation fault"), EITHER, "exit code -11"),
        (Outcome(130, "interrupted"), EITHER, "exit code 130"),
        (Outcome(1, " \n"), EITHER, "without a word"),
        (Outcome(0, "done"), REFUSED, "exit code 0, expected 1"),
        (Outcome(1, "error: no"), RIGHT, "exit code 1, expected 0"),
        (Outcome(1, circle), EITHER, "advice in a circle"),
    ):
        monkeypatch.setattr(checks, "run", lambda _words, _stop=None, answer=said: answer)
        with pytest.raises(Fault, match=fault):
            walked.check(["study", "status", "runs/a"], codes)
    answers = iter([Outcome(1, circle), Outcome(1, "error: no")])
    monkeypatch.setattr(checks, "run", lambda _words, _stop=None: next(answers))
    with pytest.raises(Fault, match="advice that leads nowhere"):
        walked.check(["study", "status", "runs/a"], EITHER)
    monkeypatch.setattr(checks, "run", lambda _words, _stop=None: Outcome(0, "done"))
    states = iter([{"probe", "capture"}, {"capture"}])
    monkeypatch.setattr(walked, "done", lambda: next(states))
    with pytest.raises(Fault, match="no longer done: probe"):
        walked.check(["study", "status", "runs/a"], EITHER)


def test_advice_is_read_to_the_letter_and_what_it_leaves_open_filled_in(home: Path, tmp_path: Path) -> None:
    walked = Walk(home, tmp_path, 0, STAGES)
    study, cases = str(walked.study), str(walked.cases)
    assert walked.advice(f"lost; `headscope study move '{study}' --data FOLDER`") == [
        ["study", "move", study, "--data", cases]
    ]
    assert walked.advice("`headscope run --model MODEL --data FOLDER --study FOLDER`") == [
        [stage, "--model", str(home / "model"), "--data", cases, "--study", study, *SMALL] for stage in STAGES
    ]
    assert [words[0] for words in walked.advice(f"{study}/causal.json: was cut; run its stage again")] == [
        "causal"
    ]
    assert walked.advice("found `headscope causal`: no such option") == []
