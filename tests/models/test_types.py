"""Frames: which positions a scope means, for prompt, cached decoding, full re-reading and repeated items."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from headscope.errors import ModelError
from headscope.models.types import Encoded, Frame, ImageGrid, Prompt
from headscope.models.vlm import VLM

IMAGE = torch.tensor([[0, 1, 1, 0, 0, 0], [0, 0, 1, 1, 0, 0]], dtype=torch.bool)
QUESTION = torch.tensor([[0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 1, 0]], dtype=torch.bool)
LAST = torch.tensor([[0, 0, 0, 0, 0, 1]] * 2, dtype=torch.bool)


@pytest.fixture
def frame() -> Frame:
    return Frame(Encoded({}, IMAGE, QUESTION, 6, [ImageGrid(None)] * 2), 6)


def test_over_the_prompt_a_scope_is_its_span(frame: Frame) -> None:
    expected = {
        "image": IMAGE,
        "question": QUESTION,
        "last": LAST,
        "answer": LAST,
        "all": torch.ones_like(LAST),
    }
    for scope, mask in expected.items():
        assert torch.equal(frame.scope_mask(scope, 6, 2), mask), scope


def test_over_prompt_and_answer_tokens_only_all_and_answer_go_beyond_the_prompt(frame: Frame) -> None:
    for scope in ("image", "question", "last"):
        mask = frame.scope_mask(scope, 8, 2)
        assert mask.shape == (2, 8)
        assert torch.equal(mask[:, :6], frame.scope_mask(scope, 6, 2))
        assert not mask[:, 6:].any()
    assert frame.scope_mask("answer", 8, 2)[0].tolist() == [False] * 5 + [True] * 3
    assert frame.scope_mask("all", 8, 2).all()


@pytest.mark.parametrize("positions", [1, 3, 5])
def test_after_a_cached_prompt_every_position_is_an_answer_token(frame: Frame, positions: int) -> None:
    for scope in ("image", "question", "last"):
        assert not frame.scope_mask(scope, positions, 2).any()
    for scope in ("answer", "all"):
        mask = frame.scope_mask(scope, positions, 2)
        assert mask.shape == (2, positions)
        assert mask.all()


def test_items_that_occur_several_times_in_a_row_keep_their_own_spans(frame: Frame) -> None:
    mask = frame.scope_mask("question", 6, 6)
    assert frame.repeats(6) == 3
    assert torch.equal(mask, torch.stack([QUESTION[i] for i in (0, 0, 0, 1, 1, 1)]))


def test_items_that_do_not_fit_the_batch_and_unknown_scopes_are_refused(frame: Frame) -> None:
    for items in (1, 3, 0):
        with pytest.raises(ModelError, match="batch of 2"):
            frame.scope_mask("all", 6, items)
    with pytest.raises(ModelError, match="there are: all, image"):
        frame.scope_mask("everything", 6, 2)


def test_reading_sets_the_frame_and_puts_the_old_one_back(tiny: VLM) -> None:
    first = tiny.encode([Prompt(Image.new("RGB", (8, 8)), "Where?")])
    second = tiny.encode([Prompt(Image.new("RGB", (8, 8)), "Who?")] * 2)
    assert tiny.frame is None
    with tiny.reading(first) as outer:
        assert tiny.frame is outer
        assert outer.prompt_length == first.length
        with tiny.reading(second) as inner:
            assert tiny.frame is inner
            assert inner.encoded is second
        assert tiny.frame is outer
        with pytest.raises(RuntimeError), tiny.reading(second):
            raise RuntimeError
        assert tiny.frame is outer
    assert tiny.frame is None


def test_moving_a_batch_moves_inputs_and_spans(tiny: VLM) -> None:
    moved = tiny.encode([Prompt(Image.new("RGB", (8, 8)), "Where?")]).to("meta")
    tensors = [*moved.inputs.values(), moved.image, moved.question]
    assert {t.device.type for t in tensors} == {"meta"}
