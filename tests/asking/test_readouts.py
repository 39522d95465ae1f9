"""Readouts against z recomputed from whole uncached forwards, item by item."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from asking.naive import StubEdit, load_double, picture, some_items, whole_forward
from headscope.asking.ask import ask
from headscope.asking.batches import encode_batch
from headscope.asking.items import Item
from headscope.asking.readouts import READOUTS, Reader, content_tokens
from headscope.errors import ModelError
from headscope.models.answers import parse_answer
from headscope.models.geometry import Geometry, Site
from headscope.models.vlm import VLM

LIMIT = 7


@pytest.fixture(scope="module", params=["tiny_llava_folder", "tiny_qwen_folder"])
def early(request: pytest.FixtureRequest) -> VLM:
    """A model whose random answers end at different lengths: tokens it often says are end tokens."""
    folder: Path = request.getfixturevalue(request.param)
    plain = load_double(folder)
    items = some_items(3)
    said = ask(plain, encode_batch(plain, items, picture), items, max_new_tokens=LIMIT, score=False).tokens
    ends = sorted({tokens[2 + i % 3] for i, tokens in enumerate(said[::4])})
    return load_double(folder, ends)


def test_readouts_equal_a_naive_recomputation_item_by_item(early: VLM) -> None:
    items = some_items(3)
    outcome = ask(early, encode_batch(early, items, picture), items, readouts=READOUTS, max_new_tokens=LIMIT)
    lengths = {len(t) for t in outcome.tokens}
    assert len(lengths) > 1, "answers should differ in length"
    assert min(lengths) < LIMIT - 1, "some answers should end early"
    for i, item in enumerate(items):
        tokens = outcome.tokens[i]
        _, z, _ = whole_forward(early, item, tokens)
        # Position k predicts token k; the one behind the last token predicts the end, if that was reached.
        predicting = z if len(tokens) < LIMIT else z[:LIMIT]
        np.testing.assert_allclose(outcome.z["prompt_last"][i], z[0], atol=1e-4)
        np.testing.assert_allclose(outcome.z["answer_mean"][i], predicting.mean(axis=0), atol=1e-4)


def test_answer_content_is_the_mean_over_the_positions_that_predict_the_answers_words(llava64: VLM) -> None:
    items = some_items(4)
    encoded = encode_batch(llava64, items, picture)
    said = ask(llava64, encoded, items, max_new_tokens=LIMIT, score=False).tokens
    chosen, runs = [], []
    for item, tokens in zip(items, said, strict=True):
        pieces = [llava64.tokenizer.decode([t]) for t in tokens]
        place = next(
            (i for i, p in enumerate(pieces) if i and len(p.strip()) > 2 and p.strip().isalpha()), None
        )
        before = "" if place is None else pieces[place - 1][-1:]
        after = "" if place is None or place + 1 == len(pieces) else pieces[place + 1][:1]
        alone = (
            place is not None and (pieces[place][0] == " " or not before.isalnum()) and not after.isalnum()
        )
        if place is None or not alone or pieces[place].strip() in "".join(pieces[:place]):
            continue
        word = pieces[place].strip()
        step = item.step.model_copy(update={"answer": word, "choices": (word, "zebra")})
        chosen.append(Item(item.id, item.case, step, item.context, item.earlier))
        runs.append(place)
    assert len(chosen) >= 2
    outcome = ask(
        llava64,
        encode_batch(llava64, chosen, picture),
        chosen,
        readouts=["answer_content"],
        max_new_tokens=LIMIT,
    )
    for i, (item, place) in enumerate(zip(chosen, runs, strict=True)):
        _, z, _ = whole_forward(llava64, item, outcome.tokens[i])
        assert outcome.rows[i]["content_found"] is True
        np.testing.assert_allclose(outcome.z["answer_content"][i], z[place], atol=1e-4)


def test_answer_content_falls_back_to_answer_mean_and_says_so(llava64: VLM) -> None:
    items = [i for i in some_items(2) if i.step.id == "s4"]
    outcome = ask(llava64, encode_batch(llava64, items, picture), items, readouts=READOUTS)
    assert [r["content_found"] for r in outcome.rows] == [False] * len(items)
    np.testing.assert_array_equal(outcome.z["answer_content"], outcome.z["answer_mean"])


def test_readouts_see_z_after_the_edit(llava64: VLM) -> None:
    items = some_items(1)
    edit = StubEdit(((1, 2),), 0.0)
    outcome = ask(llava64, encode_batch(llava64, items, picture), items, edit=edit, readouts=READOUTS)
    head = [tuple(h[:2]) for h in llava64.geometry.heads].index((1, 2))
    for name in READOUTS:
        assert (outcome.z[name][:, head] == 0).all()
        assert (np.abs(outcome.z[name]).sum(axis=(0, 2)) > 0).sum() == len(llava64.geometry.heads) - 1
    for i, item in enumerate(items):
        _, z, _ = whole_forward(llava64, item, outcome.tokens[i], edit)
        np.testing.assert_allclose(outcome.z["prompt_last"][i], z[0], atol=1e-4)


def test_readouts_do_not_alter_answers_or_margins(llava64: VLM) -> None:
    items = some_items(1)
    encoded = encode_batch(llava64, items, picture)
    plain, read = (
        ask(llava64, encoded, items).rows,
        ask(llava64, encoded, items, readouts=["answer_mean"]).rows,
    )
    assert plain == read


def test_heads_of_different_widths_are_padded_with_nan_in_flat_order() -> None:
    sites = [
        Site("decoder", i, "self", n, w, nn.Linear(n * w, 4), nn.Identity())
        for i, (n, w) in enumerate([(2, 3), (4, 5)])
    ]
    reader = Reader(Geometry(tuple(sites)), ["answer_mean", "prompt_last"])
    tokens = torch.tensor([[5, 9, 0], [5, 6, 7]])
    seen: list[list[torch.Tensor]] = [[], []]
    with reader.attached():
        for length in (6, 1, 1):
            for site, kept in zip(sites, seen, strict=True):
                z = torch.randn(2, length, site.width)
                site.projection(z)
                kept.append(z[:, -1])
    out = reader.pooled(tokens, (9,), None)
    assert out["answer_mean"].shape == (2, 6, 5)
    assert np.isnan(out["answer_mean"][:, :2, 3:]).all()
    for site, kept, start in zip(sites, seen, (0, 2), strict=True):
        stacked = torch.stack(kept).reshape(3, 2, site.n_heads, site.head_dim).numpy()
        part = out["answer_mean"][:, start : start + site.n_heads, : site.head_dim]
        np.testing.assert_allclose(
            part[0], stacked[:2, 0].mean(axis=0), rtol=1e-5
        )  # ended with its second token
        np.testing.assert_allclose(part[1], stacked[:, 1].mean(axis=0), rtol=1e-5)
        np.testing.assert_array_equal(
            out["prompt_last"][:, start : start + site.n_heads, : site.head_dim], stacked[0]
        )


def test_a_layer_that_is_skipped_is_refused() -> None:
    site = Site("decoder", 0, "self", 2, 3, nn.Linear(6, 4), nn.Identity(), "layers.0")
    reader = Reader(Geometry((site,)), ["answer_mean"])
    with reader.attached():
        site.projection(torch.randn(1, 4, 6))
    with pytest.raises(ModelError, match=r"layers\.0"):
        reader.pooled(torch.tensor([[1, 2]]), (9,), None)


def test_a_step_of_generation_that_reads_several_positions_is_refused() -> None:
    site = Site("decoder", 0, "self", 2, 3, nn.Linear(6, 4), nn.Identity(), "layers.0")
    reader = Reader(Geometry((site,)), ["prompt_last"])
    with reader.attached():
        site.projection(torch.randn(1, 4, 6))
        site.projection(torch.randn(1, 1, 6))
        with pytest.raises(ModelError, match="read 5 positions"):
            site.projection(torch.randn(1, 5, 6))


def test_cross_attention_sites_of_the_decoder_are_read_beside_the_others() -> None:
    sites = tuple(
        Site("decoder", 0, kind, 2, 3, nn.Linear(6, 4), nn.Identity()) for kind in ("self", "cross")
    )
    reader = Reader(Geometry(sites), ["prompt_last"])
    given = [torch.randn(1, 4, 6), torch.randn(1, 4, 6)]
    with reader.attached():
        for site, z in zip(sites, given, strict=True):
            site.projection(z)
    out = reader.pooled(torch.tensor([[1]]), (9,), None)["prompt_last"]
    expected = torch.cat([z[:, -1].reshape(1, 2, 3) for z in given], dim=1)
    np.testing.assert_array_equal(out, expected.numpy())


def test_vision_sites_are_refused() -> None:
    site = Site("vision", 0, "self", 2, 3, nn.Linear(6, 4), nn.Identity())
    with pytest.raises(ModelError, match="decoder"):
        Reader(Geometry((site,)), ["prompt_last"])


@pytest.mark.parametrize(
    ("pieces", "choices", "expected"),
    [
        (["It", " is", " on", " the", " le", "ft", "."], ("left", "right"), [4, 5]),
        (["top", " left"], ("left", "top left"), [0, 1]),
        (["top", "-", "left", "!"], ("left", "top left"), [0, 1, 2]),
        (["There", " are", " 3"], ("two", "three"), [2]),
        (["A", " dog"], (), [1]),
        (["left", " or", " left"], ("left", "right"), [0]),
        (["nothing"], ("left", "right"), []),
        ([], ("left", "right"), []),
    ],
)
def test_content_tokens_are_those_of_the_words_the_parser_reads(
    pieces: list[str], choices: tuple[str, ...], expected: list[int]
) -> None:
    def decode(ids: Any) -> str:
        return "".join(pieces[i] for i in ids)

    tokens = list(range(len(pieces)))
    parsed = parse_answer(decode(tokens), choices)
    assert content_tokens(tokens, parsed, decode, lambda text: parse_answer(text, choices)) == expected
