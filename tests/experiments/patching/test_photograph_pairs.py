"""Photographs and their mirror images, patched end to end; wrong answers are counted, not patched."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from headscope.cli import main
from headscope.data.cases import Cases, load_cases
from headscope.experiments.context import ExperimentContext
from headscope.experiments.patching.experiment import FEWEST, PatchSettings, patch
from headscope.making.pairs.mirror import mirror_pairs
from headscope.models.vlm import VLM
from shared_cases import DATA

VSR, COCO = DATA / "vsr_photos", DATA / "tiny_coco"


def said(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    """A command that succeeds."""
    monkeypatch.setattr(sys, "argv", ["headscope", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code


def patched(vlm: VLM, cases: Path, folder: Path, functions: tuple[str, ...], most: int) -> None:
    """Every function is patched, or says how few pairs are answered right both ways."""
    held = load_cases(cases)
    held = Cases(held.folder, list(held)[:most])
    made = mirror_pairs(held, folder / "pairs", functions)
    assert made.pairs is not None
    here = ExperimentContext(vlm, held, held.splits, folder)
    few = {"select_pairs": 6, "test_pairs": 4, "draws": 2, "pool": 2, "most": 1, "stand_ins": 0}
    found = patch(here, PatchSettings(str(folder / "pairs"), groups=("all", "last"), **few))
    asked = {p.function for p in made.pairs if not p.control}
    assert found.functions.keys() == asked
    for result in found.functions.values():
        assert result.facts.keys() <= {"mirror"}
        assert not result.refused, "photographs of one size line up with their mirror images"
        assert result.right <= result.pairs
        if result.right < FEWEST:
            assert f"{result.right} of {result.pairs} pairs" in result.untested
        else:
            assert result.groups["all"].pairs == result.right


@pytest.mark.skipif(not VSR.is_dir(), reason="the photographs of shared/data/vsr_photos are not here")
def test_statements_of_vsr_and_their_mirror_images_are_patched(
    tiny: VLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "vsr"
    source = ("--from", VSR / "dev_half.jsonl", "--images", VSR / "images")
    said(monkeypatch, "data", "import", "vsr", *source, "--out", out)
    patched(tiny, out, tmp_path, ("main",), 60)


@pytest.mark.skipif(not COCO.is_dir(), reason="the photographs of shared/data/tiny_coco are not here")
def test_questions_from_boxes_of_coco_and_their_mirror_images_are_patched(
    tiny: VLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "coco"
    boxes = COCO / "annotations" / "instances_train2017.json"
    said(monkeypatch, "data", "questions", boxes, "--images", COCO / "train2017", "--out", out)
    patched(tiny, out, tmp_path, ("spatial_perception", "relational_reasoning"), 15)
