"""The proof holds on right geometries and says what it showed; what it catches is in test_fault_injection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from headscope.errors import GeometryError, ModelError
from headscope.models.finding import find_geometry
from headscope.models.geometry import Geometry, Site
from headscope.models.proofs.full import prove_geometry
from headscope.models.proofs.proof_steps import Proof, Step
from headscope.models.proofs.rounding import logit_difference
from headscope.models.vlm import VLM, load_model


def altered(vlm: VLM, **changes: object) -> Geometry:
    """The model's geometry with another claim about its middle layer."""
    sites: list[Site] = list(vlm.geometry.sites)
    sites[1] = replace(sites[1], **changes)  # type: ignore[arg-type]
    return Geometry(tuple(sites))


def test_the_proof_holds_on_both_families_and_says_what_it_showed(tiny: VLM, tiny_qwen: VLM) -> None:
    for vlm, heads in ((tiny, 12), (tiny_qwen, 8)):
        proof = prove_geometry(vlm)
        assert [s.name for s in proof.steps] == [
            "hooks", "blocks", "sum", "edit", "restored", "positions", "baked"
        ]  # fmt: skip
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


def test_a_projection_that_the_forward_never_calls_is_caught(tiny: VLM) -> None:
    with pytest.raises(GeometryError, match="not called"):
        prove_geometry(tiny, geometry=altered(tiny, projection=nn.Linear(48, 32)))


def test_a_head_that_cannot_reach_the_logits_is_caught(tiny: VLM) -> None:
    last = tiny.geometry.sites[-1].projection
    weight = last.weight
    last.weight = nn.Parameter(torch.zeros_like(weight))
    try:
        with pytest.raises(GeometryError, match="step 'edit'"):
            prove_geometry(tiny)
    finally:
        last.weight = weight


def test_the_attention_registry_is_put_back_after_success_and_after_failure(tiny: VLM) -> None:
    before = dict(ALL_ATTENTION_FUNCTIONS._local_mapping), ALL_ATTENTION_FUNCTIONS["sdpa"]
    prove_geometry(tiny)
    with pytest.raises(GeometryError):
        prove_geometry(tiny, geometry=altered(tiny, n_heads=6, head_dim=8))
    assert (dict(ALL_ATTENTION_FUNCTIONS._local_mapping), ALL_ATTENTION_FUNCTIONS["sdpa"]) == before


def test_a_failed_proof_refuses_the_model_at_load(
    tiny_llava_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(model: nn.Module, towers: Sequence[str], inputs: object) -> Geometry:
        sites = find_geometry(model, towers).sites
        return Geometry(tuple(replace(s, n_heads=6, head_dim=8) for s in sites))

    monkeypatch.setattr("headscope.models.vlm.find_geometry", wrong)
    with pytest.raises(GeometryError, match="step 'blocks'"):
        load_model(tiny_llava_folder)


def test_a_proof_tells_its_status_reasons_and_figures() -> None:
    held = Step("hooks", "nothing changes", 0.0)
    refused = Step("batch", "", float("nan"), "refused", "padding changes it")
    assert Proof((held,)).status == "PROVED"
    proof = Proof((held, refused))
    assert (proof.status, proof.reason) == ("PARTLY", "batch refused: padding changes it")
    assert proof.to_json()["hooks"] == {
        "status": "held", "shown": "nothing changes", "figure": 0.0, "limit": None, "reason": ""
    }  # fmt: skip
    assert proof.to_json()["batch"]["figure"] is None
    assert "batch: refused: padding changes it" in str(proof)
    proof.require("hooks", "anything")
    proof.require("spans", "a step that was not tried")
    with pytest.raises(ModelError, match=r"asked for two at once; .*'batch'.*padding changes it"):
        proof.require("batch", "two at once")


def test_the_gap_between_logits_counts_no_banned_ones_and_notices_a_ban() -> None:
    banned = torch.finfo(torch.float32).min
    one, other = torch.tensor([[3.0, banned, -3.0]]), torch.tensor([[3.3, banned, -3.3]])
    assert logit_difference(one, other) == pytest.approx(0.1)
    assert logit_difference(one, torch.tensor([[3.0, 0.0, -3.0]])) == float("inf")
    spoiled = torch.tensor([[3.0, banned, float("nan")]])
    assert logit_difference(one, spoiled) != logit_difference(one, one) == 0.0
    nothing = torch.full((1, 2), banned)
    assert not logit_difference(nothing, nothing) <= 1.0


def test_a_norm_over_all_heads_is_held_fixed_and_named() -> None:
    torch.manual_seed(0)
    proof = prove_geometry(Normed(), {"input_ids": torch.tensor([[1, 2, 3, 4, 5, 6]])})
    assert "norm over all heads held fixed" in proof.step("blocks").shown
    assert proof.figure("blocks") == 3
    assert proof.step("before norm").status == "refused"
    assert proof.status == "PARTLY"


class NormedAttention(nn.Module):
    """Three heads of width 4 and a layer norm over all of them, as in Kosmos-2."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads, self.head_dim = 3, 4
        self.ln, self.out_proj = nn.LayerNorm(12), nn.Linear(12, 12)

    def forward(self, x: Tensor) -> Tensor:
        heads = x.unflatten(-1, (3, 4)).transpose(1, 2)
        weights = (heads @ heads.transpose(-1, -2)).tril().softmax(-1)
        merged = torch.matmul(weights, heads).transpose(1, 2).flatten(2)
        return x + self.out_proj(self.ln(merged))


class Normed(nn.Module):
    """A decoder of one such layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(9, 12), nn.Linear(12, 9)
        self.layers = nn.ModuleList([NormedAttention()])

    def forward(self, input_ids: Tensor) -> SimpleNamespace:
        x = self.embed(input_ids)
        for layer in self.layers:
            x = layer(x)
        return SimpleNamespace(logits=self.head(x))
