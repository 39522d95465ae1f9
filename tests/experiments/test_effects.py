from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from headscope.engine.readings import Reading
from headscope.errors import StoreError
from headscope.experiments.choices import freeze, frozen
from headscope.experiments.controls import Controls
from headscope.experiments.effects import Gain, drops
from headscope.experiments.significance import against_controls, claim, effect
from headscope.models.geometry import Head


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    clean = Reading((rng.random(60) < 0.9).astype(float), rng.normal(3, 1, 60))
    edited = Reading((rng.random(60) < 0.5).astype(float), clean.margin - rng.normal(1, 1, 60))
    return clean, edited


def test_an_effect_is_the_paired_drop_with_interval_and_sign_flip_p(pair):
    clean, edited = pair
    found = effect(clean, edited, [str(i) for i in range(60)])
    assert found.drop_points == pytest.approx(100 * (clean.correct - edited.correct).mean())
    assert found.margin_drop == pytest.approx((clean.margin - edited.margin).mean())
    reference = stats.bootstrap(
        (clean.margin - edited.margin,), np.mean, n_resamples=5000, method="percentile", random_state=0
    ).confidence_interval
    assert found.margin_ci == pytest.approx((reference.low, reference.high), abs=0.06)
    flips = stats.permutation_test(
        (clean.correct - edited.correct,),
        np.mean,
        permutation_type="samples",
        n_resamples=9999,
        random_state=0,
    )
    assert found.p_paired == pytest.approx(flips.pvalue, abs=0.01)
    assert (found.n, found.images) == (60, 60)


def test_a_gain_is_the_same_effect_with_its_sign_turned(pair):
    found = effect(*pair, [str(i) for i in range(60)])
    turned = Gain.of(found)
    assert turned.delta_points == -found.drop_points
    assert turned.ci == (-found.ci[1], -found.ci[0])
    assert turned.margin_delta == -found.margin_drop
    assert turned.ci[0] <= turned.delta_points <= turned.ci[1]


def test_p_counts_controls_at_least_as_bad_and_ties_count(pair):
    clean, edited = pair
    worse = Reading(np.zeros(60), clean.margin - 9)
    same = Reading(edited.correct[::-1].copy(), edited.margin)
    better = Reading(clean.correct, clean.margin)
    controls = Controls(tuple((Head(0, h),) for h in range(4)), False, "why", 3)
    found = against_controls(clean, edited, [worse, same, better, better], controls)
    assert found["p"] == (1 + 2) / (1 + 4)
    assert found["margin_p"] == (1 + 2) / (1 + 4)
    assert found["control_max"] == 100 * clean.correct.mean()
    assert found["control_mean"] == pytest.approx(np.mean(drops(clean, [worse, same, better, better])[0]))
    assert (found["draws"], found["distinct"], found["layer_matched"], found["reason"]) == (
        4,
        3,
        False,
        "why",
    )
    assert against_controls(clean, edited, [], Controls((), True, "", 0))["p"] is None


def test_a_control_set_that_was_read_twice_counts_once(pair):
    clean, edited = pair
    better = Reading(clean.correct, clean.margin)
    controls = Controls(((Head(0, 0),), (Head(0, 1),)) * 50, True, "only 2 different control sets exist", 2)
    assert against_controls(clean, edited, [better] * 100, controls)["p"] == 1 / 3


def result(**more):
    """What a claim rests on for one function."""
    return {"q": 0.01, "distinct": 200, "low": 3.0, "excess": 5.0} | more


@pytest.mark.parametrize(
    ("found", "claimed", "words"),
    [
        (result(), True, "functional"),
        (result(distinct=20), False, "no claim: 20 distinct control sets, a claim needs 200"),
        (result(q=0.3), False, "controls hurt as much"),
        (result(low=0.0), False, "may be nothing"),
        (result(low=None), False, "may be nothing"),
        (result(q=None, distinct=0, excess=None), False, "no claim"),
    ],
)
def test_heads_are_claimed_only_beyond_controls_and_beyond_nothing(found, claimed, words):
    assert claim(**found)[0] is claimed
    assert words in claim(**found)[1]


def test_a_claim_goes_by_q_over_functions_not_by_p():
    claimed, words = claim(**result(q=0.08))
    assert not claimed
    assert "q = 0.080" in words


def test_a_control_set_that_was_drawn_ten_times_is_one_of_the_sets_that_a_claim_needs():
    claimed, words = claim(**result(distinct=20))
    assert not claimed
    assert words == "no claim: 20 distinct control sets, a claim needs 200"


def test_a_claim_says_on_how_many_sets_it_rests():
    assert "q = 0.010 over functions, 213 distinct control sets" in claim(**result(distinct=213))[1]


def test_a_claim_says_so_where_random_sets_with_shared_heads_hurt_as_much():
    claimed, words = claim(**result(p_random=0.2))
    assert claimed
    assert "one or two of these heads may carry the effect" in words
    assert "may carry" not in claim(**result(p_random=0.01))[1]


def test_a_choice_is_frozen_once_beside_those_of_other_stages(tmp_path):
    assert frozen(tmp_path, "ablation") is None
    assert freeze(tmp_path, "ablation", {"k": 8, "x": 0.1 + 0.2, "ci": (1.0, 2.0)})["k"] == 8
    assert freeze(tmp_path, "ablation", {"k": 8, "x": 0.1 + 0.2, "ci": (1.0, 2.0)})["x"] == 0.1 + 0.2
    assert freeze(tmp_path, "wake", ["both"]) == ["both"]
    with pytest.raises(StoreError, match="frozen"):
        freeze(tmp_path, "ablation", {"k": 4})
    assert frozen(tmp_path, "ablation")["k"] == 8
    assert [p.name for p in tmp_path.iterdir()] == ["choices.json"]
