"""Every step about edits, batches, caches and spans catches the adapter that is broken in its way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from transformers.cache_utils import DynamicLayer

from headscope.errors import ModelError
from headscope.models.geometry import Site
from headscope.models.proofs import baked, cached, edit_proof
from headscope.models.proofs.baked import compare_baked
from headscope.models.proofs.batch_proof import padded_batch, prove_batch
from headscope.models.proofs.full import prove, prove_geometry
from headscope.models.proofs.proof_steps import Proof, Step, logits_of
from headscope.models.proofs.span_proof import prove_spans
from headscope.models.types import Encoded, ImageGrid, Prompt
from headscope.models.vlm import VLM
from models.broken import adapter, claim, encoded, tiny_inputs

# positions


def test_a_decoder_that_reads_other_positions_is_refused_and_cannot_be_captured(tiny: VLM) -> None:
    inputs = dict(tiny_inputs(tiny))
    embeds = tiny.model.get_input_embeddings()(torch.tensor([[5, 6, 7]]))

    class InFront(nn.Module):
        """Puts three positions in front of the prompt, as GIT does with its picture."""

        config = tiny.config

        def forward(self, **given: Any) -> Any:
            ids = given["input_ids"]
            text = tiny.model.get_input_embeddings()(ids)
            return tiny.model(inputs_embeds=torch.cat([embeds, text], dim=1), use_cache=False)

    proof = prove_geometry(InFront(), {"input_ids": inputs["input_ids"]}, claim(tiny))
    assert proof.step("positions").status == "refused"
    assert proof.status == "PARTLY"
    held = replace(tiny, proof=proof)
    with pytest.raises(ModelError, match="'positions'"), held.reading(encoded(tiny)):
        pass


# baked


def z_at(vlm: VLM, number: int) -> tuple[Site, Tensor]:
    """A site and what a forward brings there."""
    site, seen = vlm.geometry.sites[number], []
    handle = site.projection.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    with torch.no_grad():
        vlm.model(**tiny_inputs(vlm))
    handle.remove()
    return site, seen[0]


@torch.no_grad()
def test_columns_of_another_head_are_caught_by_baking(tiny: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compare_baked(*z_at(tiny, 1)).figure < 1e-6
    before = edit_proof.scaled
    monkeypatch.setattr(
        edit_proof, "scaled", lambda site, factors: before(site, {h - 1: f for h, f in factors.items()})
    )
    assert compare_baked(*z_at(tiny, 1)).figure > 0.7


@torch.no_grad()
def test_rows_baked_for_columns_are_caught(tiny_qwen: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def rows(site: Site, head: int) -> Iterator[None]:
        weight: Any = site.projection.weight
        plain, new = weight.data, weight.data.clone()
        new[site.block(head)] *= 1.7
        weight.data = new
        try:
            yield
        finally:
            weight.data = plain

    monkeypatch.setattr(baked, "scaled_columns", rows)
    assert compare_baked(*z_at(tiny_qwen, 1)).figure > 0.7
    step = prove_geometry(tiny_qwen).step("baked")
    assert step.status == "refused"
    assert "in the hook and in the weight give different outputs" in step.reason


def test_weights_after_the_proof_are_the_bits_from_before(tiny: VLM) -> None:
    def hooks() -> list[int]:
        return [len(m._forward_pre_hooks) + len(m._forward_hooks) for m in tiny.model.modules()]

    before, hooked = {n: p.clone() for n, p in tiny.model.named_parameters()}, hooks()
    prove(tiny)
    assert all(torch.equal(p, before[n]) for n, p in tiny.model.named_parameters())
    assert hooks() == hooked


def test_a_weight_that_two_projections_share_is_not_baked(tiny: VLM) -> None:
    first, last = tiny.geometry.sites[0].projection, tiny.geometry.sites[-1].projection
    plain = last.weight
    last.weight = first.weight  # type: ignore[assignment]
    try:
        step = baked.baked_step(tiny.model, tiny.geometry, [])
    finally:
        last.weight = plain
    assert step.status == "not applicable"
    assert "shared" in step.reason


def test_a_quantised_weight_is_not_baked(tiny: VLM) -> None:
    site = replace(tiny.geometry.sites[0], projection=nn.Linear(48, 32))
    site.projection.weight = nn.Parameter(torch.zeros(32, 48, dtype=torch.int8), requires_grad=False)
    assert "quantised" in baked.why_not(tiny.model, [site])


# batch


def test_right_padding_is_caught(tiny: VLM) -> None:
    def right(prompts: Any) -> Any:
        batch = tiny.encode(prompts)
        for row in range(len(prompts)):
            empty = int((batch.inputs["attention_mask"][row] == 0).sum())
            for name in ("input_ids", "attention_mask"):
                batch.inputs[name][row] = batch.inputs[name][row].roll(-empty)
        return batch

    step = prove(adapter(tiny, encode=right)).step("batch")
    assert step.status == "refused"
    assert "left" in step.reason


@pytest.mark.parametrize("family", ["tiny", "tiny_qwen"])
def test_padding_that_is_attended_to_is_caught(family: str, request: pytest.FixtureRequest) -> None:
    vlm: VLM = request.getfixturevalue(family)
    alone, together = padded_batch(tiny_inputs(vlm))
    assert prove_batch(vlm.model, alone, together, vlm.geometry.sites).status == "held"
    together["attention_mask"] = torch.ones_like(together["attention_mask"])
    step = prove_batch(vlm.model, alone, together, vlm.geometry.sites)
    assert step.status == "refused"
    assert step.figure > 1e-3


@pytest.mark.parametrize("item", [0, 1])
def test_another_items_picture_is_caught(tiny: VLM, item: int) -> None:
    alone, together = padded_batch(tiny_inputs(tiny))
    together["pixel_values"] = together["pixel_values"].clone()
    together["pixel_values"][item] += 1.0
    assert prove_batch(tiny.model, alone, together, tiny.geometry.sites).status == "refused"


def test_a_refused_batch_is_not_encoded_but_one_item_is(tiny: VLM) -> None:
    held = replace(tiny, proof=Proof((Step("batch", "", float("nan"), "refused", "padding changes it"),)))
    image = Image.new("RGB", (32, 32))
    with pytest.raises(ModelError, match="padding changes it"):
        held.encode([Prompt(image, "Where?"), Prompt(image, "Where is the dog in this picture?")])
    assert held.encode([Prompt(image, "Where?")]).items == 1


# cached


def test_an_edit_that_stops_after_the_prompt_is_caught(tiny: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def prompt_only(site: Site, factors: Mapping[int, float]) -> Iterator[None]:
        def hook(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            z = args[0].clone()
            if z.shape[1] > 1:
                for head, factor in factors.items():
                    z[..., site.block(head)] *= factor
            return (z, *args[1:])

        handle = site.projection.register_forward_pre_hook(hook)
        yield
        handle.remove()

    monkeypatch.setattr(edit_proof, "scaled", prompt_only)
    step = cached.prove_cached(tiny.model, tiny_inputs(tiny), tiny.geometry.sites)
    assert step.status == "refused"
    assert "in a call over 1 positions, heads [0]" in step.reason


def test_a_stale_cache_is_caught(tiny: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    update: Callable[..., tuple[Tensor, Tensor]] = DynamicLayer.update

    def stale(self: DynamicLayer, keys: Tensor, values: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Gives out the values that it held when the prompt was read, the newest repeated."""
        new = update(self, keys, values, *args, **kwargs)
        if keys.shape[-2] > 1:
            return new
        old = new[1].clone()
        old[:, :, -1] = old[:, :, -2]
        return new[0], old

    monkeypatch.setattr(DynamicLayer, "update", stale)
    step = cached.prove_cached(tiny.model, tiny_inputs(tiny), tiny.geometry.sites)
    assert step.status == "refused"
    assert step.figure > 1e-3


def test_generation_that_reads_several_positions_a_token_is_refused(
    tiny: VLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = cached._generated
    monkeypatch.setattr(
        cached, "_generated", lambda model, inputs, tokens, _cache=True: plain(model, inputs, tokens, False)
    )
    step = cached.prove_cached(tiny.model, tiny_inputs(tiny), tiny.geometry.sites)
    assert step.status == "refused"
    assert "positions read" in step.reason


# spans


def shifted(change: Callable[[Encoded], Encoded], vlm: VLM) -> Any:
    return adapter(vlm, encode=lambda prompts: change(vlm.encode(prompts)))


def other_boxes(change: Callable[[Tensor, tuple[int, int]], Tensor]) -> Callable[[Encoded], Encoded]:
    """Encoded with the boxes of its grids changed, given the grid's shape."""

    def changed(batch: Encoded) -> Encoded:
        grids = [ImageGrid(change(g.boxes, g.shape), g.shape) for g in batch.grids]  # type: ignore[arg-type]
        return replace(batch, grids=grids)

    return changed


@pytest.mark.parametrize("family", ["tiny", "tiny_qwen"])
@pytest.mark.parametrize(
    "change",
    [
        other_boxes(lambda boxes, shape: boxes.roll(1, 0)),
        other_boxes(lambda boxes, shape: boxes.roll(-1, 0)),
        other_boxes(lambda boxes, shape: boxes.reshape(*shape, 4).roll(1, 0).reshape(-1, 4)),
        other_boxes(lambda boxes, shape: boxes.flip(0)),
        other_boxes(lambda boxes, shape: boxes * 0.5),
        lambda batch: replace(batch, image=batch.image.roll(1, 1)),
        lambda batch: replace(batch, image=batch.image.roll(-1, 1)),
    ],
    ids=["one on", "one back", "one row on", "backwards", "half size", "span one on", "span one back"],
)
def test_a_wrong_map_of_image_tokens_is_caught(
    family: str, change: Callable[[Encoded], Encoded], request: pytest.FixtureRequest
) -> None:
    vlm: VLM = request.getfixturevalue(family)
    step = prove_spans(shifted(change, vlm))
    assert step.status == "refused"
    assert "image token" in step.reason


def test_a_model_without_a_map_says_so(tiny: VLM) -> None:
    none = [ImageGrid(None, None, "a resampler mixes all places")]
    step = prove_spans(shifted(lambda batch: replace(batch, grids=none), tiny))
    assert (step.status, step.reason) == ("not applicable", "a resampler mixes all places")


def test_the_silenced_vision_tower_speaks_again_after_the_proof(tiny: VLM) -> None:
    inputs = tiny_inputs(tiny)
    before = logits_of(tiny.model, inputs)
    assert prove_spans(tiny).status == "held"
    assert torch.equal(before, logits_of(tiny.model, inputs))
