"""Heads are found from module structure, counted per layer, and never divided out of the hidden size."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from headscope.errors import GeometryError
from headscope.models.geometry import Head, find_geometry, parse_head
from headscope.models.vlm import VLM


class ToyAttention(nn.Module):
    def __init__(self, width: int, layer: int, **numbers: int) -> None:
        super().__init__()
        self.layer_idx = layer
        self.config = SimpleNamespace(**{k[4:]: v for k, v in numbers.items() if k.startswith("cfg_")})
        for name, value in numbers.items():
            if not name.startswith("cfg_"):
                setattr(self, name, value)
        self.o_proj = nn.Linear(width, 16)


def toy(*attentions: nn.Module) -> nn.Module:
    model = nn.Module()
    model.layers = nn.ModuleList()
    for attention in attentions:
        layer = nn.Module()
        layer.self_attn = attention
        model.layers.append(layer)
    return model


def test_head_width_is_read_from_the_projection_where_it_is_not_hidden_size_over_heads(tiny: VLM) -> None:
    text = tiny.config.text_config
    assert text.hidden_size // text.num_attention_heads != text.head_dim
    assert [(s.layer, s.n_heads, s.head_dim) for s in tiny.geometry.sites] == [
        (0, 4, 12),
        (1, 4, 12),
        (2, 4, 12),
    ]
    assert all("language_model" in s.path for s in tiny.geometry.sites)


def test_a_model_of_another_family_goes_the_same_way(tiny_qwen: VLM) -> None:
    assert [(s.layer, s.n_heads, s.head_dim) for s in tiny_qwen.geometry.sites] == [(0, 4, 8), (1, 4, 8)]


def test_the_vision_tower_can_be_asked_for(tiny: VLM, tiny_qwen: VLM) -> None:
    for vlm, shape in ((tiny, (2, 12)), (tiny_qwen, (2, 16))):
        geometry = find_geometry(vlm.model, towers=("decoder", "vision"))
        vision = [s for s in geometry.sites if s.tower == "vision"]
        assert [(s.layer, s.n_heads, s.head_dim) for s in vision] == [(0, *shape), (1, *shape)]
        assert str(geometry.heads[-1]) == "vision.L1H1"


def test_flat_order_is_by_site_then_head_and_every_lookup_agrees(tiny: VLM) -> None:
    geometry = tiny.geometry
    assert geometry.heads[:5] == (Head(0, 0), Head(0, 1), Head(0, 2), Head(0, 3), Head(1, 0))
    for i, head in enumerate(geometry.heads):
        site = geometry.site_of(head)
        assert geometry.index(head) == i
        assert site.layer == head.layer
        assert geometry.heads[geometry.slice_of(site)][head.head] == head
        assert parse_head(str(head)) == head
    assert sum(map(len, geometry.per_layer().values())) == len(geometry.heads) == 12
    assert geometry.max_width == 12


def test_layers_may_differ_in_head_count_and_width() -> None:
    geometry = find_geometry(
        toy(ToyAttention(24, 0, num_heads=2, head_dim=12), ToyAttention(32, 1, num_heads=8, head_dim=4))
    )
    assert [(s.n_heads, s.head_dim) for s in geometry.sites] == [(2, 12), (8, 4)]
    assert geometry.max_width == 12
    assert geometry.index(Head(1, 3)) == 5


def test_layers_without_attention_keep_their_number() -> None:
    geometry = find_geometry(
        toy(nn.Identity(), ToyAttention(8, 1, num_heads=2), nn.Identity(), ToyAttention(8, 3, num_heads=2))
    )
    assert [s.layer for s in geometry.sites] == [1, 3]


def test_the_width_of_values_counts_where_q_and_k_have_another() -> None:
    geometry = find_geometry(toy(ToyAttention(24, 0, num_heads=4, head_dim=16, v_head_dim=6)))
    assert (geometry.sites[0].n_heads, geometry.sites[0].head_dim) == (4, 6)


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ({"num_heads": 4, "head_dim": 8}, "none fit"),
        ({"num_heads": 5}, "none fit"),
        ({}, "not stated"),
        ({"num_heads": 4, "n_heads": 6, "head_dim": 6, "v_head_dim": 4}, "all fit"),
    ],
)
def test_a_layer_whose_numbers_do_not_settle_its_heads_is_refused_with_the_reason(
    numbers: dict[str, int], reason: str
) -> None:
    with pytest.raises(GeometryError, match=reason) as caught:
        find_geometry(toy(ToyAttention(24, 0, **numbers)))
    assert "layers.0.self_attn.o_proj" in str(caught.value)


def test_two_possible_projections_or_two_attentions_in_one_layer_are_refused() -> None:
    both = ToyAttention(8, 0, num_heads=2)
    both.dense = nn.Linear(8, 8)
    with pytest.raises(GeometryError, match="ambiguous"):
        find_geometry(toy(both))
    with pytest.raises(GeometryError, match="ambiguous"):
        find_geometry(toy(ToyAttention(8, 0, num_heads=2), ToyAttention(8, 0, num_heads=2)))


def test_a_model_without_attention_and_an_unknown_tower_are_refused(tiny: VLM) -> None:
    with pytest.raises(GeometryError, match="no attention"):
        find_geometry(toy(nn.Linear(4, 4)))
    with pytest.raises(GeometryError, match="vision tower"):
        find_geometry(toy(ToyAttention(8, 0, num_heads=2)), towers=("vision",))
    with pytest.raises(GeometryError, match="audio"):
        find_geometry(tiny.model, towers=("audio",))


def test_a_head_that_is_not_there_is_refused_with_what_is_there(tiny: VLM) -> None:
    with pytest.raises(GeometryError, match="12 heads in layers 0 to 2"):
        tiny.geometry.index(Head(9, 9))
    with pytest.raises(GeometryError, match="L3H5"):
        parse_head("layer 3")


def test_a_block_holds_exactly_the_columns_of_its_head(tiny: VLM) -> None:
    site = tiny.geometry.sites[1]
    columns = torch.arange(site.width).reshape(site.n_heads, site.head_dim)
    assert all(torch.arange(site.width)[site.block(h)].equal(columns[h]) for h in range(site.n_heads))
