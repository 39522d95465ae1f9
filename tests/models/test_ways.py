"""The record of quick ways: found once, kept beside the work, taken again by a run that goes on."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from headscope.errors import ModelError, StoreError
from headscope.models.vlm import VLM
from headscope.models.ways import Way, decided, fell_short, kept_ways, note_short, note_way, refused, ways_of
from headscope.storage import read_json, write_json


@pytest.fixture
def vlm(tiny: VLM) -> VLM:
    """A model that nothing is known of, as in a process that has just begun."""
    return copy.copy(tiny)


def never() -> Way:
    raise AssertionError("tried again")


def test_what_a_record_holds_is_taken_by_a_process_that_knows_nothing(vlm: VLM, tmp_path: Path) -> None:
    with kept_ways(vlm, tmp_path):
        decided(vlm, "a", lambda: Way(choice={"rows": 4}))
        decided(vlm, "b", lambda: Way("it differs"), instead="c")
    later = copy.copy(vlm)
    with kept_ways(later, tmp_path):
        assert decided(later, "a", never).choice == {"rows": 4}
        assert decided(later, "b", never).refusal == "it differs"
    assert read_json(tmp_path / "ways.json")["ways"]["a"]["choice"] == {"rows": 4}


def test_work_with_a_record_leaves_aside_what_other_work_found(vlm: VLM, tmp_path: Path) -> None:
    decided(vlm, "a", lambda: Way("not this one"), instead="b")
    with kept_ways(vlm, tmp_path):
        assert not decided(vlm, "a", Way).refusal
    assert decided(vlm, "a", never).refusal == "not this one"


def test_of_nested_records_the_outermost_holds(vlm: VLM, tmp_path: Path) -> None:
    with kept_ways(vlm, tmp_path / "study"), kept_ways(vlm, tmp_path / "study" / "capture"):
        decided(vlm, "a", Way)
    assert not (tmp_path / "study" / "capture").exists()
    assert ways_of(vlm) == {}
    with kept_ways(vlm, tmp_path / "study"):
        assert ways_of(vlm) == {"a": ""}


def test_memory_that_ran_out_decides_for_recorded_work_alone(vlm: VLM, tmp_path: Path) -> None:
    full = torch.OutOfMemoryError("CUDA out of memory")
    assert decided(vlm, "a", lambda: refused(full)).short
    assert not decided(vlm, "a", Way).refusal, "nothing is held against a model in a process"
    with kept_ways(vlm, tmp_path):
        assert "out of memory" in decided(vlm, "b", lambda: refused(full)).refusal
    with kept_ways(copy.copy(vlm), tmp_path):
        assert "out of memory" in decided(vlm, "b", lambda: refused(full)).refusal


def test_work_that_memory_ran_out_on_is_remembered_and_no_other(vlm: VLM, tmp_path: Path) -> None:
    note_short(vlm, "prompts 1", torch.OutOfMemoryError("full"))
    assert not fell_short(vlm, "prompts 1")
    with kept_ways(vlm, tmp_path):
        note_short(vlm, "prompts 1", torch.OutOfMemoryError("full"))
        note_short(vlm, "prompts 2", ModelError("not made for these"))
    later = copy.copy(vlm)
    with kept_ways(later, tmp_path):
        assert fell_short(later, "prompts 1")
        assert not fell_short(later, "prompts 2")


def test_a_note_decides_nothing_and_is_said_once(
    vlm: VLM, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with kept_ways(vlm, tmp_path):
        for _ in range(2):
            note_way(vlm, "a", "no plain cache", instead="rows")
        assert not decided(vlm, "a", Way).refusal
        assert ways_of(vlm) == {"a": "no plain cache"}
    assert caplog.text.count("rows instead of a: no plain cache") == 1


def test_a_record_that_was_cut_or_is_of_another_release_is_refused(vlm: VLM, tmp_path: Path) -> None:
    path = tmp_path / "ways.json"
    write_json(path, {"scan by replay, scope all": ""})  # the first form: reasons alone
    with kept_ways(vlm, tmp_path):
        assert ways_of(vlm) == {}
    for held, said in (
        ({"schema": "headscope/ways/1", "ways": {"a": {"reason": ""}}}, "cut off"),
        ({"schema": "headscope/ways/9"}, "expected 'headscope/ways/1'"),
    ):
        write_json(path, held)
        with pytest.raises(StoreError, match=said), kept_ways(vlm, tmp_path):
            pass
