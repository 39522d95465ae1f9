"""The search for the smallest set, in a world where what every set carries is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from headscope.experiments.controls import Controls
from headscope.experiments.patching.head_sets import HeadSet, greedy, judged, stand_ins
from headscope.experiments.patching.readings import PairReading
from headscope.models.geometry import Head

A, B, C, D = (Head(0, i) for i in range(4))


def world(
    carried: Callable[[HeadSet], float], pairs: int = 10
) -> Callable[[Sequence[HeadSet]], list[PairReading]]:
    """A set carries so much of the difference of every pair; a run follows where that is over its own bar."""
    bars = (np.arange(pairs) + 0.5) / pairs

    def read(sets: Sequence[HeadSet]) -> list[PairReading]:
        found = []
        for bar in bars:
            share = np.array([carried(s) for s in sets])
            moved = 4.0 * share  # of a difference of 2 + 2
            over = (share > bar).astype(float)
            found.append(
                PairReading(
                    np.full(2, 2.0), np.tile(2.0 - moved, (2, 1)), np.ones(2), *(np.tile(over, (2, 1)),) * 2
                )
            )
        return found

    return read


def both_needed(heads: HeadSet) -> float:
    """A and B stand in for each other: alone each carries a third, together all."""
    return {0: 0.0, 1: 1 / 3, 2: 1.0}[len({A, B} & set(heads))] + 0.02 * (C in heads)


def test_the_search_takes_heads_until_enough_runs_follow_and_stops() -> None:
    found = greedy(world(both_needed), [C, D, A, B], "sufficient", aim=0.8, most=4, gain=0.01)
    assert set(found.heads) == {A, B}
    assert found.reached
    assert found.path == (pytest.approx(0.3), pytest.approx(1.0))


def test_a_head_that_is_not_needed_in_the_end_is_given_back() -> None:
    def carried(heads: HeadSet) -> float:  # C is the best single head, but B and D do without it
        return min(1.0, 0.5 * (C in heads) + 0.45 * (B in heads) + 0.45 * (D in heads))

    found = greedy(world(carried), [B, C, D], "sufficient", aim=0.9, most=4, gain=0.01)
    assert found.reached
    assert len(found.heads) == 2


def test_the_search_stops_where_nothing_helps_any_more_and_says_so() -> None:
    found = greedy(world(lambda s: 0.3 * (A in s)), [A, B, C], "necessary", aim=0.8, most=4, gain=0.01)
    assert found.heads == (A,)
    assert not found.reached
    assert greedy(world(lambda _: 0.0), [A, B], "sufficient", 0.8, 4, 0.01).heads == ()


def test_a_set_is_judged_beside_random_sets_by_share_and_p() -> None:
    found = greedy(world(both_needed), [A, B, C, D], "sufficient", aim=0.8, most=4, gain=0.01)
    controls = Controls(((C, D), (C, Head(1, 0)), (D, Head(1, 0))), True, "", 3)
    held = judged(found, "sufficient", world(both_needed, 20), controls, [str(i) for i in range(20)], 0)
    assert (held.n, held.pictures, held.draws, held.distinct) == (20, 20, 3, 3)
    assert held.share == pytest.approx(1.0)
    assert held.recovered == pytest.approx(1.0)
    assert held.control_max == pytest.approx(0.0)
    assert held.control_recovered == pytest.approx(0.04 / 3)
    assert held.p == pytest.approx(1 / 4)  # three draws: the least that there can be
    assert held.ci[0] is not None
    assert held.ci[0] < 1.0
    assert (held.layer_matched, held.reason) == (True, "")
    elsewhere = Controls(controls.draws, False, "drawn over all layers: none match", 3)
    held = judged(found, "sufficient", world(both_needed, 20), elsewhere, [str(i) for i in range(20)], 0)
    assert (held.layer_matched, held.reason) == (False, "drawn over all layers: none match")


def test_heads_that_stand_in_for_each_other_carry_more_together_than_one_by_one() -> None:
    first, *rest = stand_ins(world(both_needed), [A, B, C], [str(i) for i in range(10)], 0)
    assert set(first.heads) == {str(A), str(B)}
    assert first.together == pytest.approx(1.0)
    assert first.apart == pytest.approx(2 / 3)
    assert first.beyond == pytest.approx(1 / 3)
    assert all(abs(pair.beyond or 0) < 1e-9 for pair in rest)
