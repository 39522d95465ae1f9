from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from headscope.engine.readings import Reading
from headscope.errors import StudyError
from headscope.experiments.candidates import Candidate, Dose, candidates, read_doses
from headscope.models.geometry import Geometry, Head, Site

SITES = [Site("decoder", i, "self", 4, 4, nn.Linear(16, 8), nn.Identity()) for i in range(3)]
GEOMETRY = Geometry(tuple(SITES))


class FakeReader:
    """Ten items; every head of ``cost`` that is muted makes that many of them wrong."""

    def __init__(self, cost: dict[Head, int]) -> None:
        self.cost, self.clean = cost, Reading(np.ones(10), np.full(10, 5.0))
        self.asked: list[tuple[Head, ...]] = []

    def __len__(self) -> int:
        return 10

    def read_many(self, sets, what, label=""):
        self.asked += sets
        found = []
        for heads in sets:
            wrong = min(10, sum(self.cost.get(h, 0) for h in heads))
            found.append(Reading((np.arange(10) >= wrong).astype(float), np.full(10, 5.0 - wrong)))
        return found


def test_the_joint_ranking_goes_by_size_and_the_causal_one_by_value():
    scores = [0.0] * 12
    scores[3], scores[7], scores[5] = -9.0, 5.0, float("nan")
    found = {
        (c.ranking, c.k): c.heads for c in candidates(GEOMETRY, {"joint": scores, "causal": scores}, (1, 2))
    }
    assert found["joint", 1] == (Head(0, 3),)
    assert found["joint", 2] == (Head(0, 3), Head(1, 3))
    assert found["causal", 1] == (Head(1, 3),)
    assert Head(0, 3) not in found["causal", 2]


def test_k_above_half_of_all_heads_is_not_tried_since_no_controls_would_be_left():
    assert [c.k for c in candidates(GEOMETRY, {"joint": list(range(12))}, (1, 6, 7, 16))] == [1, 6]


def test_the_head_set_that_hurts_most_beyond_its_own_controls_is_chosen():
    reader = FakeReader({Head(1, 2): 6, Head(0, 0): 2, Head(0, 1): 2})
    wanted = [
        Candidate("joint", 1, (Head(0, 0),)),
        Candidate("causal", 1, (Head(1, 2),)),
        Candidate("causal", 2, (Head(1, 2), Head(2, 0))),
    ]
    dose = read_doses(GEOMETRY, reader, "counting", wanted, 3, 0)
    assert (dose.chosen.ranking, dose.chosen.k) == ("causal", 1)
    assert dose.chosen.drop_points == 60
    for c in dose.candidates:
        assert c.control_draws == 3
        assert 0 <= c.control_points <= 40
        assert c.excess_points == c.drop_points - c.control_points


def test_ties_go_to_margin_then_to_fewer_heads_then_to_the_first_ranking():
    def one(ranking, k, points, margin):
        return Candidate(ranking, k, tuple(GEOMETRY.heads[:k]), points, margin)

    assert Dose("f", (one("joint", 1, 10, 1), one("causal", 4, 10, 2)), 9).chosen.ranking == "causal"
    assert Dose("f", (one("joint", 4, 10, 1), one("causal", 2, 10, 1)), 9).chosen.k == 2
    assert Dose("f", (one("joint", 2, 10, 1), one("causal", 2, 10, 1)), 9).chosen.ranking == "joint"
    assert Dose("f", (one("joint", 2, 10, 9), one("causal", 2, 11, 0)), 9).chosen.ranking == "causal"


def test_equal_head_sets_of_two_rankings_are_read_once():
    reader = FakeReader({})
    wanted = [Candidate("joint", 1, (Head(0, 0),)), Candidate("causal", 1, (Head(0, 0),))]
    read_doses(GEOMETRY, reader, "counting", wanted, 2, 0)
    assert len(reader.asked) == 3


def test_a_head_without_a_score_is_never_a_candidate():
    scores = [None] * 12
    scores[4], scores[9] = 0.5, -0.1
    found = candidates(GEOMETRY, {"joint": scores, "independent": scores}, (1, 2, 4))
    assert {(c.ranking, c.k) for c in found} == {(r, k) for r in ("joint", "independent") for k in (1, 2)}
    assert all(set(c.heads) <= {Head(1, 0), Head(2, 1)} for c in found)
    with pytest.raises(StudyError, match="smaller k"):
        read_doses(GEOMETRY, FakeReader({}), "counting", candidates(GEOMETRY, {"joint": scores}, (4,)), 2, 0)
