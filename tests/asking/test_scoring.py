"""The total probability of choices, against float64 products over whole uncached forwards, item by item."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from asking.naive import StubEdit, forced, picture, some_items, whole_forward
from headscope.asking.ask import ask
from headscope.asking.batches import encode_batch
from headscope.asking.items import Item
from headscope.models.answering.generation import generate
from headscope.models.answering.scoring import Scores, score_choices
from headscope.models.vlm import VLM

# One token, several, some that begin others, some that say the same.
SETS = {
    "yes or no": ("yes", "no"),
    "shared beginnings": ("top left", "top right", "bottom left"),
    "one begins another": ("top", "top left", "bottom right", "left"),
    "three deep": ("a", "a car", "a car there", "no"),
}


def probability(vlm: VLM, item: Item, tokens: Sequence[int], ended: bool, edit: StubEdit | None) -> float:
    """Product over a choice's tokens, from one whole forward of one item; with its end, if that counts."""
    table, _, _ = whole_forward(vlm, item, tokens, edit)
    product = math.prod(math.exp(table[i, t]) for i, t in enumerate(tokens))
    return product * sum(math.exp(table[len(tokens), e]) for e in vlm.end_ids) if ended else product


def expected_total(vlm: VLM, item: Item, choices: Sequence[str], edit: StubEdit | None = None) -> float:
    tokens = {
        tuple(vlm.tokenizer(vlm.template.lead + c, add_special_tokens=False)["input_ids"]) for c in choices
    }
    nested = any(a != b and b[: len(a)] == a for a in tokens for b in tokens)
    return math.fsum(probability(vlm, item, t, nested, edit) for t in tokens)


def scored(vlm: VLM, items: Sequence[Item], choices: Sequence[str], edit: StubEdit | None) -> list[Scores]:
    encoded = encode_batch(vlm, items, picture)
    with torch.no_grad(), vlm.reading(encoded), edit.applied(vlm) if edit else torch.no_grad():
        _, prefill = generate(vlm, encoded, 1)
        return score_choices(vlm, encoded, prefill, [choices] * len(items))


@pytest.mark.parametrize("edit", [None, StubEdit(((0, 1), (1, 3)), 3.0, "answer")], ids=["plain", "edited"])
@pytest.mark.parametrize("way", ["tree", "rows"])
@pytest.mark.parametrize("name", SETS)
def test_the_total_is_the_sum_of_products_alone_and_in_a_padded_batch(
    vlm64: VLM, name: str, way: str, edit: StubEdit | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced(monkeypatch, vlm64, "" if way == "tree" else "rows are wanted")
    items = some_items(2)[:5]
    wanted = [expected_total(vlm64, item, SETS[name], edit) for item in items]
    assert all(0 < w < 1 for w in wanted)
    together = [s.total for s in scored(vlm64, items, SETS[name], edit)]
    assert together == pytest.approx(wanted, rel=1e-6)
    alone = [scored(vlm64, [item], SETS[name], edit)[0].total for item in items]
    assert alone == pytest.approx(wanted, rel=1e-6)


class Numbered:
    """Stands for a model whose answers are token ids, written in figures."""

    def __init__(self, vlm: VLM) -> None:
        self._vlm = vlm

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vlm, name)

    def encode_answers(self, answers: Sequence[str]) -> list[list[int]]:
        plain = [a for a in answers if not a.replace(" ", "").isdigit()]
        return self._vlm.encode_answers(plain) if plain else [[int(t) for t in a.split()] for a in answers]


def test_all_that_can_be_said_adds_up_to_one(llava64: VLM) -> None:
    (item,) = some_items(1)[:1]
    size = llava64.config.get_text_config().vocab_size
    encoded = encode_batch(llava64, [item], picture)
    with torch.no_grad(), llava64.reading(encoded):
        _, prefill = generate(llava64, encoded, 1)
        every = [str(t) for t in range(size)]
        (first,) = score_choices(Numbered(llava64), encoded, prefill, [every])
        assert first.total == pytest.approx(1.0, abs=1e-12)
        # Behind "7" anything may follow: together they are as likely as "7".
        behind = [f"7 {t}" for t in range(size)]
        (second,) = score_choices(Numbered(llava64), encoded, prefill, [behind])
        assert second.total == pytest.approx(math.exp(first.logprobs["7"]), rel=1e-9)
        # What says the same in other letters is one event.
        (twice,) = score_choices(Numbered(llava64), encoded, prefill, [["7", "07", "8"]])
        assert twice.total == pytest.approx(math.exp(first.logprobs["7"]) + math.exp(first.logprobs["8"]))


def test_without_an_end_token_what_goes_on_from_a_choice_is_part_of_it(llava64: VLM) -> None:
    (item,) = some_items(1)[:1]
    endless = Numbered(llava64)
    endless.end_ids = ()
    encoded = encode_batch(llava64, [item], picture)
    with torch.no_grad(), llava64.reading(encoded):
        _, prefill = generate(llava64, encoded, 1)
        (found,) = score_choices(endless, encoded, prefill, [["7", "7 9", "8"]])
    assert found.total == pytest.approx(math.exp(found.logprobs["7"]) + math.exp(found.logprobs["8"]))


def test_rows_and_single_answers_hold_it_and_open_questions_have_none(llava64: VLM) -> None:
    items = some_items(1)
    found = ask(llava64, encode_batch(llava64, items, picture), items, max_new_tokens=1)
    for item, row, total in zip(items, found.rows, found.totals, strict=True):
        assert row["total"] == total
        if item.choices:
            assert total == pytest.approx(expected_total(llava64, item, item.choices), rel=1e-6)
        else:
            assert total is None
    item = next(i for i in items if i.step.id == "s2" and i.context == "alone")
    answer = llava64.answer(picture(item), item.question, choices=item.choices)
    assert answer.total == pytest.approx(expected_total(llava64, item, item.choices), rel=1e-6)
    assert llava64.answer(picture(item), item.question).total is None
    unscored = ask(llava64, encode_batch(llava64, items, picture), items, max_new_tokens=1, score=False)
    assert all(row["total"] is None for row in unscored.rows)
