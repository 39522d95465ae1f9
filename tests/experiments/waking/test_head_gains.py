"""Gains of heads, and whether spatial heads wake, on made-up sums whose answers are known."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from headscope.experiments.waking.head_gains import (
    OTHERS,
    PRIMARY,
    HeadSums,
    gains,
    head_gains,
    median_differences,
    shows_waking,
    waking,
)
from headscope.models.vlm import VLM


def entry(image, norm, mass, n=1, n_mass=1, **more):
    return {"image": image, "norm": norm, "mass": mass, "n": n, "n_mass": n_mass, **more}


def test_head_gains_recover_what_was_planted():
    rng = np.random.default_rng(0)
    base = rng.uniform(1, 2, (40, 4))
    factor = np.array([1.5, 1.5, 1.1, 1.0])
    plain = HeadSums.of([entry(f"i{i}", b, b / 10) for i, b in enumerate(base)], 4, lambda e: True)
    lit = HeadSums.of([entry(f"i{i}", b * factor, b / 10) for i, b in enumerate(base)], 4, lambda e: True)
    found = gains(plain, lit, np.array([True, True, False, False]), draws=200).content()
    one = found["contribution"]
    assert one["spatial"]["value"] == pytest.approx(0.5)
    assert one["other"]["value"] == pytest.approx(0.05)
    assert one["difference"]["value"] == pytest.approx(0.45)
    assert one["difference"]["ci"] == pytest.approx([0.45, 0.45])
    assert found["attention"]["spatial"]["value"] == pytest.approx(0)
    assert found["images"] == 40


def test_the_interval_of_a_gain_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(100):
        base = rng.uniform(1, 2, (30, 4))
        noise = np.array([1.3, 1.3, 1.0, 1.0]) + rng.normal(0, 0.2, (30, 4))
        plain = HeadSums.of([entry(f"{i:02}", b, b) for i, b in enumerate(base)], 4, lambda e: True)
        lit = HeadSums.of([entry(f"{i:02}", b, b) for i, b in enumerate(base * noise)], 4, lambda e: True)
        found = gains(plain, lit, np.array([1, 1, 0, 0], bool), 300, trial)
        low, high = found.contribution.difference.ci
        hits += low <= 0.3 <= high
    assert 88 <= hits <= 100


def test_sums_go_by_image_and_by_the_test():
    entries = [
        entry("a", [1, 2], [0, 0], range="beyond"),
        entry("a", [3, 4], [1, 1], n=2, range="trained"),
        entry("b", [5, 6], [2, 2], n_mass=0, range="trained"),
    ]
    sums = HeadSums.of(entries, 2, lambda e: True)
    assert sums.images == ("a", "b")
    assert sums.norm.tolist() == [[4, 6], [5, 6]]
    assert sums.count.tolist() == [3, 1]
    assert HeadSums.of(entries, 2, lambda e: e["range"] == "beyond").norm.tolist() == [[1, 2]]


def test_without_images_or_without_two_sets_of_heads_there_is_no_gain():
    none = HeadSums.of([], 2, lambda e: True)
    some = HeadSums.of([entry("a", [1, 2], [0, 0])], 2, lambda e: True)
    assert gains(none, none, np.array([True, False])) is None
    assert gains(some, some, np.array([False, False])) is None
    assert gains(some, some, np.array([True, True])) is None
    assert np.isnan(head_gains(np.array([0.0]), np.array([1.0]))[0])


def test_one_head_does_not_make_the_gain_of_a_set() -> None:
    plain = HeadSums.of([entry(f"i{i}", [1.0] * 6, [1.0] * 6) for i in range(9)], 6, lambda e: True)
    lit = HeadSums.of([entry(f"i{i}", [9, 1, 1, 1, 1, 1], [1.0] * 6) for i in range(9)], 6, lambda e: True)
    found = gains(plain, lit, np.array([1, 1, 1, 0, 0, 0], bool), draws=50)
    assert found is not None
    assert found.contribution.difference.value == 0
    assert per_head_difference([9, 1, 1], [1, 1, 1]) > 2  # a mean over heads would have said so


def per_head_difference(one: list[float], other: list[float]) -> float:
    return float(np.mean(one) - np.mean(other))


def test_median_differences_leave_out_heads_without_a_gain() -> None:
    gain = np.array([3.0, np.nan, 1.0, 5.0, 2.0])
    expected = [np.median([3.0]) - np.median([1, 5, 2]), np.median([1.0, 5.0]) - np.median([3.0, 2.0])]
    assert median_differences(gain, [[0, 1], [2, 3]]).tolist() == expected
    assert np.isnan(median_differences(gain, [[1]])[0])


def sums(vlm: VLM, lift: np.ndarray, seed: int = 0) -> dict[str, list[dict]]:
    rng = np.random.default_rng(seed)
    base = rng.uniform(1, 2, (30, len(lift)))
    made: dict[str, list[dict]] = {}
    for variant, factor in (("plain", 1.0), ("both", 1 + lift), ("equal_area", 1 + lift / 2)):
        made[variant] = [
            entry(f"i{i:02}", b * factor, b * factor, functions="spatial", range=None)
            for i, b in enumerate(base)
        ]
    return made


def test_p_of_waking_is_that_of_every_way_to_pick_as_many_heads_of_the_same_layers(tiny: VLM) -> None:
    geometry = tiny.geometry
    heads = len(geometry.heads)
    lift = np.random.default_rng(4).uniform(0, 1, heads)
    spatial = [0, 3, geometry.index(geometry.heads[-1])]
    found = waking(sums(tiny, lift), geometry, spatial, sets=100_000, draws=50)
    assert found is not None
    layers: dict[int, list[int]] = {}
    for i, head in enumerate(geometry.heads):
        layers.setdefault(head.layer, []).append(i)
    wanted = [sum(i in members for i in spatial) for members in layers.values()]
    picks = [combinations(m, k) for m, k in zip(layers.values(), wanted, strict=True)]
    values = {}
    for parts in product(*picks):
        one = sorted(i for part in parts for i in part)
        rest = [i for i in range(heads) if i not in one]
        values[tuple(one)] = np.median(lift[one]) - np.median(lift[rest])
    own = values.pop(tuple(sorted(spatial)))
    expected = (1 + sum(v >= own - 1e-9 for v in values.values())) / (1 + len(values))
    assert found.primary.sets == len(values)
    assert found.primary.difference == pytest.approx(own)
    assert found.primary.p == pytest.approx(expected)


def test_heads_that_stay_as_they_are_while_all_others_fall_do_not_wake(tiny: VLM) -> None:
    geometry = tiny.geometry
    spatial = [h for h in range(len(geometry.heads)) if geometry.heads[h].head == 0]
    falling = np.where(np.isin(np.arange(len(geometry.heads)), spatial), 0.0, -0.3)
    left, risen = (
        waking(sums(tiny, lift), geometry, spatial, sets=2000, draws=200) for lift in (falling, falling + 0.5)
    )
    assert left is not None
    assert risen is not None
    for found in (left.primary, risen.primary):
        assert found.difference == pytest.approx(0.3)
        assert found.ci[0] is not None
        assert found.ci[0] > 0
    assert left.primary.spatial == pytest.approx(0)
    assert not shows_waking(left.primary)
    assert risen.primary.spatial == pytest.approx(0.5)
    assert shows_waking(risen.primary) == (risen.primary.p is not None and risen.primary.p < 0.05)


def test_waking_has_one_primary_measure_and_q_over_the_others(tiny: VLM) -> None:
    lift = np.zeros(len(tiny.geometry.heads))
    lift[[1, 6]] = 0.8
    found = waking(sums(tiny, lift), tiny.geometry, [1, 6], sets=200, draws=50)
    assert found is not None
    primary = found.primary
    assert (primary.measure, primary.against, primary.questions) == PRIMARY
    assert primary.q is None
    said = {(m.measure, m.against, m.questions) for m in found.others}
    assert said == {m for m in OTHERS if m[2] != "other_functions"}  # no entry of other functions here
    p = [m.p for m in found.others]
    ranks = np.argsort(np.argsort(p, kind="stable"), kind="stable") + 1
    raw = np.array(p) * len(p) / ranks
    expected = [min(1.0, raw[ranks >= r].min()) for r in ranks]
    assert [m.q for m in found.others] == pytest.approx(expected)


def test_without_spatial_heads_or_questions_nothing_is_said_of_waking(tiny: VLM) -> None:
    made = sums(tiny, np.zeros(len(tiny.geometry.heads)))
    assert waking(made, tiny.geometry, []) is None
    assert waking({v: [] for v in made}, tiny.geometry, [0]) is None
