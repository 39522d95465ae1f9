"""Shipped taxonomies, by name, and the map from our nine functions to the paper's eight."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headscope.data.cases import load_cases
from headscope.errors import DataError
from headscope.functions import COGVSR, DEFAULT, SHIPPED, load_taxonomy
from headscope.making.scenes.generate import draw_scenes
from headscope.study.record import TaxonomyRecord

EIGHT = {
    "spatial_perception", "relational_reasoning", "knowledge_recall", "math_reasoning", "decision_making",
    "low_level_visual_perception", "high_level_visual_perception", "information_extraction",
}  # fmt: skip


def test_the_papers_functions_are_its_eight_and_ours_have_a_name_of_their_own() -> None:
    assert set(COGVSR.functions) == EIGHT
    assert (DEFAULT.name, COGVSR.name) == ("headscope-9", "cogvsr")
    assert [load_taxonomy(name) for name in SHIPPED] == [DEFAULT, COGVSR]


def test_each_of_our_functions_falls_under_one_of_the_papers_and_all_are_reached() -> None:
    assert {COGVSR.own(f) for f in DEFAULT.functions} == EIGHT
    assert all(COGVSR.own(f) == f for f in EIGHT)
    assert COGVSR.own("dreaming") == "dreaming"
    assert DEFAULT.own("math_reasoning") == "math_reasoning"  # not one of ours: no way back


def test_cases_labelled_with_the_nine_are_read_in_the_eight(tmp_path: Path) -> None:
    plain = draw_scenes(tmp_path, 12, seed=2, card=False)
    cases = load_cases(tmp_path, COGVSR).in_taxonomy(COGVSR)
    for before, after in zip(plain, cases, strict=True):
        assert [s.function for s in after.steps] == [COGVSR.own(s.function) for s in before.steps]
        assert [s.question for s in after.steps] == [s.question for s in before.steps]
    assert cases.splits == plain.splits
    assert cases.picture_groups == plain.picture_groups
    assert cases.in_taxonomy(COGVSR) is cases
    assert plain.in_taxonomy(DEFAULT) is plain
    assert cases.fingerprint != plain.fingerprint


def test_labels_of_the_eight_are_no_labels_of_the_nine(tmp_path: Path) -> None:
    draw_scenes(tmp_path, 6, seed=2, card=False)
    text = (tmp_path / "cases.jsonl").read_text().replace('"counting"', '"math_reasoning"')
    text = text.replace('"object_recognition"', '"high_level_visual_perception"')
    (tmp_path / "cases.jsonl").write_text(text)
    assert len(load_cases(tmp_path, COGVSR)) == 6
    with pytest.raises(DataError, match="high_level_visual_perception"):
        load_cases(tmp_path, DEFAULT)


def test_a_users_taxonomy_may_say_what_its_functions_stand_for(tmp_path: Path) -> None:
    raw = {"functions": {"seeing": "what is there"}, "stands_for": {"counting": "seeing"}}
    (tmp_path / "mine.json").write_text(json.dumps(raw))
    mine = load_taxonomy(tmp_path / "mine.json")
    assert mine.own("counting") == "seeing"
    assert TaxonomyRecord.of(mine).taxonomy == mine
    (tmp_path / "mine.json").write_text(json.dumps(raw | {"stands_for": {"counting": "hearing"}}))
    with pytest.raises(DataError, match=r"stands_for: unknown functions \['hearing'\]"):
        load_taxonomy(tmp_path / "mine.json")
    with pytest.raises(DataError, match="headscope-9, cogvsr"):
        load_taxonomy("cogvsr-8")
