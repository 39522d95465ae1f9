"""Adapters of PEFT: kept apart or merged, on a model in memory; folders of them merged into checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

import headscope as hs
from headscope.errors import EditError, ModelError
from headscope.models.adapters import merge_adapter
from headscope.models.geometry import Head
from headscope.models.proofs.full import prove
from headscope.models.types import Prompt
from headscope.models.vlm import VLM

peft = pytest.importorskip("peft", reason="needs the package peft")

HEADS = (Head(0, 1), Head(2, 3))
PROMPTS = [
    Prompt(Image.new("RGB", (32, 24), (200, 30, 30)), "Is the dog facing the horse?"),
    Prompt(Image.new("RGB", (24, 32), (30, 30, 200)), "Where?"),
]
LORA = {"r": 3, "lora_alpha": 6, "target_modules": r".*language_model.*\.(q_proj|o_proj)"}
KINDS = {
    "lora": lambda: peft.LoraConfig(**LORA, init_lora_weights=False),
    "dora": lambda: peft.LoraConfig(**LORA, init_lora_weights=False, use_dora=True),
    "with bias and dropout": lambda: peft.LoraConfig(**LORA, init_lora_weights=False, lora_dropout=0.3),
    "loha": lambda: peft.LoHaConfig(r=2, target_modules=LORA["target_modules"], init_weights=False),
    "ia3": lambda: peft.IA3Config(
        target_modules=LORA["target_modules"], feedforward_modules=[], init_ia3_weights=False
    ),
}


def adapted(folder: Path, kind: str = "lora") -> Any:
    torch.manual_seed(3)
    return peft.get_peft_model(AutoModelForImageTextToText.from_pretrained(folder), KINDS[kind]()).eval()


def logits(vlm: VLM, model: Any = None) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = (model or vlm.model)(**vlm.encode(PROMPTS).inputs).logits[:, -1].float()
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_that_is_kept_is_proved_and_not_baked(
    kind: str, tiny_llava_folder: Path, tiny: VLM, tmp_path: Path
) -> None:
    model = adapted(tiny_llava_folder, kind)
    vlm = hs.wrap(model, tiny_llava_folder, "tuned")
    assert vlm.proof.figure("blocks") == 12
    assert torch.equal(logits(vlm), logits(vlm, model))
    assert (logits(vlm) - logits(tiny)).abs().max() > 1e-3, "the adapter does something"
    assert prove(vlm).step("baked").status == "not applicable"
    with pytest.raises(EditError, match="merge the adapter"):
        hs.bake(vlm, HEADS, 1.5, tmp_path / "out")


def test_merged_it_equals_what_it_was_apart(tiny_llava_folder: Path, tmp_path: Path) -> None:
    model = adapted(tiny_llava_folder)
    vlm = hs.wrap(model, tiny_llava_folder)
    with hs.edit(vlm, HEADS, hs.scale(1.7)):
        apart = logits(vlm)
    merged = hs.wrap(model.merge_and_unload(), tiny_llava_folder)
    assert type(merged.geometry.sites[0].projection) is torch.nn.Linear
    baked = hs.load_model(hs.bake(merged, HEADS, 1.7, tmp_path / "baked"))
    torch.testing.assert_close(logits(baked), apart, rtol=1e-4, atol=1e-4)


def test_an_adapter_that_is_switched_merged_or_rescaled_is_another_model(tiny_llava_folder: Path) -> None:
    changes = {
        "merged": lambda m: m.merge_adapter(),
        "switched off": lambda m: m.base_model.disable_adapter_layers(),
        "rescaled": lambda m: [x.set_scale("default", 0.5) for x in m.modules() if hasattr(x, "set_scale")],
        "another": lambda m: (m.add_adapter("other", KINDS["lora"]()), m.set_adapter("other")),
    }
    for change in changes.values():
        model = adapted(tiny_llava_folder)
        vlm = hs.wrap(model, tiny_llava_folder, prove=False)
        assert vlm.confirmed_revision() == vlm.revision
        change(model)
        model.eval()
        with pytest.raises(ModelError, match="since it was wrapped"):
            vlm.confirmed_revision()


def test_a_new_adapter_in_training_mode_is_refused(tiny_llava_folder: Path) -> None:
    with pytest.raises(ModelError, match="in training mode"):
        hs.wrap(adapted(tiny_llava_folder).train(), tiny_llava_folder)


def test_an_adapter_of_the_prompt_is_refused(tiny_llava_folder: Path) -> None:
    model = AutoModelForImageTextToText.from_pretrained(tiny_llava_folder)
    kind = peft.PromptTuningConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=3, token_dim=32, num_layers=3, num_attention_heads=4
    )
    with pytest.raises(ModelError, match="PROMPT_TUNING writes tokens before the prompt"):
        hs.wrap(peft.get_peft_model(model, kind).eval(), tiny_llava_folder)


@pytest.fixture
def adapter(tiny_llava_folder: Path, tmp_path: Path) -> Path:
    """A folder of an adapter as PEFT saves it."""
    adapted(tiny_llava_folder).save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_an_adapters_folder_is_merged_into_an_ordinary_checkpoint(
    adapter: Path, tiny_llava_folder: Path, tiny: VLM, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"is an adapter \(LORA\) of .*tiny-llava.*headscope models merge"):
        hs.load_model(adapter)
    (adapter / "chat_template.jinja").write_text(tiny.processor.chat_template + "{# the adapter's own #}")
    vlm = hs.load_model(merge_adapter(adapter, tmp_path / "merged"))
    apart = adapted(tiny_llava_folder)
    torch.testing.assert_close(logits(vlm), logits(tiny, apart), rtol=1e-4, atol=1e-4)
    assert (logits(vlm) - logits(tiny)).abs().max() > 1e-3
    assert vlm.processor.chat_template.endswith("{# the adapter's own #}")
    note = json.loads((tmp_path / "merged" / "headscope-merge.json").read_text())
    assert (note["base"], note["revision"]) == ("tiny-llava", tiny.revision)
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]


def rename_a_weight(adapter: Path) -> None:
    weights = load_file(adapter / "adapter_model.safetensors")
    key = sorted(weights)[0]
    weights[key.replace("layers.0", "layers.7")] = weights.pop(key)
    save_file(weights, adapter / "adapter_model.safetensors")


def name_no_base(adapter: Path) -> None:
    settings = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(settings | {"base_model_name_or_path": None}))


def pickle_weights(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (rename_a_weight, r"2 weights of the adapter find no place in it, first base_model.*--base MODEL"),
        (name_no_base, "names no base model; say which: --base MODEL"),
        (pickle_weights, "is no adapter; expected adapter_config.json and adapter_model.safetensors"),
    ],
)
def test_an_adapter_that_does_not_fit_is_not_merged(
    spoil: Callable[[Path], None], reason: str, adapter: Path, tmp_path: Path
) -> None:
    spoil(adapter)
    with pytest.raises(ModelError, match=reason) as caught:
        merge_adapter(adapter, tmp_path / "merged")
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["adapter"]


def test_the_base_can_be_named(adapter: Path, tiny_llava_folder: Path, tmp_path: Path) -> None:
    name_no_base(adapter)
    assert merge_adapter(adapter, tmp_path / "merged", tiny_llava_folder, "bfloat16").is_dir()
    assert hs.load_model(tmp_path / "merged", dtype="auto", prove=False).dtype == torch.bfloat16
    with pytest.raises(ModelError, match="already exists and is not empty"):
        merge_adapter(adapter, tmp_path / "merged", tiny_llava_folder)
