"""A misspelt option is refused by its name, wherever it is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import headscope as hs
from headscope.cli.app import app
from headscope.cli.study_commands import parse_settings
from headscope.errors import HeadscopeError, StudyError
from headscope.study.sizes import SIZES
from headscope.study.stages import NAMES, STAGES, stage_named, stage_settings


def test_by_load_model_and_by_an_edit(tiny: Any, tiny_llava_folder: Path) -> None:
    options: dict[str, Any] = {"dtyp": "float32"}
    with pytest.raises(TypeError, match="dtyp"):
        hs.load_model(tiny_llava_folder, **options)
    with pytest.raises(TypeError, match="scop"):
        hs.edit(tiny, tiny.geometry.heads[:1], hs.mute(), scop="all")  # type: ignore[call-arg]
    with (
        pytest.raises(HeadscopeError, match=r"'al'.* all"),
        hs.edit(tiny, tiny.geometry.heads[:1], hs.mute(), "al"),
    ):
        pass


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sise": "quick"}, "sise"),
        ({"size": "quik"}, "'quik'; there are: smoke, quick, demo, full"),
        ({"model_options": {"quantisation": "4bit"}}, "'quantisation'; there are: device_map"),
        (
            {"settings": {"ablat": {}}},
            "stage 'ablat'; there are: capture, causal, attend, patch, probe, ablate",
        ),
        (
            {"settings": {"ablate": {"drws": 3}}},
            "ablate: asked for option 'drws'; there are: functions, draws",
        ),
        ({"settings": {"ablate": {"draws": "many"}}}, "ablate.draws: .*valid integer.*'many'"),
    ],
)
def test_by_a_study(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises((TypeError, HeadscopeError), match=said):
        hs.Study.create(tmp_path / "s", data=tmp_path, **options)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("stage", STAGES, ids=lambda s: s.name)
def test_by_the_settings_of_every_stage(stage: Any) -> None:
    with pytest.raises(TypeError, match="drwas"):
        stage.settings_type(drwas=1)
    with pytest.raises(StudyError, match=rf"{stage.name}: asked for option 'drwas'"):
        stage_settings(stage.name, SIZES["demo"], {"drwas": 1})
    for size in SIZES.values():
        stage_settings(stage.name, size)


def test_by_the_command_line(tmp_path: Path) -> None:
    for word in ("ablate", "ablate.draws", "draws=3", ".draws=3", "ablate.=3"):
        with pytest.raises(StudyError, match=r"expected STAGE\.NAME=VALUE"):
            parse_settings([word])
    asked = parse_settings(["ablate.ks=[1, 2]", "compare.other=runs/b", "ablate.draws=9"])
    assert asked == {"ablate": {"ks": [1, 2], "draws": 9}, "compare": {"other": "runs/b"}}
    assert stage_settings("ablate", SIZES["demo"], asked["ablate"]).ks == (1, 2)
    words = ["run", "--study", str(tmp_path / "s"), "--data", str(tmp_path), "--set", "wake.stiles=x"]
    done = CliRunner().invoke(app, words)
    assert "wake: asked for option 'stiles'" in str(done.exception)


def test_a_stage_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(StudyError, match="asked for the stage 'prob'; there are: capture, causal"):
        stage_named("prob")
    assert NAMES[-1] == "report"


def test_a_list_that_is_said_with_commas_is_answered_with_the_words_that_work() -> None:
    size = SIZES["smoke"]
    with pytest.raises(HeadscopeError) as refused:
        stage_settings("patch", size, parse_settings(["patch.functions=counting, text_reading"])["patch"])
    said = str(refused.value)
    assert said.endswith("""; say --set patch.functions='["counting", "text_reading"]'""")
    advised = parse_settings([said.partition("--set ")[2].replace("'", "")])["patch"]
    assert stage_settings("patch", size, advised).functions == ("counting", "text_reading")
