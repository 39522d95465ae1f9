"""Heads are found from module structure, counted per layer, and never divided out of the hidden size."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from headscope.errors import GeometryError
from headscope.models.finding import find_geometry
from headscope.models.geometry import Head, heads_of, parse_head
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
    model = toy(ToyAttention(8, 0, num_heads=2))
    model.layers[0].other_attn = ToyAttention(8, 0, num_heads=2)
    with pytest.raises(GeometryError, match=r"layers\.0\.self_attn and layers\.0\.other_attn .* ambiguous"):
        find_geometry(model)


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


class Inner(nn.Module):
    def __init__(self, **numbers: int) -> None:
        super().__init__()
        for name, value in numbers.items():
            setattr(self, name, value)


class BertLikeAttention(nn.Module):
    """The heads in ``self``, the projection in a block of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.self = Inner(num_attention_heads=3, attention_head_size=4)
        self.output = nn.Module()
        self.output.dense = nn.Linear(12, 8)


def test_a_projection_in_a_block_beside_the_heads_is_found() -> None:
    model = toy(BertLikeAttention())
    site = find_geometry(model).sites[0]
    assert (site.n_heads, site.head_dim) == (3, 4)
    assert site.projection is model.layers[0].self_attn.output.dense


def test_self_and_cross_attention_of_one_layer_are_two_sites() -> None:
    model = toy(ToyAttention(8, 0, num_heads=2))
    model.layers[0].encoder_attn = ToyAttention(12, 0, num_heads=3)
    geometry = find_geometry(model)
    assert [(s.layer, s.site, s.n_heads) for s in geometry.sites] == [(0, "self", 2), (0, "cross", 3)]
    assert str(geometry.heads[2]) == "L0H0.cross"
    assert geometry.n_layers == 1
    assert parse_head("L0H2.cross") == geometry.heads[-1]


def test_layers_with_other_mixers_are_listed_and_left_out() -> None:
    class ToyGatedDeltaNet(ToyAttention):
        """Linear attention with the same names as an attention layer has."""

    class ToyShortConv(nn.Module):
        pass

    geometry = find_geometry(
        toy(
            ToyGatedDeltaNet(8, 0, num_heads=2),
            ToyAttention(8, 1, num_heads=2),
            ToyShortConv(),
            nn.Linear(2, 2),
        )
    )
    assert [s.layer for s in geometry.sites] == [1]
    assert [(left.layer, left.kind) for left in geometry.left_out] == [
        (0, "linear attention"), (2, "convolution"), (3, "no attention")
    ]  # fmt: skip
    assert "3 layers hold none" in geometry.summary()


def test_an_attention_without_a_known_projection_is_listed_not_passed_over() -> None:
    class UnknownAttention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.final = nn.Linear(8, 8)

    geometry = find_geometry(toy(ToyAttention(8, 0, num_heads=2), UnknownAttention()))
    assert [(left.layer, left.kind) for left in geometry.left_out] == [(1, "unknown attention")]


def test_the_decoder_is_the_shallowest_list_of_layers_and_of_an_encoder_decoder_its_decoder() -> None:
    model = toy(ToyAttention(8, 0, num_heads=2))
    model.resampler = nn.Module()
    model.resampler.inner = toy(ToyAttention(6, 0, num_heads=3))
    assert [s.path for s in find_geometry(model).sites] == ["layers.0.self_attn"]
    pair = nn.Module()
    pair.encoder, pair.decoder = toy(ToyAttention(6, 0, num_heads=3)), model
    assert [s.path for s in find_geometry(pair).sites] == ["decoder.layers.0.self_attn"]


def test_a_model_inside_the_decoder_with_a_configuration_of_its_own_kind_is_passed_by() -> None:
    class VisionConfig:
        pass

    model = nn.Module()
    model.config = SimpleNamespace(model_type="toy")
    model.blocks = toy(ToyAttention(8, 0, num_heads=2))
    model.images = toy(ToyAttention(6, 0, num_heads=3))
    model.images.config, model.images.main_input_name = VisionConfig(), "pixel_values"
    assert [s.path for s in find_geometry(model).sites] == ["blocks.layers.0.self_attn"]
    model.images.config = model.config  # now nothing tells the two apart
    with pytest.raises(GeometryError, match="ambiguous"):
        find_geometry(model)


def test_a_projection_stored_by_rows_is_read_by_its_rows() -> None:
    from transformers.pytorch_utils import Conv1D

    attention = ToyAttention(8, 0, num_heads=2)
    attention.o_proj = Conv1D(5, 14)
    site = find_geometry(toy(attention)).sites[0]
    assert (site.n_heads, site.head_dim) == (2, 7)


def test_a_family_in_the_table_of_exceptions_is_refused_with_its_reason() -> None:
    model = toy(ToyAttention(8, 0, num_heads=2))
    model.config = SimpleNamespace(model_type="pi0")
    with pytest.raises(GeometryError, match="robot policy"):
        find_geometry(model)


def test_a_vision_tower_beside_another_is_ambiguous() -> None:
    model = toy(ToyAttention(8, 0, num_heads=2))
    model.vision_tower, model.image_tower = (toy(ToyAttention(6, 0, num_heads=3)) for _ in range(2))
    with pytest.raises(GeometryError, match="vision_tower and image_tower; ambiguous"):
        find_geometry(model, ("vision",))


def test_heads_are_named_by_label_by_pair_or_as_heads(tiny: VLM) -> None:
    wanted = (Head(0, 2), Head(1, 3))
    for given in (
        "L0H2,L1H3",
        ["L0H2", (1, 3)],
        wanted,
        [(np.int64(0), 2), "L1H3"],
        np.array([[0, 2], [1, 3]]),
    ):
        assert heads_of(given) == wanted
    for one in ("L0H2", (0, 2), Head(0, 2), [Head(0, 2)]):
        assert heads_of(one) == wanted[:1]
        assert tiny.geometry.index(heads_of(one)[0]) == 2
    assert tiny.geometry.index("L0H2") == tiny.geometry.index((0, 2)) == 2
    assert heads_of("vision.L0H1") == (Head(0, 1, "vision"),)
    assert heads_of([]) == ()


@pytest.mark.parametrize("given", ["", "L0", "L0H2;L1H3", [3], [(1,)], [(1.5, 2)], [(True, 2)], 7, [None]])
def test_what_names_no_head_is_refused_with_an_example(given: object) -> None:
    with pytest.raises(GeometryError, match=r"L3H5"):
        heads_of(given)  # type: ignore[arg-type]
