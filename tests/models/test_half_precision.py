"""bfloat16 and float16 on the CPU: load, prove, capture, edit and bake, each within a stated tolerance."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from headscope.asking.readouts import Reader
from headscope.edits.baking import bake
from headscope.edits.edits import edit, mute, scale
from headscope.edits.means import head_means
from headscope.models.answering.generation import generate
from headscope.models.geometry import Head
from headscope.models.types import Prompt
from headscope.models.vlm import VLM, load_model

HEADS = (Head(0, 1), Head(1, 2), Head(2, 3))
# Greatest relative error of the sum of heads' parts; of z against float32; of baked logits, relative to their
# range. Eight bits of mantissa in bfloat16, eleven in float16, over three layers.
LIMITS = {
    "bfloat16": SimpleNamespace(sum=2e-2, z=5e-2, baked=2e-2),
    "float16": SimpleNamespace(sum=2e-3, z=6e-3, baked=4e-3),
}
PROMPTS = [
    Prompt(Image.new("RGB", (32, 24), (200, 30, 30)), "Is the dog facing the horse?"),
    Prompt(Image.new("RGB", (24, 32), (30, 30, 200)), "Where?"),
]


@pytest.fixture(scope="module", params=list(LIMITS))
def half(request: pytest.FixtureRequest, tiny_llava_folder: Path) -> VLM:
    return load_model(tiny_llava_folder, dtype=request.param)


@pytest.fixture
def limits(half: VLM) -> Any:
    return LIMITS[str(half.dtype).removeprefix("torch.")]


def logits(vlm: VLM) -> torch.Tensor:
    encoded = vlm.encode(PROMPTS)
    with torch.no_grad():
        found: torch.Tensor = vlm.model(**encoded.inputs).logits
    return found[encoded.inputs["attention_mask"].bool()]


def first_z(vlm: VLM) -> np.ndarray:
    """z of the last prompt position, (item, head, width)."""
    reader = Reader(vlm.geometry, ["prompt_last"])
    with reader.attached():
        tokens, _ = generate(vlm, vlm.encode(PROMPTS), 1)
    return reader.pooled(tokens, vlm.end_ids, None)["prompt_last"]


def relative(found: Any, expected: Any) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def test_the_proof_holds_within_the_number_format(half: VLM, limits: Any) -> None:
    assert half.proof.figure("blocks") == len(half.geometry.heads)
    assert 0 < half.proof.figure("sum") < limits.sum
    assert half.encode(PROMPTS).inputs["pixel_values"].dtype == half.dtype


def test_captured_z_is_float32_and_near_that_of_the_full_model(half: VLM, limits: Any, tiny: VLM) -> None:
    found = first_z(half)
    assert found.dtype == np.float32
    assert 0 < relative(found, first_z(tiny)) < limits.z
    exact = torch.from_numpy(found)
    assert torch.equal(exact.to(half.dtype).float(), exact), "what was read is what the model computed"


def test_means_are_summed_beyond_the_number_format(half: VLM) -> None:
    encoded = half.encode(PROMPTS)
    mask, seen = encoded.inputs["attention_mask"].bool(), []
    site = half.geometry.sites[1]
    handle = site.projection.register_forward_pre_hook(lambda _m, args: seen.append(args[0][mask].double()))
    found = head_means(half, [encoded])
    handle.remove()
    expected = seen[0].mean(0).view(site.n_heads, site.head_dim).numpy()
    np.testing.assert_allclose(found[half.geometry.slice_of(site)], expected, rtol=1e-12)


def test_an_edit_changes_its_heads_and_leaves_no_trace(half: VLM) -> None:
    bare = logits(half)
    with edit(half, HEADS, mute()):
        muted, z = logits(half), first_z(half)
    assert not torch.equal(muted, bare)
    assert [(z[:, half.geometry.index(h)] == 0).all() for h in HEADS] == [True] * 3
    assert torch.equal(logits(half), bare)


@pytest.mark.parametrize("s", [0.0, 0.3, 1.7])
def test_a_baked_checkpoint_equals_the_edit(half: VLM, limits: Any, s: float, tmp_path: Path) -> None:
    kind = str(half.dtype).removeprefix("torch.")
    baked = load_model(bake(half, HEADS, s, tmp_path / "baked"), dtype=kind, prove=False)
    assert baked.dtype == half.dtype
    with edit(half, HEADS, scale(s)):
        expected = logits(half).float().numpy()
    assert relative(logits(baked).float().numpy(), expected) < limits.baked


def test_a_power_of_two_is_baked_exactly(half: VLM, tmp_path: Path) -> None:
    folder = bake(half, HEADS, 2.0, tmp_path / "baked")
    baked = load_model(folder, dtype="auto", prove=False)
    assert baked.dtype == half.dtype, "the checkpoint keeps its number format"
    with edit(half, HEADS, scale(2.0)):
        assert torch.equal(logits(baked), logits(half))
