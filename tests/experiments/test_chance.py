"""Random sets that may share heads with those under test, and what the claim makes of them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from headscope.experiments.claim_parts import p_of_random_set
from headscope.experiments.controls import draw, matched_sets
from headscope.experiments.effects import Drops
from headscope.experiments.significance import p_among_random
from headscope.models.geometry import Head

TESTED = (Head(0, 1), Head(2, 0), Head(2, 3))


def test_sets_keep_the_layers_and_may_share_heads(llava) -> None:
    controls = draw(llava.geometry, TESTED, 60, seed=0, disjoint=False)
    assert controls.layer_matched
    for heads in controls.draws:
        assert Counter(h.layer for h in heads) == {0: 1, 2: 2}
    assert any(set(heads) & set(TESTED) for heads in controls.draws)
    assert len(set(controls.draws)) == 4 * 6  # every set there is: C(4, 1) C(4, 2)
    assert not any(set(h) & set(TESTED) for h in draw(llava.geometry, TESTED, 60, seed=0).draws)


def test_sets_that_match_are_counted_layer_by_layer(llava) -> None:
    drawn = draw(llava.geometry, TESTED, 10, seed=0).draws
    assert matched_sets(llava.geometry, TESTED) == 3 * 1 == len(set(drawn))  # C(3, 1) C(2, 2)
    assert matched_sets(llava.geometry, (Head(1, 0),)) == 3
    assert matched_sets(llava.geometry, llava.geometry.per_layer()["decoder", 0, "self"][:3]) == 0


def test_p_counts_the_other_sets_that_hurt_as_much_by_either_measure() -> None:
    others = [(10.0, 0.0), (1.0, 8.0), (0.0, 0.0), (0.0, 9.0)]
    assert p_among_random((9.0, 8.0), others) == max(2 / 5, 3 / 5)
    assert p_among_random((11.0, 10.0), others) == 1 / 5
    assert p_among_random((9.0, 8.0), []) is None


def test_a_random_set_is_held_against_the_others_and_against_those_that_share_no_head() -> None:
    sets = [(Head(0, 0),), (Head(0, 1),), (Head(0, 0), Head(0, 1)), (Head(0, 2),), (Head(0, 3),)]
    lost = Drops([5.0, 0.0, 5.0, 6.0, 0.0], [5.0, 0.0, 5.0, 0.0, 0.0], [0.0] * 5)
    # Among the three random ones: 5 is reached by one of the two others. Disjoint from it: sets 1, 3, 4.
    assert p_of_random_set(0, sets, lost, 3) == max(2 / 3, 2 / 4, 1 / 4)
    # Every other set shares a head with it, or none is left: nothing can be said for it.
    assert p_of_random_set(2, sets[:3], lost, 3) == 1.0


def test_random_sets_pass_the_claims_p_at_most_as_often_as_its_level() -> None:
    """Even where one head of eight carries everything, so that one set in eight holds it."""
    rng = np.random.default_rng(5)
    heads = [tuple(sorted(Head(layer, int(rng.integers(8))) for layer in range(3))) for _ in range(300)]
    sets = list(dict.fromkeys(heads))
    cost = [20.0 * (Head(0, 3) in s) + float(rng.normal(0, 1)) for s in sets]
    lost = Drops(cost, cost, cost)
    p = [p_of_random_set(i, sets, lost, len(sets)) for i in range(len(sets))]
    share = np.mean([one < 0.05 for one in p])
    assert share <= 0.05
    # Against disjoint sets alone, every set with that head would pass.
    disjoint = [
        (1 + sum(cost[j] >= cost[i] for j in apart)) / (1 + len(apart))
        for i in range(len(sets))
        for apart in [[j for j, other in enumerate(sets) if not set(other) & set(sets[i])]]
    ]
    assert np.mean([one < 0.05 for one in disjoint]) == pytest.approx(1 / 8, abs=0.06)
    assert np.mean([one < 0.05 for one in disjoint]) > share
