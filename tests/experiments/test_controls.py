from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from headscope.errors import EditError
from headscope.experiments.controls import FEWEST, draw, matched_draw
from headscope.models.geometry import Geometry, Head, Site


def made(sizes):
    sites = [
        Site("decoder", i, "self", n, 4, nn.Linear(n * 4, 8), nn.Identity()) for i, n in enumerate(sizes)
    ]
    return Geometry(tuple(sites))


@st.composite
def problems(draw_):
    geometry = made(draw_(st.lists(st.integers(2, 8), min_size=1, max_size=4)))
    heads = draw_(st.lists(st.sampled_from(geometry.heads), min_size=1, max_size=8, unique=True))
    exclude = draw_(st.lists(st.sampled_from(geometry.heads), max_size=3, unique=True))
    return geometry, heads, exclude, draw_(st.integers(0, 30)), draw_(st.integers(0, 1000))


@given(problems())
@settings(max_examples=150, deadline=None)
def test_draws_are_disjoint_of_equal_size_and_matched_by_layer_wherever_they_say_so(problem):
    geometry, heads, exclude, draws, seed = problem
    banned = set(heads) | set(exclude)
    if len(geometry.heads) - len(banned) < len(heads):
        with pytest.raises(EditError, match="left to draw from"):
            draw(geometry, heads, draws, seed, exclude)
        return
    controls = draw(geometry, heads, draws, seed, exclude)
    assert len(controls.draws) == draws
    layers = Counter(h.layer for h in heads)
    crowded = any(
        n > geometry.sites[layer].n_heads / 2 or n > sum(h not in banned for h in geometry.sites[layer].heads)
        for layer, n in layers.items()
    )
    free = Counter(h.layer for h in geometry.heads if h not in banned)
    few = draws >= FEWEST and math.prod(math.comb(free[layer], n) for layer, n in layers.items()) < FEWEST
    assert controls.layer_matched == (not crowded and not few)
    assert ("all layers" in controls.reason) == (crowded or few)
    assert controls.distinct == len(set(controls.draws))
    for chosen in controls.draws:
        assert len(set(chosen)) == len(heads)
        assert not set(chosen) & banned
        if controls.layer_matched:
            assert Counter(h.layer for h in chosen) == layers
    assert draw(geometry, heads, draws, seed, exclude) == controls


@given(st.integers(1, 60), st.integers(0, 50))
@settings(max_examples=60, deadline=None)
def test_draws_differ_as_long_as_there_are_enough_sets(draws, seed):
    geometry = made([6, 6])  # 5 * C(4, 2) = 30 possible sets
    controls = draw(geometry, [Head(0, 0), Head(1, 1), Head(1, 2)], draws, seed)
    assert controls.distinct == min(draws, 30)
    counts = Counter(controls.draws).values()
    assert not draws or max(counts) - min(counts) <= 1
    assert ("different control sets" in controls.reason) == (draws > 30)


def test_too_few_matched_sets_for_a_p_are_replaced_by_sets_over_all_layers():
    geometry = made([8, 8, 8])
    half = [Head(1, h) for h in range(4)]  # one disjoint set of four is left in the layer
    few = draw(geometry, half, 200, 0)
    assert not few.layer_matched
    assert "too few sets match layer by layer for p < 0.05 (1)" in few.reason
    assert few.distinct == 200
    assert draw(geometry, half, 10, 0).layer_matched


def test_few_matched_sets_are_taken_before_many_that_do_not_match():
    geometry = made([8, 8, 8])
    found = matched_draw(geometry, [Head(1, 0), Head(1, 1)], 200, 0)
    assert (found.layer_matched, found.distinct, len(found.draws)) == (True, 15, 15)
    assert {h.layer for some in found.draws for h in some} == {1}
    assert matched_draw(geometry, [Head(0, 0), Head(1, 1)], 40, 0) == draw(
        geometry, [Head(0, 0), Head(1, 1)], 40, 0
    )
    none = matched_draw(geometry, [Head(1, h) for h in range(5)], 30, 0)
    assert (none.layer_matched, len(none.draws)) == (False, 30)
    assert "drawn over all layers" in none.reason


def test_every_free_head_is_drawn_about_equally_often():
    geometry = made([8, 8])
    controls = draw(geometry, [Head(0, 0), Head(0, 1), Head(1, 0), Head(1, 7)], 200, seed=3)
    counts = Counter(h for chosen in controls.draws for h in chosen)
    assert len(counts) == 12
    assert min(counts.values()) > 200 * 4 / 12 * 0.6  # expected 66.7 each
    assert max(counts.values()) < 200 * 4 / 12 * 1.4


def test_another_seed_draws_other_sets():
    geometry = made([8, 8, 8])
    heads = [Head(0, 0), Head(1, 1), Head(2, 2)]
    assert draw(geometry, heads, 20, 0).draws != draw(geometry, heads, 20, 1).draws


def test_no_heads_and_unknown_heads_are_refused():
    with pytest.raises(EditError, match="at least one head"):
        draw(made([4]), [], 10, 0)
    with pytest.raises(EditError, match="L7H0"):
        draw(made([4]), [Head(7, 0)], 10, 0)
