"""Loading: what works, what is refused with one clear reason, and that no folder ever touches the network."""

from __future__ import annotations

import hashlib
import shutil
import socket
import sys
import types
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from headscope.errors import ModelError
from headscope.models.vlm import VLM, load_model
from models.spoiled import HEAD, text_only


@pytest.fixture
def copy(tiny_llava_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_llava_folder, tmp_path / "copy"))


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("a test reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("family", ["tiny_llava_folder", "tiny_qwen_folder"])
def test_a_folder_loads_with_proof_and_without_network(family: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(family)
    vlm = load_model(folder)
    assert vlm.proof.figure("blocks") == len(vlm.geometry.heads)
    assert (vlm.name, vlm.device.type, vlm.dtype) == (folder.name, "cpu", torch.float32)
    assert not vlm.model.training
    assert not any(p.requires_grad for p in vlm.model.parameters())
    assert vlm.tokenizer.padding_side == "left"
    stored = load_file(folder / "model.safetensors")
    assert vlm.parameters == sum(t.numel() for t in stored.values())


def test_the_revision_follows_weights_and_configuration(copy: Path, tiny: VLM) -> None:
    first = load_model(copy, prove=False).revision
    assert first == tiny.revision
    assert len(first) == 16
    expected = hashlib.sha256()
    for name in ("config.json", "model.safetensors"):
        data = (copy / name).read_bytes()
        expected.update(f"{name}:{len(data)}\n".encode() + data)
    assert first == expected.hexdigest()[:16]
    weights = load_file(copy / "model.safetensors")
    weights[HEAD][0, 0] += 1
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    assert load_model(copy, prove=False).revision != first


def test_half_precision_passes_the_proof(tiny_llava_folder: Path) -> None:
    vlm = load_model(tiny_llava_folder, dtype="bfloat16")
    assert vlm.dtype == torch.bfloat16
    assert vlm.proof.figure("sum") < 5e-2


def test_unknown_devices_and_number_formats_are_refused(tiny_llava_folder: Path) -> None:
    with pytest.raises(ModelError, match="float32, bfloat16"):
        load_model(tiny_llava_folder, dtype="int3")
    for device in ("warp-drive", "cuda:99"):
        with pytest.raises(ModelError, match="not available"):
            load_model(tiny_llava_folder, device=device)


def test_an_unknown_name_lists_what_is_possible(tmp_path: Path) -> None:
    for name in ("lava", str(tmp_path / "nothing-here"), "../a/b/c", ""):
        with pytest.raises(ModelError) as caught:
            load_model(name)
        assert "embedded" in str(caught.value) or "file" in str(caught.value)


def test_a_hub_id_without_a_network_ends_in_one_clear_message() -> None:
    with pytest.raises(ModelError, match="org-of-nobody/no-such-model: no folder of that name here"):
        load_model("org-of-nobody/no-such-model")


def test_a_hub_id_is_fetched_configuration_first_and_keeps_its_commit(
    tiny_llava_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef"
    snapshot = Path(shutil.copytree(tiny_llava_folder, tmp_path / commit))
    asked: list[list[str]] = []

    def download(name: str, allow_patterns: list[str]) -> str:
        assert name == "some-org/tiny"
        asked.append(allow_patterns)
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    vlm = load_model("some-org/tiny", prove=False)
    assert (vlm.name, vlm.revision, vlm.folder) == ("some-org/tiny", commit, snapshot)
    assert asked[0] == ["config.json", "adapter_config.json"]
    assert not any(p.endswith((".bin", ".py", ".pt")) for p in asked[1])
    text_only(snapshot)
    asked.clear()
    with pytest.raises(ModelError, match="not an image-text-to-text"):
        load_model("some-org/tiny")
    assert len(asked) == 1, "no weights are fetched for a model that cannot be used"


def test_the_embedded_model_is_an_ordinary_folder(
    tiny_llava_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("headscope.models.embedded")
    monkeypatch.setitem(sys.modules, "headscope.models.embedded", module)
    with pytest.raises(ModelError, match="embedded model is missing"):
        load_model("embedded")
    monkeypatch.setattr(module, "weights_folder", lambda: tiny_llava_folder, raising=False)
    vlm = load_model("embedded", prove=False)
    assert (vlm.name, vlm.folder) == ("embedded", tiny_llava_folder)
    monkeypatch.setattr(module, "weights_folder", lambda: tiny_llava_folder / "gone")
    with pytest.raises(ModelError, match="weights are missing"):
        load_model("embedded")


def test_a_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.txt").write_bytes(b"")
    with pytest.raises(ModelError, match="is a file"):
        load_model(tmp_path / "model.txt")


def test_the_tiny_checkpoints_load_with_plain_transformers(
    tiny_llava_folder: Path, tiny_qwen_folder: Path
) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    assert type(AutoProcessor.from_pretrained(tiny_llava_folder)).__name__ == "LlavaProcessor"
    for folder, name in ((tiny_llava_folder, "Llava"), (tiny_qwen_folder, "Qwen2_5_VL")):
        model = AutoModelForImageTextToText.from_pretrained(folder)
        assert type(model).__name__ == f"{name}ForConditionalGeneration"
