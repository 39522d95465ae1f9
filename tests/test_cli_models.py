"""``headscope models``: the families as a table and as JSON, at once; a model's proof; options of a study."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headscope.cli import models as cli
from headscope.cli.app import main
from headscope.errors import ModelError, StoreError, StudyError
from headscope.making.scenes.generate import draw_scenes
from headscope.models.survey import load
from headscope.study.study import Study

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def headscope(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process: exit code, standard output, standard error."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["headscope", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def no_constant(name: str) -> Any:
    raise AssertionError(f"{name} is not JSON")


def test_families_come_as_json_of_four_fields(headscope: Command) -> None:
    code, out, _ = headscope("models", "--json")
    rows = json.loads(out, parse_constant=no_constant)
    assert code == 0
    assert all(list(row) == ["family", "status", "reason", "proofs"] for row in rows)
    assert {row["status"] for row in rows} <= {"PROVED", "PARTLY", "REFUSED"}
    assert all(row["reason"] for row in rows if row["status"] != "PROVED")
    assert {"llava", "qwen2_5_vl"} <= {row["family"] for row in rows if row["status"] == "PROVED"}
    assert len(rows) >= 90


def test_families_come_as_a_table_with_every_reason(headscope: Command) -> None:
    code, out, _ = headscope("models")
    assert code == 0
    words = "".join(c for c in out if c.isalnum())
    for row in cli.families():
        assert "".join(c for c in row.family if c.isalnum()) in words
    assert f"{sum(r.status == 'PROVED' for r in cli.families())} PROVED" in out


def test_steps_that_did_not_hold_are_named() -> None:
    assert cli._steps({"heads": "4 heads", "hooks": 0.0, "sum": {"status": "held"}}) == "all"
    assert cli._steps({"heads": "4 heads", "hooks": 0.0, "cached": "refused"}) == "all but cached"
    assert cli._steps({"hooks": 0.0, "spans": {"status": "not applicable"}}) == "all but spans"
    assert cli._steps({"hooks": 0.0, "spans": "on a checkpoint"}) == "all"
    assert cli._steps({}) == "none"


def test_the_families_need_less_than_a_second_and_no_torch() -> None:
    code = (
        "import sys; sys.argv = ['headscope', 'models']\n"
        "from headscope.cli.app import main\n"
        "try: main()\n"
        "finally: print([m for m in ('torch', 'transformers', 'numpy') if m in sys.modules], file=sys.stderr)"
    )
    start = os.times()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    end = os.times()
    assert done.returncode == 0
    assert done.stderr.strip() == "[]"
    worked = end.children_user + end.children_system - start.children_user - start.children_system
    assert worked < 1.0, "seconds of processor time, which other work on the machine does not change"


def test_a_survey_that_cannot_be_read_is_one_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cli, "load", lambda: load(tmp_path / "results.json"))
    with pytest.raises(StoreError, match="survey of families cannot be read"):
        cli.families()


def test_a_model_is_checked_and_its_proof_shown(headscope: Command, tiny_llava_folder: Path) -> None:
    code, out, err = headscope("models", "check", tiny_llava_folder)
    assert code == 0, err
    assert "12 heads" in out
    for step in ("hooks", "blocks", "sum", "edit", "restored", "baked", "batch", "cached", "spans"):
        assert step in out
    assert out.split()[-1] == "PROVED"


def test_a_check_comes_as_json_with_a_figure_for_every_step(
    headscope: Command, tiny_llava_folder: Path
) -> None:
    code, out, _ = headscope("models", "check", tiny_llava_folder, "--json", "--dtype", "bfloat16")
    found = json.loads(out, parse_constant=no_constant)
    assert code == 0
    assert (found["family"], found["status"], found["reason"]) == ("llava", "PROVED", "")
    assert found["proofs"]["blocks"]["figure"] == 12
    assert {step["status"] for step in found["proofs"].values()} == {"held"}


def test_the_vision_tower_is_checked_on_request(headscope: Command, tiny_llava_folder: Path) -> None:
    code, out, _ = headscope("models", "check", tiny_llava_folder, "--json", "--tower", "vision")
    found = json.loads(out, parse_constant=no_constant)
    assert code == 0
    assert found["proofs"]["blocks"]["figure"] == 12 + 4, "two layers of two heads more"
    assert found["status"] == "PROVED"


def test_a_failed_proof_refuses_the_model(
    headscope: Command, tiny_llava_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_vlm: Any) -> None:
        raise RuntimeError("a forward of its own kind\nwith a second line")

    monkeypatch.setattr("headscope.models.proofs.full.prove", fail)
    code, out, err = headscope("models", "check", tiny_llava_folder, "--json")
    found = json.loads(out)
    assert (code, found["family"], found["status"]) == (1, "llava", "REFUSED")
    assert err.splitlines()[-1] == f"error: {found['reason']}"
    assert "RuntimeError: a forward of its own kind" in found["reason"]


def test_options_are_read_from_words_and_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "map.json"
    file.write_text('{"": "cpu"}')
    found = cli.model_options(str(file), None, "4bit")
    assert found == {"device_map": {"": "cpu"}, "quantization": "4bit"}
    found = cli.model_options("auto", "0=20GiB, cpu=60GiB", None)
    assert found == {"device_map": "auto", "max_memory": {"0": "20GiB", "cpu": "60GiB"}}
    assert cli.model_options(None, None, None) is None
    file.write_text("[]")
    with pytest.raises(ModelError, match="expected an object"):
        cli.model_options(str(file), None, None)


def test_a_study_records_model_options_and_refuses_others(
    headscope: Command, tiny_llava_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("accelerate")
    draw_scenes(tmp_path / "cases", 10, seed=1, card=False)
    folder, common = tmp_path / "study", {"model": str(tiny_llava_folder), "data": tmp_path / "cases"}
    Study.create(folder, **common, model_options={"device_map": {"": "cpu"}})
    assert json.loads((folder / "study.json").read_text())["model_options"] == {"device_map": {"": "cpu"}}
    assert Study(folder).vlm.placement == {"": "cpu"}, "an opened study loads its model the same way"
    Study.create(folder, **common, model_options={"device_map": {"": "cpu"}, "quantization": None})
    assert Study.create(folder, **common).vlm.placement == {"": "cpu"}, "what is left out is as it was"
    with pytest.raises(StudyError, match=r"model_options .* name another folder"):
        Study.create(folder, **common, model_options={"device_map": {"": "cpu"}, "quantization": "8bit"})
    code, _, err = headscope("capture", "--study", folder, "--device-map", "auto")
    assert (code, "model_options" in err, "Traceback" in err) == (1, True, False)


def test_the_device_of_the_probes_may_change_and_is_refused_where_it_is_not_there(
    headscope: Command, tiny_llava_folder: Path, tmp_path: Path
) -> None:
    draw_scenes(tmp_path / "cases", 10, seed=1, card=False)
    folder, common = tmp_path / "study", {"model": str(tiny_llava_folder), "data": tmp_path / "cases"}
    words = ("--model", tiny_llava_folder, "--data", tmp_path / "cases", "--study", folder)
    code, _, err = headscope("run", *words, "--probe-device", "cuda:99")
    assert (code, "'cuda:99' is not available" in err, "Traceback" in err) == (1, True, False)
    assert not folder.exists(), "refused before the study began"
    assert Study.create(folder, **common).probe_device == "cpu"
    assert json.loads((folder / "study.json").read_text())["probe_device"] == "cpu"
    assert Study.create(folder, **common, probe_device="cpu:0").probe_device == "cpu:0"
    assert Study(folder).probe_device == "cpu", "what the study began with"
    code, _, err = headscope("probe", "--study", folder, "--probe-device", "meta")
    assert (code, "64-bit numbers" in err, "Traceback" in err) == (1, True, False)


def test_a_study_of_the_vision_tower_is_refused_with_the_reason(
    headscope: Command, tiny_llava_folder: Path, tmp_path: Path
) -> None:
    draw_scenes(tmp_path / "cases", 10, seed=1, card=False)
    words = ("run", "--model", tiny_llava_folder, "--data", tmp_path / "cases", "--study", tmp_path / "study")
    code, _, err = headscope(*words, "--tower", "vision")
    assert code == 1
    assert "depends on the picture alone" in err
    assert not (tmp_path / "study").exists()
    code, _, err = headscope(*words, "--tower", "cellar")
    assert (code, err) == (1, "error: asked for tower 'cellar'; there are: decoder, vision\n")
