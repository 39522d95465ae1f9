"""One item under many edits: margins, and correctness where it is wanted, from one clean run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from headscope.asking.ask import is_right, margin_of, scored_choices
from headscope.asking.items import Item
from headscope.edits.edits import BatchedEdit, Edit
from headscope.edits.hooks import compile_edit
from headscope.engine.choice import Engine, engine_for, sweep_of, together
from headscope.engine.readings import Reader, Reading
from headscope.engine.shared_prefix import behind, go_on
from headscope.engine.sharing import clean_runs, plan_prompts
from headscope.engine.trace import Trace
from headscope.errors import ModelError
from headscope.models.answering.generation import Prefill, before_end
from headscope.models.answering.scoring import needs_end, score_choices
from headscope.models.types import Encoded

log = logging.getLogger(__name__)
MEMORY = 2 * 2**30
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Under:
    """One item under many edits: ``margin`` (edit,) in nats per token, ``correct`` (edit,) 0 or 1."""

    margin: Floats
    correct: Floats


def one_token(vlm: Any, item: Item) -> bool:
    """Whether the item's choices are scored from the prompt's last logits alone."""
    answers = vlm.encode_answers(list(scored_choices(item)))
    return all(len(a) == 1 for a in answers) and not (vlm.end_ids and needs_end(answers))


def clean_margin(vlm: Any, trace: Trace, item: Item) -> float:
    """The margin of the clean run."""
    with torch.no_grad(), vlm.reading(trace.encoded):
        (found,) = score_choices(vlm, trace.encoded, trace.prefill, [scored_choices(item)])
    return margin_of(item, found.logprobs)


def read_item(
    vlm: Any,
    trace: Trace,
    item: Item,
    edits: Sequence[Edit],
    engine: Engine,
    *,
    memory: int = MEMORY,
    most: int = 1,
) -> Under:
    """Read one item under each edit by replay.

    Choices of several tokens, and answers that may be longer than one token, go on behind the replayed
    prompt's own keys and values, the edit held meanwhile.

    Args:
        memory: bytes that variants may take at once, about.
        most: length limit of an answer, its end token included.

    Raises:
        ModelError: the answers have to go on and the model's cache is more than keys and values.
    """
    kept = most > 1 or not one_token(vlm, item)
    size = together(vlm, trace, engine.scope, memory, kept)
    parts = [
        _read_part(vlm, trace, item, edits[i : i + size], engine, kept, most)
        for i in range(0, len(edits), size)
    ]
    return Under(np.concatenate([p.margin for p in parts]), np.concatenate([p.correct for p in parts]))


def _read_part(
    vlm: Any, trace: Trace, item: Item, edits: Sequence[Edit], engine: Engine, kept: bool, most: int
) -> Under:
    rows = len(edits)
    variants = [compile_edit(vlm.geometry, e) for e in edits]
    sweep = sweep_of(engine.scope)(trace, variants, engine.how, kept)
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
            tokens = go_on(vlm, tiled, prefill, most)
            scores = score_choices(vlm, tiled, prefill, choices)
    inside = before_end(tokens, vlm.end_ids)
    said = [tuple(row[mask].tolist()) for row, mask in zip(tokens.cpu(), inside.cpu(), strict=True)]
    right = {t: is_right(item, item.parse(vlm.decode(list(t)))) for t in set(said)}
    margins = np.array([margin_of(item, one.logprobs) for one in scores])
    return Under(margins, np.array([float(right[t]) for t in said]))


class ScanReader(Reader):
    """A reader that reads many edits by replay where the model allows it, else as its base does."""

    def _run(self, edits: Sequence[Edit]) -> list[Reading]:
        tokens = self._clean_and_tokens()[1]
        if not all(e.heads for e in edits):
            return super()._run(edits)
        engine = engine_for(self.vlm, self._encoded_alone(0), edits[0].scope)
        bounds = self._bounds(tokens)
        if engine.refusal or not self._may_go_on(engine, bounds):
            return super()._run(edits)
        try:
            return self._replayed(edits, engine, bounds)
        except ModelError as exc:  # seen to be right on another prompt, but not made for one of these
            log.warning("%s: heads are scanned by whole runs: %s", self.vlm.name, exc)
            return super()._run(edits)

    def _replayed(self, edits: Sequence[Edit], engine: Engine, bounds: NDArray[np.int64]) -> list[Reading]:
        table = np.zeros((len(edits), 2, len(self.items)))
        place = {item.id: i for i, item in enumerate(self.items)}

        def encode(item: Item) -> Encoded:
            return self._encoded_alone(place[item.id])

        for chunk in plan_prompts(self.items, encode, engine.sharing, MEMORY):
            for item, trace in clean_runs(self.vlm, chunk, encode, engine.sharing, engine.trimmed):
                if isinstance(trace, ModelError):
                    raise trace
                i = place[item.id]
                found = read_item(self.vlm, trace, item, edits, engine, most=int(bounds[i]))
                table[:, 0, i], table[:, 1, i] = found.correct, found.margin
        return [Reading(one[0], one[1]) for one in table]

    def _may_go_on(self, engine: Engine, bounds: NDArray[np.int64]) -> bool:
        longer = (bounds > 1).any() or not all(one_token(self.vlm, i) for i in self.items)
        return engine.goes_on or not longer
