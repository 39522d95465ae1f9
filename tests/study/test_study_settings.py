"""A study records its model as it is, and refuses every setting that it did not begin with."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from headscope import demo
from headscope.cli.app import app
from headscope.errors import StudyError
from headscope.making.scenes.generate import draw_scenes
from headscope.models.loaded import full_device, loaded_as
from headscope.models.vlm import VLM, load_model
from headscope.study.stages import NAMES
from headscope.study.study import Study
from tiny import tiny_llava

LAYER = "model.language_model.layers.{}"


@pytest.fixture(scope="module")
def cases_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("settings") / "cases"
    draw_scenes(folder, 10, seed=1, card=False)
    return folder


@pytest.fixture(scope="module")
def half(tiny_llava_folder: Path) -> VLM:
    """A model in memory in another number format than the default."""
    return load_model(tiny_llava_folder, dtype="bfloat16", prove=False)


@pytest.fixture
def study(tiny_llava_folder: Path, cases_folder: Path, tmp_path: Path) -> Path:
    """A study with settings of its own."""
    settings: dict[str, Any] = {"size": "quick", "seed": 3, "batch_size": 32}
    return Study.create(
        tmp_path / "study", model=str(tiny_llava_folder), data=cases_folder, **settings
    ).folder


def record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "study.json").read_text())
    return found


# a model in memory ------------------------------------------------------------------------------------------


def test_a_model_in_memory_is_recorded_as_it_is_and_loaded_so_again(
    half: VLM, cases_folder: Path, tmp_path: Path
) -> None:
    made = Study.create(tmp_path / "s", model=half, data=cases_folder, size="quick")
    assert made.vlm is half
    found = record(tmp_path / "s")
    assert (found["device"], found["dtype"], found["placement"]) == ("cpu", "bfloat16", {"": "cpu"})
    assert found["model"]["revision"] == half.revision
    again = Study(tmp_path / "s").vlm
    assert again is not half
    assert again.dtype == torch.bfloat16
    for one, other in zip(again.model.parameters(), half.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_another_number_format_is_refused_with_both_by_name_and_in_memory(
    half: VLM, tiny: VLM, tiny_llava_folder: Path, cases_folder: Path, tmp_path: Path
) -> None:
    Study.create(tmp_path / "s", model=half, data=cases_folder)
    with pytest.raises(StudyError, match=r"with dtype 'bfloat16', asked for 'float32'"):
        Study.create(tmp_path / "s", model=tiny, data=cases_folder)
    with pytest.raises(StudyError, match=r"with dtype 'bfloat16', asked for 'float32'"):
        Study.create(tmp_path / "s", model=str(tiny_llava_folder), dtype="float32", data=cases_folder)
    assert (
        Study.create(tmp_path / "s", model=str(tiny_llava_folder), data=cases_folder).vlm.dtype == half.dtype
    )
    assert Study.create(tmp_path / "s", model=half, dtype="bfloat16", data=cases_folder).vlm is half


def test_another_model_in_memory_is_refused(half: VLM, cases_folder: Path, tmp_path: Path) -> None:
    Study.create(tmp_path / "s", model=half, data=cases_folder)
    other = load_model(tiny_llava(tmp_path / "other", seed=1), dtype="bfloat16", prove=False)
    with pytest.raises(StudyError, match=rf"model .*{half.revision}.* asked for .*{other.revision}"):
        Study.create(tmp_path / "s", model=other, data=cases_folder)


def test_what_a_model_in_memory_is_not_cannot_be_asked_of_it(
    half: VLM, cases_folder: Path, tmp_path: Path
) -> None:
    for more in ({"dtype": "float32"}, {"device": "cuda"}, {"model_options": {"quantization": "8bit"}}):
        with pytest.raises(StudyError, match="loaded"):
            Study.create(tmp_path / "s", model=half, data=cases_folder, **more)  # type: ignore[arg-type]
    assert not (tmp_path / "s").exists()


def test_a_model_spread_over_places_is_recorded_and_loaded_so_again(
    tiny: VLM, tiny_llava_folder: Path, cases_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("accelerate")
    places = {"": "cpu", LAYER.format(1): "disk", LAYER.format(2): "disk"}
    offloaded = load_model(tiny_llava_folder, device_map=places, prove=False)
    Study.create(tmp_path / "s", model=offloaded, data=cases_folder)
    found = record(tmp_path / "s")
    assert found["placement"][LAYER.format(1)] == "disk"
    assert found["model_options"] == {"device_map": found["placement"]}
    assert Study(tmp_path / "s").vlm.placement == offloaded.placement
    with pytest.raises(StudyError, match="placement"):
        Study.create(tmp_path / "s", model=tiny, data=cases_folder)
    assert Study.create(tmp_path / "s", model=offloaded, data=cases_folder).vlm is offloaded


@pytest.mark.parametrize("kind", ["8bit", "4bit"])
def test_a_model_quantised_in_memory_is_recorded_and_loaded_so_again(
    kind: str,
    tiny_llava_folder: Path,
    cases_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("bitsandbytes")
    # Its fast CPU kernel for 4 bits takes widths of real models only.
    monkeypatch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda: False)
    small = load_model(tiny_llava_folder, dtype="bfloat16", quantization=kind, prove=False)
    Study.create(tmp_path / "s", model=small, data=cases_folder)
    found = record(tmp_path / "s")
    assert (found["dtype"], found["model_options"]) == ("bfloat16", {"quantization": kind})
    small_record = Study(tmp_path / "s").record
    again = Study(tmp_path / "s").vlm
    assert (again.revision, loaded_as(again)) == (small.revision, loaded_as(small))
    opened = Study.create(tmp_path / "s", model=str(tiny_llava_folder), data=cases_folder)
    assert opened.record == small_record


def test_the_embedded_model_in_memory_is_loaded_by_its_name(cases_folder: Path, tmp_path: Path) -> None:
    made = Study.create(tmp_path / "s", model=load_model("embedded", prove=False), data=cases_folder)
    assert record(tmp_path / "s")["load"] == "embedded"
    assert Study.create(tmp_path / "s", model="embedded", data=cases_folder).record == made.record


def test_what_is_recorded_is_what_was_found_not_the_word_that_asked_for_it(
    tiny_llava_folder: Path, cases_folder: Path, tmp_path: Path
) -> None:
    words: dict[str, Any] = {"model": str(tiny_llava_folder), "data": cases_folder, "dtype": "auto"}
    Study.create(tmp_path / "s", **words)
    assert record(tmp_path / "s")["dtype"] == "float32"
    Study.create(tmp_path / "s", **words)  # the same call goes on
    with pytest.raises(StudyError, match="dtype 'float32', asked for 'float16'"):
        Study.create(tmp_path / "s", **{**words, "dtype": "float16"})


@pytest.mark.parametrize(
    ("name", "full"),
    [("cuda", "cuda:0"), ("cuda:1", "cuda:1"), ("1", "cuda:1"), ("cpu:0", "cpu"), ("disk", "disk")],
)
def test_a_device_has_one_full_name(name: str, full: str) -> None:
    assert full_device(name) == full


def test_a_few_weights_in_another_format_do_not_decide_what_a_model_is_in() -> None:
    model = torch.nn.Sequential(torch.nn.LayerNorm(4).float(), torch.nn.Linear(64, 64).bfloat16())
    vlm: Any = SimpleNamespace(
        model=model, folder=None, placement={"": "cpu"}, device=torch.device("cpu"), config=None
    )
    model.config = SimpleNamespace()  # type: ignore[assignment]
    assert loaded_as(vlm).dtype == "bfloat16"


# the command line -------------------------------------------------------------------------------------------


def command(*words: object) -> Result:
    return CliRunner().invoke(app, [str(w) for w in words])


@pytest.fixture
def stages_run(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the stages that a command came to."""
    run: list[str] = []
    monkeypatch.setattr(Study, "stage", lambda _study, name: run.append(name))
    monkeypatch.setattr(Study, "run", lambda _study: run.append("run"))
    return run


OTHERS = [
    ("--size", "full", "size 'quick', asked for 'full'"),
    ("--size", "demo", "size 'quick', asked for 'demo'"),
    ("--seed", "0", "seed 3, asked for 0"),
    ("--device", "cuda", "device 'cpu', asked for 'cuda'"),
    ("--dtype", "bfloat16", "dtype 'float32', asked for 'bfloat16'"),
    ("--dtype", "auto", "dtype 'float32', asked for 'auto'"),
    ("--batch-size", "64", "batch_size 32, asked for 64"),
    ("--model", "embedded", "asked for 'embedded, revision 40d3805caa80ac76'"),
    ("--model", "some-org/other", "asked for 'some-org/other'"),
    ("--quantization", "4bit", "model_options None, asked for {'quantization': '4bit'}"),
]


@pytest.mark.parametrize(("option", "value", "said"), OTHERS)
@pytest.mark.parametrize("data", [True, False], ids=["with-data", "without"])
def test_an_option_that_differs_from_the_study_is_refused_with_both_values(
    option: str, value: str, said: str, data: bool, study: Path, cases_folder: Path, stages_run: list[str]
) -> None:
    more = ("--data", cases_folder) if data else ()
    done = command("wake", "--study", study, option, value, *more)
    assert isinstance(done.exception, StudyError), done.output
    assert said in str(done.exception)
    assert "holds a study with" in str(done.exception)
    assert stages_run == []


@pytest.mark.parametrize("stage", ["run", *NAMES])
def test_every_stage_refuses_it(stage: str, study: Path, stages_run: list[str]) -> None:
    done = command(stage, "--study", study, "--seed", "4")
    assert isinstance(done.exception, StudyError)
    assert "seed 3, asked for 4" in str(done.exception)
    assert stages_run == []


def test_equal_values_and_none_at_all_go_on(
    study: Path, tiny_llava_folder: Path, stages_run: list[str], tmp_path: Path
) -> None:
    same = ("--size", "quick", "--seed", "3", "--device", "cpu", "--dtype", "float32", "--batch-size", "32")
    (tmp_path / "link").symlink_to(tiny_llava_folder)
    for words in (same, ("--model", tiny_llava_folder), ("--model", tmp_path / "link"), ()):
        done = command("capture", "--study", study, *words)
        assert done.exit_code == 0, done.exception
    assert stages_run == ["capture"] * 4


def test_a_copy_of_the_same_weights_is_the_same_model_and_other_weights_are_not(
    study: Path, stages_run: list[str], tmp_path: Path
) -> None:
    assert command("capture", "--study", study, "--model", tiny_llava(tmp_path / "same")).exit_code == 0
    done = command("capture", "--study", study, "--model", tiny_llava(tmp_path / "other", seed=1))
    assert isinstance(done.exception, StudyError)
    assert stages_run == ["capture"]


def test_another_taxonomy_is_refused_and_one_that_was_edited_since_too(
    study: Path, stages_run: list[str], tiny_llava_folder: Path, cases_folder: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps({"name": "mine", "functions": {"seeing": "what is there"}}))
    done = command("capture", "--study", study, "--taxonomy", mine)
    assert isinstance(done.exception, StudyError)
    assert "taxonomy 'headscope-9 (object_recognition" in str(done.exception)
    assert "asked for 'mine (seeing)'" in str(done.exception)
    from headscope.functions import DEFAULT

    mine.write_text(json.dumps({"name": "mine", "functions": DEFAULT.titles}))
    made = Study.create(tmp_path / "s", model=str(tiny_llava_folder), data=cases_folder, taxonomy=mine)
    assert made.taxonomy.name == "mine"
    mine.write_text(json.dumps({"name": "mine", "functions": DEFAULT.titles, "spatial": ["counting"]}))
    with pytest.raises(StudyError, match=r"mine\.json: the taxonomy changed"):
        _ = Study(tmp_path / "s").taxonomy


def test_other_data_are_refused_with_both_folders(study: Path, stages_run: list[str], tmp_path: Path) -> None:
    draw_scenes(tmp_path / "others", 4, seed=2, card=False)
    done = command("capture", "--study", study, "--data", tmp_path / "others")
    assert isinstance(done.exception, StudyError)
    assert str(tmp_path / "others") in str(done.exception)
    assert record(study)["data"]["path"] in str(done.exception)


# the other commands that open a study -----------------------------------------------------------------------


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a scan was asked for, instead of one."""
    asked: list[Any] = []

    def scan(context: Any, *_args: Any, **_options: Any) -> None:
        asked.append(context)
        raise StudyError("far enough")

    monkeypatch.setattr("headscope.experiments.scan.scan_heads", scan)
    return asked


@pytest.mark.parametrize(
    ("option", "value", "said"), [o for o in OTHERS if o[0] in ("--model", "--seed", "--device", "--dtype")]
)
def test_a_scan_of_a_study_refuses_it_likewise(
    option: str, value: str, said: str, study: Path, scanned: list[Any], tmp_path: Path
) -> None:
    done = command("scan", "--study", study, "--out", tmp_path / "scan", option, value)
    assert said in str(done.exception)
    assert scanned == []


def test_a_scan_of_a_study_has_its_model_and_its_seed(
    study: Path, scanned: list[Any], tmp_path: Path
) -> None:
    for words in ((), ("--seed", "3", "--device", "cpu", "--dtype", "float32")):
        assert str(command("scan", "--study", study, "--out", tmp_path, *words).exception) == "far enough"
    for context in scanned:
        assert context.vlm.revision == record(study)["model"]["revision"]
        assert context.splits == json.loads((study / "splits.json").read_text())
        assert context.folder == tmp_path
        assert context.seed == 3


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What an evaluation was asked for, instead of one."""
    asked: list[Any] = []

    def run(model: str, _data: Path, _change: Any, loading: Any, **_options: Any) -> None:
        asked.append((model, loading))
        raise StudyError("far enough")

    monkeypatch.setattr("headscope.study.evaluation.evaluate", run)
    return asked


def test_an_evaluation_with_the_heads_of_a_study_has_its_model(
    half: VLM, cases_folder: Path, evaluated: list[Any], tmp_path: Path
) -> None:
    Study.create(tmp_path / "s", model=half, data=cases_folder)
    words = ("evaluate", "--data", cases_folder, "--study", tmp_path / "s", "--mute", "counting")
    assert str(command(*words).exception) == "far enough"
    assert str(command(*words, "--dtype", "float32").exception) == "far enough"  # it takes effect
    (model, as_study), (_, other) = evaluated
    assert (model, as_study.device, as_study.dtype) == (str(half.folder), "cpu", "bfloat16")
    assert other.dtype == "float32"
    done = command(*words, "--model", "embedded")
    assert "asked for 'embedded, revision" in str(done.exception)


def test_an_evaluation_refuses_a_study_that_nothing_is_taken_from(
    study: Path, cases_folder: Path, evaluated: list[Any]
) -> None:
    for words in ((), ("--wake", "both")):
        done = command("evaluate", "--data", cases_folder, "--study", study, *words)
        assert "--study names the heads of --mute or --bake" in str(done.exception)
    assert evaluated == []


def test_the_demo_refuses_other_scenes_and_settings(
    tiny_llava_folder: Path, tmp_path: Path, stages_run: list[str]
) -> None:
    base = ("demo", "--study", tmp_path / "d", "--model", tiny_llava_folder)

    def demo_run(*more: str) -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("headscope.cli.app.show_summary", lambda _study: None)
            return str(command(*base, *more).exception or "ran")

    assert demo_run("--cases", "6", "--seed", "5", "--size", "quick") == "ran"
    assert demo_run() == "ran"
    assert demo_run("--cases", "6", "--seed", "5") == "ran"
    assert "holds 6 scenes, asked for 7" in demo_run("--cases", "7")
    assert "scene-5-000000, asked for those of seed 1" in demo_run("--seed", "1")
    assert "size 'quick', asked for 'demo'" in demo_run("--size", "demo")
    assert stages_run == ["run"] * 3
    assert (demo.CASES, demo.SEED) == (400, 1)
