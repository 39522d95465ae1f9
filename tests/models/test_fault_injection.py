"""Every step about where the heads are catches the adapter that is broken in its way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from headscope.errors import GeometryError
from headscope.models.geometry import Site
from headscope.models.proofs import edit_proof
from headscope.models.proofs.edit_proof import scaled
from headscope.models.proofs.full import prove, prove_geometry
from headscope.models.vlm import VLM
from models.broken import claim, swapped


class Reordered(nn.Module):
    """Columns in another order."""

    def __init__(self, order: Tensor) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        return x[..., self.order]


def test_the_sound_adapter_passes_every_step(tiny: VLM) -> None:
    proof = prove(tiny)
    assert proof.status == "PROVED"
    assert proof.reason == ""
    assert [s.name for s in proof.steps] == [
        "hooks", "blocks", "sum", "edit", "restored", "positions", "baked", "batch", "cached",
        "picture", "spans",
    ]  # fmt: skip
    assert proof.figure("baked") <= 1e-5
    assert proof.figure("batch") <= 1e-4
    assert proof.figure("cached") <= 1e-4
    assert proof.figure("spans") == 6


# blocks


@pytest.mark.parametrize(("n_heads", "width"), [(4, 8), (4, 13), (6, 8), (2, 24), (3, 16), (48, 1), (1, 48)])
def test_a_wrong_width_or_count_is_caught(tiny: VLM, n_heads: int, width: int) -> None:
    with pytest.raises(GeometryError, match=r"'blocks' failed at .*layers\.1\.self_attn"):
        prove_geometry(tiny, geometry=claim(tiny, n_heads=n_heads, head_dim=width))


@pytest.mark.parametrize(
    "order",
    [
        torch.arange(48).reshape(4, 12)[[0, 2, 1, 3]].flatten(),
        torch.arange(48).reshape(4, 12).T.flatten(),
        torch.arange(48).roll(1),
        torch.arange(48).flip(0),
    ],
    ids=["permuted", "interleaved", "shifted", "reversed"],
)
def test_heads_in_another_order_are_caught(tiny: VLM, order: Tensor) -> None:
    site = tiny.geometry.sites[1]
    with (
        swapped(site.attention, "o_proj", nn.Sequential(Reordered(order), site.projection)),
        pytest.raises(GeometryError, match="'blocks'"),
    ):
        prove_geometry(tiny, geometry=claim(tiny))


def test_the_output_taken_for_the_input_is_caught(tiny_qwen: VLM) -> None:
    site = tiny_qwen.geometry.sites[1]
    after = nn.Identity()
    with (
        swapped(site.attention, "o_proj", nn.Sequential(site.projection, after)),
        pytest.raises(GeometryError, match="'blocks'"),
    ):
        prove_geometry(tiny_qwen, geometry=claim(tiny_qwen, projection=after))


def test_a_site_that_names_another_layers_projection_is_caught(tiny: VLM) -> None:
    with pytest.raises(GeometryError, match="'blocks'"):
        prove_geometry(tiny, geometry=claim(tiny, projection=tiny.geometry.sites[2].projection))


def test_one_projection_that_two_layers_share_is_caught(tiny: VLM) -> None:
    first, second = tiny.geometry.sites[0], tiny.geometry.sites[1]
    with (
        swapped(second.attention, "o_proj", first.projection),
        pytest.raises(GeometryError, match=r"'blocks' .* called 2 times"),
    ):
        prove_geometry(tiny, geometry=claim(tiny, projection=first.projection))


def test_an_attention_that_no_hand_reaches_is_refused(tiny: VLM) -> None:
    class Summed(nn.Module):
        """Attends evenly, by a running mean: no product, no registry."""

        def __init__(self, projection: nn.Module) -> None:
            super().__init__()
            self.o_proj = projection

        def forward(self, hidden_states: Tensor, **_: object) -> tuple[Tensor, None]:
            mean = hidden_states.cumsum(1)
            return self.o_proj(mean.repeat(1, 1, 2)[..., :48]), None

    layer = tiny.model.get_decoder().layers[1]
    own = Summed(tiny.geometry.sites[1].projection)
    with swapped(layer, "self_attn", own), pytest.raises(GeometryError, match="cannot be proved; refused"):
        prove_geometry(tiny, geometry=claim(tiny, attention=own))


def test_an_attention_by_its_own_products_is_proved_and_the_step_says_by_which_hand(tiny: VLM) -> None:
    own = OwnProducts(tiny, 0)
    with swapped(tiny.model.get_decoder().layers[1], "self_attn", own):
        proof = prove_geometry(tiny, geometry=claim(tiny, attention=own, projection=own.o_proj))
    assert "last product before the projection" in proof.step("blocks").shown


def test_an_attention_by_its_own_products_that_mixes_its_heads_is_caught(tiny: VLM) -> None:
    own = OwnProducts(tiny, 1)
    with (
        swapped(tiny.model.get_decoder().layers[1], "self_attn", own),
        pytest.raises(GeometryError, match="'blocks'"),
    ):
        prove_geometry(tiny, geometry=claim(tiny, attention=own, projection=own.o_proj))


class OwnProducts(nn.Module):
    """Four heads of width 12 by plain matrix products; ``shift`` rolls the merged heads by some columns."""

    def __init__(self, vlm: VLM, shift: int) -> None:
        super().__init__()
        plain: Any = vlm.geometry.sites[1].attention
        self.q_proj, self.o_proj, self.shift = plain.q_proj, plain.o_proj, shift

    def forward(self, hidden_states: Tensor, **_: object) -> tuple[Tensor, None]:
        x = self.q_proj(hidden_states).unflatten(-1, (4, 12)).transpose(1, 2)
        weights = torch.matmul(x, x.transpose(-1, -2)).tril().softmax(dim=-1)
        merged = torch.matmul(weights, x).transpose(1, 2).flatten(2)
        return self.o_proj(merged.roll(self.shift, dims=-1)), None


# hooks, sum, edit, restored


def test_a_model_that_does_not_repeat_itself_is_caught(tiny: VLM) -> None:
    class Noisy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + torch.rand_like(x)

    site = tiny.geometry.sites[1]
    with (
        swapped(site.attention, "o_proj", nn.Sequential(site.projection, Noisy())),
        pytest.raises(GeometryError, match="'hooks'"),
    ):
        prove_geometry(tiny, geometry=claim(tiny))


def test_a_projection_that_is_not_linear_is_caught(tiny: VLM) -> None:
    site = tiny.geometry.sites[1]
    bent = nn.Sequential(site.projection, nn.Tanh())
    with swapped(site.attention, "o_proj", bent), pytest.raises(GeometryError, match="'sum'"):
        prove_geometry(tiny, geometry=claim(tiny, projection=bent))


def test_an_edit_that_reaches_nothing_is_caught(tiny: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def idle(_site: Site, _factors: Mapping[int, float]) -> Iterator[None]:
        yield

    monkeypatch.setattr(edit_proof, "scaled", idle)
    with pytest.raises(GeometryError, match="'edit'"):
        prove_geometry(tiny)


def test_a_hook_that_is_not_removed_is_caught(tiny: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[Any] = []

    @contextmanager
    def staying(site: Site, factors: Mapping[int, float]) -> Iterator[None]:
        inside = scaled(site, factors)
        inside.__enter__()
        left.append(inside)
        yield

    with monkeypatch.context() as patch:
        patch.setattr(edit_proof, "scaled", staying)
        try:
            with pytest.raises(GeometryError, match="'restored'"):
                prove_geometry(tiny)
        finally:
            for inside in left:
                inside.__exit__(None, None, None)
    prove_geometry(tiny)
