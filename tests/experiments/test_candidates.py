from __future__ import annotations

import numpy as np
import pytest
from scipy import special
from torch import nn

from headscope.engine.readings import Reading
from headscope.errors import StudyError
from headscope.experiments.candidates import (
    Candidate,
    Dose,
    candidates,
    read_doses,
    read_layers,
    smoothed,
    specific_scores,
)
from headscope.models.geometry import Geometry, Head, Site

SITES = [Site("decoder", i, "self", 4, 4, nn.Linear(16, 8), nn.Identity()) for i in range(3)]
GEOMETRY = Geometry(tuple(SITES))


class FakeReader:
    """Ten items; every head of ``cost`` that is muted makes that many of them wrong, by forced choice too."""

    def __init__(self, cost: dict[Head, int]) -> None:
        self.cost, self.clean = cost, self._reading(0)
        self.asked: list[tuple[Head, ...]] = []

    def __len__(self) -> int:
        return 10

    @staticmethod
    def _reading(wrong: int) -> Reading:
        right = (np.arange(10) >= wrong).astype(float)
        return Reading(right, np.where(right > 0, 50.0, -50.0), np.ones(10))

    def read_many(self, sets, what, label=""):
        self.asked += sets
        return [self._reading(min(10, sum(self.cost.get(h, 0) for h in heads))) for heads in sets]


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


def test_at_most_a_quarter_of_a_layers_heads_are_taken_and_none_of_layers_left_out():
    scores = [float(12 - i) for i in range(12)]
    found = {c.k: c.heads for c in candidates(GEOMETRY, {"causal": scores}, (1, 2, 3, 4))}
    assert found == {1: (Head(0, 0),), 2: (Head(0, 0), Head(1, 0)), 3: (Head(0, 0), Head(1, 0), Head(2, 0))}
    (only,) = candidates(
        GEOMETRY, {"causal": scores}, (1, 2), left_out=[("decoder", 0, "self"), ("decoder", 2, "self")]
    )
    assert only.heads == (Head(1, 0),)
    assert [c.sets for c in candidates(GEOMETRY, {"causal": scores}, (1, 2, 3))] == [3, 9, 27]


def test_the_head_set_that_hurts_its_function_beyond_the_others_is_chosen():
    general, own = Head(0, 0), Head(1, 2)
    readers = {
        "counting": FakeReader({general: 8, own: 6}),
        "text_reading": FakeReader({general: 8}),
        "knowledge_recall": FakeReader({general: 4}),
    }
    wanted = [
        Candidate("joint", 1, (general,)),
        Candidate("causal", 1, (own,)),
        Candidate("causal", 2, (own, Head(2, 0))),
    ]
    dose = read_doses(readers, {"counting": wanted})["counting"]
    assert (dose.chosen.ranking, dose.chosen.k) == ("causal", 1)
    first, second, _ = dose.candidates
    assert (first.drop_points, first.forced_drop_points) == (80, 80)
    assert first.smooth_points == pytest.approx(80)  # margins of 50 nats: nothing between right and wrong
    assert first.elsewhere_points == pytest.approx((80 + 40) / 2)
    assert (second.score, second.elsewhere_points) == (pytest.approx(60), 0)


def test_smoothed_forced_choice_is_the_mean_logistic_function_of_the_margin():
    margin = np.array([-2.0, 0.0, 0.5, 3.0])
    found = smoothed(Reading(np.ones(4), margin, np.ones(4)))
    assert found == pytest.approx(100 * special.expit(margin).mean())


def test_the_specific_score_is_a_heads_own_drop_minus_its_mean_drop_elsewhere():
    found = specific_scores({"a": [3.0, 1.0], "b": [1.0, 5.0], "c": [0.0, 3.0]})
    assert found == {"a": [2.5, -3.0], "b": [-0.5, 3.0], "c": [-2.0, 0.0]}
    assert specific_scores({"a": [3.0, 1.0]}) == {"a": [3.0, 1.0]}


def test_a_layer_through_which_everything_passes_is_left_out():
    every = {Head(0, h): 5 for h in range(4)}
    readers = {"counting": FakeReader({**every, Head(1, 0): 3}), "text_reading": FakeReader(every)}
    found = read_layers(GEOMETRY, readers, sets=4, limit=10.0, seed=0)
    assert [layer.left_out for layer in found.values()] == [True, False, False]
    first, second, _ = found.values()
    assert (first.forced_drop_points, first.muted, first.sets) == (50.0, 1, 4)
    assert second.forced_drop_points == pytest.approx(np.mean([30, 0, 0, 0]) / 2)


def test_a_set_that_too_few_others_match_is_taken_only_where_there_is_no_other():
    few, many = (
        Candidate("joint", 1, (Head(0, 0),), 3, smooth_points=90),
        Candidate("causal", 2, (), 213, smooth_points=9),
    )
    assert Dose("f", (few, many), 9).chosen is many
    assert Dose("f", (few,), 9).chosen is few


def test_ties_go_to_fewer_heads_then_to_the_first_ranking():
    def one(ranking, k, points):
        return Candidate(ranking, k, tuple(GEOMETRY.heads[:k]), smooth_points=points)

    assert Dose("f", (one("joint", 4, 10), one("causal", 2, 10)), 9).chosen.k == 2
    assert Dose("f", (one("joint", 2, 10), one("causal", 2, 10)), 9).chosen.ranking == "joint"
    assert Dose("f", (one("joint", 2, 10), one("causal", 2, 11)), 9).chosen.ranking == "causal"


def test_equal_head_sets_of_two_rankings_are_read_once():
    reader = FakeReader({})
    wanted = [Candidate("joint", 1, (Head(0, 0),)), Candidate("causal", 1, (Head(0, 0),))]
    read_doses({"counting": reader}, {"counting": wanted})
    assert len(reader.asked) == 1


def test_a_head_without_a_score_is_never_a_candidate():
    scores = [None] * 12
    scores[4], scores[9] = 0.5, -0.1
    found = candidates(GEOMETRY, {"joint": scores, "independent": scores}, (1, 2, 4))
    assert {(c.ranking, c.k) for c in found} == {(r, k) for r in ("joint", "independent") for k in (1, 2)}
    assert all(set(c.heads) <= {Head(1, 0), Head(2, 1)} for c in found)
    with pytest.raises(StudyError, match="smaller k"):
        read_doses({"counting": FakeReader({})}, {"counting": candidates(GEOMETRY, {"joint": scores}, (4,))})
