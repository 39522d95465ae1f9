"""Random sets that may share heads with those under test."""

from __future__ import annotations

from collections import Counter

from headscope.edits.edits import Edit, mute
from headscope.experiments.controls import draw
from headscope.experiments.effects import drops
from headscope.experiments.items import choose_items, open_readers
from headscope.experiments.significance import p_among_random
from headscope.functions import DEFAULT
from headscope.models.geometry import Head
from headscope.storage import Ledger

TESTED = (Head(0, 1), Head(2, 0), Head(2, 3))


def test_sets_keep_the_layers_and_may_share_heads(llava) -> None:
    controls = draw(llava.geometry, TESTED, 60, seed=0, disjoint=False)
    assert controls.layer_matched
    for heads in controls.draws:
        assert Counter(h.layer for h in heads) == {0: 1, 2: 2}
    assert any(set(heads) & set(TESTED) for heads in controls.draws)
    assert len(set(controls.draws)) == 4 * 6  # every set there is: C(4, 1) C(4, 2)
    assert not any(set(h) & set(TESTED) for h in draw(llava.geometry, TESTED, 60, seed=0).draws)


def test_p_counts_the_other_sets_that_hurt_as_much(llava, cases, splits, tmp_path) -> None:
    items = choose_items(cases, splits, "test", DEFAULT, 6, 0, ())["counting"]
    reader = open_readers(llava, cases, {"counting": items}, Ledger(tmp_path, {}))["counting"]
    found = p_among_random(reader, llava.geometry, TESTED, 40, seed=0)
    sets = {h for h in draw(llava.geometry, TESTED, 40, seed=0, disjoint=False).draws if h != TESTED}
    lost = drops(
        reader.clean, [reader.read(Edit(TESTED, mute())), *(reader.read(Edit(s, mute())) for s in sets)]
    )[0]
    assert found == (1 + sum(one >= lost[0] for one in lost[1:])) / (1 + len(sets))
    assert p_among_random(reader, llava.geometry, TESTED, 0, seed=0) is None
