"""Pairs of the planted world: one thing differs, and both answers follow from the pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headscope.making.pairs.schema import Pairs, load_pairs
from headscope.validation.known_pairs import FACTS, known_pairs
from headscope.validation.planted.glyphs import COLUMNS, PATCH
from headscope.validation.planted.questions import COUNT, OBJECT, PICTURED, PLACE, RELATION

COUNT_EACH = 6


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    folder = tmp_path_factory.mktemp("pairs")
    known_pairs(folder, "plain", COUNT_EACH, seed=3)
    return load_pairs(folder)


def test_every_function_that_needs_a_head_has_its_pairs_on_both_splits(pairs: Pairs) -> None:
    splits = pairs.cases.splits
    for function in PICTURED:
        mine = [p for p in pairs if p.function == function]
        assert [splits[p.first] for p in mine] == ["select"] * COUNT_EACH + ["test"] * COUNT_EACH
        assert {p.fact for p in mine} == {FACTS[function]}


def test_pictures_differ_in_the_cells_of_the_thing_that_differs_and_nowhere_else(pairs: Pairs) -> None:
    for pair in pairs:
        one, other = (pairs.cases.by_id[name] for name in (pair.first, pair.second))
        cells = {
            (int(o.box[0]) // PATCH, int(o.box[1]) // PATCH)
            for a, b in ((one, other), (other, one))
            for o in a.objects
            if o.box is not None and o not in b.objects
        }
        pixels = [np.asarray(pairs.cases.image(case), dtype=int) for case in (one, other)]
        differ = np.abs(pixels[0] - pixels[1]).max(axis=2)
        found = {(x // PATCH, y // PATCH) for y, x in zip(*np.nonzero(differ), strict=True)}
        assert found <= cells, pair.id
        assert found


def test_both_answers_follow_from_the_things_of_their_pictures(pairs: Pairs) -> None:
    for pair in pairs:
        for name in (pair.first, pair.second):
            case = pairs.cases.by_id[name]
            step = pairs.question_of(case, pair)
            things = {o.id: o for o in case.objects}
            columns = {k: int(o.box[0]) // PATCH % COLUMNS for k, o in things.items() if o.box is not None}
            if pair.function == PLACE:
                assert step.answer == ("left", "middle", "right")[columns[step.objects[0]]]
            elif pair.function == RELATION:
                first, second = (columns[o] for o in step.objects)
                assert step.answer == ("second" if second > first else "first")
            elif pair.function == COUNT:
                assert step.answer == {3: "three", 4: "four", 5: "five", 6: "six"}[len(things)]
            else:
                thing = things[step.objects[0]]
                assert step.answer in (thing.name, *thing.attributes.values())


def test_the_same_seed_gives_the_same_pairs_and_two_hops_have_their_wording(tmp_path: Path) -> None:
    known_pairs(tmp_path / "a", "two_hop", 2, seed=3)
    known_pairs(tmp_path / "b", "two_hop", 2, seed=3)
    one, other = ((tmp_path / name / "cases.jsonl").read_bytes() for name in "ab")
    assert one == other
    plain = known_pairs(tmp_path / "c", "plain", 2, seed=3)
    hops = load_pairs(tmp_path / "a")
    moved = [p for p in plain if p.function == PLACE]
    for a, b in zip(moved, [p for p in hops if p.function == PLACE], strict=True):
        assert hops.asked(b)[0].question != plain.asked(a)[0].question
    kinds = [p for p in plain if p.function == OBJECT]
    assert all(plain.asked(p)[0].answer != plain.asked(p)[1].answer for p in kinds)
