"""All steps of the proof, in order."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from headscope.models.finding import find_geometry
from headscope.models.proofs.baked import prove_baked
from headscope.models.proofs.batches import padded_batch, prove_batch
from headscope.models.proofs.cached import prove_cached
from headscope.models.proofs.heads import prove_heads
from headscope.models.proofs.known import known_refusal
from headscope.models.proofs.spans import prove_spans
from headscope.models.proofs.steps import NOT_APPLICABLE, Proof, Step, attempt
from headscope.models.sites import Geometry
from headscope.models.types import Prompt


def prove_geometry(
    vlm: Any, inputs: dict[str, Tensor] | None = None, geometry: Geometry | None = None
) -> Proof:
    """Prove a geometry on the loaded model, over a tiny input: what loading does.

    Steps, each a fact about the running model:

    - ``hooks``: a forward with hooks that change nothing gives the bare forward's logits bit for bit.
    - ``blocks``: zeroing head h in what the attention function returns, (item, position, head, width), before
      heads are merged, changes block h of the projection's input and no other, for every head. Where a module
      computes attention by itself, the product that sums values over keys is taken instead; the step says so.
    - ``sum``: the projection's outputs for one block at a time, summed over heads, are its output less bias.
    - ``edit``: muting a head through a hook on the projection's input changes the logits.
    - ``restored``: afterwards the bare logits come back bit for bit.
    - ``positions``: the decoder reads its prompt's positions, one z a token (of an encoder-decoder, the
      tokens that its decoder starts from); refused where a picture is put in front of the tokens.
    - ``batch`` (a VLM only): each item of a left-padded batch gives the logits it gives alone.

    Args:
        vlm: a :class:`headscope.models.vlm.VLM`, or a bare model (then ``inputs`` are needed).
        inputs: keyword arguments of the model for one item without padding; a small blank picture by default.
        geometry: the claim to be tested; the VLM's own, or what is found on the model, by default.

    Raises:
        GeometryError: a step failed; the message names it, the layer, and what was found.
    """
    model, given, geometry = _given(vlm, inputs, geometry)
    with torch.no_grad():
        steps = prove_heads(model, given, geometry)
        if inputs is None:  # a VLM: its processor makes the batch
            steps.append(attempt("batch", lambda: _batch(vlm, model, given)))
    return Proof(tuple(steps))


def prove(vlm: Any, inputs: dict[str, Tensor] | None = None, geometry: Geometry | None = None) -> Proof:
    """Prove everything: the steps of :func:`prove_geometry`, then what edits, batches and caches do.

    - ``baked``: a head scaled by a hook equals its columns scaled in the projection's weight, to 1e-5 of the
      largest logit in float32 (2e-2 in bfloat16, 4e-3 in float16); not applicable where the weight is
      quantised or shared.
    - ``batch``: each item of a left-padded batch gives the logits it gives alone, to 1e-4 of the largest in
      float32 (5e-2 in bfloat16, 1e-2 in float16).
    - ``cached``: with a head muted, each generated token's logits agree with and without a cache (same).
    - ``spans``: changing the picture inside one cell of the image grid changes exactly the image tokens that
      are mapped to it. Needs a VLM with a processor and an image grid.

    Args:
        vlm: as in :func:`prove_geometry`.
        inputs: as in :func:`prove_geometry`.
        geometry: as in :func:`prove_geometry`.

    Returns:
        The proof; steps that do not hold are ``refused`` or ``not applicable``, with the reason.

    Raises:
        GeometryError: a step about the geometry, or the baked edit, failed.
    """
    model, inputs, geometry = _given(vlm, inputs, geometry)
    with torch.no_grad():
        steps = prove_heads(model, inputs, geometry)
        steps.append(prove_baked(model, inputs, geometry))
        steps.append(attempt("batch", lambda: _batch(vlm, model, inputs)))
        steps.append(attempt("cached", lambda: prove_cached(model, inputs, geometry)))
        steps.append(attempt("spans", lambda: _spans(vlm)))
    return Proof(tuple(steps))


def _given(
    vlm: Any, inputs: dict[str, Tensor] | None, geometry: Geometry | None
) -> tuple[nn.Module, dict[str, Tensor], Geometry]:
    model = vlm.model if hasattr(vlm, "processor") else vlm
    geometry = geometry or getattr(vlm, "geometry", None) or find_geometry(model)
    return model, inputs if inputs is not None else _encoded(vlm, _prompts()[:1]), geometry


def _prompts() -> list[Prompt]:
    """Two small pictures of one colour each, of different shapes, with questions of different length."""
    from PIL import Image

    small, wide = Image.new("RGB", (32, 32), (127, 90, 60)), Image.new("RGB", (56, 40), (30, 160, 220))
    question = "Is the small dog to the left of the two horses in the picture?"
    return [Prompt(small, "What is in the picture?"), Prompt(wide, question)]


def _encoded(vlm: Any, prompts: list[Prompt]) -> dict[str, Tensor]:
    inputs: dict[str, Tensor] = vlm.encode(prompts).inputs
    return inputs


def _batch(vlm: Any, model: nn.Module, inputs: dict[str, Tensor]) -> Step:
    """Two items alone and in a batch: through the processor where there is one."""
    if not hasattr(vlm, "processor"):
        return prove_batch(model, *padded_batch(inputs))
    # An earlier proof would refuse the batch that is to be tried.
    before, vlm.proof = getattr(vlm, "proof", None), None
    try:
        alone, together = [_encoded(vlm, [p]) for p in _prompts()], _encoded(vlm, _prompts())
    finally:
        vlm.proof = before
    return known_refusal(prove_batch(model, alone, together), vlm.family, vlm.dtype)


def _spans(vlm: Any) -> Step:
    if not hasattr(vlm, "processor"):
        reason = "shown on checkpoints with a processor only"
        return Step("spans", "", float("nan"), NOT_APPLICABLE, reason)
    return prove_spans(vlm)
