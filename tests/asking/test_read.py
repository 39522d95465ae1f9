"""One question read, and many captured in memory: the same numbers as a bare forward gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from asking.naive import picture, some_items
from headscope.asking.items import Item
from headscope.asking.read import head_coordinates, read
from headscope.capturing.prompt_capture import capture
from headscope.edits.edits import edit, mute
from headscope.errors import DataError, StudyError
from headscope.models.geometry import Geometry, Head, Site
from headscope.models.types import Prompt
from headscope.models.vlm import VLM


def questions(count: int) -> list[Item]:
    """Questions with choices about different pictures."""
    return [i for i in some_items(count, ["alone"]) if i.choices]


def bare_z(vlm: VLM, item: Item) -> list[np.ndarray]:
    """Per site (head, width): the projection's own input at the last prompt position of a whole forward."""
    seen: list[np.ndarray] = []
    handles = [
        s.projection.register_forward_pre_hook(
            lambda _m, args, s=s: seen.append(args[0][0, -1].reshape(s.n_heads, s.head_dim).numpy())
        )
        for s in vlm.geometry.sites
    ]
    with torch.no_grad():
        vlm.model(**vlm.encode([Prompt(picture(item), item.question)]).inputs, use_cache=False)
    for handle in handles:
        handle.remove()
    return seen


def test_a_reading_holds_what_the_heads_put_out_and_what_answering_gives(vlm64: VLM) -> None:
    item = questions(1)[0]
    reading = read(vlm64, picture(item), item.question, item.choices)
    assert np.allclose(reading.z.values, np.concatenate(bare_z(vlm64, item)), atol=1e-9)
    answer = vlm64.answer(picture(item), item.question, choices=item.choices)
    assert (reading.text, reading.answer, reading.logprobs) == (answer.text, answer.parsed, answer.logprobs)
    assert reading.total == answer.total
    assert reading.best == max(item.choices, key=lambda c: answer.logprobs[c])


def test_the_coordinates_of_a_reading_are_those_of_the_geometry(vlm64: VLM) -> None:
    item = questions(1)[0]
    z = read(vlm64, picture(item), item.question).z
    assert z.dims == ("head", "width")
    assert list(z["head"].values) == [str(h) for h in vlm64.geometry.heads]
    assert list(z["layer"].values) == [h.layer for h in vlm64.geometry.heads]
    last = vlm64.geometry.heads[-1]
    assert np.array_equal(z.sel(head=str(last)), z.values[-1])


def test_a_reading_sees_an_edit_that_is_active(vlm64: VLM) -> None:
    item, head = questions(1)[0], Head(1, 0)
    with edit(vlm64, [head], mute()):
        z = read(vlm64, picture(item), item.question).z
    assert not z.sel(head=str(head)).any()
    assert z.drop_sel(head=str(head)).any(dim="width").all()


def test_many_prompts_in_batches_give_what_each_gives_alone(vlm64: VLM) -> None:
    items = questions(3)
    found = capture(
        vlm64,
        ((picture(i), i.question) for i in items),
        readouts=["prompt_last", "answer_mean"],
        batch_size=4,
    )
    assert found.prompt_last.shape == (len(items), len(vlm64.geometry.heads), vlm64.geometry.max_width)
    assert list(found.question.values) == [i.question for i in items]
    for number, item in enumerate(items):
        for name in ("prompt_last", "answer_mean"):
            alone = read(vlm64, picture(item), item.question, readout=name)
            assert np.allclose(found[name][number], alone.z, atol=1e-5)
        assert found.text.values[number] == alone.text


def test_widths_that_differ_are_padded_and_said() -> None:
    sites = tuple(
        Site("decoder", layer, "self", heads, width, nn.Linear(heads * width, 4), nn.Identity(), "")
        for layer, (heads, width) in enumerate(((2, 3), (1, 5)))
    )
    coords, attrs = head_coordinates(Geometry(sites))
    assert coords["head_width"][1].tolist() == [3, 3, 5]
    assert attrs == {
        "padding": "heads are 3 to 5 wide; columns beyond a head's own width (head_width) are NaN"
    }
    assert head_coordinates(Geometry(sites[:1]))[1] == {}


def test_requests_that_make_no_sense_are_refused(llava64: VLM) -> None:
    item = questions(1)[0]
    with pytest.raises(StudyError, match="asked for readout 'answer'"):
        read(llava64, picture(item), item.question, readout="answer")
    with pytest.raises(StudyError, match="no readout"):
        capture(llava64, [(picture(item), item.question)], readouts=[])
    with pytest.raises(DataError, match="no prompts"):
        capture(llava64, [])
    with pytest.raises(DataError, match="batches of 0"):
        capture(llava64, [(picture(item), item.question)], batch_size=0)
