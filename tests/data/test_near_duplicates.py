"""Copies that were re-encoded or resized are found; pictures that only look alike are not."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from headscope.cli.app import app
from headscope.data.near_duplicates import BITS, KEPT, SIDE, look_of, near_pairs
from headscope.data.validation import inspect, validate
from headscope.functions import DEFAULT
from headscope.making.scenes.generate import one_case
from headscope.making.scenes.scene import Scene
from made_cases import record


def scene(number: int) -> Scene:
    found = one_case(number, 31)[1].scene
    assert found is not None
    return found


def drawn(one: Scene) -> Image.Image:
    return Image.fromarray(one.render())


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    return [drawn(scene(i)) for i in range(200)]


def encoded(picture: Image.Image, kind: str, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, kind, quality=quality)
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def resized(picture: Image.Image, factor: float) -> Image.Image:
    size = round(picture.width * factor), round(picture.height * factor)
    return picture.resize(size, Image.Resampling.BICUBIC)


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG 95": partial(encoded, kind="JPEG", quality=95),
    "JPEG 50": partial(encoded, kind="JPEG", quality=50),
    "WebP 80": partial(encoded, kind="WEBP", quality=80),
    "WebP 50": partial(encoded, kind="WEBP", quality=50),
    "half": partial(resized, factor=0.5),
    "three quarters": partial(resized, factor=0.75),
    "double": partial(resized, factor=2.0),
    "double, WebP 80": lambda picture: encoded(resized(picture, 2.0), "WEBP", 80),
}


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_is_found(kind: str, pictures: list[Image.Image]) -> None:
    for picture in pictures[:25]:
        assert near_pairs([look_of(picture), look_of(COPIES[kind](picture))]) == [(0, 1)]


def test_scenes_that_look_alike_are_not_reported(pictures: list[Image.Image]) -> None:
    assert near_pairs([look_of(p) for p in pictures]) == []


def test_one_thing_that_changed_makes_another_picture() -> None:
    tried = 0
    for number in range(60):
        one = scene(number)
        thing = one.things[number % len(one.things)]
        others = [replace(thing, colour="red" if thing.colour != "red" else "blue")]
        if thing.facing:
            others.append(replace(thing, facing="right" if thing.facing == "left" else "left"))
        for other in others:
            changed = drawn(replace(one, things=tuple(other if t == thing else t for t in one.things)))
            assert near_pairs([look_of(drawn(one)), look_of(changed)]) == []
            tried += 1
    assert tried > 80


def test_the_hash_is_the_signs_of_the_lowest_frequencies(pictures: list[Image.Image]) -> None:
    """Against the sums of cosines written out."""
    steps = np.arange(SIDE)
    waves = np.array([np.cos(math.pi * (2 * steps + 1) * k / (2 * SIDE)) for k in range(KEPT)])
    waves *= np.where(np.arange(KEPT) == 0, math.sqrt(1 / SIDE), math.sqrt(2 / SIDE))[:, None]
    for picture in pictures[:5]:
        small = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        low = (waves @ np.asarray(small, dtype=np.float64) @ waves.T).ravel()
        bits = np.unpackbits(look_of(picture).bits.view(np.uint8)).astype(bool)
        assert bits.shape == (256,)
        assert (bits == (low > np.median(low[1:]))).all()


def test_all_pairs_within_the_bounds_are_found_and_no_other(pictures: list[Image.Image]) -> None:
    shown = [p for picture in pictures[:40] for p in (picture, encoded(picture, "JPEG", 75))]
    looks = [look_of(p) for p in [*shown, *pictures[40:]]]
    wanted = []
    for (i, one), (j, other) in combinations(enumerate(looks), 2):
        bits = [np.unpackbits(x.bits.view(np.uint8)) for x in (one, other)]
        cells = np.abs(one.cells.astype(float) - other.cells.astype(float)).mean(axis=2)
        if int((bits[0] != bits[1]).sum()) <= BITS and cells.max() <= 9:
            wanted.append((i, j))
    assert len(wanted) == 40
    assert near_pairs(looks) == wanted


def folder_of(tmp_path: Path, pictures: list[Image.Image]) -> Path:
    """Cases a and b: a picture and its JPEG; c and d: the same bytes; e and f: a picture and half of it."""
    (tmp_path / "images").mkdir()
    one, two, three = pictures[:3]
    one.save(tmp_path / "images" / "a.png")
    one.save(tmp_path / "images" / "b.jpg", quality=80)
    for name in ("c", "d"):
        two.save(tmp_path / "images" / f"{name}.png")
    three.save(tmp_path / "images" / "e.png")
    resized(three, 0.5).save(tmp_path / "images" / "f.png")
    lines = []
    for name, suffix, split in (
        ("a", "png", "fit"), ("b", "jpg", "fit"), ("c", "png", None), ("d", "png", None), ("e", "png", "fit"),
        ("f", "png", "test"), ("again", "png", "test"),
    ):  # fmt: skip
        image = f"images/{'f' if name == 'again' else name}.{suffix}"
        side = 96 if name in ("f", "again") else 192
        changes = {"image": image, "width": side, "height": side, "split": split, "id": name}
        lines.append(json.dumps(record(name) | changes))
    (tmp_path / "cases.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_pairs_of_cases_are_reported_those_in_two_splits_first_and_only_once_a_picture(
    tmp_path: Path, pictures: list[Image.Image]
) -> None:
    folder = folder_of(tmp_path, pictures)
    near = inspect(folder, DEFAULT, keep=False, decode=True).near
    assert [(n.first.case, n.second.case, n.across_splits) for n in near] == [
        ("e", "f", True),
        ("a", "b", False),
    ]
    assert validate(folder) == []
    assert str(near[0]) == (
        f"{folder}/cases.jsonl:6: image: warning: near-duplicate pictures in two splits: "
        "case 'e' (images/e.png, line 5, fit) and case 'f' (images/f.png, line 6, test)"
    )


def test_where_a_case_names_no_split_the_seed_decides(tmp_path: Path, pictures: list[Image.Image]) -> None:
    folder = folder_of(tmp_path, pictures)
    text = (folder / "cases.jsonl").read_text().replace('"split": "fit"', '"split": null')
    (folder / "cases.jsonl").write_text(text)
    near = inspect(folder, DEFAULT, keep=False, decode=True).near
    assert [(n.first.case, n.across_splits) for n in near] == [("a", None), ("e", None)]
    assert "in splits that the seed draws: case 'a' (images/a.png, line 1, no split of its own)" in str(
        near[0]
    )


def test_the_command_warns_and_ends_well(tmp_path: Path, pictures: list[Image.Image]) -> None:
    folder = folder_of(tmp_path, pictures)
    done = CliRunner().invoke(app, ["data", "validate", str(folder)])
    assert done.exit_code == 0
    assert "warning: near-duplicate pictures in two splits: case 'e'" in done.stdout
    assert f"{folder}: no faults, 2 pairs of near-duplicate pictures" in done.output
