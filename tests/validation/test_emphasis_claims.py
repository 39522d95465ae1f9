"""Claims of gains on a planted model with a weak head: what helps is known."""

from __future__ import annotations

import pytest

from headscope.experiments.settings import EmphasisSettings
from headscope.validation.claim_cases import ClaimSizes
from headscope.validation.emphasis_claims import (
    WEAKENED,
    KnownEmphasis,
    KnownEmphasisSettings,
    emphasis_on_known_answers,
    summarise_emphasis,
)

FEW = KnownEmphasisSettings(
    sizes=ClaimSizes(test_pictures=30, test_questions=60, select_pictures=24, fit_pictures=2),
    emphasis=EmphasisSettings(
        scales=(3.0,), strengths=(), ks=(3,), ranking="causal", main_contexts=(), random_sets=10,
        select_items=24, test_items=60, side_items=4, max_new_tokens=1, rows=512,
    ),
    causal_items=20,
)  # fmt: skip


@pytest.fixture(scope="module")
def claims(tmp_path_factory: pytest.TempPathFactory) -> list[KnownEmphasis]:
    return emphasis_on_known_answers(tmp_path_factory.mktemp("weak"), 11, FEW)


def test_a_weak_head_leaves_room_and_turning_it_up_gains_what_it_lacked(claims: list[KnownEmphasis]) -> None:
    true = [c for c in claims if c.arm == "true"]
    assert {c.function for c in true} == set(WEAKENED)
    tried = [c for c in true if c.testable]
    assert tried, [c.reason for c in true]
    for claim in tried:
        assert 40 <= (claim.clean or 0) <= 85
        assert claim.weak in claim.heads
        assert claim.right
        assert (claim.gain_points or 0) > 10


def test_no_other_head_gains_anything(claims: list[KnownEmphasis]) -> None:
    others = [c for c in claims if c.testable and not c.right]
    assert others
    for claim in others:
        assert (claim.gain_points or 0) < 5
        assert not claim.claimed


def made(arm: str, claimed: bool, right: bool, testable: bool = True) -> KnownEmphasis:
    return KnownEmphasis(
        seed=1, function="a", arm=arm, weak="L0H0", clean=66.0, testable=testable, gain_points=20.0,
        claimed=claimed, right=right,
    )  # fmt: skip


def test_false_claims_and_power_are_counted_over_tests_that_could_be_made() -> None:
    found = summarise_emphasis(
        [
            made("true", True, True),
            made("true", False, True),
            made("own", False, True),
            made("other", True, False),
            made("other", False, False),
            made("own", False, False, testable=False),
        ]
    )
    assert found is not None
    assert (found.models, found.tested, found.false_claims, found.power_tests) == (1, 5, 1, 2)
    assert found.power == 0.5
    assert found.gain_points == 20.0
    assert found.false_ci[0] is not None
    assert 0 < found.false_ci[0] < 0.2
    assert (found.ranked_tests, found.ranked_found) == (1, 1)
    assert summarise_emphasis([]) is None
