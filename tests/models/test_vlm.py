"""Loading: what works, what is refused with one clear reason, and that no folder ever touches the network."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from headscope.errors import ModelError
from headscope.models.vlm import VLM, load_model

HEAD = "language_model.lm_head.weight"  # as stored; transformers renames it on the way in


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
    assert asked[0] == ["config.json"]
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


def rewrite(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


def truncate(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def garble(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"not a tensor in sight, nor a header")


def drop_a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights[HEAD]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def reshape_a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights[HEAD] = weights[HEAD][:-3].clone()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def miss_a_shard(folder: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def text_only(folder: Path) -> None:
    from transformers import Qwen3Config

    Qwen3Config().save_pretrained(folder)


def clip(folder: Path) -> None:
    from transformers import CLIPConfig

    CLIPConfig().save_pretrained(folder)


def without(*names: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return remove


def own_code(folder: Path) -> None:
    rewrite(model_type="own_vlm", auto_map={"AutoConfig": "code.Config", "AutoModel": "code.Model"})(folder)
    (folder / "code.py").write_text("raise SystemExit('code of a checkpoint was run')\n")


def break_processor(folder: Path) -> None:
    (folder / "processor_config.json").write_text("{")


REFUSALS: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated weights": (truncate, "truncated or damaged"),
    "weights that are none": (garble, "not a safetensors file"),
    "pickled weights": (pickle_only, "safetensors only"),
    "no weights": (without("model.safetensors"), "no weights"),
    "a missing weight": (drop_a_weight, "missing_keys"),
    "a weight of another shape": (reshape_a_weight, "lm_head.weight"),
    "a missing shard": (miss_a_shard, "model-00002.safetensors"),
    "no configuration": (without("config.json"), "config.json"),
    "a broken configuration": (lambda f: (f / "config.json").write_text("[") and None, "configuration"),
    "no processor": (without("processor_config.json"), "processor"),
    "a broken processor": (break_processor, "processor"),
    "no tokenizer": (without("tokenizer.json", "tokenizer_config.json"), "tokenizer"),
    "a text-only model": (text_only, "'qwen3' is not an image-text-to-text model"),
    "a CLIP model": (clip, "'clip' is not an image-text-to-text model"),
    "an unknown model type": (rewrite(model_type="nobody_knows"), "'nobody_knows' is unknown"),
    "a model with code of its own": (own_code, "never runs"),
}


@pytest.mark.parametrize("what", list(REFUSALS))
def test_what_cannot_be_loaded_is_refused_with_the_reason(what: str, copy: Path) -> None:
    spoil, reason = REFUSALS[what]
    spoil(copy)
    with pytest.raises(ModelError, match=reason) as caught:
        load_model(copy)
    assert "\n" not in str(caught.value)


def test_a_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"")
    with pytest.raises(ModelError, match="is a file"):
        load_model(tmp_path / "model.gguf")


def test_the_tiny_checkpoints_load_with_plain_transformers(
    tiny_llava_folder: Path, tiny_qwen_folder: Path
) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    assert type(AutoProcessor.from_pretrained(tiny_llava_folder)).__name__ == "LlavaProcessor"
    for folder, name in ((tiny_llava_folder, "Llava"), (tiny_qwen_folder, "Qwen2_5_VL")):
        model = AutoModelForImageTextToText.from_pretrained(folder)
        assert type(model).__name__ == f"{name}ForConditionalGeneration"
