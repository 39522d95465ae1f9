"""A thorough check: its steps hold on sound models and fail on faulty ones; the page says what they found."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from headscope.acceptance import thorough_check as runs
from headscope.acceptance.check_page import escaped, page_name, page_of
from headscope.acceptance.grid import check_grid
from headscope.acceptance.results import Acceptance, StepFinding
from headscope.acceptance.span_step import check_spans
from headscope.acceptance.use import check_asking, check_capture, make_cases
from headscope.cli.app import main
from headscope.data.cases import Cases
from headscope.errors import ModelError
from headscope.models.families import FAMILIES
from headscope.models.types import ImageGrid
from headscope.models.vlm import VLM, load_model

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Cases:
    return make_cases(tmp_path_factory.mktemp("acceptance") / "cases")


@pytest.fixture
def headscope(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Run a command in this process and an empty folder: exit code, standard output, standard error."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["headscope", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return run


@pytest.mark.slow
def test_the_embedded_model_passes_every_step_and_its_page_is_written(
    headscope: Command, tmp_path: Path
) -> None:
    code, out, err = headscope("models", "check", "embedded", "--thorough", "--out", "sent/page.md")
    assert (code, "Traceback" in err) == (0, False), err
    found = json.loads((tmp_path / "sent" / "page.json").read_text("utf-8"))
    assert (found["status"], found["reason"]) == ("PROVED", "")
    assert [step["name"] for step in found["results"]] == list(runs.STEPS)
    assert {step["status"] for step in found["results"]} == {"held"}
    assert all(step["seconds"] >= 0 and 0.1 < step["peak_gb"] < 4 for step in found["results"])
    assert found["environment"]["torch"] == torch.__version__
    assert found["environment"]["number format"] == "float32"
    assert found["revision"] == load_model("embedded", prove=False).revision
    page = (tmp_path / "sent" / "page.md").read_text("utf-8")
    assert page.startswith("# embedded: PROVED")
    for step in (*found["results"], *found["proof"].values()):
        assert escaped(step["shown"]) in page
    assert all(name in out for name in runs.STEPS)
    assert "sent/page.md" in out


def test_a_page_without_thorough_is_refused(headscope: Command) -> None:
    code, _, err = headscope("models", "check", "embedded", "--out", "page.md")
    assert code == 1
    assert "--thorough" in err


@pytest.mark.parametrize(
    ("words", "why"), [(("--out", "page.txt"), "ends in .md"), (("--tower", "vision"), "without --thorough")]
)
def test_options_that_thorough_does_not_go_with_are_refused(
    headscope: Command, words: tuple[str, ...], why: str
) -> None:
    code, _, err = headscope("models", "check", "embedded", "--thorough", *words)
    assert (code, why in err, "Traceback" in err) == (1, True, False)


def test_a_model_that_cannot_be_loaded_has_a_page_too(headscope: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, out, _ = headscope("models", "check", tmp_path / "empty", "--thorough", "--json")
    found = json.loads(out)
    assert (code, found["status"]) == (1, "REFUSED")
    assert [step["status"] for step in found["results"]] == ["refused"]
    assert "config.json" in found["reason"]
    (page,) = tmp_path.glob("headscope-check-*-not-loaded.md")
    assert "REFUSED" in page.read_text("utf-8")


def test_an_error_that_nobody_foresaw_is_a_failed_step_with_its_kind() -> None:
    found = Acceptance("m", proof={"hooks": {}})

    def fall() -> StepFinding:
        raise KeyError("odd\nsecond line")

    assert found.run("ask", fall).status == "failed"
    assert found.status == "REFUSED"
    assert found.reason == "ask failed: KeyError: 'odd\\nsecond line'"


def test_a_refusal_makes_a_model_partly_proved_and_a_failure_refused() -> None:
    found = Acceptance("m", proof={"hooks": {}})
    found.run("load", lambda: StepFinding("x"))
    assert found.status == "PROVED"
    found.run("grid", lambda: StepFinding("x", status="not applicable", reason="no map"))
    assert (found.status, found.reason) == ("PARTLY", "grid not applicable: no map")
    found.run("study", lambda: StepFinding("x", status="failed", reason="wrong"))
    assert found.status == "REFUSED"


def test_what_comes_from_a_model_is_escaped_on_the_page() -> None:
    nasty = "<script>alert(1)</script> | ![x](http://y) `code` **b** \u202e\x00\nnew line"
    found = Acceptance(nasty, family=nasty, revision=nasty, environment={"class": nasty})
    found.run("ask", lambda: StepFinding("x", nasty, "failed", nasty))
    page = page_of(found)
    active = re.sub(r"\\.", "", page)  # a character behind a backslash is text
    for harm in ("<", "![", "](", "`", "**", "\u202e", "\x00", "\nnew line"):
        assert harm not in active
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert all(line.replace("\\|", "").count("|") in (3, 7) for line in rows)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", "headscope-check-Qwen-Qwen2.5-VL-7B-Instruct-0123456789ab.md"),
        ("../../etc/passwd", "headscope-check-etc-passwd-0123456789ab.md"),
        ("..", "headscope-check-model-0123456789ab.md"),
    ],
)
def test_the_page_is_named_after_model_and_revision(model: str, name: str) -> None:
    assert page_name(model, "0123456789abcdef") == name


@pytest.mark.parametrize("family", ["tiny", "tiny_qwen"])
def test_spans_grid_and_asking_hold_on_sound_models(
    family: str, request: pytest.FixtureRequest, cases: Cases
) -> None:
    vlm: VLM = request.getfixturevalue(family)
    for finding in (check_spans(vlm), check_grid(vlm), check_asking(vlm, cases)):
        assert finding.status == "held", finding


BROKEN = {
    "the next cell": lambda boxes: boxes.roll(1, 0),
    "columns for rows": lambda boxes: boxes[:, [1, 0, 3, 2]],
    "the other order": lambda boxes: boxes.flip(0),
    "half a cell off": lambda boxes: boxes + (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2) / 2,
    "a fifth too wide": lambda boxes: boxes * torch.tensor([1.2, 1.0, 1.2, 1.0]),
}


@pytest.mark.parametrize("fault", list(BROKEN))
@pytest.mark.parametrize("family", ["tiny", "tiny_qwen"])
def test_the_grid_step_tells_a_wrong_map(
    family: str, fault: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    vlm: VLM = request.getfixturevalue(family)
    true = FAMILIES[vlm.family].layout
    assert not isinstance(true, str)

    def wrong(*given: Any) -> ImageGrid:
        grid = true(*given)
        assert grid.boxes is not None
        return ImageGrid(BROKEN[fault](grid.boxes), grid.shape)

    monkeypatch.setitem(FAMILIES, vlm.family, replace(FAMILIES[vlm.family], layout=wrong))
    assert check_grid(vlm).status == "failed"


@pytest.mark.parametrize("shift", [-1, 1])
def test_the_spans_step_tells_a_span_that_is_off_by_one(
    tiny: VLM, shift: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = VLM.encode

    def off(self: VLM, prompts: Any) -> Any:
        encoded = true(self, prompts)
        encoded.question = encoded.question.roll(shift, 1)
        return encoded

    monkeypatch.setattr(VLM, "encode", off)
    assert check_spans(tiny).status == "failed"


def test_the_asking_step_tells_boxes_and_edits_that_do_nothing(
    tiny: VLM, cases: Cases, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = VLM.answer

    def blind(self: VLM, _image: Any, *given: Any, **more: Any) -> Any:
        return true(self, Image.new("RGB", (24, 24)), *given, **more)

    monkeypatch.setattr(VLM, "answer", blind)
    assert "boxes left" in check_asking(tiny, cases).reason


def test_the_capture_step_tells_batches_that_differ(
    tiny: VLM, cases: Cases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_capture(tiny, cases, tmp_path / "sound").status == "held"
    true = VLM.encode

    def other(self: VLM, prompts: Any) -> Any:
        encoded = true(self, prompts)
        if len(prompts) > 1:  # padding that is attended to
            encoded.inputs["attention_mask"] = torch.ones_like(encoded.inputs["attention_mask"])
        return encoded

    monkeypatch.setattr(VLM, "encode", other)
    assert check_capture(tiny, cases, tmp_path / "faulty").status == "failed"


def test_a_refused_proof_step_is_told_and_later_steps_are_still_tried(
    tiny_llava_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_vlm: Any, *_: Any) -> StepFinding:
        raise ModelError("asked for a thing; found none; do without")

    for name in ("check_asking", "check_capture", "check_study"):
        monkeypatch.setattr(runs, name, refuse)
    found = runs.check_thoroughly(tiny_llava_folder)
    assert [r.status for r in found.results] == ["held"] * 4 + ["refused"] * 3
    assert found.status == "PARTLY"
    assert found.reason.count("asked for a thing; found none; do without") == 3
