"""What the wheel holds, and how the tool that tries it in empty environments goes about it."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentTypeError
from pathlib import Path
from zipfile import ZipFile

import pytest

from try_play import COMMAND as PLAY
from try_play import try_play
from try_wheel import ROOT, build_wheel, first_hour, parts_of, try_in

PACKAGE = ROOT / "src" / "headscope"
# A Python whose `-m venv FOLDER` puts programs there that write down how they were called.
STUB = """#!/bin/sh
if [ "$2" = venv ]; then
  mkdir -p "$3/bin"
  for name in python pip headscope; do
    printf '#!/bin/sh\\necho "path: $PYTHONPATH"\\necho True\\n%s' '{then}' > "$3/bin/$name"
    chmod +x "$3/bin/$name"
  done
fi
"""


def stub(folder: Path, then: str = "") -> str:
    """An interpreter of that kind; ``then`` is the end of every program that it makes."""
    path = folder / "stub-python"
    path.write_text(STUB.replace("{then}", then), "utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    """The wheel, opened."""
    return ZipFile(build_wheel(tmp_path_factory.mktemp("wheel")))


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel: ZipFile) -> None:
    files = {p for p in PACKAGE.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == {f"headscope/{p.relative_to(PACKAGE).as_posix()}" for p in files}


def test_the_wheel_holds_the_embedded_model_and_what_scenes_are_drawn_from(wheel: ZipFile) -> None:
    for name in ("models/embedded/weights/model.safetensors", "making/scenes/assets/letter-A.png"):
        assert wheel.read(f"headscope/{name}") == (PACKAGE / name).read_bytes()


def test_no_code_in_the_wheel_trains_anything_but_probes(wheel: ZipFile) -> None:
    texts = {name: wheel.read(name).decode("utf-8") for name in wheel.namelist() if name.endswith(".py")}
    trains = {name for name, text in texts.items() if "backward()" in text or "optim." in text}
    assert trains == {"headscope/probing/joint.py"}
    assert not [name for name, text in texts.items() if "embedded_training" in text]


def test_the_wheel_brings_the_command_and_the_licences_of_code_and_pictures(wheel: ZipFile) -> None:
    info = {name.partition(".dist-info/")[2]: name for name in wheel.namelist() if ".dist-info/" in name}
    assert "headscope = headscope.cli:main" in wheel.read(info["entry_points.txt"]).decode("utf-8")
    assert {
        "licenses/LICENSE",
        "licenses/src/headscope/making/scenes/assets/LICENSES.md",
    } <= info.keys()


def test_a_wheel_is_tried_up_to_the_first_command_that_fails(tmp_path: Path) -> None:
    parts = ("demo", "run")
    every = list(try_in(stub(tmp_path), tmp_path / "w.whl", tmp_path / "whole", "torch==1", parts))
    assert [tried.code for tried in every] == [0] * len(every)
    asked = [tried.what.split()[:2] for tried in every[1:]]
    assert asked[:2] == [["pip", "install"]] * 2
    assert [words[1] for words in asked if words[0] == "headscope"] == [
        *("--version", "demo", "ask", "study", "data", "run", "report"),
    ]
    assert every[2].what == f"pip install --quiet {tmp_path / 'w.whl'}"
    few = list(try_in(stub(tmp_path, "exit 3"), tmp_path / "w.whl", tmp_path / "failed", "torch==1"))
    assert [tried.code for tried in few] == [0, 3]


def test_nothing_of_the_repository_is_on_the_path_of_what_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    every = list(try_in(stub(tmp_path), tmp_path / "w.whl", tmp_path / "place", "torch==1", ("run",)))
    assert {tried.said for tried in every[1:]} == {"path: \nTrue\n"}


def test_the_page_is_tried_last_with_the_extra_that_it_needs(tmp_path: Path) -> None:
    every = list(try_in(stub(tmp_path), tmp_path / "w.whl", tmp_path / "place", "torch==1", ("play",)))
    assert every[2].what == f"pip install --quiet {tmp_path / 'w.whl'}[app]"
    assert every[-1].what == "headscope play --no-browser --port 0"
    assert every[-1].code == 1  # the stub serves nothing
    assert "expected the page's address, found 'path: \\n'" in every[-1].said


def test_parts_are_chosen_by_name(tmp_path: Path) -> None:
    assert parts_of("play, demo") == ("play", "demo")
    with pytest.raises(ArgumentTypeError, match="no part 'dmeo'; there are: demo, run, play"):
        parts_of("dmeo")
    said = [words[1] for words in first_hour(tmp_path, ("play", "run")) if words[0] == "headscope"]
    assert said == ["--version", "data", "run", "report", "play"]


def test_the_page_of_this_very_code_gives_one_answer_and_ends(tmp_path: Path) -> None:
    code, said = try_play([sys.executable, "-m", *PLAY], tmp_path)
    assert code == 0, said
    assert re.fullmatch(r"embedded: .+\? \S.*", said), said
    code, said = try_play([sys.executable, "-m", *PLAY, "--model", "nowhere"], tmp_path)
    assert code == 1
    assert "unknown model 'nowhere'" in said
