"""The muting test under random heads: which comparison keeps its level, and which does not."""

from __future__ import annotations

import numpy as np
import pytest

from headscope.validation.muting import Recorded, power, random_heads


def made(dominant: float, special: int = 1, sets: int = 240, items: int = 40) -> Recorded:
    """Random sets of one head in each of 4 layers of 8; one head of the first ``special`` layers costs
    ``dominant`` when muted. Set 0 holds all of these."""
    layers, wide = 4, 8
    rng = np.random.default_rng(5)
    places = rng.integers(0, wide, (sets, layers))
    places[0] = 0
    base = rng.normal(0, 0.05, (layers, wide))
    base[:special, 0] += dominant
    effect = base[np.arange(layers), places].sum(1)
    drop = effect[:, None] + rng.normal(0, 0.02, (sets, items))
    shares = (places[:, None, :] == places[None, :, :]).any(-1)
    return Recorded(drop, 3 * drop, shares, np.arange(items))


@pytest.mark.parametrize("dominant", [0.0, 3.0])
def test_random_sets_that_may_share_heads_keep_the_level(dominant: float) -> None:
    found = random_heads([made(dominant)], 3000, seed=0)
    for measure in ("accuracy", "margin"):
        cell = found[f"random {measure}"]
        assert cell["replicates"] == 3000
        assert cell["reject_at_05"] <= 0.065
        assert cell["reject_at_01"] <= 0.017


def test_disjoint_controls_reject_too_often_where_one_head_of_a_layer_dominates() -> None:
    found = random_heads([made(3.0)], 1500, seed=0)["disjoint accuracy"]
    assert found["reject_at_05"] > 0.10
    assert not found["reject_at_05_within"]


def test_power_grows_with_the_cases_where_every_layer_has_its_head() -> None:
    one = made(3.0, special=4)
    noisy = Recorded(
        one.drop + np.random.default_rng(1).normal(0, 20, one.drop.shape), one.margin, one.shares, one.images
    )
    table = power(noisy, 300, seed=0)
    assert list(table) == ["5", "10", "15", "20", "30"]
    assert table["30"]["random"] > table["5"]["random"]
    assert power(one, 50, seed=0)["30"] == {"random": 1.0, "disjoint": 1.0}


def test_a_set_that_hangs_on_one_head_of_its_layer_cannot_be_told_from_random_sets() -> None:
    one = made(3.0)
    lost = (one.drop > 2).astype(float)  # every set with that head loses every answer, the others none
    table = power(Recorded(lost, one.margin, one.shares, one.images), 50, seed=0)
    assert table["30"] == {"random": 0.0, "disjoint": 1.0}
