from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from headscope.engine.readings import Reading
from headscope.errors import StoreError
from headscope.experiments.ablation_result import GeneralDamage
from headscope.experiments.choices import freeze, frozen
from headscope.experiments.controls import Controls
from headscope.experiments.effects import Gain, drops
from headscope.experiments.significance import (
    ClaimBounds,
    Evidence,
    against_controls,
    claim,
    effect,
    elsewhere,
)
from headscope.models.geometry import Head


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    clean = Reading((rng.random(60) < 0.9).astype(float), rng.normal(3, 1, 60), np.ones(60))
    right = (rng.random(60) < 0.5).astype(float)
    edited = Reading(right, clean.margin - rng.normal(3, 1, 60), np.maximum(right, np.arange(60) % 2))
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


def test_forced_choice_is_the_sign_of_the_margin_and_unreadable_what_is_no_choice(pair):
    clean, edited = pair
    found = effect(clean, edited, [str(i) for i in range(60)])
    lost = (clean.margin > 0).astype(float) - (edited.margin > 0)
    assert found.forced_drop_points == pytest.approx(100 * lost.mean())
    assert found.forced_ci[0] < found.forced_drop_points < found.forced_ci[1]
    assert found.forced_clean == 100 * np.mean(clean.margin > 0)
    assert (found.unreadable_clean, found.unreadable) == (0.0, 100 * (1 - edited.readable.mean()))


def test_a_gain_is_the_same_effect_with_its_sign_turned(pair):
    found = effect(*pair, [str(i) for i in range(60)])
    turned = Gain.of(found)
    assert turned.delta_points == -found.drop_points
    assert turned.ci == (-found.ci[1], -found.ci[0])
    assert turned.margin_delta == -found.margin_drop
    assert turned.ci[0] <= turned.delta_points <= turned.ci[1]


def test_p_counts_controls_at_least_as_bad_and_ties_count(pair):
    clean, edited = pair
    worse = Reading(np.zeros(60), clean.margin - 9, np.zeros(60))
    same = Reading(edited.correct[::-1].copy(), edited.margin, edited.readable)
    better = clean
    controls = Controls(tuple((Head(0, h),) for h in range(4)), False, "why", 3)
    found = against_controls(clean, edited, [worse, same, better, better], controls)
    assert found["p"] == (1 + 2) / (1 + 4)
    assert found["margin_p"] == (1 + 2) / (1 + 4)
    assert found["forced_p"] == (1 + 2) / (1 + 4)
    assert found["control_max"] == 100 * clean.correct.mean()
    assert found["control_mean"] == pytest.approx(np.mean(drops(clean, [worse, same, better, better]).points))
    assert (found["draws"], found["distinct"], found["layer_matched"], found["reason"]) == (
        4,
        3,
        False,
        "why",
    )
    assert against_controls(clean, edited, [], Controls((), True, "", 0))["p"] is None


def test_a_control_set_that_was_read_twice_counts_once(pair):
    clean, edited = pair
    better = clean
    controls = Controls(((Head(0, 0),), (Head(0, 1),)) * 50, True, "only 2 different control sets exist", 2)
    assert against_controls(clean, edited, [better] * 100, controls)["p"] == 1 / 3


DAMAGE = GeneralDamage(
    unreadable_points=2.0,
    kl_neutral=0.3,
    kl_elsewhere=0.2,
    kl_neutral_controls=0.1,
    kl_elsewhere_controls=0.3,
)


def evidence(**more):
    """What a claim rests on for one function; all of it holds, but for ``more``."""
    held = {"why_not": "", "distinct": 213, "q": 0.01, "free": 20.0, "free_low": 3.0, "forced": 15.0}
    held |= {"forced_low": 2.0, "beyond_low": 1.0, "damage": DAMAGE}
    return Evidence(**(held | more))


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (evidence(why_not="layer 0 has no heads left"), "not testable: layer 0 has no heads left"),
        (evidence(distinct=20), "no claim: 20 distinct control sets, a claim needs 200"),
        (evidence(q=0.08), "not functional: random heads of the same layers hurt as much (q = 0.080)"),
        (evidence(q=None), "hurt as much (q = unknown)"),
        (evidence(free_low=0.0), "free answers may lose nothing"),
        (evidence(forced_low=-1.0), "forced choice may lose nothing (from -1.0 points)"),
        (evidence(forced_low=None), "forced choice may lose nothing"),
        (evidence(beyond_low=-3.0), "others may lose as much"),
        (
            evidence(worst="counting", worst_points=17.5),
            "not functional: counting loses as much or more (17.5 points)",
        ),
        (evidence(worst="counting", worst_points=15.0), "counting loses as much or more"),
        (evidence(worst="counting", worst_points=None), "loses as much or more (unknown points)"),
        (evidence(damage=None), "general damage was not measured"),
        (evidence(damage=DAMAGE.model_copy(update={"unreadable_points": 40.0})), "40.0 points more answers"),
        (
            evidence(damage=DAMAGE.model_copy(update={"kl_neutral": 0.9})),
            "move by 0.90 nats, with random heads by 0.10",
        ),
        (
            evidence(damage=DAMAGE.model_copy(update={"kl_elsewhere": None})),
            "other functions move by unknown",
        ),
    ],
)
def test_every_part_of_a_claim_can_refuse_it_and_is_named(found, words):
    claimed, verdict = claim(found)
    assert not claimed
    assert words in verdict


def test_a_claim_says_what_is_lost_and_on_how_many_sets_it_rests():
    claimed, verdict = claim(evidence())
    assert claimed
    assert verdict == (
        "functional: muting costs 20.0 points of free answers and 15.0 of forced choice (q = 0.010 over "
        "functions, 213 distinct control sets)"
    )


def test_another_function_may_lose_something_less():
    assert claim(evidence(worst="counting", worst_points=14.9))[0]


def test_all_parts_that_fail_are_named_together():
    _, verdict = claim(evidence(forced_low=-1.0, beyond_low=-2.0))
    assert verdict.startswith("not functional: ")
    assert len(verdict.split("; ")) == 2


def test_the_limits_of_damage_are_those_that_were_set():
    assert not claim(evidence(), ClaimBounds(unreadable=1.0))[0]
    assert not claim(evidence(), ClaimBounds(divergence=0.15))[0]
    assert not claim(evidence(), ClaimBounds(alpha=0.01))[0]


def test_what_a_function_loses_beyond_the_others_is_the_difference_of_means():
    rng = np.random.default_rng(1)
    losses = {"own": (rng.random(80) < 0.4).astype(float), "a": np.zeros(50), "b": np.ones(20) * 0.0}
    losses["b"][:4] = 1.0
    groups = {f: [f"{f}{i}" for i in range(len(v))] for f, v in losses.items()}
    found = elsewhere("own", losses, groups)
    assert found.functions == ("a", "b")
    assert found.points == pytest.approx((0.0 + 20.0) / 2)
    assert (found.worst, found.worst_points) == ("b", pytest.approx(20.0))
    assert found.beyond_points == pytest.approx(100 * losses["own"].mean() - 10.0)
    # The pictures differ, so the variances of the three means add up (normal approximation).
    parts = [np.var(losses["own"]) / 80, 0.25 * np.var(losses["b"]) / 20]
    half = 196 * np.sqrt(sum(parts))
    assert found.beyond_ci[0] == pytest.approx(found.beyond_points - half, abs=3.0)
    assert found.beyond_ci[1] == pytest.approx(found.beyond_points + half, abs=3.0)


def test_questions_on_one_picture_are_resampled_together():
    lost = np.repeat([1.0, 0.0, 1.0, 0.0, 0.0, 1.0], 20)  # every picture is all or nothing
    pictures = [str(i) for i in np.repeat(range(6), 20)]
    other = {"a": np.zeros(120)}
    wide = elsewhere("own", {"own": lost, **other}, {"own": pictures, "a": pictures}).beyond_ci
    apart = [str(i) for i in range(120)]
    narrow = elsewhere("own", {"own": lost, **other}, {"own": apart, "a": apart}).beyond_ci
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_a_choice_is_frozen_once_beside_those_of_other_stages(tmp_path):
    assert frozen(tmp_path, "ablation") is None
    assert freeze(tmp_path, "ablation", {"k": 8, "x": 0.1 + 0.2, "ci": (1.0, 2.0)})["k"] == 8
    assert freeze(tmp_path, "ablation", {"k": 8, "x": 0.1 + 0.2, "ci": (1.0, 2.0)})["x"] == 0.1 + 0.2
    assert freeze(tmp_path, "wake", ["both"]) == ["both"]
    with pytest.raises(StoreError, match="frozen"):
        freeze(tmp_path, "ablation", {"k": 4})
    assert frozen(tmp_path, "ablation")["k"] == 8
    assert [p.name for p in tmp_path.iterdir()] == ["choices.json"]
