"""The command line on odd input: one clear message, an exit code, never a traceback."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headscope.cli.output import say, tell
from headscope.making.scenes.generate import draw_scenes
from headscope.version import __version__

COMMAND = [sys.executable, "-m", "headscope"]


def run(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}
    return subprocess.run(
        [*COMMAND, *map(str, words)], env=env, capture_output=True, text=True, check=False, cwd=cwd
    )


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode not in (0, None)
    assert "Traceback" not in done.stderr + done.stdout
    for word in words:
        assert word in done.stderr, done.stderr


@pytest.fixture(scope="module")
def cases_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "cases"
    draw_scenes(folder, 10, seed=1, card=False)
    return folder


def test_help_needs_neither_torch_nor_transformers() -> None:
    heavy = ("torch", "transformers", "numpy")
    code = f"import sys; from headscope.cli.app import app; sys.exit(any(m in sys.modules for m in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    done = run("--help")
    assert done.returncode == 0
    assert all(
        word in done.stdout
        for word in ("run", "capture", "probe", "ablate", "emphasize", "wake", "report", "ask")
    )


def test_an_unknown_model_is_refused(cases_folder: Path, tmp_path: Path) -> None:
    refused(
        run("run", "--model", "no-such-model", "--data", cases_folder, "--study", tmp_path / "s"),
        "no-such-model",
        "embedded",
    )


def test_an_empty_data_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(run("run", "--data", tmp_path / "empty", "--study", tmp_path / "s"), "error:", "cases.jsonl")


def test_a_stage_without_a_study_says_what_to_do(tmp_path: Path) -> None:
    refused(run("probe", "--study", tmp_path / "s"), "--data")


def test_a_picture_that_is_none_is_refused(tmp_path: Path, tiny_llava_folder: Path) -> None:
    fake = tmp_path / "picture.png"
    fake.write_text("not a picture")
    refused(run("ask", "--model", tiny_llava_folder, "--image", fake, "Where is the dog?"), "picture.png")
    refused(run("ask", "--model", tiny_llava_folder, "--image", tmp_path / "none.png", "Where?"), "none.png")


def test_boxes_outside_the_picture_are_refused(cases_folder: Path, tiny_llava_folder: Path) -> None:
    image = sorted((cases_folder / "images").iterdir())[0]
    done = run("ask", "--model", tiny_llava_folder, "--image", image, "--boxes", "0,0,900,5", "Where?")
    refused(done, "0,0,900,5")


def test_a_question_is_answered_with_and_without_boxes(
    cases_folder: Path, tiny_llava_folder: Path, tmp_path: Path
) -> None:
    image = sorted((cases_folder / "images").iterdir())[0]
    saved = tmp_path / "seen.png"
    words = ("ask", "--model", tiny_llava_folder, "--image", image, "--choices", "left,right")
    done = run(*words, "--boxes", "10,10,60,60", "--save", saved, "Where is the dog?")
    assert done.returncode == 0, done.stderr
    assert saved.exists()
    assert "left:" in done.stdout
    assert "right:" in done.stdout
    together = re.search(r"all of them together: (\S+) %", done.stdout)
    assert together is not None
    assert ("does not want to answer in this form" in done.stdout) == (float(together[1]) < 1)


def test_a_picture_is_saved_only_in_a_known_format_and_a_folder_that_is_there(
    cases_folder: Path, tiny_llava_folder: Path, tmp_path: Path
) -> None:
    image = sorted((cases_folder / "images").iterdir())[0]
    words = ("ask", "--model", tiny_llava_folder, "--image", image, "Where is the dog?", "--save")
    refused(run(*words, tmp_path / "seen.none"), "seen.none", "such as seen.png")
    refused(run(*words, tmp_path / "nowhere" / "seen.png"), "could not write: No such file or directory")


def test_validation_reports_faults_and_exits_with_one(cases_folder: Path, tmp_path: Path) -> None:
    assert run("data", "validate", cases_folder).returncode == 0
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "cases.jsonl").write_text("{broken\n")
    done = run("data", "validate", bad)
    assert done.returncode == 1
    assert "cases.jsonl:1:" in done.stdout


@pytest.mark.parametrize("words", [("--cases", "0"), ("--things", "5", "3"), ("--hard", "2")])
def test_impossible_scenes_are_refused(words: tuple[str, ...], tmp_path: Path) -> None:
    refused(run("data", "generate", "--out", tmp_path / "d", *words), "error:")


def test_a_folder_that_holds_cases_is_not_written_over(cases_folder: Path) -> None:
    refused(run("data", "generate", "--out", cases_folder, "--cases", "2"), "already holds")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_ends_in_one_message(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for i in range(3):
        (tmp_path / "images" / f"scene-0-{i:06d}.png").symlink_to("/dev/full")
    refused(run("data", "generate", "--out", tmp_path, "--cases", "3"), "disk is full")


def test_ctrl_c_ends_in_one_message(cases_folder: Path, tiny_llava_folder: Path, tmp_path: Path) -> None:
    words = ["run", "--model", tiny_llava_folder, "--data", cases_folder, "--study", tmp_path / "s"]
    env = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(
        [*COMMAND, *map(str, words)], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.time() + 120
    while not (tmp_path / "s" / "capture" / "plan.json").exists() and time.time() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err


def test_a_result_that_is_there_is_not_written_over_in_silence(
    cases_folder: Path, tiny_llava_folder: Path, tmp_path: Path
) -> None:
    words = ("evaluate", "--model", tiny_llava_folder, "--data", cases_folder, "--limit", "2")
    first = run(*words, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    written = (tmp_path / "evaluation.json").read_bytes()
    refused(run(*words, "--wake", "both", cwd=tmp_path), "evaluation.json", "--overwrite")
    assert (tmp_path / "evaluation.json").read_bytes() == written
    assert run(*words, "--overwrite", cwd=tmp_path).returncode == 0
    (tmp_path / "said.csv").write_text("id,text\nscene-1-000000,left\n")
    score = ("score", "--data", cases_folder, "--predictions", tmp_path / "said.csv")
    assert run(*score, cwd=tmp_path).returncode == 0
    refused(run(*score, cwd=tmp_path), "score.json", "--overwrite")
    refused(run(*score, "--out", tmp_path, cwd=tmp_path), "is a folder; name a file")


def test_the_picture_that_is_asked_about_is_not_saved_over(cases_folder: Path, tmp_path: Path) -> None:
    image = tmp_path / "seen.png"
    shutil.copyfile(sorted((cases_folder / "images").iterdir())[0], image)
    before = image.read_bytes()
    refused(
        run("ask", "--image", image, "--boxes", "1,1,9,9", "--save", image, "Where?"), "name another file"
    )
    assert image.read_bytes() == before


def test_ask_looks_at_its_picture_before_it_loads_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from headscope.cli.app import app\n"
        f"try: app(['ask', '--image', {str(tmp_path / 'none.png')!r}, 'Where?'], standalone_mode=False)\n"
        "except Exception as exc: print(type(exc).__name__, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["PictureError", "False"]


def test_heads_may_be_muted_by_their_labels(cases_folder: Path, tiny_llava_folder: Path) -> None:
    image = sorted((cases_folder / "images").iterdir())[0]
    done = run(
        "ask", "--model", tiny_llava_folder, "--image", image, "--mute", "L0H2,L1H3", "Where is the dog?"
    )
    assert done.returncode == 0, done.stderr
    assert "(muted: L0H2, L1H3)" in done.stdout


def test_the_version_is_said() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"headscope {__version__}\n")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_a_terminal_without_utf_8_ends_no_command(encoding: str, cases_folder: Path, tmp_path: Path) -> None:
    env = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "LC_ALL": "C"}
    (tmp_path / "said.csv").write_text("id,text\nscene-1-000000,left\n")
    for words in (
        (
            "score",
            "--data",
            cases_folder,
            "--predictions",
            tmp_path / "said.csv",
            "--out",
            tmp_path / encoding,
        ),
        ("models",),
        ("data", "list"),
        ("study", "status", tmp_path / "a – b"),
    ):
        done = subprocess.run([*COMMAND, *map(str, words)], env=env, capture_output=True, check=False)
        said = (done.stdout + done.stderr).decode(encoding)
        assert done.returncode == (1 if words[0] == "study" else 0), said
        assert "Traceback" not in said
        assert "UnicodeEncodeError" not in said


def test_what_a_terminal_would_obey_is_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "dog\x1b[2J\x00\u202e\rcat\n\tend"
    tell(hostile)
    say(hostile)
    found = capsys.readouterr()
    assert found.out == found.err == "dog\\u001b[2J\\u0000\\u202e\\u000dcat\n\tend\n"
