"""Log-probabilities of choices, scored from the cached prompt that generation left behind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from headscope.asking.continuing import continue_from
from headscope.asking.generation import Prefill, pad_id
from headscope.asking.tree import END, tree_totals
from headscope.errors import ModelError
from headscope.models.types import Encoded
from headscope.models.ways import failure

# At most this many logits, and this many rows with a copy of the prompt's cache, in one forward over choices.
MAX_LOGITS = 2**26
MAX_ROWS = 256


class _Choice(NamedTuple):
    """One choice of one item: its tokens, with the end of the answer behind them where that counts."""

    item: int
    text: str
    tokens: tuple[int, ...]


class Scores(NamedTuple):
    """How likely an item's choices are.

    Attributes:
        logprobs: choice -> log-probability per token.
        total: probability that the answer is one of the choices (begins with one, where none begins another);
            None for fewer than two.
    """

    logprobs: dict[str, float]
    total: float | None = None


def needs_end(answers: Sequence[Sequence[int]]) -> bool:
    """Whether one answer's tokens begin another's, as in "top" and "top left".

    Without the end of the answer, the first would contain the second as an event.

    Example:
        >>> needs_end([[5], [5, 6]]), needs_end([[5, 6], [5, 7]])
        (True, False)
    """
    known = [tuple(a) for a in answers]
    return any(a != b and b[: len(a)] == a for a in known for b in known)


def score_choices(
    vlm: Any, encoded: Encoded, prefill: Prefill, choices: Sequence[Sequence[str]]
) -> list[Scores]:
    """Log-probability per token of every choice of every item, and of all together, from the cached prompt.

    A choice's score is the mean over its tokens of log p(token | picture, dialogue, tokens before). The end
    of the answer counts as one more token (its probability is that of all end tokens together) for the items
    in which one choice's tokens begin another's ("top", "top left"); elsewhere it is left out, so that
    one-token choices are read from the prompt's last logits alone and cost nothing. All other tokens come
    from one continued forward in which an item's choices stand side by side as a tree behind its prompt
    (:mod:`headscope.asking.tree`), or, where a model takes no such mask, from forwards in which each item
    occurs several times in a row. The prompt is never read again.

    Args:
        choices: per item its choices; an item with none gets no scores.

    Returns:
        Scores per item.
    """
    if prefill.logits is None:
        raise ValueError("the prompt's logits are not there; generate first")
    flat = _tokens(vlm, choices)
    totals = _first_tokens(prefill.logits, flat)
    if any(len(c.tokens) > 1 for c in flat):
        totals = totals + _continued(vlm, encoded, prefill, flat)
    sums: list[float] = totals.tolist()
    own: list[dict[_Choice, float]] = [{} for _ in choices]
    for choice, value in zip(flat, sums, strict=True):
        own[choice.item][choice] = value
    return [
        Scores({c.text: value / max(1, len(c.tokens)) for c, value in found.items()}, _total(found))
        for found in own
    ]


def _total(found: Mapping[_Choice, float]) -> float | None:
    """Probability of any of the choices: those that say the same, or go on from another, count once."""
    if len(found) < 2:
        return None
    events = {c.tokens: value for c, value in found.items()}
    apart = [v for t, v in events.items() if not any(t[:n] in events for n in range(1, len(t)))]
    return math.fsum(math.exp(v) for v in apart)


def _tokens(vlm: Any, choices: Sequence[Sequence[str]]) -> list[_Choice]:
    flat = []
    for item, texts in enumerate(choices):
        answers = vlm.encode_answers(list(texts)) if texts else []
        end = (END,) if vlm.end_ids and needs_end(answers) else ()
        flat += [_Choice(item, t, (*a, *end)) for t, a in zip(texts, answers, strict=True)]
    return flat


def _first_tokens(logits: Tensor, flat: Sequence[_Choice]) -> Tensor:
    """(choice,) log-probability of each choice's first token."""
    if not flat:
        return logits.new_zeros(0)
    items = torch.tensor([c.item for c in flat], device=logits.device)
    first = torch.tensor([c.tokens[0] for c in flat], device=logits.device)
    return logits[items, first] - logits.logsumexp(dim=-1)[items]


def _continued(vlm: Any, encoded: Encoded, prefill: Prefill, flat: Sequence[_Choice]) -> Tensor:
    """(choice,) summed log-probability of all tokens after the first; zero for one-token choices."""
    per_item: list[list[tuple[int, ...]]] = [[] for _ in range(encoded.items)]
    for choice in flat:
        per_item[choice.item].append(choice.tokens)
    totals = tree_totals(vlm, encoded, prefill, per_item, MAX_LOGITS)
    return totals if totals is not None else rows_totals(vlm, encoded, prefill, per_item)


def rows_totals(
    vlm: Any, encoded: Encoded, prefill: Prefill, choices: Sequence[Sequence[tuple[int, ...]]]
) -> Tensor:
    """The same from a row for each choice with a cache of its own: for models that take no trees.

    Args:
        choices: per item the tokens of its choices.
    """
    assert prefill.logits is not None
    flat = [_Choice(i, "", tokens) for i, own in enumerate(choices) for tokens in own]
    longer = [i for i, c in enumerate(flat) if len(c.tokens) > 1]
    queues: list[list[int]] = [[] for _ in range(encoded.items)]
    for index in longer:
        queues[flat[index].item].append(index)
    times = max(map(len, queues))
    steps = max(len(flat[i].tokens) for i in longer) - 1
    room = min(MAX_ROWS, MAX_LOGITS // (steps * prefill.logits.shape[-1])) // encoded.items
    chunk = max(1, min(times, room))
    totals = prefill.logits.new_zeros(len(flat))
    for start in range(0, times, chunk):
        count = min(chunk, times - start)
        # Every item must occur equally often, so that hooks can tell whose row is whose; gaps are filled.
        rows = [q[k] if k < len(q) else None for q in queues for k in range(start, start + count)]
        wanted = torch.tensor([r for r in rows if r is not None], device=totals.device)
        totals[wanted] = _forward(
            vlm, encoded, prefill, [None if r is None else flat[r].tokens for r in rows], count
        )
    return totals


def _forward(
    vlm: Any, encoded: Encoded, prefill: Prefill, rows: Sequence[tuple[int, ...] | None], times: int
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
    logits = _run(vlm, encoded, prefill, given.to(device), times)
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


def _run(vlm: Any, encoded: Encoded, prefill: Prefill, given: Tensor, times: int) -> Tensor:
    """Logits (row, step, vocabulary) of tokens given after the cached prompt, items ``times`` in a row.

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
