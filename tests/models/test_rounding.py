"""What two computations may differ by: measures against NumPy, and noise that no fault can make larger."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from headscope.models.finding import find_geometry
from headscope.models.geometry import Site
from headscope.models.proofs import places
from headscope.models.proofs.batch_proof import padded_batch, prove_batch
from headscope.models.proofs.places import LOGITS, Place, following, places_of, record
from headscope.models.proofs.proof_steps import LAST, logits_of
from headscope.models.proofs.rounding import (
    CEILING,
    TIMES,
    TOLERANCES,
    RoundedDifference,
    difference,
    in_halves,
    limit_of,
    other_order,
    stream_difference,
)
from headscope.models.vlm import VLM
from models.broken import swapped, tiny_inputs
from models.deep import deep_model


def test_a_limit_is_the_formats_own_then_the_models_and_never_above_the_ceiling() -> None:
    for kind, least in TOLERANCES.items():
        assert limit_of(kind, 0.0) == limit_of(kind, math.nan) == least
        assert limit_of(kind, 0.02) == pytest.approx(max(least, TIMES * 0.02))
        assert limit_of(kind, 10.0) == limit_of(kind, 1.0) == CEILING


def test_a_figure_that_is_no_number_is_not_held() -> None:
    assert RoundedDifference(0.1, 0.2, "").held
    assert not RoundedDifference(0.3, 0.2, "").held
    assert not RoundedDifference(math.nan, 0.2, "").held
    assert not RoundedDifference(math.inf, 0.2, "").held


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_the_difference_of_heads_is_that_of_numpy(kind: torch.dtype) -> None:
    torch.manual_seed(0)
    one, other = torch.randn(2, 50, 24, dtype=kind)
    a, b = (x.double().numpy().reshape(50, 3, 8) for x in (one, other))
    sizes = np.sqrt((a**2).sum(axis=2).mean(axis=0))
    expected = (np.linalg.norm(a - b, axis=2) / sizes).max()
    assert difference(one, other, heads=3) == pytest.approx(expected, rel=1e-5)
    assert difference(one, one, heads=3) == 0.0


def test_a_silent_head_counts_with_a_tenth_of_the_average_one() -> None:
    one = torch.ones(5, 8)
    one[:, 4:] = 1e-9
    other = one.clone()
    other[2, 4:] += 1e-3
    average = math.sqrt((4 + 4e-18) / 2)
    assert difference(one, other, heads=2) == pytest.approx(2e-3 / (0.1 * average), rel=1e-4)


def test_loud_channels_of_a_stream_neither_hide_the_others_nor_count_alone() -> None:
    torch.manual_seed(0)
    one = torch.randn(40, 100)
    one[:, 0] *= 1e4
    wrong, last_bit = one.clone(), one.clone()
    wrong[7, 1:] = torch.randn(99)
    last_bit[7, 0] += 30.0  # a last bit of bfloat16 at this size
    assert stream_difference(one, wrong) > 1.0
    assert stream_difference(one, last_bit) < 1e-3
    sizes = one.double().pow(2).mean(dim=0).sqrt()
    expected = float(((one - wrong).double() / sizes).pow(2).mean(dim=1).sqrt().max())
    assert stream_difference(one, wrong) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("bias", [True, False])
def test_a_sum_in_halves_is_the_same_map(bias: bool) -> None:
    torch.manual_seed(0)
    layer, rows = nn.Linear(31, 9, bias), torch.randn(5, 31)
    exact = rows.double() @ layer.weight.double().T + (layer.bias.double() if bias else 0.0)
    halves = in_halves(layer, rows)
    assert not torch.equal(halves, layer(rows)), "another order rounds otherwise"
    assert (halves.double() - exact).abs().max() < 1e-5


@torch.no_grad()
def test_another_order_moves_the_logits_by_rounding_alone_and_is_taken_away(tiny: VLM) -> None:
    inputs = tiny_inputs(tiny)
    plain = logits_of(tiny.model, inputs)
    with other_order(tiny.model):
        other = logits_of(tiny.model, inputs)
    assert 0 < (plain - other).abs().max() < 1e-4
    assert torch.equal(plain, logits_of(tiny.model, inputs))
    assert plain.shape[1] == LAST


@torch.no_grad()
def test_no_fault_of_a_batch_makes_the_measured_rounding_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    """The measure is taken on one item alone: what attends to padding, or mixes items up, is not in it."""
    measured: list[dict[str, float]] = []
    plain = places.worst

    def worst(found: Any, noise: Any, kind: torch.dtype) -> RoundedDifference:
        measured.append(dict(noise))
        return plain(found, noise, kind)

    monkeypatch.setattr(places, "worst", worst)
    model, inputs = deep_model("llava", 4, torch.bfloat16)
    alone, together = padded_batch(inputs)
    sites = find_geometry(model).sites
    assert prove_batch(model, alone, together, sites).status == "held"
    sound = measured[-1]
    spoiled = {**together, "attention_mask": torch.ones_like(together["attention_mask"])}
    assert prove_batch(model, alone, spoiled, sites).status == "refused"
    assert measured[-1] == sound


# places


class Layer(nn.Module):
    """A projection of the stream, added to it."""

    def __init__(self) -> None:
        super().__init__()
        self.o = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.o(x)


class Layered(nn.Module):
    """Three such layers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Layer() for _ in range(3)])

    def forward(self, x: Tensor) -> Any:
        for layer in self.layers:
            x = layer(x)
        return SimpleNamespace(logits=x)


def layered() -> tuple[Layered, list[Place]]:
    """The model and its places: each layer's input, and each projection's."""
    torch.manual_seed(0)
    model = Layered()
    sites = [
        Site("decoder", i, "self", 2, 2, layer.o, layer, f"layers.{i}.o")
        for i, layer in enumerate(model.layers)
    ]
    return model, places_of(model, sites, 6)


@torch.no_grad()
def test_a_difference_shows_where_it_arises_and_not_behind_it() -> None:
    model, found = layered()
    assert [p.name for p in found] == [f"layers.{i}{part}" for i in range(3) for part in ("", ".o")]
    x = torch.randn(1, 6, 4)
    trace = record(found, lambda: model(x).logits)
    with swapped(model.layers[0], "o", nn.Linear(4, 4)):
        found = [replace(p, module=model.layers[0].o) if p.name == "layers.0.o" else p for p in found]
        figures = places.compare(found, {0: trace}, lambda: model(x).logits)[0]
    assert figures.pop("layers.1") > 0.3, "what the first layer hands on"
    assert set(figures.values()) == {0.0}


@torch.no_grad()
def test_a_padded_row_and_a_run_in_pieces_are_held_against_the_same_positions() -> None:
    model, found = layered()
    x = torch.randn(1, 6, 4)
    trace = record(found, lambda: model(x).logits)
    padded = torch.cat([torch.randn(2, 3, 4), x.expand(2, -1, -1)], dim=1)
    assert places.compare(found, {1: trace}, lambda: model(padded).logits)[1][LOGITS] < 1e-5
    with following(found, {0: trace}) as figures:
        for piece in x.split([4, 1, 1], dim=1):
            model(piece)
    assert max(figures.values()) < 1e-5
    with following(found, {0: trace}) as figures:
        for piece in x.split([4, 1, 1], dim=1):
            model(piece.flip(1) if piece.shape[1] > 1 else piece)
    assert figures[0, "layers.0"] > 0.3
    with following(found, {0: trace}) as figures:
        model(torch.cat([x, x[:, :1]], dim=1)[:, :4])
        model(x[:, :3])  # one more than there are
    assert figures[0, "layers.0"] == math.inf


def test_where_all_layers_are_too_much_some_are_passed_over_but_no_kind(
    tiny: VLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = places_of(tiny.model, tiny.geometry.sites, 30)
    assert [p.heads for p in whole] == [0, 4] * 3
    assert whole[0].module is tiny.model.get_decoder().layers[0]
    monkeypatch.setattr(places, "ROOM", 2 * 48 * 30 * 4)
    few = places_of(tiny.model, tiny.geometry.sites, 30)
    assert [p.name for p in few] == [p.name for p in whole[:2]]
