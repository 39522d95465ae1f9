"""The batch proof reads pictures that differ: what numbers pictures or positions over a batch shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from family_survey.plans import tiny_inputs, tiny_model
from headscope.errors import GeometryError, ModelError
from headscope.models.finding import find_geometry
from headscope.models.geometry import Head, Site, parse_head
from headscope.models.proofs.batch_proof import numbered, padded_batch, prove_batch
from headscope.models.proofs.full import prove
from headscope.models.proofs.picture_proof import is_picture, negative
from headscope.models.proofs.proof_steps import Proof, Step
from headscope.models.types import Frame, Prompt
from headscope.models.vlm import load_model
from models.families.folders import family_folder
from models.families.test_family_pipeline import PROMPTS
from tiny import tiny_llava


def sites_of(model: nn.Module) -> tuple[Site, ...]:
    return find_geometry(model).sites


def test_pictures_numbered_over_the_batch_are_refused_at_load(tmp_path: Path) -> None:
    vlm = load_model(family_folder("hunyuan_vl", tmp_path / "hunyuan"))
    assert vlm.proof.step("batch").status == "refused"
    assert "the batch changes an item's logits" in vlm.proof.step("batch").reason
    with pytest.raises(ModelError, match="'batch'"):
        vlm.encode(PROMPTS[:2])
    assert vlm.encode(PROMPTS[:1]).items == 1


@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "pix2struct", "florence2"])
def test_items_of_the_padded_batch_have_pictures_that_differ(family: str) -> None:
    model = tiny_model(family)
    alone, together = padded_batch(tiny_inputs(family, model))
    (name,) = [n for n in alone[0] if is_picture(n)]
    one, other = (item[name] for item in alone)
    assert torch.equal(torch.cat([one, other]), together[name])
    assert torch.equal(other, negative(name, one))
    assert not torch.equal(one, other)
    if name == "flattened_patches":
        assert torch.equal(one[..., :2], other[..., :2]), "rows and columns stay"
    if "input_ids" in alone[0]:
        length = alone[0]["input_ids"].shape[1]
        row, mask = together["input_ids"][0], together["attention_mask"][0]
        encoder = family == "florence2"
        assert torch.equal(row[:length] if encoder else row[-length:], alone[0]["input_ids"][0])
        assert mask.tolist() == ([1] * length + [0] * 3 if encoder else [0] * 3 + [1] * length)


def test_a_batch_that_mixes_its_pictures_up_is_refused() -> None:
    model = tiny_model("llava")
    alone, together = padded_batch(tiny_inputs("llava", model))
    assert prove_batch(model, alone, together, sites_of(model)).status == "held"
    swapped = {**together, "pixel_values": together["pixel_values"].flip(0)}
    assert prove_batch(model, alone, swapped, sites_of(model)).status == "refused"
    doubled = {**together, "pixel_values": together["pixel_values"][:1].expand(2, -1, -1, -1)}
    assert prove_batch(model, alone, doubled, sites_of(model)).status == "refused"


def test_positions_counted_from_the_padded_start_are_passed_where_the_model_takes_them() -> None:
    model = tiny_model("git")
    alone, together = padded_batch(tiny_inputs("git", model))
    step = prove_batch(model, alone, together, sites_of(model))
    assert (step.status, step.numbered) == ("held", True)
    assert "position_ids passed" in step.shown
    padding = int((together["attention_mask"][0] == 0).sum())
    length = together["input_ids"].shape[1]
    expected = [[0] * padding + list(range(length - padding)), list(range(length))]
    assert numbered(together)["position_ids"].tolist() == expected
    model = tiny_model("llava")
    assert not prove_batch(model, *padded_batch(tiny_inputs("llava", model)), sites_of(model)).numbered


def test_a_model_that_needs_positions_in_batches_gets_them_from_encode(tmp_path: Path) -> None:
    vlm = load_model(tiny_llava(tmp_path / "llava"))
    assert "position_ids" not in vlm.encode(PROMPTS[:2]).inputs
    needing = replace(vlm, proof=Proof((Step("batch", "", 0.0, numbered=True),)))
    encoded = needing.encode(PROMPTS[:2])
    attended = encoded.inputs["attention_mask"].bool()
    for row, mask in zip(encoded.inputs["position_ids"], attended, strict=True):
        assert row[mask].tolist() == list(range(int(mask.sum())))
    assert needing.answer(PROMPTS[0].image, "Where?") == vlm.answer(PROMPTS[0].image, "Where?")


def prove_vision(family: str) -> Proof:
    model = tiny_model(family)
    return prove(model, tiny_inputs(family, model), find_geometry(model, ("vision",)))


@pytest.mark.parametrize("family", ["qwen2_vl", "idefics3", "gemma3"])
def test_of_a_vision_tower_alone_what_is_about_the_decoder_does_not_apply(family: str) -> None:
    proof, reason = prove_vision(family), "none of the heads asked for is the decoder's"
    for name in ("positions", "cached"):
        step = proof.step(name)
        assert (step.status, step.reason) == ("not applicable", reason)


@pytest.mark.parametrize(
    ("family", "why"),
    [
        ("llava", "leaves every logit as it is"),  # features come from the layer before the last
        ("mllama", "ambiguous"),
        ("florence2", "cannot be told apart"),
    ],
)
def test_a_vision_tower_that_cannot_be_proved_is_refused(family: str, why: str) -> None:
    with pytest.raises(GeometryError, match=why):
        prove_vision(family)


def test_a_model_loaded_for_its_vision_tower_alone_still_answers(tmp_path: Path) -> None:
    folder = tiny_llava(tmp_path / "llava")
    vision, whole = load_model(folder, towers=("vision",)), load_model(folder)
    assert {s.tower for s in vision.geometry.sites} == {"vision"}
    assert vision.answer(PROMPTS[0].image, "Where?") == whole.answer(PROMPTS[0].image, "Where?")


def test_cross_attention_in_a_list_of_its_own_is_named_without_doubt() -> None:
    geometry = find_geometry(tiny_model("idefics"))
    labels = [str(h) for h in geometry.heads]
    assert len(set(labels)) == len(labels)
    for head in geometry.heads:
        assert parse_head(str(head)) == head
    assert geometry.site_of(Head(1, 0)).path == "model.layers.1.self_attn"
    assert geometry.site_of(Head(1, 0, site="cross")).path == "model.gated_cross_attn_layers.1.cross_attn"


def test_a_frame_takes_its_hooks_away_and_knows_a_forward_only_while_it_runs(tmp_path: Path) -> None:
    vlm = load_model(tiny_llava(tmp_path / "llava"), prove=False)
    encoded = vlm.encode([Prompt(PROMPTS[0].image, "Where?")])
    frame, hooks = Frame(encoded, encoded.length), (vlm.model._forward_pre_hooks, vlm.model._forward_hooks)
    before = [len(h) for h in hooks]
    with frame.following(vlm.model):
        with torch.no_grad():
            vlm.model(**encoded.inputs)
        mask = frame.scope_mask("answer", 1, 1)  # outside a forward one position is an answer's token
    assert mask.tolist() == [[True]]
    assert not frame.scope_mask("last", 1, 1).any()
    assert [len(h) for h in hooks] == before
