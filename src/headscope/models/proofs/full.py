"""All steps of the proof, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from headscope.errors import GeometryError
from headscope.models.base import BaseVLM
from headscope.models.families import family_named, image_grids
from headscope.models.finding import find_geometry
from headscope.models.geometry import Geometry, Site
from headscope.models.proofs.batch_proof import padded_batch, prove_batch
from headscope.models.proofs.cached import prove_cached
from headscope.models.proofs.causes import explained
from headscope.models.proofs.head_proof import prove_heads
from headscope.models.proofs.known import known_refusal
from headscope.models.proofs.picture_proof import prove_picture
from headscope.models.proofs.proof_steps import (
    NOT_APPLICABLE,
    ON_CHECKPOINT,
    Proof,
    Step,
    attempt,
    number_format,
)
from headscope.models.proofs.span_proof import prove_spans
from headscope.models.types import Prompt

Items = tuple[list[dict[str, Tensor]], dict[str, Tensor]]
"""Inputs of several items each by itself, and of the padded batch of them."""


def prove_geometry(
    vlm: BaseVLM | nn.Module, inputs: dict[str, Tensor] | None = None, geometry: Geometry | None = None
) -> Proof:
    """Prove a geometry on the loaded model, over a tiny input: the steps without which nothing works.

    Each is a fact about the running model:

    - ``hooks``: a forward with hooks that change nothing gives the bare forward's logits bit for bit.
    - ``blocks``: zeroing head h in what the attention function returns, (item, position, head, width), before
      heads are merged, changes block h of the projection's input and no other, for every head. Where a module
      computes attention by itself, the product that sums values over keys is taken instead; the step says so.
    - ``sum``: the projection's outputs for one block at a time, summed over heads, are its output less bias.
    - ``edit``: muting a head through a hook on the projection's input zeroes its block there, changes nothing
      else on any projection's way in, and changes the logits.
    - ``restored``: afterwards the bare logits come back bit for bit.
    - ``positions``: the decoder reads its prompt's positions, one z a token (of an encoder-decoder, the
      tokens that its decoder starts from); refused where a picture is put in front of the tokens.
    - ``baked``: at every site, a head scaled by a hook equals its columns scaled in the projection's weight;
      not applicable where the weight is quantised or shared.

    Args:
        vlm: a :class:`headscope.models.base.BaseVLM`, or a bare model (then ``inputs`` are needed).
        inputs: keyword arguments of the model for one item without padding; a small blank picture by default.
        geometry: the claim to be tested; the VLM's own, or what is found on the model, by default.

    Raises:
        GeometryError: a step before ``positions`` failed; the message names it, the layer, what was found.
        OutOfMemoryError: memory ran out on the way.
    """
    model, given, geometry = _given(vlm, inputs, geometry)
    with torch.no_grad():
        return _proof(model, prove_heads(model, given, geometry))


def prove(
    vlm: BaseVLM | nn.Module,
    inputs: dict[str, Tensor] | None = None,
    geometry: Geometry | None = None,
    items: Items | None = None,
) -> Proof:
    """Prove everything: what loading does, and what ``headscope models check`` prints.

    After the steps of :func:`prove_geometry`:

    - ``batch``: each item of a left-padded batch gives the z and the logits it gives alone.
    - ``cached``: with a head muted, generation with a cache gives every token the z and the logits that one
      forward without a cache gives it, and the edit acts on each generated token.
    - ``picture``: the negative of the picture changes the last logits.
    - ``spans``: changing the picture inside one cell of the image grid changes exactly the image tokens that
      are mapped to it; not applicable to families without such a grid. Of a bare model whose family has one,
      the step is left to a checkpoint, whose processor makes it.

    What may differ by rounding is held to :func:`headscope.models.proofs.rounding.limit_of`.

    Args:
        vlm: as in :func:`prove_geometry`.
        inputs: as in :func:`prove_geometry`.
        geometry: as in :func:`prove_geometry`.
        items: of a bare model, inputs of several items each by itself, and of the padded batch of them; by
            default ``inputs``, its picture's negative with more words, and the two padded.

    Returns:
        The proof. What rests on a step that is ``refused`` is refused wherever it is asked for
        (:meth:`Proof.require`); all else works.

    Raises:
        GeometryError: as :func:`prove_geometry`.
        OutOfMemoryError: memory ran out on the way.
    """
    model, given, geometry = _given(vlm, inputs, geometry)
    asked = [s for s in geometry.sites if s.tower == "decoder"]
    with torch.no_grad(), _unproved(vlm):
        steps = prove_heads(model, given, geometry)
        decoder = asked or list(find_geometry(model, inputs=lambda: given).sites)
        steps.append(attempt("batch", lambda: _batch(vlm, model, given, decoder, items)))
        steps.append(attempt("cached", lambda: prove_cached(model, given, asked)))
        steps.append(attempt("picture", lambda: prove_picture(model, given)))
        steps.append(attempt("spans", lambda: _spans(vlm, model)))
    return _proof(model, steps)


def _proof(model: nn.Module, steps: Sequence[Step]) -> Proof:
    return Proof(tuple(explained(step, _family(model)) for step in steps))


def _family(model: nn.Module) -> str:
    return str(getattr(getattr(model, "config", None), "model_type", ""))


def _given(
    vlm: BaseVLM | nn.Module, inputs: dict[str, Tensor] | None, geometry: Geometry | None
) -> tuple[nn.Module, dict[str, Tensor], Geometry]:
    if isinstance(vlm, BaseVLM):
        return vlm.model, inputs or proof_inputs(vlm), geometry or vlm.geometry
    if inputs is None:
        raise GeometryError(
            "asked to prove a bare model without inputs; give some, or load it with a processor"
        )
    return vlm, inputs, geometry or find_geometry(vlm)


def proof_inputs(vlm: BaseVLM) -> dict[str, Tensor]:
    """The one small prompt over which a VLM is proved."""
    return _encoded(vlm, _prompts()[:1])


def _prompts() -> list[Prompt]:
    """Two small pictures of one colour each, of different shapes, with questions of different length."""
    from PIL import Image

    small, wide = Image.new("RGB", (32, 32), (127, 90, 60)), Image.new("RGB", (56, 40), (30, 160, 220))
    question = "Is the small dog to the left of the two horses in the picture?"
    return [Prompt(small, "What is in the picture?"), Prompt(wide, question)]


def _encoded(vlm: BaseVLM, prompts: list[Prompt]) -> dict[str, Tensor]:
    return vlm.encode(prompts).inputs


@contextmanager
def _unproved(vlm: BaseVLM | nn.Module) -> Iterator[None]:
    """Within, nothing is refused by an earlier proof: it is to be tried."""
    if not isinstance(vlm, BaseVLM):
        yield
        return
    before, vlm.proof = vlm.proof, None
    try:
        yield
    finally:
        vlm.proof = before


def _batch(
    vlm: BaseVLM | nn.Module,
    model: nn.Module,
    inputs: dict[str, Tensor],
    sites: Sequence[Site],
    items: Items | None,
) -> Step:
    """Two items alone and in a batch: through the processor where there is one."""
    if not isinstance(vlm, BaseVLM):
        alone, together = items or padded_batch(inputs)
        return prove_batch(model, alone, together, sites)
    alone, together = [_encoded(vlm, [p]) for p in _prompts()], _encoded(vlm, _prompts())
    return known_refusal(prove_batch(model, alone, together, sites), _family(model), number_format(model))


def _spans(vlm: BaseVLM | nn.Module, model: nn.Module) -> Step:
    if isinstance(vlm, BaseVLM):
        return prove_spans(vlm)
    family = _family(model)
    if not isinstance(family_named(family).layout, str):
        return Step("spans", "", float("nan"), ON_CHECKPOINT, "its processor makes the image grid")
    (none,) = image_grids(None, family, [(1, 1)], {})
    return Step("spans", "", float("nan"), NOT_APPLICABLE, none.reason)
