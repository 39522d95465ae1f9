from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from torch import nn

from edits.naive import generate, logits
from headscope.edits.baking import bake
from headscope.edits.edits import add, edit, mute, scale
from headscope.errors import EditError
from headscope.models.finding import find_geometry
from headscope.models.geometry import Geometry, Head
from headscope.models.vlm import load_model
from headscope.models.weights import LoadedWeights

HEADS = (Head(0, 1), Head(1, 0), Head(1, 3))


def with_bias(vlm):
    """The same model with biases on its output projections."""
    changed = copy.copy(vlm)
    changed.model = copy.deepcopy(vlm.model)
    for block in changed.model.get_decoder().layers:
        old = block.self_attn.o_proj
        new = nn.Linear(old.in_features, old.out_features)
        new.weight = old.weight
        block.self_attn.o_proj = new.eval()
    changed.geometry = find_geometry(changed.model)
    changed.weights = LoadedWeights(changed.model)
    return changed


@pytest.mark.parametrize("s", [0.0, 0.3, 1.7])
def test_a_baked_checkpoint_equals_the_edited_model(vlm, prompts, tmp_path, s):
    before = copy.deepcopy(vlm.model.state_dict())
    folder = bake(vlm, HEADS, s, tmp_path / "baked")
    baked = load_model(folder, prove=False)
    encoded, again = vlm.encode(prompts), baked.encode(prompts)
    assert torch.equal(encoded.inputs["input_ids"], again.inputs["input_ids"])
    with edit(vlm, HEADS, scale(s)):
        expected, tokens = logits(vlm, encoded.inputs), generate(vlm, encoded.inputs, 6)
    torch.testing.assert_close(logits(baked, again.inputs), expected, atol=1e-5, rtol=1e-5)
    assert generate(baked, again.inputs, 6).tolist() == tokens.tolist()
    assert all(torch.equal(before[k], v) for k, v in vlm.model.state_dict().items())
    assert not [p for p in tmp_path.iterdir() if p.name != "baked"]
    note = json.loads((folder / "headscope-bake.json").read_text())
    assert note["heads"] == ["L0H1", "L1H0", "L1H3"]
    assert note["revision"] == vlm.revision


def test_only_the_named_columns_differ_from_the_original(llava, tmp_path):
    baked = load_model(bake(llava, [Head(1, 2)], 3.0, tmp_path / "baked"), prove=False).model.state_dict()
    for name, old in llava.model.state_dict().items():
        factor = torch.ones_like(old)
        if name.endswith("layers.1.self_attn.o_proj.weight"):
            factor[:, 24:36] = 3.0
        assert torch.equal(baked[name], old * factor), name


def test_bfloat16_is_exact_for_powers_of_two_and_within_a_percent_else(llava, prompts, tmp_path):
    source = bake(llava, [], 1.0, tmp_path / "copy")
    half = load_model(source, dtype="bfloat16", prove=False)
    encoded = half.encode(prompts)
    for s, tolerance in [(2.0, 0.0), (1.3, 0.02)]:
        baked = load_model(bake(half, HEADS, s, tmp_path / f"baked-{s}"), dtype="auto", prove=False)
        assert baked.dtype == torch.bfloat16
        with edit(half, HEADS, scale(s)):
            expected = logits(half, encoded.inputs)
        error = (logits(baked, encoded.inputs) - expected).abs().max() / expected.abs().max()
        assert float(error) <= tolerance


@pytest.mark.parametrize("what", ["mean", "direction", "reference"])
def test_what_is_added_goes_to_the_bias_where_there_is_one(llava, prompts, what, monkeypatch, tmp_path):
    vlm = with_bias(llava)
    values = np.random.default_rng(0).normal(size=(12, 12))
    asked = [(p.image, p.question) for p in prompts]
    change = {
        "mean": mute(mean=values),
        "direction": add(values, 0.5),
        "reference": mute("mean", reference=asked),
    }[what]
    inputs = vlm.encode(prompts).inputs
    with edit(vlm, HEADS, change):
        expected = logits(vlm, inputs)
    written = {}
    keep = lambda folder, state_dict: written.update(state_dict)  # noqa: E731  the class has no bias to load
    monkeypatch.setattr(vlm.model, "save_pretrained", keep)
    bake(vlm, HEADS, change, tmp_path / "baked")
    baked = copy.deepcopy(vlm.model)
    baked.load_state_dict(written)
    torch.testing.assert_close(logits(vlm, inputs, baked), expected, atol=1e-5, rtol=1e-5)


def test_what_cannot_be_baked_is_refused(llava, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(EditError, match="only 'all'"):
        bake(llava, HEADS, 2.0, out, scope="last")
    with pytest.raises(EditError, match="no bias"):
        bake(llava, HEADS, mute(mean=np.ones((12, 12))), out)
    with pytest.raises(EditError, match="no bias"):
        bake(llava, HEADS, add(np.ones((12, 12))), out)
    out.mkdir()
    (out / "file").write_text("x")
    with pytest.raises(EditError, match="not empty"):
        bake(llava, HEADS, 2.0, out)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_quantised_and_shared_projections_are_refused(llava, tmp_path):
    quantised = copy.copy(llava)
    quantised.model = copy.deepcopy(llava.model)
    projection = quantised.model.get_decoder().layers[0].self_attn.o_proj
    projection.weight = nn.Parameter(projection.weight.to(torch.int8), requires_grad=False)
    quantised.geometry, quantised.weights = find_geometry(quantised.model), LoadedWeights(quantised.model)
    with pytest.raises(EditError, match="quantised"):
        bake(quantised, HEADS, 2.0, tmp_path / "a")
    shared = copy.copy(llava)
    shared.model = copy.deepcopy(llava.model)
    layers = shared.model.get_decoder().layers
    layers[2].self_attn.o_proj.weight = layers[0].self_attn.o_proj.weight
    shared.geometry, shared.weights = find_geometry(shared.model), LoadedWeights(shared.model)
    with pytest.raises(EditError, match="shared"):
        bake(shared, HEADS, 2.0, tmp_path / "b")
    wrapped = copy.copy(llava)
    site = llava.geometry.sites[0]
    wrapped.geometry = Geometry((type(site)("decoder", 0, "self", 4, 12, nn.Identity(), nn.Identity()),))
    with pytest.raises(EditError, match="no plain weight"):
        bake(wrapped, [Head(0, 0)], 2.0, tmp_path / "c")
    assert not list(tmp_path.iterdir())
