"""Checkpoints that cannot be used: one clear refusal each, from Python and from the commands."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from headscope.cli.app import main
from headscope.errors import ModelError
from headscope.making.scenes.generate import draw_scenes
from headscope.models import placement
from headscope.models.other_formats import refuse_names
from headscope.models.vlm import VLM, load_model
from headscope.study.study import Study
from models.spoiled import REFUSALS, write


@pytest.fixture
def copy(tiny_llava_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_llava_folder, tmp_path / "copy"))


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    draw_scenes(folder, 10, seed=1, card=False)
    return folder


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def headscope(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process: exit code, standard output, standard error."""

    def run(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["headscope", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return run


@pytest.mark.parametrize("what", list(REFUSALS))
def test_a_bad_checkpoint_is_refused_from_python_and_by_every_command(
    what: str, copy: Path, cases: Path, headscope: Command, tmp_path: Path
) -> None:
    spoil, reason = REFUSALS[what]
    spoil(copy)
    with pytest.raises(ModelError, match=reason) as caught:
        load_model(copy)
    said = str(caught.value)
    assert "\n" not in said
    study = tmp_path / "study"
    for words in (
        ("models", "check", copy),
        ("run", "--model", copy, "--data", cases, "--study", study),
    ):
        code, out, err = headscope(*words)
        assert code == 1
        assert err.splitlines()[-1] == f"error: {said}"
        assert "Traceback" not in out + err
    assert not (study / "study.json").exists(), "a refused model starts no study"


def test_a_hub_id_without_a_network_is_refused(headscope: Command, cases: Path, tmp_path: Path) -> None:
    name = "org-of-nobody/no-such-model"
    with pytest.raises(ModelError, match=f"{name}: no folder of that name here"):
        load_model(name)
    for words in (("models", "check", name), ("run", "--model", name, "--data", cases, "--study", tmp_path)):
        code, out, err = headscope(*words)
        assert (code, "Traceback" in out + err) == (1, False)
        assert f"error: {name}: no folder of that name here" in err


def test_a_single_file_is_refused_with_its_folder(copy: Path) -> None:
    with pytest.raises(ModelError, match=f"is a file; give the folder .*: {copy}$"):
        load_model(copy / "model.safetensors")
    write("model-Q4_K_M.gguf", "GGUF")(copy)
    with pytest.raises(ModelError, match=r"llama\.cpp"):
        load_model(copy / "model-Q4_K_M.gguf")


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("embeded", "embedded"),
        ("{parent}/copi", "{parent}/copy"),
        ("https://huggingface.co/Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct"),
        ("hf.co/org/name/tree/main", "org/name"),
        ("small-vlm", "org/small-vlm"),
        ("org/smal-vlm", "org/small-vlm"),
    ],
)
def test_a_slip_in_the_name_is_answered_with_the_nearest_one(
    asked: str, meant: str, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = copy.parent / "hub"
    (hub / "models--org--small-vlm" / "snapshots").mkdir(parents=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub))
    with pytest.raises(ModelError) as caught:
        load_model(asked.format(parent=copy.parent))
    assert str(caught.value).endswith(f"; did you mean {meant.format(parent=copy.parent)}?")


def test_a_hub_id_says_why_it_was_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import errors

    class Response:
        headers: dict[str, str] = {}  # noqa: RUF012
        request = None

    def says(exc: Exception) -> str:
        def fetch(*_args: object, **_options: object) -> None:
            raise exc

        monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
        with pytest.raises(ModelError) as caught:
            load_model("org/name")
        return str(caught.value)

    assert "HF_HUB_OFFLINE forbids" in says(errors.LocalEntryNotFoundError("no snapshot"))
    assert "hf auth login" in says(errors.GatedRepoError("403", response=Response()))  # type: ignore[arg-type]
    assert "no such model" in says(errors.RepositoryNotFoundError("404", response=Response()))  # type: ignore[arg-type]
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert "could not be fetched: no route to host" in says(OSError("no route\nto host"))


def test_a_hub_repository_of_another_format_is_refused_by_its_names(tmp_path: Path) -> None:
    for names, reason in (
        (["README.md", "model-Q4_K_M.gguf", "mmproj-F16.gguf"], "llama.cpp"),
        (["config.json", "onnx/decoder_model_merged.onnx"], "ONNX"),
        (["config.json", "pytorch_model-00001-of-00002.bin"], "safetensors only"),
        (["adapter_config.json", "adapter_model.safetensors"], "is an adapter"),
        (["model_index.json", "flux.safetensors", "vae/config.json"], "diffusers pipeline"),
    ):
        with pytest.raises(ModelError, match=f"^org/name: .*{reason}"):
            refuse_names("org/name", names, tmp_path)
    refuse_names("org/name", ["config.json", "model.safetensors", "model.gguf", "params.json"], tmp_path)


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["model-Q4_K_M.gguf"], "weights of llama.cpp"),
        (["flux.safetensors", "README.md"], "holds no config.json"),
    ],
)
def test_what_is_no_checkpoint_is_not_fetched_from_the_hub(
    names: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def fetch(_name: str, allow_patterns: list[str]) -> str:
        asked.append(allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    monkeypatch.setattr("huggingface_hub.HfApi.list_repo_files", lambda *_: names)
    with pytest.raises(ModelError, match=f"^org/name: .*{reason}"):
        load_model("org/name")
    assert asked == [["config.json", "adapter_config.json"]]


def test_merging_says_what_it_needs(
    copy: Path, headscope: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "find_spec", lambda name: None)
    code, _, err = headscope("models", "merge", copy, "--out", tmp_path / "out")
    assert (code, err.endswith("needs the package peft, which is not installed: pip install peft\n")) == (
        1,
        True,
    )
    monkeypatch.setattr(placement, "find_spec", lambda name: object())
    code, _, err = headscope("models", "merge", copy, "--out", tmp_path / "out")
    assert (code, "is no adapter; expected adapter_config.json" in err) == (1, True)
    assert not (tmp_path / "out").exists()


def test_a_refusal_comes_as_json_too(copy: Path, headscope: Command) -> None:
    REFUSALS["no weights"][0](copy)
    code, out, err = headscope("models", "check", copy, "--json")
    found = json.loads(out)
    assert code == 1
    assert {k: found[k] for k in ("family", "status", "proofs")} == {
        "family": "",
        "status": "REFUSED",
        "proofs": {},
    }
    assert "found no weights" in found["reason"]
    assert found["reason"] in err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--dtype", "int3"), "float32, bfloat16"),
        (("--device", "warp-drive"), "not available"),
        (("--tower", "east"), "decoder, vision"),
        (("--quantization", "2bit"), "8bit, 4bit"),
        (("--attention", "warp"), "there are: sdpa, eager, flash_attention_2"),
        (("--attention", "flash_attention_2"), "needs the package flash-attn"),
        (("--device-map", "everywhere"), "auto, balanced"),
        (("--device-map", "no-such-file.json"), "cannot be read as JSON"),
        (("--max-memory", "20GiB", "--device-map", "auto"), "device=amount"),
        (("--max-memory", "0=20GiB"), "needs a device map"),
        (("--device", "auto", "--device-map", "auto"), "give one of them"),
    ],
)
def test_options_that_do_not_exist_are_refused(
    words: tuple[str, ...], reason: str, headscope: Command, tiny_llava_folder: Path
) -> None:
    code, out, err = headscope("models", "check", tiny_llava_folder, *words)
    assert (code, "Traceback" in out + err) == (1, False)
    assert reason in err


@pytest.mark.parametrize(
    "name", ["x" * 5000, f"{'x' * 300}/{'y' * 300}/z", "a\0b"], ids=["long", "parts", "nul"]
)
def test_a_name_that_no_file_can_have_is_unknown_in_one_short_message(name: str) -> None:
    with pytest.raises(ModelError, match="unknown model") as caught:
        load_model(name)
    assert len(str(caught.value)) < 400
    assert "\0" not in str(caught.value)


def test_a_model_of_transformers_in_the_place_of_a_name_is_told_to_be_wrapped(
    tiny: VLM, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"hs\.wrap\(model, processor\)"):
        load_model(tiny.model)  # type: ignore[arg-type]
    draw_scenes(tmp_path / "cases", 3, seed=1, card=False)
    with pytest.raises(ModelError, match=r"study: .*found Llava.*hs\.wrap\(model, processor\)"):
        Study.create(tmp_path / "s", model=tiny.model, data=tmp_path / "cases")  # type: ignore[arg-type]
