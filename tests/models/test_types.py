"""Frames: which positions a scope means, for prompt, cached decoding, full re-reading and repeated items."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from headscope.asking.read import read
from headscope.capturing.prompt_capture import capture
from headscope.errors import ModelError
from headscope.models.finding import find_geometry
from headscope.models.types import Encoded, Frame, ImageGrid, Prompt, choices_of
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


@pytest.mark.parametrize("choices", ["left", "left, right", np.str_("left")])
def test_one_text_in_the_place_of_choices_is_refused_not_spelt_out(tiny: VLM, choices: str) -> None:
    picture = Image.new("RGB", (32, 24))
    for ask in (
        lambda: tiny.answer(picture, "Where?", choices=choices),
        lambda: read(tiny, picture, "Where?", choices),
        lambda: capture(tiny, [(picture, "Where?")], choices),
    ):
        with pytest.raises(ModelError, match=r"choices: found the one text .* such as \('left', 'right'\)"):
            ask()


def test_choices_that_are_no_words_are_refused_and_doubles_are_one() -> None:
    assert choices_of(["left", "right", "left"]) == ("left", "right")
    assert choices_of(np.array(["left", "right"])) == ("left", "right")  # type: ignore[arg-type]
    for bad in ([1, 2], ["left", " "], [None]):
        with pytest.raises(ModelError, match="expected answers in words"):
            choices_of(bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("history", ["ab", ("Where?", "left"), ["ab"], [("Where?",)], [("Where?", 3)]])
def test_a_history_that_is_no_pairs_is_refused(tiny: VLM, history: Any) -> None:
    with pytest.raises(ModelError, match=r"history: .*expected \(question, answer\) pairs"):
        tiny.answer(Image.new("RGB", (32, 24)), "Where?", history)


@pytest.mark.parametrize("question", [None, 7, b"Where?"])
def test_a_question_that_is_no_text_is_refused(tiny: VLM, question: Any) -> None:
    with pytest.raises(ModelError, match="expected a question in words"):
        tiny.answer(Image.new("RGB", (32, 24)), question)


def test_a_question_of_a_megabyte_is_refused_at_once(tiny: VLM) -> None:
    with pytest.raises(ModelError, match=r"found 1,000,000 characters, expected at most 20,000"):
        tiny.answer(Image.new("RGB", (32, 24)), "a" * 1_000_000)


def test_a_name_may_stand_by_itself_where_several_are_asked_for(tiny: VLM) -> None:
    found = capture(tiny, [(Image.new("RGB", (32, 24)), "Where?")], readouts="answer_mean")
    assert list(found.data_vars) == ["answer_mean"]
    assert find_geometry(tiny.model, "vision").heads == find_geometry(tiny.model, ["vision"]).heads


def test_a_copy_of_a_model_is_a_model_that_answers_alike(tiny) -> None:  # type: ignore[no-untyped-def]
    import copy

    from PIL import Image

    picture, question = Image.new("RGB", (40, 40), (200, 30, 60)), "Where is the dog?"
    twin = copy.deepcopy(tiny)
    assert twin.model is not tiny.model
    wanted = tiny.answer(picture, question, choices=("left", "right"))
    assert twin.answer(picture, question, choices=("left", "right")) == wanted
