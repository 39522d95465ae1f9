"""Contribution norms and attention mass against direct computations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from headscope.errors import ModelError
from headscope.experiments.waking import awakening
from headscope.experiments.waking.awakening import (
    ContributionNorms,
    attention_to,
    object_tokens,
    token_positions,
)
from headscope.models.types import ImageGrid, Prompt


def prompts(sizes=((24, 24), (30, 20), (24, 24))):
    rng = np.random.default_rng(3)
    pictures = [Image.fromarray(rng.integers(0, 255, (h, w, 3), dtype=np.uint8)) for w, h in sizes]
    texts = ("Where is the dog?", "Is the red dog facing the horse in the picture?", "How many?")
    return [Prompt(p, t) for p, t in zip(pictures, texts, strict=True)]


def eager_weights(vlm, encoded):
    """(item, head, key) attention of the last prompt row as the eager kernel itself returns it."""
    before = {}
    for site in vlm.geometry.sites:
        config = site.attention.config
        before[id(config)] = (config, config._attn_implementation)
    try:
        vlm.model.set_attn_implementation("eager")
        with torch.no_grad():
            out = vlm.model(**encoded.inputs, output_attentions=True)
    finally:
        for config, name in before.values():
            config._attn_implementation = name
        vlm.model.set_attn_implementation(next(iter(before.values()))[1])
    return torch.cat([a[:, :, -1] for a in out.attentions], dim=1).double().numpy()


def test_mass_equals_the_weights_of_eager_attention_on_a_padded_batch(tiny):
    encoded = tiny.encode(prompts())
    targets = torch.rand(encoded.image.shape) < 0.5
    with torch.no_grad(), attention_to(tiny, encoded, {"some": targets, "image": encoded.image}) as mass:
        tiny.model(**encoded.inputs)
    weights = eager_weights(tiny, encoded)
    expected = (weights * targets[:, None].numpy()).sum(-1)
    assert mass.sums["some"].shape == (3, len(tiny.geometry.heads))
    np.testing.assert_allclose(mass.sums["some"], expected, atol=2e-6)
    expected = (weights * encoded.image[:, None].numpy()).sum(-1)
    np.testing.assert_allclose(mass.sums["image"], expected, atol=2e-6)


def test_mass_is_right_for_a_family_with_rotated_positions_in_three_parts(tiny_qwen):
    encoded = tiny_qwen.encode(prompts())
    with torch.no_grad(), attention_to(tiny_qwen, encoded, {"image": encoded.image}) as mass:
        tiny_qwen.model(**encoded.inputs)
    expected = (eager_weights(tiny_qwen, encoded) * encoded.image[:, None].numpy()).sum(-1)
    np.testing.assert_allclose(mass.sums["image"], expected, atol=2e-6)


def test_mass_is_the_same_under_the_eager_kernel_and_during_cached_generation(tiny):
    encoded = tiny.encode(prompts())
    found = {}
    for kernel in ("sdpa", "eager"):
        tiny.model.set_attn_implementation(kernel)
        with torch.no_grad(), attention_to(tiny, encoded, {"image": encoded.image}) as mass:
            tiny.model.generate(**encoded.inputs, max_new_tokens=3, do_sample=False)
        found[kernel] = mass.sums["image"]
    tiny.model.set_attn_implementation("sdpa")
    np.testing.assert_allclose(found["sdpa"], found["eager"], atol=2e-6)
    expected = (eager_weights(tiny, encoded) * encoded.image[:, None].numpy()).sum(-1)
    np.testing.assert_allclose(found["sdpa"], expected, atol=2e-6)


def test_watching_changes_no_output_and_restores_the_registry(tiny):
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    encoded = tiny.encode(prompts())
    before = dict(ALL_ATTENTION_FUNCTIONS)
    with torch.no_grad():
        plain = tiny.model(**encoded.inputs).logits
        with attention_to(tiny, encoded, {"image": encoded.image}):
            watched = tiny.model(**encoded.inputs).logits
    assert torch.equal(plain, watched)
    with pytest.raises(ZeroDivisionError), attention_to(tiny, encoded, {}):
        raise ZeroDivisionError
    assert dict(ALL_ATTENTION_FUNCTIONS) == before


def test_contribution_norms_are_the_lengths_of_what_each_head_writes(tiny):
    encoded = tiny.encode(prompts())
    seen = {}
    handles = [
        s.projection.register_forward_pre_hook(lambda _, args, s=s: seen.__setitem__(s.layer, args[0][:, -1]))
        for s in tiny.geometry.sites
    ]
    with torch.no_grad():
        tiny.model(**encoded.inputs)
    for handle in handles:
        handle.remove()
    geometry = tiny.geometry
    z = np.full((3, len(geometry.heads), geometry.max_width + 2), np.nan, dtype=np.float32)
    expected = np.zeros((3, len(geometry.heads)))
    for i, head in enumerate(geometry.heads):
        site = geometry.site_of(head)
        alone = torch.zeros_like(seen[head.layer])
        alone[:, site.block(head.head)] = seen[head.layer][:, site.block(head.head)]
        z[:, i, : site.head_dim] = alone[:, site.block(head.head)].numpy()
        zero = site.projection(torch.zeros_like(alone))
        expected[:, i] = (site.projection(alone) - zero).norm(dim=1).numpy()
    np.testing.assert_allclose(ContributionNorms(geometry)(z), expected, rtol=1e-4)


def test_each_projection_is_read_once_however_many_batches_follow(tiny, monkeypatch):
    read = []
    plain = awakening._weight
    monkeypatch.setattr(awakening, "_weight", lambda site: read.append(site.layer) or plain(site))
    norms = ContributionNorms(tiny.geometry)
    rng = np.random.default_rng(0)
    for _ in range(3):
        z = rng.normal(size=(2, len(tiny.geometry.heads), tiny.geometry.max_width)).astype(np.float32)
        found = norms(z)
        for i, head in enumerate(tiny.geometry.heads):
            site = tiny.geometry.site_of(head)
            block = site.projection.weight[:, site.block(head.head)].double().numpy()
            expected = np.linalg.norm(z[:, i, : site.head_dim].astype(np.float64) @ block.T, axis=1)
            np.testing.assert_allclose(found[:, i], expected, rtol=1e-12)
    assert read == [site.layer for site in tiny.geometry.sites]


def test_tokens_of_an_object_are_those_that_its_box_covers_by_a_quarter_or_most():
    rects = [[x, y, x + 10, y + 10] for y in (0, 10, 20) for x in (0, 10, 20)]
    grid = ImageGrid(torch.tensor(rects, dtype=torch.float32))
    assert object_tokens(grid, [(0, 0, 14, 10)]).nonzero()[0].tolist() == [0, 1]
    assert object_tokens(grid, [(0, 0, 12, 10)]).nonzero()[0].tolist() == [0]
    assert object_tokens(grid, [(11, 11, 13, 13), (25, 25, 26, 26)]).nonzero()[0].tolist() == [4, 8]
    assert not object_tokens(grid, []).any()
    assert not object_tokens(grid, [(40, 40, 50, 50)]).any()
    with pytest.raises(ModelError, match="no map is known for this family"):
        object_tokens(ImageGrid(None, None, "no map is known for this family"), [(0, 0, 1, 1)])


def test_object_tokens_stand_at_the_image_positions_of_their_item(tiny):
    encoded = tiny.encode(prompts())
    boxes = [[(0.0, 0.0, 8.0, 8.0)], [(20.0, 0.0, 30.0, 20.0 / 3)], []]
    positions = token_positions(encoded, boxes)
    assert positions.shape == encoded.image.shape
    assert not (positions & ~encoded.image).any()
    for i, token in ((0, 0), (1, 2)):
        where = encoded.image[i].nonzero().squeeze(1)
        assert positions[i].nonzero().squeeze(1).tolist() == [where[token].item()]
    assert not positions[2].any()
