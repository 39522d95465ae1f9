"""Log-probabilities of choices, scored from the cached prompt that generation left behind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from headscope.models.answering.generation import Prefill
from headscope.models.answering.rows import END, MAX_LOGITS, rows_totals
from headscope.models.answering.tree import tree_totals
from headscope.models.base import BaseVLM
from headscope.models.types import Encoded


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
    vlm: BaseVLM, encoded: Encoded, prefill: Prefill, choices: Sequence[Sequence[str]]
) -> list[Scores]:
    """Log-probability per token of every choice of every item, and of all together, from the cached prompt.

    A choice's score is the mean over its tokens of log p(token | picture, dialogue, tokens before). The end
    of the answer counts as one more token (its probability is that of all end tokens together) for the items
    in which one choice's tokens begin another's ("top", "top left"); elsewhere it is left out, so that
    one-token choices are read from the prompt's last logits alone and cost nothing. All other tokens come
    from one continued forward in which an item's choices stand side by side as a tree behind its prompt
    (:mod:`headscope.models.answering.tree`), or, where a model takes no such mask, from forwards in which
    each item occurs several times in a row. The prompt is never read again.

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


def _tokens(vlm: BaseVLM, choices: Sequence[Sequence[str]]) -> list[_Choice]:
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


def _continued(vlm: BaseVLM, encoded: Encoded, prefill: Prefill, flat: Sequence[_Choice]) -> Tensor:
    """(choice,) summed log-probability of all tokens after the first; zero for one-token choices."""
    per_item: list[list[tuple[int, ...]]] = [[] for _ in range(encoded.items)]
    for choice in flat:
        per_item[choice.item].append(choice.tokens)
    totals = tree_totals(vlm, encoded, prefill, per_item, MAX_LOGITS)
    return totals if totals is not None else rows_totals(vlm, encoded, prefill, per_item)
