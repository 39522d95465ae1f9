"""Asking: one batched generation gives answers, correctness, margins and readouts together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor

from headscope.asking.answers import AnswerRow
from headscope.asking.items import Item
from headscope.asking.readouts import Reader, check_readouts, content_tokens
from headscope.errors import ModelError
from headscope.models.answering.generation import before_end, generate
from headscope.models.answering.scoring import Scores, score_choices
from headscope.models.answers import parse_answer
from headscope.models.types import Encoded
from headscope.models.vlm import VLM

NAN = float("nan")
Parse = Callable[[str], str | None]  # from what was said to the answer that it amounts to


class Change(Protocol):
    """Whatever can be held on a model for a while, such as :class:`headscope.edits.edits.Edit`."""

    def applied(self, vlm: VLM) -> AbstractContextManager[Any]:
        """Hold the change on ``vlm`` until the block is left."""
        ...


@dataclass
class Outcome:
    """What came of asking a batch.

    Attributes:
        rows: one dict an item, in the order asked: see docs/file-formats (answers).
        z: readout -> (item, head, width) float32 (float64 where the model is), heads in ``geometry.heads``
            order, NaN beyond a head's own width.
        logprobs: per item: choice -> log-probability per token (the truth alone for open answers).
        totals: per item the probability of all its choices together; None for fewer than two.
        tokens: per item: generated token ids, the end token left out.
        logits: (item, vocabulary) at the last prompt position, on the model's device.
    """

    rows: list[AnswerRow]
    z: dict[str, NDArray[Any]] = field(default_factory=dict)
    logprobs: list[dict[str, float]] = field(default_factory=list)
    totals: list[float | None] = field(default_factory=list)
    tokens: list[list[int]] = field(default_factory=list)
    logits: Tensor | None = None


@dataclass
class BatchReading:
    """Answers of a batch, before they are judged."""

    tokens: list[list[int]]
    texts: list[str]
    parsed: list[str | None]
    scores: list[Scores]
    content: list[bool | None]
    z: dict[str, NDArray[Any]]
    logits: Tensor | None


def ask(
    vlm: VLM,
    encoded: Encoded,
    items: Sequence[Item],
    *,
    edit: Change | None = None,
    readouts: Iterable[str] = (),
    max_new_tokens: int = 8,
    score: bool = True,
) -> Outcome:
    """Ask a batch once: greedy answers, choices scored from the cached prompt, readouts pooled on the way.

    The prompt is read exactly once. An edit is held during generation and scoring alike; readouts see z as
    the projection receives it, after the edit. The batch itself is not changed, so it can be asked again.

    Args:
        vlm: a :class:`headscope.models.vlm.VLM`.
        encoded: the items' prompts, as ``vlm.encode`` made them, on any device.
        items: one for each prompt of the batch.
        edit: held on the model meanwhile.
        readouts: any of ``prompt_last``, ``answer_mean``, ``answer_content``.
        max_new_tokens: length limit of an answer, its end token included.
        score: whether to score choices; otherwise ``margin`` and ``logprob`` are NaN.

    Returns:
        Rows and readouts. ``margin`` is the truth's log-probability per token minus that of the best wrong
        choice (open answers: the truth's alone); how choices are scored:
        :func:`headscope.models.answering.scoring.score_choices`.

    Raises:
        ModelError: items and batch do not match, or the model cannot be read this way.
        StudyError: an unknown readout.
    """
    if len(items) != encoded.items:
        raise ModelError(
            f"asked about {len(items)} items with a batch of {encoded.items}; give one item a prompt"
        )
    parses = [i.parse for i in items]
    scored = [scored_choices(i) for i in items] if score else None
    reading = read_batch(vlm, encoded, parses, scored, edit, check_readouts(readouts), max_new_tokens)
    rows = [_row(item, reading, i) for i, item in enumerate(items)]
    logprobs, totals = [s.logprobs for s in reading.scores], [s.total for s in reading.scores]
    return Outcome(rows, reading.z, logprobs, totals, reading.tokens, reading.logits)


def read_batch(
    vlm: VLM,
    encoded: Encoded,
    parses: Sequence[Parse],
    scored: Sequence[Sequence[str]] | None,
    edit: Change | None,
    readouts: tuple[str, ...],
    max_new_tokens: int,
) -> BatchReading:
    encoded = encoded.to(vlm.device)
    reader = Reader(vlm.geometry, readouts)
    # The edit's hooks come before the reader's, so that z is read as the projection receives it.
    with torch.no_grad(), vlm.reading(encoded), edit.applied(vlm) if edit is not None else nullcontext():
        with reader.attached():
            tokens, prefill = generate(vlm, encoded, max_new_tokens)
        scores = (
            score_choices(vlm, encoded, prefill, scored)
            if scored is not None
            else [Scores({}) for _ in parses]
        )
    kept = before_end(tokens, vlm.end_ids)
    said = [row[mask].tolist() for row, mask in zip(tokens.cpu(), kept.cpu(), strict=True)]
    texts = [vlm.decode(ids) for ids in said]
    parsed = [parse(text) for text, parse in zip(texts, parses, strict=True)]
    content: Tensor | None = None
    found: list[bool | None] = [None] * len(said)
    if "answer_content" in readouts:
        content = _content(vlm, tokens, said, parsed, parses)
        found = [bool(x) for x in content.any(dim=1)]
    z = reader.pooled(tokens, vlm.end_ids, content)
    return BatchReading(said, texts, parsed, scores, found, z, prefill.logits)


def _content(
    vlm: VLM,
    tokens: Tensor,
    said: Sequence[Sequence[int]],
    parsed: Sequence[str | None],
    parses: Sequence[Parse],
) -> Tensor:
    """(item, step) bool: generated tokens that hold the words of the parsed answer."""
    mask = torch.zeros(tokens.shape, dtype=torch.bool)
    for i, ids in enumerate(said):
        mask[i, content_tokens(ids, parsed[i], vlm.text_of, parses[i])] = True
    return mask


def scored_choices(item: Item) -> tuple[str, ...]:
    """The choices of an item with its truth among them; of an open question the truth alone."""
    return tuple(dict.fromkeys((*item.choices, item.truth)))


def is_right(item: Item, answer: str | None) -> bool:
    """Whether a parsed answer is the item's true one."""
    wanted = item.truth if item.choices else parse_answer(item.truth, ())
    return answer is not None and answer == wanted


def judged(item: Item, texts: Sequence[str]) -> tuple[list[float], list[float]]:
    """Of each text, 1 or 0: whether it is the item's true answer, and whether it is an answer at all."""
    answers = {text: item.parse(text) for text in set(texts)}
    return (
        [float(is_right(item, answers[text])) for text in texts],
        [float(answers[text] is not None) for text in texts],
    )


def margin_of(item: Item, logprobs: Mapping[str, float]) -> float:
    """The truth's log-probability minus that of the best wrong choice; the truth's alone without others."""
    truth = logprobs.get(item.truth, NAN)
    wrong = [v for c, v in logprobs.items() if c != item.truth]
    return truth - max(wrong) if wrong else truth


def _row(item: Item, reading: BatchReading, i: int) -> AnswerRow:
    case, step, logprobs = item.case, item.step, reading.scores[i].logprobs
    answer = reading.parsed[i]
    return {
        "item": item.id,
        "case": case.id,
        "step": step.id,
        "context": item.context,
        "function": item.function,
        "split": case.split,
        "kind": case.kind,
        "things": case.things,
        "held_out": ",".join(case.held_out),
        "wording": step.wording,
        "question": item.question,
        "truth": item.truth,
        "choices": list(item.choices),
        "text": reading.texts[i],
        "answer": answer,
        "correct": is_right(item, answer),
        "margin": margin_of(item, logprobs),
        "logprob": logprobs.get(item.truth, NAN),
        "total": reading.scores[i].total,
        "tokens": len(reading.tokens[i]),
        "content_found": reading.content[i],
    }
