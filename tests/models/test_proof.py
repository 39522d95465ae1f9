"""The proof holds on right geometries and catches every way in which one can be wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from headscope.errors import GeometryError
from headscope.models.geometry import Geometry, Site, find_geometry
from headscope.models.proof import prove_geometry
from headscope.models.vlm import VLM, load_model


class Blocks(nn.Module):
    """Reorders or alters what comes in; a stand-in for a model that lays its heads out in another way."""

    def __init__(self, index: Tensor | None = None, noise: bool = False, squash: bool = False) -> None:
        super().__init__()
        self.index, self.noise, self.squash = index, noise, squash

    def forward(self, x: Tensor) -> Tensor:
        if self.index is not None:
            x = x[..., self.index]
        if self.noise:
            x = x + torch.rand_like(x)
        return torch.tanh(x) if self.squash else x


@contextmanager
def broken(vlm: VLM, before: nn.Module | None, after: nn.Module | None, claim: int) -> Iterator[Geometry]:
    """The middle layer's projection with modules around it; site.projection is part number ``claim``."""
    site = vlm.geometry.sites[1]
    plain = site.projection
    parts = [m for m in (before, plain, after) if m is not None]
    site.attention.o_proj = nn.Sequential(*parts)
    try:
        yield altered(vlm, projection=parts[claim])
    finally:
        site.attention.o_proj = plain


def altered(vlm: VLM, **changes: object) -> Geometry:
    """The model's geometry with another claim about its middle layer."""
    sites: list[Site] = list(vlm.geometry.sites)
    sites[1] = replace(sites[1], **changes)  # type: ignore[arg-type]
    return Geometry(tuple(sites))


def test_the_proof_holds_on_both_families_and_says_what_it_showed(tiny: VLM, tiny_qwen: VLM) -> None:
    for vlm, heads in ((tiny, 12), (tiny_qwen, 8)):
        proof = prove_geometry(vlm)
        assert [s.name for s in proof.steps] == ["hooks", "blocks", "sum", "edit", "restored"]
        assert proof.figure("blocks") == heads
        assert proof.figure("sum") < 1e-5
        assert proof.figure("edit") > 0
        assert "blocks" in str(proof)


@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
def test_the_proof_holds_with_any_attention_kernel(tiny_llava_folder: Path, kernel: str) -> None:
    vlm = load_model(tiny_llava_folder, prove=False)
    vlm.model.set_attn_implementation(kernel)
    assert prove_geometry(vlm).figure("blocks") == 12
    assert vlm.config.text_config._attn_implementation == kernel


def test_the_proof_takes_a_bare_model_with_inputs(tiny: VLM) -> None:
    from PIL import Image

    from headscope.models.types import Prompt

    inputs = tiny.encode([Prompt(Image.new("RGB", (9, 7)), "Where?")]).inputs
    assert prove_geometry(tiny.model, inputs).figure("blocks") == 12


def test_the_vision_tower_can_be_proved_too(tiny: VLM) -> None:
    geometry = find_geometry(tiny.model, towers=("vision",))
    assert prove_geometry(tiny, geometry=geometry).figure("blocks") == 4


@pytest.mark.parametrize(("heads", "width"), [(6, 8), (2, 24), (8, 6), (4, 8), (3, 12), (5, 12)])
def test_a_wrong_head_count_or_width_is_caught(tiny: VLM, heads: int, width: int) -> None:
    with pytest.raises(GeometryError, match=r"step 'blocks' failed at .*layers\.1\.self_attn"):
        prove_geometry(tiny, geometry=altered(tiny, n_heads=heads, head_dim=width))


def test_heads_in_another_order_are_caught(tiny: VLM) -> None:
    order = torch.arange(48).reshape(4, 12)[[1, 0, 2, 3]].flatten()
    with (
        broken(tiny, Blocks(order), None, 1) as geometry,
        pytest.raises(GeometryError, match=r"changed \[1\]"),
    ):
        prove_geometry(tiny, geometry=geometry)


def test_heads_that_are_interleaved_are_caught(tiny: VLM) -> None:
    order = torch.arange(48).reshape(4, 12).T.flatten()
    with broken(tiny, Blocks(order), None, 1) as geometry, pytest.raises(GeometryError, match="'blocks'"):
        prove_geometry(tiny, geometry=geometry)


def test_heads_that_are_shifted_by_one_column_are_caught(tiny: VLM) -> None:
    order = torch.arange(48).roll(1)
    with broken(tiny, Blocks(order), None, 1) as geometry, pytest.raises(GeometryError, match="'blocks'"):
        prove_geometry(tiny, geometry=geometry)


def test_slicing_the_projections_output_is_caught_even_where_it_is_as_wide_as_its_input(
    tiny_qwen: VLM,
) -> None:
    site = tiny_qwen.geometry.sites[1]
    assert site.projection.out_features == site.width
    with (
        broken(tiny_qwen, None, nn.Identity(), 1) as geometry,
        pytest.raises(GeometryError, match="'blocks'"),
    ):
        prove_geometry(tiny_qwen, geometry=geometry)


def test_a_projection_that_the_forward_never_calls_is_caught(tiny: VLM) -> None:
    with pytest.raises(GeometryError, match="not called"):
        prove_geometry(tiny, geometry=altered(tiny, projection=nn.Linear(48, 32)))


def test_a_projection_that_is_not_linear_is_caught(tiny: VLM) -> None:
    site = tiny.geometry.sites[1]
    squashed = nn.Sequential(site.projection, Blocks(squash=True))
    plain, site.attention.o_proj = site.projection, squashed
    try:
        with pytest.raises(GeometryError, match="step 'sum'"):
            prove_geometry(tiny, geometry=altered(tiny, projection=squashed))
    finally:
        site.attention.o_proj = plain


def test_a_model_that_does_not_repeat_itself_is_caught(tiny: VLM) -> None:
    with (
        broken(tiny, None, Blocks(noise=True), 0) as geometry,
        pytest.raises(GeometryError, match="step 'hooks'"),
    ):
        prove_geometry(tiny, geometry=geometry)


def test_a_head_that_cannot_reach_the_logits_is_caught(tiny: VLM) -> None:
    last = tiny.geometry.sites[-1].projection
    weight = last.weight.clone()
    with torch.no_grad():
        last.weight.zero_()
    try:
        with pytest.raises(GeometryError, match="step 'edit'"):
            prove_geometry(tiny)
    finally:
        with torch.no_grad():
            last.weight.copy_(weight)


def test_an_attention_past_the_registry_is_refused(tiny: VLM) -> None:
    class Own(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, *args: object, **kwargs: object) -> object:
            return self.inner(*args, **kwargs)

    layer = tiny.model.get_decoder().layers[1]
    plain = layer.self_attn
    layer.self_attn = Own(plain)
    try:
        with pytest.raises(GeometryError, match="attention function"):
            prove_geometry(tiny, geometry=altered(tiny, attention=layer.self_attn))
    finally:
        layer.self_attn = plain


def test_the_attention_registry_is_put_back_after_success_and_after_failure(tiny: VLM) -> None:
    before = dict(ALL_ATTENTION_FUNCTIONS._local_mapping), ALL_ATTENTION_FUNCTIONS["sdpa"]
    prove_geometry(tiny)
    with pytest.raises(GeometryError):
        prove_geometry(tiny, geometry=altered(tiny, n_heads=6, head_dim=8))
    assert (dict(ALL_ATTENTION_FUNCTIONS._local_mapping), ALL_ATTENTION_FUNCTIONS["sdpa"]) == before


def test_a_failed_proof_refuses_the_model_at_load(
    tiny_llava_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(model: nn.Module) -> Geometry:
        sites = find_geometry(model).sites
        return Geometry(tuple(replace(s, n_heads=6, head_dim=8) for s in sites))

    monkeypatch.setattr("headscope.models.vlm.find_geometry", wrong)
    with pytest.raises(GeometryError, match="step 'blocks'"):
        load_model(tiny_llava_folder)


def test_the_proof_is_quick(tiny: VLM) -> None:
    prove_geometry(tiny)
    start = time.process_time()
    prove_geometry(tiny)
    assert time.process_time() - start < 1.0
