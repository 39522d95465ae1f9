"""A model in memory is proved as a folder is, known by its weights, and refused once they have changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from transformers import AutoModelForImageTextToText, Qwen3Config, Qwen3ForCausalLM

import headscope as hs
from headscope.errors import EditError, ModelError, StudyError
from headscope.making.scenes.generate import draw_scenes
from headscope.models.geometry import Head
from headscope.models.processors import load_processor
from headscope.models.proofs.full import prove
from headscope.models.types import Prompt
from headscope.models.vlm import VLM
from models.lora import Linear, adapt, merge

HEADS = (Head(0, 1), Head(2, 3))
PROMPTS = [
    Prompt(Image.new("RGB", (32, 24), (200, 30, 30)), "Is the dog facing the horse?"),
    Prompt(Image.new("RGB", (24, 32), (30, 30, 200)), "Where?"),
]


@pytest.fixture(scope="module")
def processor(tiny_llava_folder: Path) -> Any:
    config = AutoModelForImageTextToText.from_pretrained(tiny_llava_folder).config
    return load_processor(tiny_llava_folder, config)


@pytest.fixture
def model(tiny_llava_folder: Path) -> Any:
    """A model of the test's own, as transformers loads it."""
    return AutoModelForImageTextToText.from_pretrained(tiny_llava_folder)


@pytest.fixture
def wrapped(model: Any, processor: Any) -> VLM:
    return hs.wrap(model, processor, prove=False)


def logits(vlm: VLM, model: Any = None) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = (model or vlm.model)(**vlm.encode(PROMPTS).inputs).logits[:, -1].float()
    return found


# Proof and use


def test_a_model_in_memory_is_proved_and_answers_as_its_folder_does(
    model: Any, processor: Any, tiny: VLM
) -> None:
    vlm = hs.wrap(model, processor, "mine")
    assert (vlm.name, vlm.folder) == ("mine", None)
    assert vlm.proof.status == "PROVED"
    assert vlm.geometry.heads == tiny.geometry.heads
    assert torch.equal(logits(vlm), logits(tiny))
    for one in (vlm, tiny):
        answer = one.answer(PROMPTS[0].image, "Where?", choices=("left", "right"))
        assert set(answer.logprobs) == {"left", "right"}
    with hs.edit(vlm, HEADS, hs.mute()), hs.edit(tiny, HEADS, hs.mute()):
        assert torch.equal(logits(vlm), logits(tiny))


def test_the_model_and_its_processor_are_left_as_they_were(model: Any, processor: Any) -> None:
    before = {k: v.clone() for k, v in model.state_dict().items()}
    processor.tokenizer.padding_side = "right"
    try:
        vlm = hs.wrap(model, processor)
        assert processor.tokenizer.padding_side == "right"
        assert vlm.tokenizer.padding_side == "left"
    finally:
        processor.tokenizer.padding_side = "left"
    assert vlm.model is model
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(p.requires_grad for p in model.parameters()), "it can be trained on"
    assert not any(m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_other_number_formats_and_checkpointed_gradients(
    dtype: torch.dtype, model: Any, processor: Any
) -> None:
    model.gradient_checkpointing_enable()
    vlm = hs.wrap(model.to(dtype), processor)
    assert vlm.dtype == dtype
    assert vlm.proof.figure("blocks") == 12


def test_the_files_of_a_processor_serve_as_well(model: Any, tiny_llava_folder: Path, tiny: VLM) -> None:
    assert torch.equal(logits(hs.wrap(model, tiny_llava_folder, prove=False)), logits(tiny))


def test_a_proof_that_fails_refuses_a_model_in_memory_too(model: Any, processor: Any) -> None:
    class Squashing(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tanh(super().forward(x))

    layer = model.get_decoder().layers[1].self_attn
    layer.o_proj.__class__ = Squashing
    with pytest.raises(hs.HeadscopeError, match=r"step 'sum' failed at .*layers\.1.*not linear"):
        hs.wrap(model, processor)


# Identity


def test_the_identity_is_a_hash_over_the_weights(wrapped: VLM) -> None:
    digest = hashlib.sha256(b"headscope/weights/1\n")
    for name, value in sorted(wrapped.model.state_dict().items()):
        content = f"{value.dtype}{tuple(value.shape)}".encode() + value.numpy().tobytes()
        digest.update(f"{name}\n".encode() + hashlib.sha256(content).digest())
    config = wrapped.config.to_diff_dict()
    for part in (config, config["text_config"], config["vision_config"]):
        for name in ("transformers_version", "_name_or_path", "dtype"):
            part.pop(name, None)
    digest.update(json.dumps([config, {}], sort_keys=True, default=repr).encode())
    assert wrapped.revision == f"{digest.hexdigest()[:16]}-wrapped"


def test_the_identity_does_not_depend_on_how_the_tensors_lie(
    wrapped: VLM, tiny_llava_folder: Path, processor: Any
) -> None:
    other = AutoModelForImageTextToText.from_pretrained(tiny_llava_folder, attn_implementation="eager")
    for p in other.parameters():
        if p.ndim == 2:
            p.data = p.data.T.contiguous().T  # the same values in another order of memory
    assert hs.wrap(other, processor, "other name", prove=False).revision == wrapped.revision


def exchange_heads(model: Any) -> None:
    weight = model.get_decoder().layers[0].self_attn.o_proj.weight.data
    weight[:, :24] = weight[:, [*range(12, 24), *range(12)]]


def set_a_base(model: Any) -> None:
    model.config.text_config.rope_parameters["rope_theta"] = 20000.0


CHANGES: dict[str, Callable[[Any], object]] = {
    "written in place": lambda m: m.lm_head.weight.data.__setitem__((0, 0), 7.0),
    "the last bit": lambda m: m.lm_head.weight.data.view(torch.int32)[5, 5].bitwise_xor_(1),
    "two heads exchanged": exchange_heads,
    "exchanged": lambda m: setattr(m.lm_head, "weight", nn.Parameter(m.lm_head.weight * 2)),
    "another format": lambda m: m.to(torch.bfloat16),
    "an adapter": adapt,
    "a setting": set_a_base,
}


@pytest.mark.parametrize("what", CHANGES)
def test_any_change_of_a_wrapped_model_is_seen(what: str, wrapped: VLM, processor: Any) -> None:
    assert wrapped.confirmed_revision() == wrapped.revision
    CHANGES[what](wrapped.model)
    with pytest.raises(
        ModelError, match=r"since it was wrapped as revision .*hs\.wrap\(vlm\.model"
    ) as caught:
        wrapped.confirmed_revision()
    assert "\n" not in str(caught.value)
    assert hs.wrap(wrapped.model, processor, prove=False).revision != wrapped.revision


def test_a_change_that_is_taken_back_is_none(wrapped: VLM) -> None:
    weight = wrapped.model.lm_head.weight
    with torch.no_grad():
        weight.neg_()
        weight.neg_()
    wrapped.model.to(torch.float64).to(torch.float32)
    assert wrapped.confirmed_revision() == wrapped.revision


def test_the_scale_of_an_adapter_belongs_to_the_identity(model: Any, processor: Any) -> None:
    vlm = hs.wrap(adapt(model), processor, prove=False)
    next(m for m in model.modules() if isinstance(m, Linear)).scaling["default"] = 3.0
    with pytest.raises(ModelError, match="a setting of its configuration or of an adapter changed"):
        vlm.confirmed_revision()
    assert hs.wrap(model, processor, prove=False).revision != vlm.revision


def step_of_an_optimiser(model: Any) -> None:
    weight = model.lm_head.weight.requires_grad_()
    weight.sum().backward()
    torch.optim.AdamW([weight]).step()


COUNTED: dict[str, Callable[[Any], object]] = {
    "an optimiser": step_of_an_optimiser,
    "load_state_dict": lambda m: m.load_state_dict({k: v + 1 for k, v in m.state_dict().items()}),
    "in place": lambda m: m.lm_head.weight.mul_(2),
    "exchanged": CHANGES["exchanged"],
    "other data": lambda m: setattr(m.lm_head.weight, "data", m.lm_head.weight.data * 2),
    "an adapter": adapt,
}


@pytest.mark.parametrize("what", COUNTED)
def test_a_loaded_model_that_is_changed_is_not_taken_for_its_folder(
    what: str, tiny_llava_folder: Path
) -> None:
    vlm = hs.load_model(tiny_llava_folder, prove=False)
    COUNTED[what](vlm.model)
    with pytest.raises(ModelError, match=r"since it was loaded as revision .*hs\.wrap\(vlm\.model"):
        vlm.confirmed_revision()


def test_a_loaded_model_may_be_used_moved_and_edited(tiny_llava_folder: Path) -> None:
    vlm = hs.load_model(tiny_llava_folder)
    with hs.edit(vlm, HEADS, hs.mute()):
        vlm.answer(PROMPTS[0].image, "Where?", choices=("left", "right"))
    vlm.model.to(torch.bfloat16)
    vlm.model.requires_grad_(True)
    assert vlm.confirmed_revision() == vlm.revision


# Refusals


def test_training_mode_is_refused_and_left_as_it_is(model: Any, processor: Any) -> None:
    model.model.vision_tower.train()
    with pytest.raises(
        ModelError, match=r"in training mode \(model\.vision_tower\); say model\.eval\(\) first"
    ):
        hs.wrap(model, processor)
    assert model.model.vision_tower.training
    vlm = hs.wrap(model.eval(), processor, prove=False)
    model.train()
    with pytest.raises(ModelError, match="in training mode"):
        vlm.confirmed_revision()


def compile_a_part(model: Any) -> Any:
    model.model.language_model = torch.compile(model.model.language_model)
    return model


def compile_in_place(model: Any) -> Any:
    model.get_decoder().layers[1].compile()
    return model


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "compiled": (torch.compile, r"compiled .*model\._orig_mod"),
    "a part compiled": (compile_a_part, r"model\.language_model is compiled"),
    "compiled in place": (compile_in_place, r"layers\.1 was compiled in place"),
    "spread over devices": (nn.DataParallel, r"give the model inside, model\.module"),
    "no model": (lambda m: "my-model", "expected a model .* found str"),
    "no transformers model": (
        lambda m: nn.Linear(3, 3),
        "Linear is no transformers model that generates text",
    ),
    "a part of a model": (lambda m: m.model.vision_tower, "no transformers model that generates text"),
    "without weights": (lambda m: m.to("meta"), "offloaded or on the meta device"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_wrapped_is_refused_with_what_to_do(what: str, model: Any, processor: Any) -> None:
    make, reason = REFUSED[what]
    with pytest.raises(ModelError, match=reason) as caught:
        hs.wrap(make(model), processor)
    assert "\n" not in str(caught.value)


def test_a_text_model_is_refused(processor: Any) -> None:
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "head_dim": 16}
    text = Qwen3ForCausalLM(
        Qwen3Config(vocab_size=420, num_attention_heads=2, num_key_value_heads=1, **sizes)
    ).eval()
    with pytest.raises(ModelError, match="the configuration of qwen3 names no image token"):
        hs.wrap(text, processor)


def test_a_tokenizer_is_no_processor(model: Any, processor: Any) -> None:
    with pytest.raises(ModelError, match="is not a processor of text and images"):
        hs.wrap(model, processor.tokenizer)


def test_a_vlm_is_not_wrapped_twice(wrapped: VLM, processor: Any) -> None:
    with pytest.raises(ModelError, match="a headscope VLM already"):
        hs.wrap(wrapped, processor)  # type: ignore[arg-type]


def test_load_model_says_what_a_model_in_memory_needs(model: Any) -> None:
    with pytest.raises(
        ModelError, match=r"found LlavaForCond.*in memory already: hs\.wrap\(model, processor\)"
    ):
        hs.load_model(model)


# Adapters


def test_an_unmerged_adapter_is_proved_with_its_heads_at_the_input_of_the_wrapped_projection(
    model: Any, processor: Any
) -> None:
    vlm = hs.wrap(adapt(model), processor)
    site = vlm.geometry.sites[1]
    assert isinstance(site.projection, Linear)
    assert (site.n_heads, site.head_dim) == (4, 12)
    assert vlm.proof.figure("blocks") == 12
    full = prove(vlm)
    assert full.step("baked").status == "not applicable"


def test_an_edit_reaches_both_the_projection_and_its_adapter(model: Any, processor: Any) -> None:
    """Muting a head of the adapted model equals zeroing its columns in the base and in the adapter's A."""
    vlm = hs.wrap(adapt(model), processor, prove=False)
    with hs.edit(vlm, HEADS, hs.mute()):
        edited = logits(vlm)
    bare = logits(vlm)
    with torch.no_grad():
        for head in HEADS:
            columns = slice(12 * head.head, 12 * head.head + 12)
            layer: Any = model.get_decoder().layers[head.layer].self_attn.o_proj
            layer.base_layer.weight[:, columns] = 0
            layer.lora_A["default"].weight[:, columns] = 0
    torch.testing.assert_close(logits(vlm), edited, rtol=1e-5, atol=1e-5)
    assert (edited - bare).abs().max() > 0.01


@pytest.mark.parametrize("names", [("q_proj", "o_proj"), ("q_proj",), ("o_proj",)])
def test_an_unmerged_adapter_is_not_baked(
    names: tuple[str, ...], model: Any, processor: Any, tmp_path: Path
) -> None:
    vlm = hs.wrap(adapt(model, names), processor, prove=False)
    with pytest.raises(EditError, match=r"merge the adapter \(model = model\.merge_and_unload\(\)\)"):
        hs.bake(vlm, HEADS, 1.5, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_merged_adapter_is_an_ordinary_model(model: Any, processor: Any, tmp_path: Path) -> None:
    apart = logits(hs.wrap(adapt(model), processor, prove=False))
    vlm = hs.wrap(merge(model), processor)
    torch.testing.assert_close(logits(vlm), apart, rtol=1e-4, atol=1e-4)
    with hs.edit(vlm, HEADS, hs.scale(1.7)):
        edited = logits(vlm)
    baked = hs.load_model(hs.bake(vlm, HEADS, 1.7, tmp_path / "baked"))
    torch.testing.assert_close(logits(baked), edited, rtol=1e-5, atol=1e-5)
    note = json.loads((tmp_path / "baked" / "headscope-bake.json").read_text())
    assert (note["source"], note["revision"]) == (vlm.name, vlm.revision)


# Studies


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    draw_scenes(folder, 12, seed=3, card=False)
    return folder


def test_a_study_of_a_wrapped_model_records_and_asks_for_it(
    wrapped: VLM, cases: Path, tmp_path: Path
) -> None:
    study = hs.Study.create(tmp_path / "study", model=wrapped, data=cases, size="quick", batch_size=16)
    study.capture()
    found = json.loads((tmp_path / "study" / "study.json").read_text())
    assert found["model"]["revision"] == wrapped.revision
    assert found["load"] is None
    with pytest.raises(StudyError, match=r"begun on a model in memory, Llava.*hs\.wrap\(model, processor"):
        _ = hs.Study(tmp_path / "study").vlm
    again = hs.Study.create(tmp_path / "study", model=wrapped, data=cases, size="quick", batch_size=16)
    assert again.done("capture")


def test_a_stage_after_a_change_of_the_weights_is_refused(
    wrapped: VLM, processor: Any, cases: Path, tmp_path: Path
) -> None:
    study = hs.Study.create(tmp_path / "study", model=wrapped, data=cases, size="quick")
    wrapped.model.lm_head.weight.data *= 2
    with pytest.raises(ModelError, match=r"lm_head\.weight changed since it was wrapped"):
        study.capture()
    assert not (tmp_path / "study" / "capture").exists()
    with pytest.raises(ModelError, match=r"lm_head\.weight changed"):
        hs.Study.create(tmp_path / "other", model=wrapped, data=cases)
    changed = hs.wrap(wrapped.model, processor, prove=False)
    with pytest.raises(StudyError, match="holds a study with model"):
        hs.Study.create(tmp_path / "study", model=changed, data=cases, size="quick")


def test_experiments_and_bakes_begin_with_the_same_check(wrapped: VLM, cases: Path, tmp_path: Path) -> None:
    from headscope.capturing.run import capture
    from headscope.data.cases import load_cases
    from headscope.data.splits import assign_splits
    from headscope.experiments.context import ExperimentContext, identity
    from headscope.experiments.scan import scan_heads

    data = load_cases(cases)
    splits = assign_splits(data, 0)
    wrapped.model.lm_head.weight.data[0] += np.float32(0.5)
    begun: list[Callable[[], object]] = [
        lambda: capture(wrapped, data, splits, tmp_path / "capture"),
        lambda: scan_heads(ExperimentContext(wrapped, data, splits, tmp_path / "scan")),
        lambda: identity(wrapped, data),
        lambda: hs.bake(wrapped, HEADS, 2.0, tmp_path / "baked"),
    ]
    for begin in begun:
        with pytest.raises(ModelError, match=r"lm_head\.weight changed since it was wrapped"):
            begin()


def test_a_study_of_a_loaded_model_records_how_it_was_loaded(
    tiny_llava_folder: Path, cases: Path, tmp_path: Path
) -> None:
    vlm = hs.load_model(tiny_llava_folder, dtype="bfloat16", attention="eager", prove=False)
    hs.Study.create(tmp_path / "study", model=vlm, data=cases)
    again = hs.Study(tmp_path / "study").vlm
    assert (again.dtype, again.config._attn_implementation) == (torch.bfloat16, "eager")
    hs.Study.create(tmp_path / "study", model=vlm, data=cases, dtype="bfloat16")  # what it is
    with pytest.raises(StudyError, match="asked for dtype 'float16' with a model that is loaded already"):
        hs.Study.create(tmp_path / "other", model=vlm, data=cases, dtype="float16")
