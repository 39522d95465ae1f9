"""Tokens read behind a cached prompt: the one place where a prompt is gone on from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from headscope.errors import ModelError
from headscope.models.answering.generation import Prefill
from headscope.models.base import BaseVLM
from headscope.models.caches import cache_argument
from headscope.models.types import Encoded
from headscope.models.ways import failure


def continue_from(vlm: BaseVLM, encoded: Encoded, prefill: Prefill, given: Tensor, times: int = 1) -> Tensor:
    """Logits (row, step, vocabulary) of tokens read behind the cached prompt, which stays as it is.

    Args:
        given: (row, step) tokens, each item ``times`` times in a row.

    Raises:
        ModelError: the model does not go on behind a cache of its own.
    """
    vlm.require("cached", "choices of several tokens scored behind a cached prompt")
    try:
        return _behind(vlm, encoded, prefill, given, times)
    except (ValueError, TypeError, IndexError, KeyError, AttributeError) as exc:
        raise ModelError(
            f"{vlm.name}: tokens behind the cached prompt, as in choices of several tokens, cannot be read: "
            f"{failure(exc)}"
        ) from exc


def _behind(vlm: BaseVLM, encoded: Encoded, prefill: Prefill, given: Tensor, times: int) -> Tensor:
    if encoded.apart:
        with torch.no_grad():
            output = vlm.model(  # what the encoder read is not read again
                decoder_input_ids=given,
                use_cache=True,
                **cache_argument(vlm.model, prefill.repeated(times)),
                **prefill.encoder_repeated(times),
            )
        after: Tensor = output.logits
        return after
    mask = encoded.inputs["attention_mask"].to(given.device).repeat_interleave(times, dim=0)
    steps = given.shape[1]
    extra: dict[str, Any] = {}
    if prefill.position is not None:
        # Counted on from where the prompt ended, as generation does; the first axes differ by family.
        last = prefill.position.repeat_interleave(times, dim=-2)
        extra["position_ids"] = last + torch.arange(1, steps + 1, device=last.device)
    tiles = encoded.inputs.get("cross_attention_mask")
    if tiles is not None:
        # Pictures read by cross-attention: an answer sees the tiles that the prompt's last token sees.
        last = tiles[:, -1:].to(given.device).repeat_interleave(times, dim=0)
        extra["cross_attention_mask"] = last.expand(-1, steps, *last.shape[2:])
    with torch.no_grad():
        output = vlm.model(
            input_ids=given,
            attention_mask=torch.cat([mask, mask.new_ones(mask.shape[0], steps)], dim=1),
            use_cache=True,
            **cache_argument(vlm.model, prefill.repeated(times)),
            **extra,
        )
    logits: Tensor = output.logits
    return logits
