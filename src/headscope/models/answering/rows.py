"""Choices scored from a row each behind their prompt's cache: for models that read no trees."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from headscope.models.answering.continuation import read_choices
from headscope.models.answering.generation import Prefill, pad_id
from headscope.models.base import BaseVLM
from headscope.models.types import Encoded

END = -1  # stands for any token that ends an answer
# At most this many logits, and this many rows with a copy of the prompt's cache, in one forward over choices.
MAX_LOGITS = 2**26
MAX_ROWS = 256


def rows_totals(
    vlm: BaseVLM, encoded: Encoded, prefill: Prefill, choices: Sequence[Sequence[tuple[int, ...]]]
) -> Tensor:
    """Per choice the summed log-probability of all tokens after its first, from a row for each choice.

    For models that take no trees: each row has a copy of its item's cache.

    Args:
        choices: per item the tokens of its choices.
    """
    assert prefill.logits is not None
    flat = [(i, tokens) for i, own in enumerate(choices) for tokens in own]
    longer = [i for i, (_, tokens) in enumerate(flat) if len(tokens) > 1]
    queues: list[list[int]] = [[] for _ in range(encoded.items)]
    for index in longer:
        queues[flat[index][0]].append(index)
    times = max(map(len, queues))
    steps = max(len(flat[i][1]) for i in longer) - 1
    room = min(MAX_ROWS, MAX_LOGITS // (steps * prefill.logits.shape[-1])) // encoded.items
    chunk = max(1, min(times, room))
    totals = prefill.logits.new_zeros(len(flat))
    for start in range(0, times, chunk):
        count = min(chunk, times - start)
        # Every item must occur equally often, so that hooks can tell whose row is whose; gaps are filled.
        rows = [q[k] if k < len(q) else None for q in queues for k in range(start, start + count)]
        wanted = torch.tensor([r for r in rows if r is not None], device=totals.device)
        totals[wanted] = _forward(
            vlm, encoded, prefill, [None if r is None else flat[r][1] for r in rows], count
        )
    return totals


def _forward(
    vlm: BaseVLM, encoded: Encoded, prefill: Prefill, rows: Sequence[tuple[int, ...] | None], times: int
) -> Tensor:
    """(row that is not None,) summed log-probability of the tokens after the first, one continued forward."""
    assert prefill.logits is not None
    device = prefill.logits.device
    steps = max(len(r) for r in rows if r is not None) - 1
    given = torch.full((len(rows), steps), pad_id(vlm), dtype=torch.long)
    target = torch.zeros_like(given)
    counted = torch.zeros_like(given, dtype=torch.bool)
    for i, row in enumerate(rows):
        if row is not None:
            length = len(row) - 1
            given[i, :length] = torch.tensor(row[:-1])
            target[i, :length] = torch.tensor(row[1:])
            counted[i, :length] = True
    logits = read_choices(vlm, encoded, prefill, given.to(device), times)
    picked = logits[counted.to(device)].to(prefill.logits.dtype)  # (token, vocabulary): needed rows only
    values = _log_probabilities(picked, target[counted].to(device), vlm.end_ids)
    sums = logits.new_zeros(len(rows), dtype=values.dtype)
    sums.index_add_(0, counted.nonzero()[:, 0].to(device), values)
    return sums[torch.tensor([r is not None for r in rows], device=device)]


def _log_probabilities(logits: Tensor, target: Tensor, ends: tuple[int, ...]) -> Tensor:
    """(token,) log-probability of each target; ``END`` stands for any end token."""
    total = logits.logsumexp(dim=-1)
    token = logits.gather(1, target.clamp(min=0)[:, None])[:, 0]
    if ends:
        end = logits[:, list(ends)].logsumexp(dim=-1)
        token = torch.where(target == END, end, token)
    return token - total
