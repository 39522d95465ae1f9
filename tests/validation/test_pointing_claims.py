"""Claims of pointing on planted models that err for a known reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from headscope.models.geometry import parse_head
from headscope.models.vlm import load_model
from headscope.storage import read_json
from headscope.validation.claim_cases import ClaimSizes
from headscope.validation.planted.glyphs import KINDS
from headscope.validation.planted.harder_build import build_harder
from headscope.validation.planted.questions import COLOUR
from headscope.validation.pointing_claims import (
    BLUNT,
    CLAIMS,
    OTHER,
    TRUE,
    WEAK,
    KnownPointing,
    KnownPointingSettings,
    blunted,
    pointing_on_known_answers,
    summarise_pointing,
)

FULL = KnownPointingSettings()
FEW = KnownPointingSettings(
    sizes=ClaimSizes(test_pictures=24, test_questions=48, select_pictures=4, fit_pictures=2),
    wake=replace(
        FULL.wake, max_items=200, select_items=8, wrong_names=4, mediation_items=40, mediation_draws=4
    ),
)


@pytest.fixture(scope="module")
def tests(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], KnownPointing]:
    found = pointing_on_known_answers(tmp_path_factory.mktemp("pointed"), 11, FEW)
    return {(t.model, t.named): t for t in found}


def test_a_blunt_head_scores_every_kind_nearly_as_the_one_asked_about(tmp_path: Path) -> None:
    sharp = build_harder(tmp_path / "sharp", "plain", 11)
    label = read_json(sharp / "truth.json")["functions"][COLOUR][0]
    head = parse_head(label)
    blunt = blunted(sharp, [head], 0.75, tmp_path / "blunt")

    def scores(place: Path) -> torch.Tensor:
        layer = load_model(place, prove=False).model.model.language_model.layers[head.layer].self_attn
        rows = slice(head.head * 24, head.head * 24 + 24)
        q, k = layer.q_proj.weight[rows].double(), layer.k_proj.weight[rows].double()
        found: torch.Tensor = (q.T @ k).detach()  # (asking dimension, found dimension)
        return found

    before, after = scores(sharp), scores(blunt)
    asked = (before.amax(dim=1) > 0.5 * before.max()).nonzero()[:, 0]
    kinds = [int(before[a].argmax()) for a in asked]
    assert len(set(kinds)) == len(KINDS) // 3, "a third of the kinds is this head's"
    for a, own in zip(asked.tolist(), kinds, strict=True):
        others = [k for k in kinds if k != own]
        assert after[a, own] == pytest.approx(float(before[a, own]), rel=1e-6)
        assert after[a, others].tolist() == pytest.approx(
            [0.75 * float(before[a, own])] * len(others), rel=1e-6
        )


def test_masking_helps_where_other_things_mix_in_and_through_those_heads(
    tests: dict[tuple[str, str], KnownPointing],
) -> None:
    own, other = tests[BLUNT, TRUE], tests[BLUNT, OTHER]
    assert own.claimed["helps"]
    assert own.delta_points == other.delta_points
    assert (own.delta_points or 0) > 8
    assert own.muted_points == pytest.approx(0, abs=3)
    assert (other.muted_points or 0) > 5
    assert not other.claimed["needs_heads"]


def test_nothing_in_the_picture_helps_a_head_that_writes_too_little(
    tests: dict[tuple[str, str], KnownPointing],
) -> None:
    weak = tests[WEAK, TRUE]
    assert (weak.plain or 100) < 90
    assert (weak.delta_points or 0) < 3
    assert not any(t.claimed[c] for t in tests.values() if t.model == WEAK for c in CLAIMS)


def test_heads_that_pointing_does_not_touch_do_not_wake(tests: dict[tuple[str, str], KnownPointing]) -> None:
    left_alone = tests[BLUNT, OTHER], tests[WEAK, OTHER], tests[WEAK, TRUE]
    assert all((t.waking or 0) > 0 for t in left_alone), (
        "others do less: the difference alone would be waking"
    )
    assert not any(t.claimed["wakes"] for t in left_alone)


def made(named: str, claimed: bool, true: bool) -> KnownPointing:
    both = {"helps": claimed, "wakes": claimed}
    return KnownPointing(
        seed=1, model=BLUNT, named=named, plain=60.0, delta_points=9.0, n=50, claimed=both,
        true={"helps": true} if named == TRUE else {"helps": true, "wakes": False},
    )  # fmt: skip


def test_claims_count_once_a_model_but_those_of_heads_once_a_naming() -> None:
    found = summarise_pointing([made(TRUE, True, True), made(OTHER, True, True), made(TRUE, False, True)])
    assert (found["helps"].power_tests, found["helps"].power, found["helps"].false_tests) == (2, 0.5, 0)
    assert (found["wakes"].false_tests, found["wakes"].false_claims, found["wakes"].power) == (1, 1, None)
    assert found["helps"].power_ci == pytest.approx((0.0126, 0.9874), abs=1e-4)  # Clopper and Pearson, 1 of 2
    assert "needs_heads" not in found
