"""Cached generation under an edit equals generation without a cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

from headscope.models.proofs.steps import NOT_APPLICABLE, REFUSED, SHAPED, Step, gap, logits_of, scaled
from headscope.models.sites import Geometry, Site

_TOKENS = 4
_SHOWN = f"{_TOKENS} tokens generated with a cache under an edit, against none; relative difference of logits"


def prove_cached(model: nn.Module, inputs: dict[str, Any], geometry: Geometry) -> Step:
    """The step ``cached``: muting a head, each generated token's logits agree with and without a cache."""
    site = next((s for s in geometry.sites if s.tower == "decoder"), None)
    if site is None:
        reason = "none of the heads asked for is the decoder's"
        return Step("cached", _SHOWN, float("nan"), NOT_APPLICABLE, reason)
    bare = _generated(model, inputs, True)
    with scaled(site, {0: 0.0}):
        with _read(site) as few:
            cached = _generated(model, inputs, True)
        whole = _without_cache(model, inputs, site, cached)
    if len(cached) != _TOKENS or few[1:] != [1] * (_TOKENS - 1):
        reason = (
            f"positions read for {len(cached)} generated tokens: {few}; expected the prompt, then one each"
        )
        return Step("cached", _SHOWN, float("nan"), REFUSED, reason)
    # Generation hands out float32 whatever the model computes in.
    kind = next(p.dtype for p in model.parameters() if p.is_floating_point())
    figure = 0.0
    for step, ((with_cache, token), (without, other)) in enumerate(zip(cached, whole, strict=True)):
        limit = SHAPED.get(kind, 5e-2)
        figure = max(figure, gap(without, with_cache))
        if not figure <= limit:
            reason = (
                f"generated token {step}: logits with and without a cache differ by {figure:.3g} relative "
                f"(limit {limit:g}) under the same edit"
            )
            return Step("cached", _SHOWN, figure, REFUSED, reason)
        if not torch.equal(token, other):
            break  # equal logits but for rounding, and a tie fell the other way
    if torch.equal(bare[0][0], cached[0][0]):
        return Step("cached", _SHOWN, figure, REFUSED, "the edit does not reach generation")
    return Step("cached", _SHOWN, figure)


Tokens = list[tuple[Tensor, Tensor]]


def _without_cache(model: Any, inputs: dict[str, Any], site: Site, cached: Tokens) -> Tokens:
    """Logits and tokens as generated without a cache.

    Some families generate with one whatever they are told, or cannot without; there, what was generated is
    read again as a whole.
    """
    with _read(site) as many, suppress(Exception):  # some fail over masks of theirs, which do not grow
        whole = _generated(model, inputs, False)
        if all(n > 1 for n in many[1:]):
            return whole
    tokens = torch.stack([token for _, token in cached], dim=1)
    logits = logits_of(model, continued(inputs, tokens[:, :-1]))[:, -len(cached) :]
    return [(logits[:, i].to(cached[0][0]), tokens[:, i]) for i in range(len(cached))]


def continued(inputs: dict[str, Any], tokens: Tensor) -> dict[str, Any]:
    """Inputs with tokens (item, token) behind the text; what else has its positions goes on as it ended."""
    name = "decoder_input_ids" if "decoder_input_ids" in inputs else "input_ids"
    shape = inputs[name].shape
    longer = {}
    for key, value in inputs.items():
        if key == name:
            longer[key] = torch.cat([value, tokens.to(value)], dim=1)
        elif (
            isinstance(value, Tensor) and value.ndim >= 2 and value.shape[:2] == shape and "pixel" not in key
        ):
            more = value[:, -1:].expand(-1, tokens.shape[1], *value.shape[2:])
            longer[key] = torch.cat([value, more], dim=1)
        else:
            longer[key] = value
    return longer


@contextmanager
def _read(site: Site) -> Iterator[list[int]]:
    """How many positions each forward takes through a site."""
    seen: list[int] = []
    handle = site.projection.register_forward_pre_hook(lambda _module, args: seen.append(args[0].shape[1]))
    try:
        yield seen
    finally:
        handle.remove()


def _generated(model: Any, inputs: dict[str, Any], use_cache: bool) -> Tokens:
    """Per generated token the logits (item, vocabulary) and the token (item,), greedily."""
    from transformers import GenerationConfig

    config = GenerationConfig(
        max_new_tokens=_TOKENS,
        min_new_tokens=_TOKENS,
        do_sample=False,
        num_beams=1,
        use_cache=use_cache,
        output_logits=True,
        return_dict_in_generate=True,
        pad_token_id=0,
        decoder_start_token_id=_start(model, inputs),
    )
    output = model.generate(**inputs, generation_config=config)
    tokens = output.sequences[:, -_TOKENS:]
    return [(logits, tokens[:, i]) for i, logits in enumerate(output.logits)]


def _start(model: Any, inputs: dict[str, Any]) -> int | None:
    """The token that a decoder beside an encoder starts from; None lets the model choose."""
    given = inputs.get("decoder_input_ids")
    known = getattr(model.generation_config, "decoder_start_token_id", None)
    return int(given[0, 0]) if known is None and given is not None else known
