"""Prompts with several pictures: what the model is given, whose token is whose, and who refuses them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import headscope as hs
from headscope.errors import ModelError
from headscope.experiments.waking.awakening import object_tokens
from headscope.models.several_pictures import joined_grid, pictures_refusal
from headscope.models.types import ImageGrid, Prompt
from headscope.models.vlm import VLM, load_model

FAMILIES = pytest.mark.parametrize("family", ["tiny", "tiny_qwen"])
QUESTION = "Is the dog facing the horse?"
HISTORY = (("Where is the dog?", "right"),)


@pytest.fixture
def vlm(family: str, request: pytest.FixtureRequest) -> VLM:
    loaded: VLM = request.getfixturevalue(family)
    return loaded


def noise(seed: int, width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8))


A, B, C = noise(0, 40, 30), noise(1, 24, 48), noise(2, 32, 32)


def read_by_decoder(vlm: VLM, prompts: Sequence[Prompt]) -> torch.Tensor:
    """(item, position, width): what the decoder's first layer is given."""
    seen: list[torch.Tensor] = []
    model: Any = vlm.model

    def look(_module: Any, args: Any, kwargs: Any) -> None:
        seen.append(args[0] if args else kwargs["hidden_states"])

    handle = model.get_decoder().layers[0].register_forward_pre_hook(look, with_kwargs=True)
    try:
        with torch.no_grad():
            model(**vlm.encode(prompts).inputs, use_cache=False)
    finally:
        handle.remove()
    return seen[0]


@FAMILIES
def test_the_prompt_is_what_the_processor_gives_by_hand(vlm: VLM) -> None:
    content = [{"type": "image"}, {"type": "image"}, {"type": "text", "text": HISTORY[0][0]}]
    messages = [
        {"role": "user", "content": content},
        {"role": "assistant", "content": [{"type": "text", "text": HISTORY[0][1]}]},
        {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
    ]
    text = vlm.processor.apply_chat_template(messages, add_generation_prompt=True)
    wanted = vlm.processor(images=[A, B], text=[text], return_tensors="pt", add_special_tokens=False)
    found = vlm.encode([Prompt([A, B], QUESTION, HISTORY)]).inputs
    assert torch.equal(found["input_ids"], wanted["input_ids"])
    assert torch.equal(found["pixel_values"], wanted["pixel_values"])
    if "image_grid_thw" in wanted:
        assert torch.equal(found["image_grid_thw"], wanted["image_grid_thw"])
    other = vlm.encode([Prompt([B, A], QUESTION, HISTORY)]).inputs
    assert not torch.equal(found["pixel_values"], other["pixel_values"])


@FAMILIES
def test_a_list_of_one_picture_is_that_picture_bit_for_bit(vlm: VLM) -> None:
    one, listed = (vlm.encode([Prompt(shown, QUESTION)]) for shown in (A, [A]))
    assert all(torch.equal(value, listed.inputs[name]) for name, value in one.inputs.items())
    assert one.grids[0].pictures is None
    assert listed.grids[0].shape == one.grids[0].shape is not None
    assert torch.equal(listed.picture_span(0, 0), one.image[0])


@FAMILIES
@pytest.mark.parametrize("changed", [0, 1, 2])
def test_another_picture_changes_the_tokens_of_its_own_span_and_no_others(vlm: VLM, changed: int) -> None:
    pictures = [A, B, C]
    encoded = vlm.encode([Prompt(pictures, QUESTION)])
    before = read_by_decoder(vlm, [Prompt(pictures, QUESTION)])[0]
    pictures[changed] = noise(9, *pictures[changed].size)
    after = read_by_decoder(vlm, [Prompt(pictures, QUESTION)])[0]
    moved = (before - after).abs().amax(dim=1) > 1e-6
    assert torch.equal(moved, encoded.picture_span(0, changed))


@FAMILIES
def test_spans_share_out_the_image_tokens_and_each_grid_is_that_of_the_picture_alone(vlm: VLM) -> None:
    encoded = vlm.encode([Prompt([A, B, C], QUESTION)])
    spans = torch.stack([encoded.picture_span(0, n) for n in range(3)])
    assert torch.equal(spans.sum(dim=0), encoded.image[0].long())
    (grid,) = encoded.grids
    assert grid.boxes is not None
    assert grid.shape is None
    for n, picture in enumerate((A, B, C)):
        mine = grid.of(n)
        assert mine is not None
        assert torch.equal(grid.boxes[mine], vlm.encode([Prompt(picture, QUESTION)]).grids[0].boxes)
    with pytest.raises(ModelError, match="picture 3 of prompt 0; there is no such picture"):
        encoded.picture_span(0, 3)


@FAMILIES
def test_a_box_is_looked_for_in_its_own_picture_alone(vlm: VLM) -> None:
    (grid,) = vlm.encode([Prompt([A, B], QUESTION)]).grids
    for n, picture in enumerate((A, B)):
        whole = object_tokens(grid, [(0, 0, *map(float, picture.size))], picture=n)
        assert torch.equal(torch.from_numpy(whole), grid.of(n))
        corner = object_tokens(grid, [(0, 0, 8, 8)], picture=n)
        alone = object_tokens(vlm.encode([Prompt(picture, QUESTION)]).grids[0], [(0, 0, 8, 8)])
        assert np.array_equal(corner[grid.of(n)], alone)
        assert corner.sum() == alone.sum() > 0


@FAMILIES
def test_prompts_of_one_and_of_several_pictures_read_in_a_batch_as_alone(vlm: VLM) -> None:
    prompts = [Prompt([A, B], QUESTION), Prompt(C, "Where?"), Prompt([C, A, B], "Where?", HISTORY)]
    batch = vlm.encode(prompts)
    with torch.no_grad():
        together = vlm.model(**batch.inputs, use_cache=False).logits[:, -1]
        for i, prompt in enumerate(prompts):
            alone = vlm.encode([prompt])
            assert torch.equal(batch.image[i, -alone.length :], alone.image[0])
            for n in range(len(prompt.pictures)):
                span = batch.picture_span(i, n)[-alone.length :]
                assert torch.equal(span, alone.picture_span(0, n))
            logits = vlm.model(**alone.inputs, use_cache=False).logits[0, -1]
            torch.testing.assert_close(together[i], logits, atol=2e-4, rtol=2e-4)


@FAMILIES
def test_questions_of_ones_own_take_lists_of_pictures(vlm: VLM) -> None:
    asked = [([A, B], QUESTION, ("yes", "no")), (C, QUESTION, ("yes", "no"))]
    table = hs.ask(vlm, asked)
    said = vlm.answer([A, B], QUESTION, choices=("yes", "no"))
    margin = abs(said.logprobs["yes"] - said.logprobs["no"])
    assert (table.text[0], table.margin[0]) == (said.text, pytest.approx(margin, abs=1e-4))
    read = hs.read(vlm, [A, B], QUESTION)
    kept = hs.capture(vlm, [([A, B], QUESTION), (C, QUESTION)]).prompt_last.values[0]
    np.testing.assert_allclose(kept, read.z.values, atol=1e-4)
    with hs.edit(vlm, [hs.Head(0, 0)], hs.mute(), scope="image"):
        muted = hs.read(vlm, [A, B], QUESTION)
    assert float(abs(muted.z - read.z).max()) > 0


def test_an_empty_list_is_refused(tiny: VLM) -> None:
    with pytest.raises(ModelError, match="about an empty list of pictures"):
        tiny.encode([Prompt([], QUESTION)])


def test_a_template_that_writes_one_picture_refuses_several_by_the_models_name(
    tiny_llava_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "one-picture"
    shutil.copytree(tiny_llava_folder, folder)
    file = folder / "chat_template.jinja"
    text = file.read_text("utf-8")
    changed = text.replace("c['type'] == 'image' %}", "c['type'] == 'image' %}{% if loop.first %}", 1)
    changed = changed.replace("<image>\\n' }}", "<image>\\n' }}{% endif %}", 1)
    changed = changed.replace("<image>\n' }}", "<image>\n' }}{% endif %}", 1)
    assert changed != text
    file.write_text(changed, "utf-8")
    vlm = load_model(folder, prove=False)
    assert vlm.encode([Prompt(A, QUESTION)]).items == 1
    message = "one-picture: asked about 2 pictures in one prompt; its chat template writes 1 pictures, not 2"
    with pytest.raises(ModelError, match=message):
        vlm.encode([Prompt([A, B], QUESTION)])


def test_a_processor_that_leaves_a_picture_out_is_found_out(tiny: VLM) -> None:
    def forgetful(prompts: Sequence[Prompt]) -> Any:
        return tiny.encode([Prompt([*p.pictures[:1]] * len(p.pictures), p.question) for p in prompts])

    assert pictures_refusal(forgetful, 2) == "its processor leaves picture 2 of 2 out"
    assert pictures_refusal(tiny.encode, 2) == ""


def test_tokens_that_do_not_add_up_are_nobodys_in_particular() -> None:
    unmapped = ImageGrid(None, None, "no map")
    grid = joined_grid([(9, unmapped), (9, unmapped)], 12)
    assert grid.pictures is None
    assert "2 pictures have 12 tokens together and 9 + 9 one by one" in grid.reason
    assert joined_grid([(9, unmapped), (4, unmapped)], 13).reason == "no map"
