"""Answers, margins and their one pass over the prompt, against plain generation and whole forwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

from asking.naive import StubEdit, choice_logprobs, forced, picture, some_items
from headscope.asking.ask import ask
from headscope.asking.batches import encode_batch, encode_batches
from headscope.asking.items import Item
from headscope.errors import ModelError, StudyError
from headscope.models.answering import rows, scoring
from headscope.models.answering.scoring import needs_end
from headscope.models.vlm import VLM

EDITS = [
    None,
    StubEdit(((0, 1), (1, 3)), 0.0, "all"),
    StubEdit(((0, 0), (1, 2)), 3.0, "answer"),
    StubEdit(((0, 2), (1, 0)), -2.0, "last"),
]


@contextmanager
def counted(model: Any) -> Iterator[list[tuple[int, ...]]]:
    """Shapes of the input ids of every forward of the model."""
    seen: list[tuple[int, ...]] = []

    def hook(_module: Any, _args: Any, kwargs: dict[str, Any]) -> None:
        seen.append(tuple(kwargs["input_ids"].shape))

    handle = model.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()


def test_generated_tokens_equal_plain_generation_in_a_left_padded_batch(vlm64: VLM) -> None:
    items = some_items(2)
    encoded = encode_batch(vlm64, items, picture)
    assert (encoded.inputs["attention_mask"] == 0).any(), "the batch should be padded"
    outcome = ask(vlm64, encoded, items, max_new_tokens=6)
    plain = vlm64.model.generate(**encoded.inputs, max_new_tokens=6, do_sample=False)[:, encoded.length :]
    for mine, theirs in zip(outcome.tokens, plain.tolist(), strict=True):
        stop = next((i for i, t in enumerate(theirs) if t in vlm64.end_ids), len(theirs))
        assert mine == theirs[:stop]


@pytest.mark.parametrize("edit", EDITS[:3], ids=["plain", "muted", "answer-scope"])
def test_margins_equal_those_of_whole_uncached_forwards_item_by_item(
    vlm64: VLM, edit: StubEdit | None
) -> None:
    items = some_items(2)
    outcome = ask(vlm64, encode_batch(vlm64, items, picture), items, edit=edit, max_new_tokens=2)
    for item, row, scores in zip(items, outcome.rows, outcome.logprobs, strict=True):
        expected = choice_logprobs(vlm64, item, edit)
        assert scores == pytest.approx(expected, abs=1e-4)
        wrong = [v for c, v in expected.items() if c != item.truth]
        margin = expected[item.truth] - max(wrong) if wrong else expected[item.truth]
        assert row["margin"] == pytest.approx(margin, abs=1e-4)
        assert row["logprob"] == pytest.approx(expected[item.truth], abs=1e-4)


def test_edits_change_the_margins_and_leave_no_trace(llava64: VLM) -> None:
    items = some_items(1)
    encoded = encode_batch(llava64, items, picture)
    before = ask(llava64, encoded, items)
    edited = [ask(llava64, encoded, items, edit=e) for e in EDITS[1:]]
    after = ask(llava64, encoded, items)
    assert before.rows == after.rows
    for outcome in edited:
        assert all(a["margin"] != b["margin"] for a, b in zip(outcome.rows, before.rows, strict=True))


def test_the_prompt_is_read_once_and_one_token_choices_cost_no_forward(llava64: VLM) -> None:
    items = [i for i in some_items(3) if i.step.id == "s4"]
    encoded = encode_batch(llava64, items, picture)
    vision: list[int] = []
    handle = llava64.model.model.vision_tower.register_forward_hook(lambda *_: vision.append(1))
    with counted(llava64.model) as seen:
        outcome = ask(llava64, encoded, items, max_new_tokens=3)
    handle.remove()
    assert seen == [(3, encoded.length), (3, 1), (3, 1)]
    assert len(vision) == 1
    assert all(np.isfinite(r["margin"]) for r in outcome.rows)


def test_longer_choices_cost_one_forward_after_the_cached_prompt(llava64: VLM) -> None:
    items = [i for i in some_items(2) if i.step.id in ("s2", "s4")]
    encoded = encode_batch(llava64, items, picture)
    ask(llava64, encoded, items, max_new_tokens=1)  # finds out once that the model takes trees
    with counted(llava64.model) as seen:
        ask(llava64, encoded, items, max_new_tokens=1)
    answers = llava64.encode_answers(["top", "top left", "bottom right", "left"])
    beginnings = {tuple(a[:k]) for a in answers for k in range(1, len(a) + 1)}
    assert seen == [(len(items), encoded.length), (len(items), len(beginnings))]


def test_scores_do_not_depend_on_how_many_choices_share_a_forward(
    llava64: VLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = some_items(2)
    encoded = encode_batch(llava64, items, picture)
    whole = ask(llava64, encoded, items, max_new_tokens=1)
    vocabulary = whole.logits.shape[-1] if whole.logits is not None else 0
    monkeypatch.setattr(scoring, "MAX_LOGITS", 5 * len(items) * vocabulary)
    monkeypatch.setattr(rows, "MAX_LOGITS", 5 * len(items) * vocabulary)
    monkeypatch.setattr(rows, "MAX_ROWS", len(items) + 1)
    for refusal in ("", "rows are wanted"):  # a tree at a time, a row at a time
        forced(monkeypatch, llava64, refusal)
        with counted(llava64.model) as seen:
            parts = ask(llava64, encoded, items, max_new_tokens=1)
        assert len(seen) > 2
        for a, b in zip(whole.logprobs, parts.logprobs, strict=True):
            assert a == pytest.approx(b, abs=1e-9)


def test_results_agree_across_batch_sizes_in_float32(tiny: VLM) -> None:
    items = some_items(2)
    tables = []
    for size in (1, 3, 64):
        batches = encode_batches(tiny, items, picture, size)
        rows = [r for enc, its in batches for r in ask(tiny, enc, its, max_new_tokens=3).rows]
        tables.append({r["item"]: r for r in rows})
    for key, row in tables[0].items():
        for other in tables[1:]:
            assert other[key]["margin"] == pytest.approx(row["margin"], abs=1e-4)
            assert other[key]["text"] == row["text"]


def test_choices_within_each_other_are_told_apart_by_the_end_of_the_answer() -> None:
    assert needs_end([[1], [1, 2]])
    assert needs_end([[3, 4], [1], [3]])
    assert not needs_end([[1, 2], [1, 3], [2]])
    assert not needs_end([[1], [1]])


def test_rows_say_what_was_asked_and_whether_it_was_right(llava64: VLM) -> None:
    said = ask(llava64, encode_batch(llava64, some_items(1), picture), some_items(1), max_new_tokens=8)
    items = []
    for item, row in zip(some_items(1), said.rows, strict=True):
        step = item.step.model_copy(update={"answer": row["text"], "choices": (row["text"], "zebra")})
        items.append(Item(item.id, item.case, step, item.context, item.earlier))
    rows = ask(llava64, encode_batch(llava64, items, picture), items, max_new_tokens=8).rows
    assert all(r["correct"] and r["answer"] == r["truth"] for r in rows)
    wrong = {r["item"]: r for r in said.rows}["c0/s2/gold"]
    assert not wrong["correct"]
    assert wrong["case"] == "c0"
    assert wrong["function"] == "spatial_perception"
    assert wrong["things"] == 1
    assert wrong["held_out"] == "wording"
    assert wrong["choices"] == ["top", "top left", "bottom right", "left"]
    assert wrong["tokens"] == len(said.tokens[said.rows.index(wrong)])
    assert wrong["content_found"] is None


def test_open_answers_are_scored_by_the_truth_alone(llava64: VLM) -> None:
    items = [i for i in some_items(3) if i.step.id == "s3"]
    outcome = ask(llava64, encode_batch(llava64, items, picture), items)
    for row, scores in zip(outcome.rows, outcome.logprobs, strict=True):
        assert list(scores) == [row["truth"]]
        assert row["margin"] == row["logprob"] == scores[row["truth"]]


def test_scoring_can_be_left_out(llava64: VLM) -> None:
    items = some_items(1)
    rows = ask(llava64, encode_batch(llava64, items, picture), items, score=False).rows
    assert all(np.isnan(r["margin"]) and np.isnan(r["logprob"]) for r in rows)


def test_logits_of_the_last_prompt_position_come_with_the_outcome(llava64: VLM) -> None:
    items = some_items(1)
    encoded = encode_batch(llava64, items, picture)
    outcome = ask(llava64, encoded, items)
    with torch.no_grad():
        expected = llava64.model(**encoded.inputs, use_cache=False).logits[:, -1]
    # Left padding only moves the angles of rotary embeddings, which are computed in float32.
    assert torch.allclose(outcome.logits, expected, atol=1e-4)


def test_one_question_gets_an_answer_with_the_score_of_each_choice(vlm64: VLM) -> None:
    item = next(i for i in some_items(1) if i.step.id == "s2" and i.context == "alone")
    answer = vlm64.answer(picture(item), item.question, choices=item.choices)
    assert answer.logprobs == pytest.approx(choice_logprobs(vlm64, item), abs=1e-4)
    assert vlm64.answer(picture(item), item.question).logprobs == {}


def test_requests_that_make_no_sense_are_refused(llava64: VLM) -> None:
    items = some_items(1)
    encoded = encode_batch(llava64, items, picture)
    with pytest.raises(ModelError, match="items with a batch"):
        ask(llava64, encoded, items[:1])
    with pytest.raises(StudyError, match="prompt_last"):
        ask(llava64, encoded, items, readouts=["last"])
    with pytest.raises(ModelError, match="max_new_tokens"):
        ask(llava64, encoded, items, max_new_tokens=0)
    assert llava64.frame is None
