"""What the wheel holds, and how the tool that tries it in empty environments goes about it."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import pytest

from try_wheel import ROOT, build_wheel, try_in

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
    every = list(try_in(stub(tmp_path), tmp_path / "w.whl", tmp_path / "whole", "torch==1"))
    assert [tried.code for tried in every] == [0] * len(every)
    asked = [tried.what.split()[:2] for tried in every[1:]]
    assert asked[:2] == [["pip", "install"]] * 2
    assert [words[1] for words in asked if words[0] == "headscope"] == [
        *("--version", "demo", "ask", "data", "run", "report", "study"),
    ]
    few = list(try_in(stub(tmp_path, "exit 3"), tmp_path / "w.whl", tmp_path / "failed", "torch==1"))
    assert [tried.code for tried in few] == [0, 3]


def test_nothing_of_the_repository_is_on_the_path_of_what_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    every = list(try_in(stub(tmp_path), tmp_path / "w.whl", tmp_path / "place", "torch==1"))
    assert {tried.said for tried in every[1:]} == {"path: \nTrue\n"}
