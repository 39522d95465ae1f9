"""Tokens behind a prompt that was read once: choices, trees of choices, greedy answers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from headscope.errors import ModelError
from headscope.models.answering.generation import Prefill, before_end, pad_id
from headscope.models.base import BaseVLM
from headscope.models.caches import cache_argument
from headscope.models.types import Encoded
from headscope.models.ways import failure


def continue_from(
    vlm: BaseVLM,
    encoded: Encoded,
    prefill: Prefill,
    given: Tensor,
    *,
    times: int = 1,
    cache: Any = None,
    before: int = 0,
    depth: Tensor | None = None,
    sees: Tensor | None = None,
) -> Tensor:
    """Logits (row, step, vocabulary) of tokens given behind the cached prompt, which stays as it is.

    Args:
        encoded: the prompts, or as many rows of one as ``prefill`` holds.
        given: (row, step) token ids; rows are the items, each ``times`` in a row.
        cache: one that may grow, with ``before`` tokens behind the prompt in it; by default a copy.
        depth: (row, step) how far behind the prompt a token stands, from 1; by default in order.
        sees: (row, step, step) bool: which of the given tokens each sees; by default those up to itself.

    Example:
        >>> tokens, prefill = generate(vlm, encoded, 1)  # doctest: +SKIP
        >>> continue_from(vlm, encoded, prefill, tokens).shape  # doctest: +SKIP
        torch.Size([1, 1, 32000])
    """
    cache = prefill.repeated(times) if cache is None else cache
    held = cache_argument(vlm.model, cache)
    if encoded.apart:  # what the encoder read is not read again
        behind = prefill.encoder_repeated(times)
        after: Tensor = vlm.model(decoder_input_ids=given, use_cache=True, **held, **behind).logits
        return after
    steps = given.shape[1]
    mask = encoded.inputs["attention_mask"].to(given.device).repeat_interleave(times, dim=0)
    if sees is None:
        mask = torch.cat([mask, mask.new_ones(mask.shape[0], before + steps)], dim=1)
    else:
        mask = _square(vlm, mask, sees)
    extra: dict[str, Tensor] = {}
    if prefill.position is not None:
        # Counted on from where the prompt ended, as generation does; the first axes differ by family.
        last = prefill.position.repeat_interleave(times, dim=-2) + before
        extra["position_ids"] = last + (torch.arange(1, steps + 1) if depth is None else depth).to(
            last.device
        )
    tiles = encoded.inputs.get("cross_attention_mask")
    if tiles is not None:
        # Pictures read by cross-attention: an answer sees the tiles that the prompt's last token sees.
        seen = tiles[:, -1:].to(given.device).repeat_interleave(times, dim=0)
        extra["cross_attention_mask"] = seen.expand(-1, steps, *seen.shape[2:])
    logits: Tensor = vlm.model(input_ids=given, attention_mask=mask, use_cache=True, **held, **extra).logits
    return logits


def _square(vlm: BaseVLM, prompt: Tensor, sees: Tensor) -> Tensor:
    """(row, 1, step, prompt and step) mask, 0 where a token is seen, the lowest number where not."""
    steps = sees.shape[1]
    seen = torch.cat([prompt.bool()[:, None].expand(-1, steps, -1), sees.to(prompt.device)], dim=2)
    mask = torch.zeros(seen.shape, dtype=vlm.dtype, device=prompt.device)
    return mask.masked_fill_(~seen, torch.finfo(vlm.dtype).min)[:, None]


def continue_greedily(vlm: BaseVLM, encoded: Encoded, prefill: Prefill, most: int) -> Tensor:
    """Greedy tokens (row, step) after the cached prompt, padded after a row's end token.

    Args:
        most: length limit of an answer, its end token included.
    """
    assert prefill.logits is not None
    tokens = prefill.logits.float().argmax(dim=-1, keepdim=True)
    if most > 1:
        vlm.require("cached", f"{most} generated tokens")
    cache = prefill.repeated(1) if most > 1 else None
    for step in range(1, most):
        alive = before_end(tokens, vlm.end_ids)[:, -1]
        if not alive.any():
            break
        logits = continue_from(vlm, encoded, prefill, tokens[:, -1:], cache=cache, before=step - 1)
        best = logits[:, -1].float().argmax(dim=-1)
        tokens = torch.cat([tokens, torch.where(alive, best, pad_id(vlm))[:, None]], dim=1)
    return tokens


def read_choices(vlm: BaseVLM, encoded: Encoded, prefill: Prefill, given: Tensor, times: int = 1) -> Tensor:
    """Logits (row, step, vocabulary) of tokens of choices behind the cached prompt, without gradients.

    Args:
        given: (row, step) tokens, each item ``times`` times in a row.

    Raises:
        ModelError: the model does not go on behind a cache of its own.
    """
    vlm.require("cached", "choices of several tokens scored behind a cached prompt")
    try:
        with torch.no_grad():
            return continue_from(vlm, encoded, prefill, given, times=times)
    except (ValueError, TypeError, IndexError, KeyError, AttributeError) as exc:
        raise ModelError(
            f"{vlm.name}: tokens behind the cached prompt, as in choices of several tokens, cannot be read: "
            f"{failure(exc)}"
        ) from exc
