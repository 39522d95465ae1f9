"""Families asked about two pictures: the second one changes tokens of its own span and no others, or the
model says that it takes one picture, or that its tokens cannot be told apart."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from headscope.errors import ModelError
from headscope.models.types import Prompt
from headscope.models.vlm import VLM, load_model
from models.families.experiment import first_layer_input
from models.families.folders import family_folder, skip_unless_readable
from models.families.test_family_pipeline import FAMILIES, MORE, QUESTION, picture

# Why a family is refused, and where tokens are not told apart.
REFUSED = {"paligemma": "how its own prompt format holds several pictures is not known"}
TOGETHER = {
    "llava_onevision": "which token is which picture's is not known"
}  # several are not cut into tiles
CROSS = ("mllama",)  # its pictures are no positions of the decoder


@pytest.fixture(params=[*FAMILIES, *(pytest.param(f, marks=pytest.mark.slow) for f in MORE)])
def family(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def vlm(family: str, tmp_path: Path) -> VLM:
    skip_unless_readable(family)
    return load_model(family_folder(family, tmp_path / family), prove=False)


def test_each_of_two_pictures_has_tokens_of_its_own(family: str, vlm: VLM) -> None:
    one, other, third = picture(0, (120, 70)), picture(1, (64, 130)), picture(5, (64, 130))
    if family in REFUSED:
        with pytest.raises(ModelError, match=f"2 pictures in one prompt; .*{REFUSED[family]}"):
            vlm.encode([Prompt([one, other], QUESTION)])
        return
    encoded, before = first_layer_input(vlm, [Prompt([one, other], QUESTION)])
    _, after = first_layer_input(vlm, [Prompt([one, third], QUESTION)])
    moved = (before != after).flatten(2).any(dim=-1)[0]
    assert not (moved & ~encoded.image[0]).any()
    if family in TOGETHER:
        assert moved.any()
        with pytest.raises(ModelError, match=TOGETHER[family]):
            encoded.picture_span(0, 1)
        return
    first, second = encoded.picture_span(0, 0), encoded.picture_span(0, 1)
    assert torch.equal(first ^ second, encoded.image[0])
    assert not (moved & ~second).any()
    assert moved.any() or family in CROSS
    boxes = encoded.grids[0].boxes
    assert (boxes is None) == (family in CROSS)
    if boxes is not None:
        mine = encoded.grids[0].of(1)
        assert mine is not None
        assert torch.equal(
            boxes[mine].nan_to_num(-1),
            vlm.encode([Prompt(other, QUESTION)]).grids[0].boxes.nan_to_num(-1),  # type: ignore[union-attr]
        )
