from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from PIL import Image

from headscope.asking.picture_features import shared_features
from headscope.models.types import Prompt


def picture(seed):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (24, 24, 3), dtype=np.uint8))


@pytest.fixture
def vlm(tiny):
    return copy.copy(tiny)  # a model of its own to the record of what agrees


def encoded(vlm, seeds):
    return vlm.encode([Prompt(picture(s), f"Where is the dog? {i}") for i, s in enumerate(seeds)])


@torch.no_grad()
def logits(vlm, batch):
    return vlm.model(**batch.inputs).logits[:, -1]


def tower_rows(vlm, run):
    """How many pictures went through the tower, counted inside it (its hooks would switch the memo off)."""
    tower, rows = vlm.model.model.vision_tower, []
    forward = tower.forward
    tower.forward = lambda pixels, *a, **k: (rows.append(len(pixels)), forward(pixels, *a, **k))[1]
    try:
        run()
    finally:
        del tower.forward
    return rows


def test_every_picture_is_encoded_once_and_outputs_are_those_of_the_model(vlm):
    first, second, third = encoded(vlm, [0, 1, 0]), encoded(vlm, [1, 2]), encoded(vlm, [2, 0, 1, 1])
    expected = [logits(vlm, b) for b in (first, second, third)]
    with shared_features(vlm):
        logits(vlm, first)
        logits(vlm, first)  # the first replay is checked: the whole batch once more
    with shared_features(vlm) as memo:
        found = []
        rows = tower_rows(vlm, lambda: found.extend(logits(vlm, b) for b in (first, second, third)))
    assert rows == [2, 1]
    assert (memo.computed, memo.replayed) == (3, 6)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    assert "get_image_features" not in vars(vlm.model.model)


def test_generation_shares_too(vlm):
    batch = encoded(vlm, [3, 3])
    options = {"max_new_tokens": 4, "do_sample": False}
    expected = vlm.model.generate(**batch.inputs, **options)
    with shared_features(vlm):
        logits(vlm, batch)
        logits(vlm, batch)
        found = []
        assert tower_rows(vlm, lambda: found.append(vlm.model.generate(**batch.inputs, **options))) == []
    assert found[0].tolist() == expected.tolist()


def test_an_edit_of_the_tower_is_never_replayed(vlm):
    batch = encoded(vlm, [0, 1])
    tower = vlm.model.model.vision_tower.encoder.layers[0].self_attn.out_proj
    with shared_features(vlm) as memo:
        clean = logits(vlm, batch)
        clean_again = logits(vlm, batch)
        handle = tower.register_forward_pre_hook(lambda _m, args: (args[0] * 0,))
        try:
            muted = logits(vlm, batch)
            held = memo.replayed
            again = logits(vlm, batch)
        finally:
            handle.remove()
        after = logits(vlm, batch)
    torch.testing.assert_close(clean_again, clean)
    assert not torch.allclose(muted, clean, atol=1e-4)
    assert torch.equal(muted, again)
    assert memo.replayed == held + 2  # the two pictures read after the edit, none during it
    torch.testing.assert_close(after, clean)


def test_features_that_depend_on_the_pictures_beside_them_are_not_kept(vlm, caplog):
    tower = vlm.model.model.vision_tower
    forward = tower.forward

    def mixed(pixels, *args, **kwargs):
        out = forward(pixels + pixels.mean(0), *args, **kwargs)
        return out

    tower.forward = mixed
    try:
        whole = encoded(vlm, [0, 1, 2])
        expected = logits(vlm, whole)
        with shared_features(vlm) as memo:
            logits(vlm, encoded(vlm, [0]))
            found = logits(vlm, whole)
            assert memo.replayed == 0
    finally:
        del tower.forward
    assert torch.equal(found, expected)
    assert (
        "pictures encoded anew each time instead of pictures encoded once: kept features differ"
        in caplog.text
    )


def test_no_more_is_kept_than_there_is_room_for(vlm):
    with shared_features(vlm, room=9 * 32 * 4 * 2) as memo:  # two pictures of 9 tokens
        for seed in (0, 1, 2, 2, 1, 0):
            logits(vlm, encoded(vlm, [seed]))
        assert len(memo._kept) == 2
    assert (memo.computed, memo.replayed) == (4, 2)


def test_what_is_encoded_together_hangs_on_no_pass_before(vlm):
    """Else a run that is started again at its second pass computes what one that went through did not."""
    batches = [encoded(vlm, seeds) for seeds in ([0, 1], [2, 3], [4, 0, 5])]
    with shared_features(vlm):
        logits(vlm, batches[0])
        logits(vlm, batches[0])  # the trial
    asked = []
    for room in (0, 9 * 32 * 4 * 3, 2**28):
        with shared_features(vlm, room=room):
            passes = [[tower_rows(vlm, lambda b=b: logits(vlm, b)) for b in batches] for _ in range(3)]
        assert passes[1] == passes[2]
        for first, later in zip(*passes[:2], strict=True):
            assert later in (first, []), "a call is encoded as before, or not at all"
        asked.append(sum(sum(rows) for rows in passes[1]))
    assert asked == [7, 4, 0]


def test_models_whose_pictures_are_no_plain_arrays_work_as_ever(tiny_qwen):
    batch = encoded(tiny_qwen, [0, 0])
    expected = logits(tiny_qwen, batch)
    with shared_features(tiny_qwen) as memo:
        for _ in range(2):
            assert torch.equal(logits(tiny_qwen, batch), expected)
    assert (memo.computed, memo.replayed) == (0, 0)
