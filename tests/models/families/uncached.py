"""Choices scored the plain way: one item, no batch, no padding, no cache, one whole forward a choice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from headscope.models.types import Prompt
from headscope.models.vlm import VLM


def extended(vlm: VLM, inputs: dict[str, Tensor], answer: Sequence[int]) -> dict[str, Tensor]:
    """A prompt's inputs with an answer's tokens behind them."""
    extra = torch.tensor([list(answer)], dtype=torch.long)
    length = inputs["input_ids"].shape[1]
    longer = dict(inputs)
    # Token types: PaliGemma's suffix is 1 (read causally), text of the others is 0.
    types = torch.full_like(extra, int(vlm.family == "paligemma"))
    fill = {"input_ids": extra, "attention_mask": torch.ones_like(extra), "token_type_ids": types}
    for name, value in inputs.items():
        if value.ndim == 2 and value.shape[1] == length and not value.is_floating_point():
            longer[name] = torch.cat([value, fill.get(name, torch.zeros_like(extra))], dim=1)
    if "cross_attention_mask" in inputs:  # an answer sees the tiles that the prompt's last token sees
        mask = inputs["cross_attention_mask"]
        longer["cross_attention_mask"] = torch.cat(
            [mask, mask[:, -1:].expand(-1, len(answer), -1, -1)], dim=1
        )
    return longer


def choice_logprobs(vlm: VLM, prompt: Prompt, choices: Sequence[str]) -> dict[str, float]:
    """Log-probability per token of each choice; the end counts where one choice begins another."""
    encoded = vlm.encode([prompt])
    options = {c: vlm.encode_answers([c])[0] for c in choices}
    nested = any(a != b and b[: len(a)] == a for a in options.values() for b in options.values())
    scores = {}
    for text, tokens in options.items():
        with torch.no_grad():
            logits = vlm.model(**extended(vlm, encoded.inputs, tokens), use_cache=False).logits
        logprobs = torch.log_softmax(logits[0, encoded.length - 1 :].double(), dim=-1).numpy()
        values = [logprobs[i, t] for i, t in enumerate(tokens)]
        if nested:
            values.append(np.log(sum(np.exp(logprobs[len(tokens), e]) for e in vlm.end_ids)))
        scores[text] = float(np.mean(values))
    return scores
