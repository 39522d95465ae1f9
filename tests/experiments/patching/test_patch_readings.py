"""What patches move, against hooks, finite differences and sums by hand."""

from __future__ import annotations

import numpy as np
import pytest

from headscope.asking.ask import ask
from headscope.edits.patching import Patch, prompt_z
from headscope.experiments.patching.asked_pair import AskedPair, open_pair
from headscope.experiments.patching.readings import PairReading, estimated_moves, read_pair
from headscope.experiments.patching.statistics import recovered, share_of_runs
from headscope.making.pairs.scenes import draw_pairs
from headscope.models.vlm import VLM


@pytest.fixture(scope="module")
def asked(tiny: VLM, tmp_path_factory: pytest.TempPathFactory) -> AskedPair:
    pairs = draw_pairs(tmp_path_factory.mktemp("pairs"), 2, seed=5, facts=("facing",))
    return open_pair(tiny, pairs, pairs[0])


def own_over_other(vlm: VLM, asked: AskedPair, run: int, patch: Patch | None) -> float:
    """The margin of the run's own answer over the other run's, by an ordinary question."""
    found = ask(vlm, asked.encoded[run], [asked.items[run]], edit=patch, max_new_tokens=1).logprobs[0]
    return found[asked.items[run].truth] - found[asked.items[1 - run].truth]


def test_a_pairs_reading_is_what_two_ordinary_questions_under_each_patch_give(
    tiny: VLM, asked: AskedPair
) -> None:
    heads = tiny.geometry.heads
    places = [((heads[1],), "all"), ((heads[2], heads[9]), "image"), ((heads[-1],), "last")]
    found = read_pair(tiny, asked, places)
    for run in (0, 1):
        z = prompt_z(tiny, asked.encoded[1 - run], heads)
        assert found.clean[run] == pytest.approx(own_over_other(tiny, asked, run, None), abs=1e-5)
        for i, (some, group) in enumerate(places):
            wanted = own_over_other(tiny, asked, run, Patch(some, z, asked.groups[group]))
            assert found.patched[run, i] == pytest.approx(wanted, abs=1e-5)
    assert found.difference == pytest.approx(found.clean.sum())
    np.testing.assert_allclose(found.moved, (found.clean[:, None] - found.patched).mean(axis=0))
    again = PairReading.from_json(found.to_json())
    np.testing.assert_array_equal(again.patched, found.patched)


def test_a_place_that_the_pair_does_not_have_is_no_number(tiny: VLM, asked: AskedPair) -> None:
    less = AskedPair(
        asked.pair, asked.items, asked.encoded, {k: v for k, v in asked.groups.items() if k != "objects"}
    )
    found = read_pair(tiny, less, [((tiny.geometry.heads[0],), "objects")])
    assert np.isnan(found.patched).all()
    assert np.isnan(found.follows).all()


def test_the_estimate_is_the_derivative_of_the_margin_along_the_patch(tiny: VLM, asked: AskedPair) -> None:
    heads, groups, step = tiny.geometry.heads, ("all", "image", "last"), 1e-2
    found = estimated_moves(tiny, asked, heads, groups).reshape(len(groups), len(heads))
    for g, group in enumerate(groups):
        for h in (0, 5, len(heads) - 1):
            slope = 0.0
            for run in (0, 1):
                own, other = (prompt_z(tiny, asked.encoded[r], heads) for r in (run, 1 - run))
                ends = []
                for sign in (1, -1):
                    mixed = {s: own[s] + sign * step * (other[s] - own[s]) for s in own}
                    patch = Patch((heads[h],), mixed, asked.groups[group])
                    ends.append(own_over_other(tiny, asked, run, patch))
                slope -= (ends[0] - ends[1]) / (2 * step) / 2
            assert found[g, h] == pytest.approx(slope, abs=2e-4, rel=2e-2)
    assert np.abs(found).max() > 1e-3


def reading(clean: tuple[float, float], patched: list[list[float]]) -> PairReading:
    table = np.array(patched, dtype=float)
    none = np.zeros_like(table)
    return PairReading(np.array(clean), table, np.ones(2), none, none)


def test_recovered_is_the_ratio_of_means_and_its_interval_resamples_pictures() -> None:
    readings = [
        reading((2.0, 4.0), [[-1.0, 2.0], [1.0, 4.0]]),  # moved 3.0 and 0.0 of 6
        reading((1.0, 1.0), [[0.0, np.nan], [0.0, np.nan]]),  # moved 1.0 of 2; no second place
        reading((3.0, 1.0), [[3.0, 3.0], [1.0, -1.0]]),  # moved 0.0 and 1.0 of 4
    ]
    found = recovered(readings, ["a", "a", "b"], seed=1)
    np.testing.assert_allclose(found.value, [4 / 12, 1 / 10])
    assert found.pairs.tolist() == [3, 2]
    assert found.pictures == 2
    # Two pictures: a twice, b twice, or one of each.
    wanted = {4 / 8, 0.0, 4 / 12}
    assert {round(v, 6) for v in found.draws[:, 0]} == {round(v, 6) for v in wanted}


def test_a_share_of_runs_counts_both_runs_of_every_pair_and_resamples_pictures() -> None:
    share, (low, high) = share_of_runs(np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 1.0]]), ["a", "b", "c"])
    assert share == pytest.approx(5 / 6)
    assert low is not None
    assert high is not None
    assert 0 <= low < 5 / 6 < high <= 1
    assert share_of_runs(np.ones((4, 2)), list("abcd"))[1][0] < 0.7  # four pictures prove little


def test_patching_a_run_with_itself_moves_nothing(tiny: VLM, asked: AskedPair) -> None:
    same = AskedPair(
        asked.pair, (asked.items[0], asked.items[0]), (asked.encoded[0], asked.encoded[0]), asked.groups
    )
    found = read_pair(tiny, same, [(tiny.geometry.heads, "all"), (tiny.geometry.heads[:3], "image")])
    np.testing.assert_allclose(found.moved, 0.0, atol=1e-6)
    np.testing.assert_array_equal(found.lost, np.tile(1 - found.right[:, None], 2))
