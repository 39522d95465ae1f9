"""Attention over the picture: what the eager kernel returns, on the grid, and laid over the picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from asking.naive import picture, some_items
from headscope.asking.picture_attention import PictureAttention, PromptAttention, on_cells
from headscope.asking.read import Reading, read
from headscope.edits.edits import edit, mute
from headscope.errors import ModelError
from headscope.models.geometry import Head
from headscope.models.types import ImageGrid, Prompt
from headscope.models.vlm import VLM

QUESTION = "Where is the dog?"


def shown() -> Image.Image:
    """A picture that is not square."""
    return picture(some_items(1, ["alone"])[0])


@contextmanager
def eager(vlm: VLM) -> Iterator[None]:
    """The kernel that returns its weights."""
    before = [(s.attention.config, s.attention.config._attn_implementation) for s in vlm.geometry.sites]
    try:
        vlm.model.set_attn_implementation("eager")
        yield
    finally:
        vlm.model.set_attn_implementation(before[0][1])
        for config, name in before:
            config._attn_implementation = name


def weights_by_transformers(vlm: VLM, heads: list[Head] | None = None) -> NDArray[np.float64]:
    """(head, image token) attention of the prompt's last position, as transformers returns it."""
    encoded = vlm.encode([Prompt(shown(), QUESTION)])
    with eager(vlm), torch.no_grad(), edit(vlm, heads or [], mute()):
        out = vlm.model(**encoded.inputs, output_attentions=True)
    last = torch.cat([a[0, :, -1] for a in out.attentions]).double().numpy()
    return last[:, encoded.image[0].numpy()]


def test_the_array_is_what_transformers_itself_returns_on_the_grid_of_image_tokens(vlm64: VLM) -> None:
    heads = [Head(1, 2), Head(0, 3)]
    found = read(vlm64, shown(), QUESTION).attention(heads)
    grid = vlm64.encode([Prompt(shown(), QUESTION)]).grids[0]
    assert grid.shape is not None
    rows = [vlm64.geometry.index(h) for h in heads]
    expected = weights_by_transformers(vlm64)[rows].reshape(2, *grid.shape)
    assert found.weights.dims == ("head", "row", "column")
    assert list(found.weights["head"].values) == ["L1H2", "L0H3"]
    np.testing.assert_allclose(found.weights.values, expected, atol=2e-6)


def test_cells_lie_where_the_image_tokens_do(llava64: VLM) -> None:
    found = read(llava64, shown(), QUESTION).attention("L0H0")
    boxes = llava64.encode([Prompt(shown(), QUESTION)]).grids[0].boxes
    assert boxes is not None
    middles = boxes.double().numpy().reshape(*found.weights.shape[1:], 2, 2).mean(axis=2)
    np.testing.assert_allclose(found.weights["column"].values, middles[0, :, 0], atol=1e-4)
    np.testing.assert_allclose(found.weights["row"].values, middles[:, 0, 1], atol=1e-4)


def test_an_edit_below_shows_in_the_attention_above(llava64: VLM) -> None:
    muted = list(llava64.geometry.sites[0].heads)
    with edit(llava64, muted, mute()):
        found = read(llava64, shown(), QUESTION).attention("L2H1").weights.values
    row = llava64.geometry.index("L2H1")
    np.testing.assert_allclose(found.ravel(), weights_by_transformers(llava64, muted)[row], atol=2e-6)
    assert not np.allclose(found.ravel(), weights_by_transformers(llava64)[row], atol=1e-4)


def test_views_that_overlap_are_spread_over_cells_as_small_as_the_smallest_token() -> None:
    # The whole picture as one token, its two halves as a token each, and a token that stands for no place.
    boxes = torch.tensor([[0, 0, 4, 2], [0, 0, 2, 2], [2, 0, 4, 2], [torch.nan] * 4])
    weights = np.array([[0.2, 0.3, 0.4, 0.1]], dtype=np.float32)
    cells, area = on_cells(ImageGrid(boxes), weights, (4, 2))
    np.testing.assert_allclose(cells, [[[0.4, 0.5]]], atol=1e-7)
    assert area == (0, 0, 4, 2)


def test_what_a_view_shows_beside_the_picture_is_left_out() -> None:
    boxes = torch.tensor([[-2.0, 0, 2, 2], [0, 0, 2, 2]])
    cells, _ = on_cells(ImageGrid(boxes), np.array([[0.5, 0.25]], dtype=np.float32), (2, 2))
    np.testing.assert_allclose(cells, [[[0.5]]], atol=1e-7)


def test_the_overlay_reddens_the_cells_by_their_share_and_nothing_else() -> None:
    import xarray as xr

    weights = xr.DataArray(np.array([[[0.0, 0.2], [0.4, 0.0]], [[0.0, 0.0], [0.2, 0.0]]]))
    grey = Image.new("RGB", (8, 4), (100, 100, 100))
    laid = np.asarray(PictureAttention(weights, grey, (0.0, 0.0, 4.0, 4.0)).overlay(0.5)).astype(int)
    assert laid.shape == (4, 8, 3)
    assert (laid[:2, :2] == 100).all()  # not attended to
    assert (laid[:, 4:] == 100).all()  # beside the cells
    full, third = laid[3, 0], laid[0, 3]  # mean weights 0.3 and 0.1
    assert abs(full - [178, 74, 50]).max() <= 1  # half way to (255, 48, 0)
    assert abs(third - [126, 91, 83]).max() <= 1  # a third of that
    with pytest.raises(ModelError, match="strength 2; expected 0 to 1"):
        PictureAttention(weights, grey, (0.0, 0.0, 4.0, 4.0)).overlay(2)


def test_heads_that_cannot_be_shown_are_refused_with_the_reason(llava64: VLM) -> None:
    reading = read(llava64, shown(), QUESTION)
    with pytest.raises(ModelError, match="asked for head L9H0; the model has 12, L0H0 to L2H3"):
        reading.attention("L9H0")
    with pytest.raises(ModelError, match="no heads"):
        reading.attention([])
    seen = reading.seen
    assert seen is not None
    unmapped = PromptAttention(seen.heads, seen.weights, {}, ImageGrid(None, None, "a reason"), seen.picture)
    with pytest.raises(ModelError, match="a reason"):
        unmapped.over_picture("L0H0")
    with pytest.raises(ModelError, match="this reading kept none"):
        Reading(QUESTION, "", None, reading.z).attention("L0H0")


def test_a_model_whose_attention_is_not_recomputed_is_read_all_the_same(
    llava64: VLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ModelError("attention weights: Odd passes 's_aux', which is not recomputed")

    plain = read(llava64, shown(), QUESTION)
    monkeypatch.setattr("headscope.asking.picture_attention.attention_row", refuse)
    odd = read(llava64, shown(), QUESTION)
    assert odd.text == plain.text
    assert np.array_equal(odd.z, plain.z)
    with pytest.raises(ModelError, match="head L0H0; attention weights: Odd passes 's_aux'"):
        odd.attention("L0H0")
