"""Choices as a tree behind one cached prompt: the same scores as a row for each, and when rows are used."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch

from asking.naive import StubEdit, picture, some_items
from headscope.asking.ask import ask
from headscope.asking.batches import encode_batch
from headscope.models.answering import tree
from headscope.models.answering.generation import generate
from headscope.models.answering.rows import END, rows_totals
from headscope.models.answering.tree import Tree, fits, read_trees, tree_totals
from headscope.models.vlm import VLM
from headscope.models.ways import TREE, kept_ways, ways_of

NESTED = [(5, 6, 7), (5, 8), (9,), (5, 6, 7, END), (10, 6, END)]


def test_a_tree_holds_every_beginning_once_behind_its_parent() -> None:
    made = Tree(NESTED)
    wanted = {c[:k] for c in NESTED for k in range(1, len(c))}
    paths = []
    for node in range(len(made)):
        path, at = [], node
        while at >= 0:
            path.append(made.tokens[at])
            assert made.parents[at] < at
            at = made.parents[at]
        paths.append(tuple(reversed(path)))
        assert made.depths[node] == len(path)
        assert made.node(paths[-1]) == node
    assert set(paths) == wanted
    assert len(paths) == len(wanted)


@pytest.mark.parametrize("edit", [None, StubEdit(((0, 1), (1, 3)), 3.0, "answer")], ids=["plain", "edited"])
def test_trees_give_what_rows_give_in_a_left_padded_batch(vlm64: VLM, edit: StubEdit | None) -> None:
    items = some_items(2)
    encoded = encode_batch(vlm64, items, picture)
    assert (encoded.inputs["attention_mask"] == 0).any(), "the batch should be padded"
    choices = [NESTED[: 1 + i % 5] if i != 3 else [] for i in range(len(items))]
    with torch.no_grad(), vlm64.reading(encoded), edit.applied(vlm64) if edit else torch.no_grad():
        _, prefill = generate(vlm64, encoded, 1)
        rows = rows_totals(vlm64, encoded, prefill, choices)
        for most in (10**9, 4 * len(items) * prefill.logits.shape[-1]):  # whole, and in parts
            got = tree_totals(vlm64, encoded, prefill, choices, most)
            assert got is not None
            torch.testing.assert_close(got, rows, atol=1e-9, rtol=0)
    assert rows.abs().max() > 1


def test_a_node_sees_nothing_of_its_siblings(llava64: VLM) -> None:
    items = some_items(1)[:2]
    encoded = encode_batch(llava64, items, picture)
    with torch.no_grad(), llava64.reading(encoded):
        _, prefill = generate(llava64, encoded, 1)
        one, two = [Tree([(5, 6, 7), (8, 9, other)]) for other in (1, 2)]
        alone = read_trees(llava64, encoded, prefill, [Tree([(5, 6, 7)])] * 2)
        beside = read_trees(llava64, encoded, prefill, [one, two])
    torch.testing.assert_close(beside[:, :2], alone, atol=1e-9, rtol=0)


def test_a_model_whose_trees_differ_from_rows_is_read_in_rows_and_that_is_said_once(
    llava64: VLM, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    items = some_items(1)
    encoded = encode_batch(llava64, items, picture)
    wanted = ask(llava64, encoded, items, max_new_tokens=1).logprobs
    real = tree.read_trees
    monkeypatch.setattr(tree, "read_trees", lambda *args: real(*args) * 1.01)
    with kept_ways(llava64, tmp_path / "a"):
        got = ask(llava64, encoded, items, max_new_tokens=1).logprobs
        ask(llava64, encoded, items, max_new_tokens=1)
        assert ways_of(llava64)[TREE].startswith("a tree's scores differ from those of rows by")
    assert caplog.text.count("a row for each choice instead of choices of several tokens in one row: ") == 1
    assert got == wanted or all(a == pytest.approx(b, abs=1e-9) for a, b in zip(got, wanted, strict=True))

    def refusing(*_: Any) -> Any:
        raise TypeError("no masks of four dimensions here")

    monkeypatch.setattr(tree, "read_trees", refusing)
    with kept_ways(llava64, tmp_path / "b"):
        ask(llava64, encoded, items, max_new_tokens=1)
        assert ways_of(llava64)[TREE] == "the model raised TypeError: no masks of four dimensions here"
    assert "TypeError: no masks of four dimensions here" in caplog.text


def test_the_check_leaves_every_hook_in_its_place_and_out_of_its_way(llava64: VLM) -> None:
    calls = itertools.count()
    handle = llava64.geometry.sites[0].projection.register_forward_pre_hook(lambda *_: next(calls) and None)
    before = dict(llava64.geometry.sites[0].projection._forward_pre_hooks)
    assert tree._tried(llava64).refusal == ""
    assert llava64.geometry.sites[0].projection._forward_pre_hooks == before
    assert next(calls) == 0
    handle.remove()


def test_caches_that_forget_and_prompts_without_positions_are_read_in_rows(llava64: VLM) -> None:
    items = some_items(1)
    encoded = encode_batch(llava64, items, picture)
    _, prefill = generate(llava64, encoded, 1)
    trees = [Tree(NESTED)] * len(items)
    assert fits(llava64, encoded, prefill, trees)
    position, prefill.position = prefill.position, None
    assert not fits(llava64, encoded, prefill, trees)
    prefill.position = position
    from transformers.cache_utils import DynamicSlidingWindowLayer

    prefill.cache.layers[1].__class__ = DynamicSlidingWindowLayer
    assert not fits(llava64, encoded, prefill, trees)
    assert ways_of(llava64)[TREE] == "the cache is more than keys and values of all positions"
