"""A damaged, deleted or moved study: what is wrong is found, said, and mended from what is whole."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headscope.cli.app import app
from headscope.data.cases import load_cases
from headscope.errors import DamagedError, HeadscopeError, StudyError
from headscope.making.scenes.generate import draw_scenes
from headscope.models.vlm import VLM
from headscope.study import care
from headscope.study.kept_record import read_record
from headscope.study.stages import STAGES
from headscope.study.study import Study

STAGES_RUN = ("capture", "causal", "attend", "probe", "ablate", "emphasize", "wake", "overlay")
SETTINGS = {"ablate": {"layer_limit": 100.0}, "capture": {"shard_items": 60}}


@pytest.fixture(scope="module")
def home(tiny_llava_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with cases, a checkpoint and a finished study."""
    root = tmp_path_factory.mktemp("health")
    shutil.copytree(tiny_llava_folder, root / "model")
    draw_scenes(root / "cases", 16, seed=4, things=(2, 4), card=False)
    named = {"model": root / "model", "data": root / "cases", "size": "smoke", "settings": SETTINGS}
    study = Study.create(root / "runs" / "study", **named)
    for stage in STAGES_RUN:
        study.stage(stage)
    study.report()
    return root


@pytest.fixture
def study(home: Path, tmp_path: Path) -> Path:
    """A copy of the study beside copies of nothing: its cases and model are where they were."""
    return Path(shutil.copytree(home / "runs" / "study", tmp_path / "study"))


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file; those with seconds or hints of the system are left out."""
    left_out = ("timings.json", "summary.json", "report.html", "report.json", ".lock-guard")
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name not in left_out
    }


def flip(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    bit = rng.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(bytes(content))


def faults(folder: Path) -> list[str]:
    found = care.status(folder)
    return [*found.files, *(s.fault for s in found.stages if s.state == "damaged")]


def well(folder: Path) -> bool:
    found = care.status(folder)
    return not found.damaged and not found.lost


def command(*words: str | Path) -> tuple[int, str]:
    """Exit code, and all that was said, as the command line ends it."""
    done = CliRunner().invoke(app, list(map(str, words)))
    if isinstance(done.exception, HeadscopeError):
        return 1, f"{done.output}error: {done.exception}"
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_a_finished_study_is_whole(study: Path) -> None:
    found = care.status(study)
    assert not found.damaged
    assert not found.lost
    assert {s.stage: s.state for s in found.stages} == {
        row.name: "not run" if row.asks else "done" for row in STAGES
    }
    code, said = command("study", "status", study)
    assert code == 0
    assert "damaged" not in said


def test_a_hundred_bits_that_flip_in_random_artefacts_are_all_found(study: Path) -> None:
    rng = random.Random(17)
    files = sorted(p for p in study.rglob("*") if p.is_file() and p.name != ".lock-guard")
    for path in rng.choices(files, k=100):
        whole = path.read_bytes()
        flip(path, rng)
        found = faults(study)
        assert found, f"a flipped bit in {path.relative_to(study)} was not found"
        path.write_bytes(whole)
    assert faults(study) == []


SPOILT = {
    "capture": lambda path: path.unlink(),
    "causal": lambda path: flip(path, random.Random(1)),
    "probe": lambda path: path.write_text("{"),
    "ablate": lambda path: path.with_suffix(".parquet").unlink(),
    "emphasize": lambda path: path.write_text("[]"),
    "wake": lambda path: path.write_text(path.read_text()[:-40]),
}


def test_results_that_are_damaged_or_deleted_are_made_again(study: Path, home: Path) -> None:
    said: list[str] = []
    opened = Study(study, announce=said.append)
    for stage, spoil in SPOILT.items():
        spoil(study / next(row for row in STAGES if row.name == stage).file)
        opened.stage(stage)
        assert any(line.startswith(f"{stage}: is made again: {study}") for line in said), said
    assert contents(study) == contents(home / "runs" / "study")


def test_a_stage_that_rests_on_a_damaged_one_has_it_made_again_first(study: Path, home: Path) -> None:
    chunk = next(p for p in (study / "capture").rglob("*") if p.is_file() and "prompt_last" in p.parts)
    flip(chunk, random.Random(2))
    shutil.rmtree(study / "capture-blank" / "shards" / "00000")
    shutil.rmtree(study / "probe")
    said: list[str] = []
    Study(study, announce=said.append).probe()
    assert any("shard 00000 is made again" in line or "shard 00000" in line for line in said), said
    assert contents(study) == contents(home / "runs" / "study")


def test_what_is_damaged_is_shown_and_mended_by_the_command(study: Path, home: Path) -> None:
    rng = random.Random(3)
    spoilt = ("study.json", "splits.json", "choices.json", "probe/atlas.json", "ablation.parquet")
    for name in spoilt:
        flip(study / name, rng)
    (study / "emphasis.json").unlink()
    shutil.rmtree(study / "capture" / "shards" / "00001")
    code, said = command("study", "status", study)
    assert code == 1
    for name in ("study.json", "splits.json", "choices.json", "capture", "ablate", "emphasize", "probe"):
        assert name in said
    assert f"`headscope study repair {study}` mends it" in said.replace("\n", "")
    code, said = command("study", "repair", study)
    assert code == 0, said
    assert well(study)
    assert contents(study) == contents(home / "runs" / "study")
    assert command("study", "repair", study) == (0, f"{study}: nothing was damaged\n")


def test_the_report_ends_in_an_error_where_a_stage_that_was_done_cannot_be_read(study: Path) -> None:
    (study / "emphasis.json").write_text("{")
    (study / "report.html").unlink()
    code, said = command("report", "--study", study)
    assert code == 1
    assert f"emphasize: {study / 'emphasis.json'}: cannot be read" in said
    assert f"`headscope study repair {study}` makes them again" in said
    assert (study / "report.html").exists()
    assert command("study", "repair", study)[0] == 0
    assert command("report", "--study", study)[0] == 0


HAND = {
    "a list": "[]",
    "nothing": "",
    "without a key": None,
    "no text": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("name", ["study.json", "splits.json"])
@pytest.mark.parametrize("how", HAND)
def test_files_edited_by_hand_are_refused_with_file_and_field_or_made_again(
    name: str, how: str, study: Path, home: Path
) -> None:
    path, content = study / name, HAND[how]
    if content is None:
        raw = json.loads(path.read_text())
        raw.pop("seed" if name == "study.json" else next(iter(raw)))
        content = json.dumps(raw)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if name == "study.json":
        with pytest.raises(
            DamagedError, match=rf"study\.json: .*; `headscope study repair {study}`"
        ) as caught:
            Study(study)
        assert how != "without a key" or "seed: field required" in str(caught.value)
        assert command("study", "repair", study)[0] == 0
    else:
        assert Study(study).splits
    assert contents(study) == contents(home / "runs" / "study")


def test_a_wrong_split_is_named(study: Path) -> None:
    raw = json.loads((study / "splits.json").read_text())
    first = next(iter(raw))
    (study / "splits.json").write_text(json.dumps(raw | {first: "tset"}))
    found = care.status(study).files
    assert any(f"splits.json: {first}: found 'tset', expected one of fit, select, test" in f for f in found)


# moved ------------------------------------------------------------------------------------------------------


def test_a_study_that_was_moved_with_its_cases_and_model_goes_on(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Path(shutil.copytree(home, tmp_path / "elsewhere"))
    for name in ("cases", "model"):
        (home / name).rename(home / f"{name}-gone")
    try:
        monkeypatch.chdir(tmp_path)
        study = Study(Path("elsewhere") / "runs" / "study")
        assert study.cases.folder.samefile(there / "cases")
        assert study.vlm.folder is not None
        assert study.vlm.folder.samefile(there / "model")
        assert well(study.folder)
    finally:
        for name in ("cases", "model"):
            (home / f"{name}-gone").rename(home / name)


def test_a_study_begun_from_another_folder_by_relative_names_is_opened_from_anywhere(
    tiny: VLM, tiny_llava_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_scenes(tmp_path / "work" / "cases", 6, seed=1, card=False)
    shutil.copytree(tiny_llava_folder, tmp_path / "work" / "model")
    monkeypatch.chdir(tmp_path / "work")
    Study.create("study", model="model", data="cases", size="smoke")
    monkeypatch.chdir(tmp_path)
    study = Study("work/study")
    assert len(study.cases) == 6
    assert study.vlm.revision == tiny.revision
    assert Path(study.record.data.path).is_absolute()


def test_cases_inside_the_study_are_recorded_from_its_folder(tiny_llava_folder: Path, tmp_path: Path) -> None:
    cases = draw_scenes(tmp_path / "s" / "data", 6, seed=1, card=False)
    study = Study.create(tmp_path / "s", model=tiny_llava_folder, data=cases, size="smoke")
    assert study.record.data.path == "data"
    (tmp_path / "s").rename(tmp_path / "t")
    assert Study(tmp_path / "t").cases.folder == tmp_path / "t" / "data"


def test_cases_and_model_that_lie_elsewhere_now_are_named_once_and_only_if_they_are_the_same(
    home: Path, study: Path, tmp_path: Path
) -> None:
    shutil.move(home / "cases", tmp_path / "new-cases")
    try:
        with pytest.raises(StudyError, match=rf"`headscope study move {study} --data FOLDER`"):
            _ = Study(study).cases
        code, said = command("study", "status", study)
        assert code == 1
        assert f"`headscope study move {study} --data FOLDER`" in said.replace("\n", "")
        draw_scenes(tmp_path / "others", 16, seed=5, card=False)
        code, said = command("study", "move", study, "--data", tmp_path / "others")
        assert code == 1
        assert "the cases changed, or are others" in said
        assert command("study", "move", study, "--data", tmp_path / "new-cases")[0] == 0
        assert Study(study).cases.fingerprint == load_cases(tmp_path / "new-cases").fingerprint
        assert well(study)
    finally:
        shutil.move(tmp_path / "new-cases", home / "cases")
    assert command("study", "move", study, "--data", home / "cases")[0] == 0
    with pytest.raises(StudyError, match="name the folder of that very checkpoint"):
        care.move(study, model="embedded")
    shutil.copytree(home / "model", tmp_path / "new-model")
    care.move(study, model=tmp_path / "new-model")
    assert read_record(study).load_ == os.path.realpath(tmp_path / "new-model")


def test_every_stage_says_which_files_are_its_own() -> None:
    """Of what a row does not keep no digest stands in ``done/``, and damage to it is not seen."""
    for row in STAGES:
        assert any(row.file == kept or row.file.startswith(f"{kept}/") for kept in row.keeps), row.name
    every = [kept for row in STAGES for kept in row.keeps]
    assert len(every) == len(set(every))
