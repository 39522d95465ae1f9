"""Claims against the truth: questions of a known effect, the short cut, the experiment, the counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from headscope.edits.edits import Edit, mute
from headscope.engine.readings import Reader
from headscope.errors import StudyError
from headscope.models.geometry import parse_head
from headscope.validation.claim_cases import ClaimSizes, claim_cases
from headscope.validation.claim_scores import ONE_HEAD, summarise_claims
from headscope.validation.claims import (
    OTHER,
    OWN,
    PART,
    POINTS,
    WHOLE,
    ClaimSettings,
    KnownClaim,
    claims_on_known_answers,
    is_right,
    shares_for,
)
from headscope.validation.known_readings import KnownContext, KnownReader, check_short_cut
from headscope.validation.planted.questions import ANSWERS, COUNT, FUNCTIONS, KNOWLEDGE, PLACE

SMALL = ClaimSizes(test_pictures=24, test_questions=40, select_pictures=20, fit_pictures=2)


def settings(**changes) -> ClaimSettings:
    ablation = replace(ClaimSettings().ablation, select_items=20, test_items=40)
    return ClaimSettings(sizes=SMALL, ablation=ablation, runs=((OWN, PART),), **changes)


@pytest.fixture(scope="module")
def known(planted_model, tmp_path_factory):
    """A context of the plain model of the second version, and a copy of its truth that may be changed."""
    vlm, truth = planted_model("plain", harder=True)
    folder = tmp_path_factory.mktemp("known")
    cases = claim_cases(folder / "data", "plain", 3, SMALL)

    def make(truth=truth) -> KnownContext:
        return KnownContext(vlm, cases, cases.splits, folder, seed=3, batch_size=40, truth=truth)

    return make


def test_a_function_has_as_many_questions_and_pictures_as_the_demo_and_asks_none_twice(
    tmp_path: Path,
) -> None:
    cases = claim_cases(tmp_path, "plain", 5, ClaimSizes())
    test = [c for c in cases if c.split == "test"]
    for function in FUNCTIONS:
        mine = [c for c in test if c.steps[0].function == function]
        assert len(mine) == 100
        assert len({c.image for c in mine}) == 60
        assert len({(c.image, c.question) for c in mine}) == 100
    assert Counter(c.split for c in cases) == {"test": 700, "select": 280, "fit": 70}


def test_exactly_the_share_that_is_asked_for_needs_the_heads(tmp_path: Path) -> None:
    cases = claim_cases(tmp_path, "plain", 5, ClaimSizes(), {PLACE: 0.3, COUNT: 0.0})
    for split, asked in (("test", 100), ("select", 40), ("fit", 10)):
        steps = [c.steps[0] for c in cases if c.split == split]
        needing = [s for s in steps if s.function == PLACE and s.choices == ANSWERS[PLACE]]
        others = [s for s in steps if s.function == PLACE and s.choices == ANSWERS[KNOWLEDGE]]
        assert (len(needing), len(others)) == (round(0.3 * asked), asked - round(0.3 * asked))
        assert all(s.answer in s.choices for s in steps)
        assert {s.choices for s in steps if s.function == COUNT} == {ANSWERS[KNOWLEDGE]}


def on_select(context: KnownContext) -> dict[str, Reader]:
    """A reader of each function's questions on ``select``."""
    return context.readers(context.choose("select", 20), context.ledger("check", None), settings().ablation)


def test_readings_by_the_short_cut_are_those_of_the_model(known) -> None:
    context = known()
    heads = context.vlm.geometry.heads
    rng = np.random.default_rng(0)
    edits = [Edit(tuple(heads[i] for i in sorted(rng.permutation(48)[:9])), mute()) for _ in range(6)]
    for function, reader in on_select(context).items():
        assert isinstance(reader, KnownReader)
        served = {parse_head(h) for h in context.truth["functions"][function]}
        for edit, short, true in zip(
            edits, reader.read_edits(edits), Reader._run(reader, edits), strict=True
        ):
            assert set(reader.remainder(edit)) == served & set(edit.heads)
            np.testing.assert_array_equal(short.correct, true.correct, err_msg=function)
            np.testing.assert_array_equal(short.forced, true.forced, err_msg=function)


def test_a_truth_that_lacks_a_head_is_found_out(known) -> None:
    check_short_cut(on_select(known()), "plain", seed=0)
    truth = known().truth
    silent = [
        {**h, "functions": [] if h["label"] in truth["functions"][PLACE] else h["functions"]}
        for h in truth["heads"]
    ]
    with pytest.raises(StudyError, match=f"do not serve {PLACE}"):
        check_short_cut(on_select(known({**truth, "heads": silent})), "plain", seed=0)


def test_the_share_of_questions_makes_muting_cost_the_planted_points(known) -> None:
    context = known()
    shares = shares_for(context, settings())
    assert KNOWLEDGE not in shares
    for function, reader in on_select(context).items():
        if function == KNOWLEDGE:
            continue
        heads = tuple(parse_head(h) for h in context.truth["functions"][function])
        (edited,) = Reader._run(reader, [Edit(heads, mute())])
        lost = 100 * float((reader.clean.correct - edited.correct).mean())
        assert shares[function] * lost == pytest.approx(POINTS)


def test_the_experiment_claims_planted_heads_and_no_early_generalist(tmp_path: Path) -> None:
    found = claims_on_known_answers(tmp_path, "early_generalist", 3, settings())
    assert sorted(c.function for c in found) == sorted(FUNCTIONS)
    several = [c for c in found if c.planted == 3]
    assert len(several) == 5
    assert all(c.right and set(c.true_heads) <= set(c.heads) for c in several if c.claimed)
    assert sum(c.claimed for c in several) >= 4  # one in five may be missed at 40 questions
    (nobody,) = [c for c in found if c.planted == 0]
    assert (nobody.function, nobody.claimed, nobody.true_points) == (KNOWLEDGE, False, 0.0)


def test_heads_are_right_where_they_account_for_half_of_the_loss_and_none_is_general() -> None:
    assert is_right(False, 10.0, 20.0)
    assert not is_right(False, 9.0, 20.0)
    assert not is_right(False, 0.0, 0.0)
    assert not is_right(True, 20.0, 20.0)


def claim(
    level: str, function: str, arm: str, effect: str, planted: int, claimed: bool, right: bool, seed: int = 0
):
    return KnownClaim(
        level=level, seed=seed, function=function, arm=arm, effect=effect, planted=planted, true_points=20.0,
        claimed=claimed, right=right, random_sets=10, random_claimed=1,
    )  # fmt: skip


def test_false_claims_and_power_are_counted_apart_with_exact_intervals() -> None:
    made = [
        claim("backup", PLACE, OWN, PART, 6, True, True),
        claim("backup", PLACE, OWN, PART, 6, False, True, seed=1),
        claim("backup", PLACE, OTHER, WHOLE, 6, True, False),
        claim("backup", "object_recognition", OWN, PART, 3, True, True),  # the level is not about it
        claim("backup", KNOWLEDGE, OWN, PART, 0, True, False),
        claim("backup", COUNT, OWN, PART, 1, False, True),
    ]
    found = summarise_claims(made)
    assert set(found) == {"backup", ONE_HEAD}
    level = found["backup"]
    assert (level.models, level.replicates, level.false_claims, level.false_claim_share) == (2, 5, 2, 0.4)
    exact = binomtest(2, 5).proportion_ci(0.95, "exact")
    assert level.false_ci == pytest.approx((exact.low, exact.high))
    assert (level.power_replicates, level.power_20_points, level.true_points) == (2, 0.5, 20.0)
    exact = binomtest(1, 2).proportion_ci(0.95, "exact")
    assert level.power_ci == pytest.approx((exact.low, exact.high))
    assert level.random_claimed_share == pytest.approx(0.1)
    assert found[ONE_HEAD].power_20_points == 0.0
