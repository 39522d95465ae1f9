"""Captures that are planned, announced, refused and read back."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from asking.naive import SETTINGS, SPLITS, picture, tree, whole_forward
from headscope.asking.items import make_items
from headscope.asking.readouts import READOUTS
from headscope.capturing import run
from headscope.capturing.captured import read_plan
from headscope.capturing.run import capture
from headscope.capturing.shard_plan import estimate_bytes
from headscope.capturing.store import broken_shards, open_activations, open_answers
from headscope.data.cases import Cases
from headscope.errors import DamagedError, DataError, StoreError, StudyError
from headscope.functions import DEFAULT
from headscope.models.vlm import VLM


def test_every_question_is_asked_once_and_read_back_in_plan_order(finished: Path, cases: Cases) -> None:
    wanted = [i.id for i in make_items(cases, DEFAULT, ("gold", "own"), ("alone", "gold", "own"))]
    rows = open_answers(finished)
    plan = read_plan(finished)
    assert Counter(r["item"] for r in rows) == Counter(wanted)
    assert [r["item"] for r in rows] == [i for s in plan.shards for b in s.batches for i in b]
    assert all(r["split"] == SPLITS[r["case"]] for r in rows)
    assert len(plan.shards) > 4


def test_activations_stand_in_the_order_of_the_answers_with_named_dimensions(
    finished: Path, cases: Cases, tiny: VLM
) -> None:
    rows, data = open_answers(finished), open_activations(finished)
    assert data["prompt_last"].dims == ("item", "head", "width")
    assert data["prompt_last"].dtype == np.float32
    assert data["item"].values.tolist() == [r["item"] for r in rows]
    assert data["function"].values.tolist() == [r["function"] for r in rows]
    assert data["context"].values.tolist() == [r["context"] for r in rows]
    assert data["head"].values.tolist() == [str(h) for h in tiny.geometry.heads]
    assert data["layer"].values.tolist() == [h.layer for h in tiny.geometry.heads]
    assert data.attrs["model"] == tiny.revision
    items = {i.id: i for i in make_items(cases, DEFAULT, ("gold",))}
    ids = data["item"].values.tolist()
    for key in ("c0/s1/gold", "c3/s4/gold", "c4/main/gold"):
        _, z, _ = whole_forward(tiny, items[key], [])
        np.testing.assert_allclose(data["prompt_last"].values[ids.index(key)], z[0], atol=1e-4)


def test_parts_of_the_activations_can_be_read_alone(finished: Path) -> None:
    whole = open_activations(finished)
    part = open_activations(finished, "answer_mean", "fit", context="gold")
    keep = (whole["split"].values == "fit") & (whole["context"].values == "gold")
    assert list(part.data_vars) == ["answer_mean"]
    assert part["item"].values.tolist() == whole["item"].values[keep].tolist()
    np.testing.assert_array_equal(part["answer_mean"].values, whole["answer_mean"].values[keep])
    two = open_activations(finished, items={"c0/s1/gold", "c2/main/own"})
    assert sorted(two["item"].values.tolist()) == ["c0/s1/gold", "c2/main/own"]
    assert open_activations(finished, items=[])["prompt_last"].shape[0] == 0


def test_shards_are_zarr_3_that_xarray_opens_by_itself(finished: Path) -> None:
    shard = finished / "shards" / "00000" / "z.zarr"
    data = xr.open_zarr(shard, chunks=None)
    assert set(data.data_vars) == {"prompt_last", "answer_mean"}
    assert data["split"].dims == ("item",)
    assert (shard / "zarr.json").read_text("utf-8").count('"zarr_format"') > 1, (
        "metadata should be consolidated"
    )


def test_own_chains_are_fed_what_the_model_said_before(finished: Path, cases: Cases, tiny: VLM) -> None:
    rows = {r["item"]: r for r in open_answers(finished)}
    said = {k: r["text"] for k, r in rows.items() if r["context"] == "own"}
    items = {i.id: i for i in make_items(cases, DEFAULT, ("own",))}
    data = open_activations(finished, "prompt_last", context="own")
    ids = data["item"].values.tolist()
    for key in ("c1/s3/own", "c2/main/own"):
        _, z, _ = whole_forward(tiny, items[key], [], own=said)
        np.testing.assert_allclose(data["prompt_last"].values[ids.index(key)], z[0], atol=1e-4)
    shards = {i: s.name for s in read_plan(finished).shards for b in s.batches for i in b}
    for case in cases:
        assert len({shards[f"{case.id}/{s}/own"] for s in ("s1", "s2", "s3", "s4", "main")}) == 1


def test_a_folder_with_another_capture_is_refused_and_named(tiny: VLM, cases: Cases, finished: Path) -> None:
    before = tree(finished)
    for change, word in (
        ({"batch_size": 2}, "batch_size: there 4, asked 2"),
        ({"readouts": ("prompt_last",)}, "readouts"),
        ({"pictures_name": "boxed"}, "pictures: there 'plain', asked 'boxed'"),
    ):
        with pytest.raises(StoreError, match=word):
            capture(tiny, cases, SPLITS, finished, **(SETTINGS | change))
    with pytest.raises(StoreError, match="splits"):
        capture(tiny, cases, SPLITS | {"c0": "test"}, finished, **SETTINGS)
    with pytest.raises(StoreError, match="cases"):
        capture(tiny, cases.subset(["c0"]), SPLITS, finished, **SETTINGS)
    assert tree(finished) == before


def test_the_size_is_said_before_the_start_and_bounds_what_is_written(
    tiny: VLM, cases: Cases, tmp_path: Path
) -> None:
    said: list[str] = []
    settings = SETTINGS | {"readouts": READOUTS, "contexts": ("gold",), "main_contexts": ("alone",)}
    capture(tiny, cases, SPLITS, tmp_path, announce=said.append, **settings)
    plan = read_plan(tmp_path)
    n = len(open_answers(tmp_path))
    assert plan.bytes == estimate_bytes(n, tiny, READOUTS) == n * (3 * 12 * 12 * 4 + 400)
    assert said[0].startswith(f"capture: {n} questions in {len(plan.shards)} shards; at most ")
    capture(tiny, cases, SPLITS, tmp_path, announce=said.append, **settings)
    assert f"{len(plan.shards)} of them there already; at most 0 B" in said[-1]


def test_a_disk_too_small_is_refused_before_anything_is_asked(
    tiny: VLM, cases: Cases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(StoreError, match="may need"):
        capture(tiny, cases, SPLITS, tmp_path, **SETTINGS)
    assert not (tmp_path / "shards").exists()


def test_other_pictures_can_be_shown(tiny: VLM, cases: Cases, finished: Path, tmp_path: Path) -> None:
    settings = SETTINGS | {"contexts": ("gold",), "main_contexts": ()}
    asked: list[str] = []

    def turned(item: Any) -> Any:
        asked.append(item.id)
        return picture(item).rotate(180)

    capture(tiny, cases, SPLITS, tmp_path, pictures=turned, pictures_name="turned", **settings)
    plain, other = open_activations(finished, context="gold"), open_activations(tmp_path)
    assert sorted(asked) == sorted(other["item"].values.tolist())
    a = plain["prompt_last"].values[plain["item"].values.tolist().index("c0/s1/gold")]
    b = other["prompt_last"].values[other["item"].values.tolist().index("c0/s1/gold")]
    assert not np.allclose(a, b, atol=1e-3)


def test_a_capture_without_readouts_keeps_answers_alone(tiny: VLM, cases: Cases, tmp_path: Path) -> None:
    settings = SETTINGS | {"contexts": ("alone",), "main_contexts": (), "readouts": ()}
    capture(tiny, cases, SPLITS, tmp_path, **settings)
    assert len(open_answers(tmp_path)) == 15
    assert not list(tmp_path.rglob("*.zarr"))
    with pytest.raises(StoreError, match="holds none"):
        open_activations(tmp_path)


def test_requests_that_make_no_sense_are_refused(
    tiny: VLM, cases: Cases, finished: Path, tmp_path: Path
) -> None:
    with pytest.raises(StudyError, match="readout"):
        capture(tiny, cases, SPLITS, tmp_path / "a", readouts=("z",))
    with pytest.raises(StudyError, match="context"):
        capture(tiny, cases, SPLITS, tmp_path / "a", contexts=("silver",))
    with pytest.raises(DataError, match="c0: has no split"):
        capture(tiny, cases, {}, tmp_path / "a")
    with pytest.raises(DataError, match="no questions"):
        capture(tiny, cases.subset([]), {}, tmp_path / "a")
    with pytest.raises(StoreError, match="not found"):
        open_answers(tmp_path / "nothing")
    with pytest.raises(StoreError, match="answer_content"):
        open_activations(finished, "answer_content")
    assert not (tmp_path / "a").exists()


def test_a_damaged_shard_is_named(tiny: VLM, cases: Cases, tmp_path: Path) -> None:
    settings = SETTINGS | {"contexts": ("alone",), "main_contexts": ()}
    capture(tiny, cases, SPLITS, tmp_path, **settings)
    (tmp_path / "shards" / "00001" / "z.zarr" / "prompt_last" / "zarr.json").write_text("{")
    (tmp_path / "shards" / "00001" / "z.zarr" / "zarr.json").write_text("{")
    with pytest.raises(StoreError, match=r"00001.z\.zarr.prompt_last.zarr\.json: was changed"):
        open_activations(tmp_path)
    (tmp_path / "shards" / "00001" / "answers.parquet").write_bytes(b"PAR1")
    with pytest.raises(StoreError, match=r"answers\.parquet"):
        open_answers(tmp_path)


def test_every_file_of_a_shard_that_is_changed_is_found_and_its_shard_made_again(
    tiny: VLM, cases: Cases, tmp_path: Path
) -> None:
    settings = SETTINGS | {"contexts": ("alone",), "main_contexts": ()}
    capture(tiny, cases, SPLITS, tmp_path, **settings)
    before, plan, rng = tree(tmp_path), read_plan(tmp_path), random.Random(3)
    for file in sorted(p for p in (tmp_path / "shards" / "00001").rglob("*") if p.is_file()):
        whole = file.read_bytes()
        flipped, bit = bytearray(whole), rng.randrange(8 * len(whole))
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(bytes(flipped))
        assert list(broken_shards(tmp_path, plan)) == ["00001"], file
        if "prompt_last" in file.parts:
            with pytest.raises(DamagedError, match="was changed since it was written"):
                open_activations(tmp_path, "prompt_last")
        file.unlink()
        assert list(broken_shards(tmp_path, plan)) == ["00001"], file
        file.write_bytes(whole)
    (tmp_path / "shards" / "00001" / "checksums.json").unlink()
    capture(tiny, cases, SPLITS, tmp_path, **settings)
    assert tree(tmp_path) == before
    chunks = (tmp_path / "shards" / "00001" / "z.zarr" / "prompt_last" / "c").rglob("*")
    chunk = next(p for p in chunks if p.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"?")
    (tmp_path / "shards" / "00000" / "answers.parquet").unlink()
    said: list[str] = []
    capture(tiny, cases, SPLITS, tmp_path, **settings, announce=said.append)
    assert [s for s in said if "is made again" in s] == said[:2]
    assert tree(tmp_path) == before


def test_a_plan_that_is_lost_or_damaged_is_written_again_and_shards_of_other_plans_are_not_its_own(
    tiny: VLM, cases: Cases, tmp_path: Path
) -> None:
    settings = SETTINGS | {"contexts": ("alone",), "main_contexts": ()}
    capture(tiny, cases, SPLITS, tmp_path, **settings)
    before = tree(tmp_path)
    plan = tmp_path / "plan.json"
    for text in (None, "{", plan.read_text().replace('"items": ', '"items": 1')):
        plan.unlink() if text is None else plan.write_text(text)
        capture(tiny, cases, SPLITS, tmp_path, **settings)
        assert tree(tmp_path) == before
    plan.unlink()
    said: list[str] = []
    capture(tiny, cases, SPLITS, tmp_path, **settings | {"max_new_tokens": 2}, announce=said.append)
    assert "captured by another plan" in said[0]
