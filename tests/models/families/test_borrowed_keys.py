"""Gemma 4 reads a prompt for its last position alone in layers that borrow keys: edits still know where."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from headscope.edits.edits import edit, mute
from headscope.models.answering.generation import generate
from headscope.models.geometry import Head
from headscope.models.types import Encoded
from headscope.models.vlm import VLM, load_model
from models.families.folders import family_folder
from models.families.test_family_pipeline import PROMPTS


@pytest.fixture(scope="module")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> VLM:
    """Four layers, of which the last two borrow keys and values."""
    return load_model(family_folder("gemma4", tmp_path_factory.mktemp("families") / "gemma4"))


def muted(vlm: VLM, encoded: Encoded, layer: int, scope: str) -> tuple[Tensor, Tensor]:
    """Logits after the prompt under an edit: as generation reads it, and from one forward over all of it."""
    heads = [Head(layer, h) for h in range(4)]
    with torch.no_grad(), vlm.reading(encoded), edit(vlm, heads, mute(), scope=scope):
        _, prefill = generate(vlm, encoded, 1)
        whole: Tensor = vlm.model(**encoded.inputs, use_cache=False).logits[:, -1]
    assert prefill.logits is not None
    return prefill.logits, whole


def test_layers_that_borrow_keys_read_the_last_position_alone_when_generating(gemma: VLM) -> None:
    encoded, seen = gemma.encode(PROMPTS[:1]), []
    handles = [
        s.projection.register_forward_pre_hook(lambda _m, args: seen.append(args[0].shape[1]))
        for s in gemma.geometry.sites
    ]
    generate(gemma, encoded, 1)
    for handle in handles:
        handle.remove()
    assert seen == [encoded.length, encoded.length, 1, 1]


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("scope", ["all", "image", "question", "last", "answer"])
@pytest.mark.parametrize("layer", range(4))
def test_an_edit_acts_on_its_positions_there_too(gemma: VLM, layer: int, scope: str, batch: int) -> None:
    encoded = gemma.encode(PROMPTS[:batch])
    generated, whole = muted(gemma, encoded, layer, scope)
    torch.testing.assert_close(generated, whole, rtol=0, atol=2e-5)


def test_an_edit_of_the_last_position_moves_the_answer_at_every_layer(gemma: VLM) -> None:
    encoded = gemma.encode(PROMPTS[:1])
    with torch.no_grad():
        bare = gemma.model(**encoded.inputs, use_cache=False).logits[:, -1]
    for layer in range(4):
        assert (muted(gemma, encoded, layer, "last")[0] - bare).abs().max() > 0.1
