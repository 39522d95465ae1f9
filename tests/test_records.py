"""Results are written whole and read back equal; a file cut off or edited is refused with its field."""

from __future__ import annotations

import json
import math
import random
import shutil
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from pydantic import Field, ValidationError

from headscope.errors import DamagedError, StoreError
from headscope.records import Artefact, Interval, Number, Record


class Part(Record):
    """A part."""

    value: Number
    ci: Interval


class Made(Artefact):
    """A result."""

    TABLE: ClassVar[bool] = True
    schema_: Literal["headscope/made/1"] = Field(default="headscope/made/1", alias="schema")
    parts: dict[str, Part]
    extra: tuple[int, ...] = ()


@pytest.fixture
def made(tmp_path: Path) -> Path:
    parts = {"a": Part(value=math.nan, ci=(0.5, math.inf)), "b": Part(value=1.5, ci=(1.0, 2.0))}
    result = Made(parts=parts).with_rows([{"item": "x", "margin": math.nan}])
    return result.save(tmp_path / "made.json")


def test_a_result_is_read_back_as_it_was_with_its_table(made: Path) -> None:
    found = Made.load(made)
    assert found.parts["a"].value is None
    assert found.parts["a"].ci == (0.5, None)
    assert found.rows == ({"item": "x", "margin": None},)
    assert found == Made(parts=found.parts).with_rows([{"item": "x", "margin": None}])


def test_what_was_not_set_is_not_written_and_saving_again_gives_the_same_bytes(made: Path) -> None:
    assert "extra" not in json.loads(made.read_text())
    before = made.read_bytes()
    Made.load(made).save(made)
    assert made.read_bytes() == before


def changed(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"parts": {"a": {"value": "high", "ci": [0, 1]}}}, r"parts\.a\.value: .*valid number.*found 'high'"),
        ({"parts": {"a": {"value": 1.0, "ci": [0]}}}, r"parts\.a\.ci\.1: field required"),
        ({"parts": {"a": {"value": 1.0, "ci": [0, 1], "p": 0}}}, r"parts\.a\.p: extra inputs .*found 0"),
        ({"extra": ["1"]}, r"extra\.0: .*valid integer.*found '1'"),
        ({"schema": "headscope/made/2"}, r"asked for schema headscope/made/1, found 'headscope/made/2'"),
    ],
)
def test_an_edited_file_is_refused_with_its_field(made: Path, values: dict[str, Any], said: str) -> None:
    changed(made, **values)
    with pytest.raises(StoreError, match=rf"made\.json: {said}"):
        Made.load(made)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.98])
def test_a_file_that_was_cut_off_is_refused(made: Path, share: float) -> None:
    text = made.read_text()
    made.write_text(text[: int(share * len(text))])
    with pytest.raises(StoreError, match=r"made\.json: cannot be read"):
        Made.load(made)


def test_a_file_without_a_schema_or_without_its_table_is_refused(made: Path) -> None:
    content = json.loads(made.read_text())
    del content["schema"]
    made.write_text(json.dumps(content))
    with pytest.raises(StoreError, match="asked for schema headscope/made/1, found None"):
        Made.load(made)
    changed(made, schema="headscope/made/1")
    made.with_suffix(".parquet").unlink()
    with pytest.raises(StoreError, match=r"made\.parquet: not found"):
        Made.load(made)


def test_a_result_cannot_be_changed(made: Path) -> None:
    found = Made.load(made)
    with pytest.raises(ValidationError, match="frozen"):
        found.parts = {}


def test_every_bit_that_flips_in_a_result_or_its_table_is_found(made: Path) -> None:
    rng = random.Random(5)
    for path in (made, made.with_suffix(".parquet")):
        whole = path.read_bytes()
        bits = range(8 * len(whole)) if path == made else rng.sample(range(8 * len(whole)), 400)
        for bit in bits:
            flipped = bytearray(whole)
            flipped[bit // 8] ^= 1 << bit % 8
            path.write_bytes(bytes(flipped))
            with pytest.raises(StoreError):
                Made.load(made)
        path.write_bytes(whole)
    Made.load(made)


def test_a_table_of_another_result_is_refused(made: Path, tmp_path: Path) -> None:
    other = Made(parts={}).with_rows([{"item": "y", "margin": 1.0}]).save(tmp_path / "other.json")
    shutil.copyfile(other.with_suffix(".parquet"), made.with_suffix(".parquet"))
    with pytest.raises(DamagedError, match=r"made\.parquet: was changed since it was written"):
        Made.load(made)


def test_a_number_that_was_edited_is_refused_and_a_file_without_a_checksum_is_read(made: Path) -> None:
    changed(made, extra=[1, 2])
    with pytest.raises(DamagedError, match=r"made\.json: was changed since it was written"):
        Made.load(made)
    content = json.loads(made.read_text())
    del content["checksum"]
    made.write_text(json.dumps(content))
    assert Made.load(made).extra == (1, 2)


@pytest.mark.parametrize("odd", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_none_is_refused_with_its_field(made: Path, odd: str) -> None:
    made.write_text(made.read_text().replace("1.5", odd))
    with pytest.raises(
        DamagedError, match=r"made\.json: parts\.b\.value: found .*, expected a number or null"
    ):
        Made.load(made)
