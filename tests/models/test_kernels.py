"""The attention kernel: what the configuration names, what the user asks for, what can run here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import LlavaForConditionalGeneration

from headscope.errors import ModelError
from headscope.models import kernels
from headscope.models.placement import RecordedOptions
from headscope.models.vlm import VLM, load_model

FLASH = "flash_attention_2"
KEYS = ("attn_implementation", "_attn_implementation")


@pytest.fixture
def naming(tiny_llava_folder: Path, tiny_qwen_folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of a tiny checkpoint whose configuration, or a part of it, names a kernel."""

    def make(part: str, key: str, name: str = FLASH, family: str = "llava") -> Path:
        source = tiny_llava_folder if family == "llava" else tiny_qwen_folder
        folder = Path(shutil.copytree(source, tmp_path / "model"))
        raw = json.loads((folder / "config.json").read_text())
        (raw[part] if part else raw)[key] = name
        (folder / "config.json").write_text(json.dumps(raw))
        return folder

    return make


def kernels_of(vlm: VLM) -> list[str]:
    config = vlm.config
    return [c._attn_implementation for c in (config, config.text_config, config.vision_config)]


def logits(vlm: VLM) -> torch.Tensor:
    from headscope.models.types import Prompt

    encoded = vlm.encode([Prompt(Image.new("RGB", (40, 30), (9, 99, 200)), "Where is the dog?")])
    with torch.no_grad():
        found: torch.Tensor = vlm.model(**encoded.inputs).logits
    return found


PLACES = [(part, key) for part in ("", "text_config", "vision_config") for key in KEYS]


@pytest.mark.parametrize("family", ["llava", "qwen"])
@pytest.mark.parametrize(("part", "key"), PLACES)
def test_a_kernel_that_is_named_but_missing_gives_way_to_the_one_asked_for(
    family: str, part: str, key: str, naming: Callable[..., Path]
) -> None:
    folder = naming(part, key, family=family)
    assert kernels_of(load_model(folder, prove=False, attention="sdpa")) == ["sdpa"] * 3


@pytest.mark.parametrize("family", ["llava", "qwen"])
@pytest.mark.parametrize("key", KEYS)
def test_a_kernel_that_is_named_but_missing_is_refused_with_what_to_say(
    family: str, key: str, naming: Callable[..., Path]
) -> None:
    folder = naming("", key, family=family)
    with pytest.raises(ModelError) as caught:
        load_model(folder)
    assert str(caught.value) == (
        f"{folder}: its configuration names attention 'flash_attention_2', which needs the package "
        "flash-attn, which is not installed; say --attention sdpa (in Python: attention='sdpa')"
    )


@pytest.mark.parametrize("family", ["llava", "qwen"])
@pytest.mark.parametrize(("part", "key"), PLACES[2:])
def test_a_name_in_a_part_that_transformers_takes_no_notice_of_changes_nothing(
    family: str, part: str, key: str, naming: Callable[..., Path]
) -> None:
    assert kernels_of(load_model(naming(part, key, family=family), prove=False)) == ["sdpa"] * 3


def test_the_kernel_asked_for_is_the_one_that_runs(tiny_llava_folder: Path, tiny: VLM) -> None:
    eager = load_model(tiny_llava_folder, attention="eager")
    assert kernels_of(eager) == ["eager"] * 3
    torch.testing.assert_close(logits(eager), logits(tiny), rtol=1e-4, atol=1e-4)
    assert eager.revision == tiny.revision


def test_a_device_map_is_made_with_the_kernel_asked_for(naming: Callable[..., Path]) -> None:
    pytest.importorskip("accelerate")
    folder = naming("", "attn_implementation")
    vlm = load_model(folder, device_map={"": "cpu"}, attention="eager", prove=False)
    assert kernels_of(vlm) == ["eager"] * 3


def test_a_kernel_that_the_model_does_not_have_is_refused(
    tiny_llava_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LlavaForConditionalGeneration, "_supports_flex_attn", False)
    with pytest.raises(ModelError, match=r"cannot be loaded with attention 'flex_attention': .*not support"):
        load_model(tiny_llava_folder, attention="flex_attention")


def test_another_kernel_than_the_one_asked_for_is_refused(
    tiny_llava_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = LlavaForConditionalGeneration._check_and_adjust_attn_implementation

    def falls_back(self: Any, *_args: Any, **options: Any) -> str:
        return str(plain(self, "eager", **options))

    monkeypatch.setattr(LlavaForConditionalGeneration, "_check_and_adjust_attn_implementation", falls_back)
    monkeypatch.setattr("transformers.Qwen3Model._check_and_adjust_attn_implementation", falls_back)
    with pytest.raises(ModelError, match=r"asked for attention 'sdpa'; Llava.* runs with 'eager' instead"):
        load_model(tiny_llava_folder, attention="sdpa")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, r"computes in half precision alone \(--dtype bfloat16\)"),
        ({"dtype": "bfloat16"}, "runs on no CPU"),
    ],
)
def test_flash_attention_is_refused_where_it_cannot_run(
    options: dict[str, str], reason: str, tiny_llava_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "find_spec", lambda name: object())
    with pytest.raises(ModelError, match=f"asked for attention '{FLASH}', which {reason}; say sdpa or eager"):
        load_model(tiny_llava_folder, attention=FLASH, **options)  # type: ignore[arg-type]


def test_a_study_records_the_kernel() -> None:
    assert RecordedOptions.of({"attention": "sdpa"}) == {"attention": "sdpa"}
