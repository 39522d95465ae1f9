"""Heads found by one forward are those that names tell, whatever kernel and family."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from family_survey.build import family_names
from family_survey.plans import tiny_inputs, tiny_model
from headscope.errors import GeometryError
from headscope.models.finding import find_geometry
from headscope.models.tracing import trace_decoder
from headscope.models.vlm import load_model

# A gate before the projection, a norm over all heads, layers without heads, layers of two widths, latent
# attention, attention by plain products, cross-attention in layers of its own, an encoder-decoder; those
# that the installed release has.
FAMILIES = (
    "llava", "qwen3_5", "kosmos-2", "lfm2_vl", "gemma4", "deepseek_ocr2", "pix2struct", "mllama", "florence2",
    "dots3_note", "udop", "step3p7",
)  # fmt: skip


@pytest.mark.parametrize("family", [family for family in FAMILIES if family in family_names()])
def test_a_forward_tells_the_heads_that_names_tell(family: str) -> None:
    model = tiny_model(family)
    named = find_geometry(model)
    traced = trace_decoder(model, tiny_inputs(family, model))
    assert [(s.layer, s.site, s.n_heads, s.head_dim) for s in traced.sites] == [
        (s.layer, s.site, s.n_heads, s.head_dim) for s in named.sites
    ]
    for one, other in zip(traced.sites, named.sites, strict=True):
        assert one.projection is other.projection
    assert [layer.layer for layer in traced.left_out] == [layer.layer for layer in named.left_out]


def test_tracing_leaves_the_model_as_it_was() -> None:
    model = tiny_model("llava")
    inputs = tiny_inputs("llava", model)
    with torch.no_grad():
        before = model(**inputs).logits
        hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]
        trace_decoder(model, inputs)
        after = model(**inputs).logits
    assert torch.equal(before, after)
    assert not any(p.requires_grad or p.grad is not None for p in model.parameters())
    assert [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()] == hooks


def test_a_model_whose_names_tell_nothing_is_loaded_proved_and_asked(
    tiny_llava_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = load_model(tiny_llava_folder)
    monkeypatch.setattr("headscope.models.structure.PROJECTIONS", ("nothing",))
    traced = load_model(tiny_llava_folder)
    assert [s.path for s in traced.geometry.sites] == [s.path for s in named.geometry.sites]
    assert traced.geometry.heads == named.geometry.heads
    assert traced.proof.status == named.proof.status


def test_a_model_without_attention_over_the_prompt_is_refused() -> None:
    model = tiny_model("git")  # it reads the picture's pieces in front of the tokens
    with pytest.raises(GeometryError, match="no attention over the prompt's"):
        trace_decoder(model, tiny_inputs("git", model))
