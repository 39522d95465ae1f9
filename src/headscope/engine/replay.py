"""One item under many edits: margins, and correctness where it is wanted, from one clean run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from headscope.asking.ask import judged, margin_of, scored_choices
from headscope.asking.items import Item
from headscope.edits.batched import BatchedEdit
from headscope.edits.edits import Edit
from headscope.edits.hooks import compile_edit
from headscope.engine.replay_trial import Replay, sweep_of, together
from headscope.engine.shared_prefix import behind
from headscope.engine.trace import Trace
from headscope.models.answering.continuation import continue_greedily
from headscope.models.answering.generation import Prefill, before_end
from headscope.models.answering.scoring import needs_end, score_choices
from headscope.models.vlm import VLM

MEMORY = 2 * 2**30
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ItemReading:
    """One item under many edits.

    Attributes:
        margin: (edit,) nats per token.
        correct, readable: (edit,) 0 or 1 (:func:`headscope.asking.ask.judged`).
        strategy: what read it, and why not what was tried before.
        clean_margin: without an edit; None where it was not asked for.
    """

    margin: Floats
    correct: Floats
    readable: Floats
    strategy: str
    clean_margin: float | None = None

    @classmethod
    def of(cls, columns: Iterable[Floats], strategy: str) -> ItemReading:
        """From margin, correct and readable, in this order, each (edit,)."""
        margin, correct, readable = columns
        return cls(margin, correct, readable, strategy)


def one_token(vlm: VLM, choices: Sequence[str]) -> bool:
    """Whether choices are scored from the prompt's last logits alone."""
    answers = vlm.encode_answers(list(choices))
    return all(len(a) == 1 for a in answers) and not (vlm.end_ids and needs_end(answers))


def clean_margin(vlm: VLM, trace: Trace, item: Item) -> float:
    """The margin of the clean run."""
    with torch.no_grad(), vlm.reading(trace.encoded):
        (found,) = score_choices(vlm, trace.encoded, trace.prefill, [scored_choices(item)])
    return margin_of(item, found.logprobs)


def read_item(
    vlm: VLM,
    trace: Trace,
    item: Item,
    edits: Sequence[Edit],
    replay: Replay,
    *,
    memory: int = MEMORY,
    most: int = 1,
) -> ItemReading:
    """Read one item under each edit by replay.

    Choices of several tokens, and answers that may be longer than one token, go on behind the replayed
    prompt's own keys and values, the edit held meanwhile.

    Args:
        memory: bytes that variants may take at once, about.
        most: length limit of an answer, its end token included.

    Raises:
        ModelError: the answers have to go on and the model's cache is more than keys and values.
    """
    kept = most > 1 or not one_token(vlm, scored_choices(item))
    size = together(vlm, trace, replay.scope, memory, kept)
    parts = [
        _read_part(vlm, trace, item, edits[i : i + size], replay, kept, most)
        for i in range(0, len(edits), size)
    ]
    columns = ([getattr(p, name) for p in parts] for name in ("margin", "correct", "readable"))
    return ItemReading.of(map(np.concatenate, columns), "replay")


def _read_part(
    vlm: VLM, trace: Trace, item: Item, edits: Sequence[Edit], replay: Replay, kept: bool, most: int
) -> ItemReading:
    rows = len(edits)
    variants = [compile_edit(vlm.geometry, e) for e in edits]
    sweep = sweep_of(replay.scope)(trace, variants, replay.how, kept)
    prefill = Prefill(logits=sweep.logits())
    tiled = behind(trace.encoded, rows)
    choices = [scored_choices(item)] * rows
    if not kept:
        assert prefill.logits is not None
        tokens = prefill.logits.float().argmax(dim=-1, keepdim=True)
        scores = score_choices(vlm, tiled, prefill, choices)
    else:
        prefill.cache = sweep.cache()
        position = trace.prefill.position
        prefill.position = None if position is None else position.repeat_interleave(rows, dim=-2)
        with torch.no_grad(), vlm.reading(tiled), BatchedEdit(tuple(edits)).applied(vlm):
            tokens = continue_greedily(vlm, tiled, prefill, most)
            scores = score_choices(vlm, tiled, prefill, choices)
    inside = before_end(tokens, vlm.end_ids)
    said = [vlm.decode(row[mask].tolist()) for row, mask in zip(tokens.cpu(), inside.cpu(), strict=True)]
    margins = np.array([margin_of(item, one.logprobs) for one in scores])
    return ItemReading.of([margins, *map(np.array, judged(item, said))], "replay")
