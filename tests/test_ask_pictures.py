"""``headscope ask`` about several pictures: all are shown in order, and a box says in which one it lies."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from headscope.cli.ask_command import AskOptions, _by_picture, ask_once
from headscope.errors import DataError, ModelError
from headscope.models import vlm as vlm_module
from headscope.models.vlm import VLM
from headscope.pointing.styles import point

QUESTION = "Is the dog the same?"
BOX = (4.0, 4.0, 20.0, 20.0)


@pytest.fixture
def photos(tmp_path: Path) -> tuple[Path, ...]:
    rng = np.random.default_rng(3)
    sizes = ((40, 30), (24, 48))
    for i, (width, height) in enumerate(sizes):
        pixels = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    return tmp_path / "0.png", tmp_path / "1.png"


@pytest.fixture(autouse=True)
def _loaded_once(tiny: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vlm_module, "load_model", lambda *_a, **_k: tiny)


def said(**options: Any) -> str:
    return ask_once(AskOptions(question=QUESTION, choices="yes,no", **options))


def weights(vlm: VLM, pictures: list[Any]) -> str:
    answer = vlm.answer(pictures, QUESTION, choices=("yes", "no"))
    return "\n".join(f"  {c}: {p:.3f}" for c, p in sorted(answer.logprobs.items(), key=lambda x: -x[1]))


def test_all_pictures_are_shown_in_their_order(photos: tuple[Path, ...], tiny: VLM) -> None:
    assert weights(tiny, list(photos)) in said(images=photos)
    assert weights(tiny, list(photos[::-1])) in said(images=photos[::-1])
    assert said(images=photos) != said(images=photos[::-1])
    assert said(images=photos[:1]) != said(images=photos)


def test_a_box_lies_in_the_picture_that_it_names_and_both_are_saved_as_shown(
    photos: tuple[Path, ...], tiny: VLM, tmp_path: Path
) -> None:
    text = said(images=photos, boxes=("2:4,4,20,20",), style="box", save=tmp_path / "seen.png")
    marked = point("box", photos[1], [BOX]).image
    assert weights(tiny, [photos[0], marked]) in text
    seen = [np.asarray(Image.open(tmp_path / f"seen-{n}.png")) for n in (1, 2)]
    assert np.array_equal(seen[0], np.asarray(Image.open(photos[0])))
    assert np.array_equal(seen[1], np.asarray(marked))


def test_boxes_are_shared_out_by_their_numbers() -> None:
    assert _by_picture(["1,1,2,2", "1:3,3,4,4"], 1) == [["1,1,2,2", "3,3,4,4"]]
    assert _by_picture([" 2 : 1,1,2,2;1:5,5,6,6", "2:3,3,4,4"], 2) == [["5,5,6,6"], [" 1,1,2,2", "3,3,4,4"]]


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ("4,4,20,20", r'one of 2 pictures, found none named; .* as in "2:4,4,20,20"'),
        ("3:4,4,20,20", "picture 3, found 2 by --image"),
        ("0:4,4,20,20", "picture 0, found 2 by --image"),
        ("2:4,4,40,20", "outside the picture of 24 x 48"),
        ("2:", "asked for boxes, found none"),
    ],
)
def test_a_box_of_no_picture_is_refused(box: str, message: str, photos: tuple[Path, ...]) -> None:
    with pytest.raises(DataError, match=message):
        said(images=photos, boxes=(box,))


def test_saving_over_any_of_the_pictures_is_refused(photos: tuple[Path, ...], tmp_path: Path) -> None:
    shutil.copy(photos[0], tmp_path / "a-2.png")
    with pytest.raises(DataError, match="name another file"):
        said(images=(photos[0], tmp_path / "a-2.png"), save=tmp_path / "a.png")


def test_a_model_of_one_picture_refuses_by_its_name(
    photos: tuple[Path, ...], tiny: VLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_only(_vlm: VLM, prompts: list[Any]) -> None:
        raise ModelError(f"{tiny.name}: asked about {len(prompts[0].pictures)} pictures in one prompt")

    monkeypatch.setattr(VLM, "encode", one_only)
    with pytest.raises(ModelError, match="asked about 2 pictures"):
        said(images=photos)
