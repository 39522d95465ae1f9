"""Pictures read and processed once a case; batches prepared ahead; nothing that could change a result."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from asking.naive import SETTINGS, SPLITS, picture, some_items
from headscope.asking.batches import encode_batch, plan_batches
from headscope.asking.picture_cache import SharedPixels, case_pictures, shared_pixels
from headscope.asking.preparing import prepared
from headscope.capturing.captured import read_plan
from headscope.capturing.run import capture
from headscope.data.cases import Cases
from headscope.errors import DataError
from headscope.models.vlm import VLM


@pytest.mark.parametrize("family", ["tiny", "tiny_qwen"])
def test_batches_prepared_ahead_are_those_encoded_plainly(
    family: str, cases: Cases, request: pytest.FixtureRequest
) -> None:
    vlm: VLM = request.getfixturevalue(family)
    items = [i for i in some_items(5) if i.case.width == 24 or family == "tiny"]
    batches = plan_batches(items, 4)
    shown = case_pictures(cases)
    with shared_pixels(vlm.processor) as shared:
        ready = list(prepared(vlm, batches, shown, {}, shared.warm))
    assert vlm.processor.image_processor is not shared
    for (encoded, asked), batch in zip(ready, batches, strict=True):
        plain = encode_batch(vlm, batch, picture)
        assert asked == batch
        assert encoded.inputs.keys() == plain.inputs.keys()
        for name, value in plain.inputs.items():
            assert torch.equal(encoded.inputs[name], value), name


def test_pixels_are_computed_once_a_picture(tiny: VLM) -> None:
    calls: list[int] = []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(tiny.processor.image_processor, name)

        def __call__(self, images: Any, **options: Any) -> Any:
            calls.append(len(images))
            return tiny.processor.image_processor(images, **options)

    shared = SharedPixels(Counting())
    noise = [np.random.default_rng(i).integers(0, 255, (24, 24, 3), dtype=np.uint8) for i in range(3)]
    pictures = [Image.fromarray(n) for n in noise]
    first = shared([[p] for p in pictures[:2]], return_tensors="pt")["pixel_values"]
    shared.warm(pictures[2])
    again = shared([[pictures[i]] for i in (2, 0, 0, 1)], return_tensors="pt")["pixel_values"]
    assert calls == [1, 1, 1]
    assert torch.equal(again[[1, 3]], first)
    plain = tiny.processor.image_processor([[pictures[i]] for i in (2, 0, 0, 1)], return_tensors="pt")
    assert torch.equal(again, plain["pixel_values"])
    other = shared([[pictures[0]]], return_tensors="pt", do_normalize=False)["pixel_values"]
    assert not torch.equal(other, first[:1])


def test_a_case_has_all_its_questions_and_its_one_reading_in_one_shard(
    tiny: VLM, cases: Cases, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Counter[str] = Counter()
    real = Cases.image

    def counting(self: Cases, case: Any) -> Image.Image:
        read[case.id] += 1
        return real(self, case)

    monkeypatch.setattr(Cases, "image", counting)
    capture(tiny, cases, SPLITS, tmp_path, **SETTINGS)
    assert read == Counter({c.id: 1 for c in cases})
    plan = read_plan(tmp_path)
    for shard in plan.shards:
        assert {i.split("/")[0] for b in shard.batches for i in b} == set(shard.cases)
    assert sorted(c for s in plan.shards for c in s.cases) == sorted(c.id for c in cases)


def test_a_picture_that_cannot_be_read_ends_the_capture_with_its_own_message(
    tiny: VLM, cases: Cases, tmp_path: Any
) -> None:
    def lost(_item: Any) -> Image.Image:
        raise DataError("the picture is gone")

    with pytest.raises(DataError, match="the picture is gone"):
        capture(tiny, cases, SPLITS, tmp_path, pictures=lost, pictures_name="lost", **SETTINGS)
