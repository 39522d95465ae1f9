"""How heads are found: by the structure of a model's modules, or else by running it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from headscope.errors import GeometryError
from headscope.models.families import family_named
from headscope.models.geometry import Geometry
from headscope.models.structure import by_structure
from headscope.models.tracing import trace_decoder


def find_geometry(
    model: nn.Module,
    towers: str | Sequence[str] = ("decoder",),
    inputs: Callable[[], Mapping[str, Any]] | None = None,
) -> Geometry:
    """Locate the attention heads of a model from its module structure, or else by running it.

    A site is a module called ...Attention with one child, among the usual names, that takes all heads side by
    side; the decoder's sites stand in its own list of layers. Head count and width come from that module or
    its configuration and have to multiply to the projection's own input width; nothing is divided out of the
    hidden size. Linear attention, convolutions and state spaces have no such heads: their layers are in
    ``left_out``. Where names do not tell the decoder's heads and ``inputs`` are given, one forward does: see
    :func:`headscope.models.tracing.trace_decoder`. What is found is still only a claim until
    :func:`headscope.models.proofs.full.prove_geometry` has tested it.

    Args:
        model: any transformers model.
        towers: ``decoder`` (of an encoder-decoder, its decoder; sites ``self`` and ``cross``), ``vision``.
        inputs: makes keyword arguments of the model for one item, for the forward that is looked into.

    Raises:
        GeometryError: no attention layer was found, or one of them is ambiguous; the message says which.
    """
    family = str(getattr(getattr(model, "config", None), "model_type", ""))
    if reason := family_named(family).refused:
        raise GeometryError(f"{type(model).__name__} ({family}) is refused: {reason}")
    named = (towers,) if isinstance(towers, str) else towers
    found = [_found(model, tower, inputs) for tower in named]
    return Geometry(
        tuple(site for one in found for site in one.sites),
        tuple(layer for one in found for layer in one.left_out),
    )


def _found(model: nn.Module, tower: str, inputs: Callable[[], Mapping[str, Any]] | None) -> Geometry:
    try:
        return by_structure(model, tower)
    except GeometryError as unnamed:
        if tower != "decoder" or inputs is None:
            raise
        try:
            return trace_decoder(model, inputs())
        except GeometryError as untraced:
            raise GeometryError(f"{unnamed}; {untraced}") from unnamed
