"""The attention score: how much of the row that predicts the answer falls on what the question names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from headscope.asking.ask import ask
from headscope.asking.batches import iter_batches
from headscope.asking.items import Item
from headscope.asking.picture_cache import case_pictures
from headscope.errors import ModelError
from headscope.experiments.context import ExperimentContext
from headscope.experiments.waking.awakening import attention_to, token_positions
from headscope.pointing.boxes import BoxSource, CaseBoxes, target_of
from headscope.progress import track
from headscope.records import Artefact, Interval, Number, Record
from headscope.statistics.resampling import bootstrap_ci
from headscope.storage import Row

FILE = "attention.json"
LEAST = 0.1
"""Share from which on a head counts as one that looks at what is named (Wu et al. 2024, retrieval heads)."""


@dataclass(frozen=True)
class AttentionSettings:
    """Defaults of :func:`attention_scores`.

    Attributes:
        max_items: questions per function, all on ``split``.
        split: never ``test`` where the scores choose heads.
    """

    max_items: int = 100
    split: str = "select"


class HeadAttention(Record):
    """Where heads look when one function is asked for; lists are over heads in flat order.

    Attributes:
        items: questions read: those that name things with boxes.
        share, ci: mean share of the attention of the prompt's last token that falls on image tokens of what
            the question names, 0 to 1, and its 95 % bootstrap interval by picture; null where a head's
            attention is not seen.
    """

    items: int
    share: tuple[Number, ...]
    ci: tuple[Interval, ...]

    def lookers(self, heads: Sequence[str], least: float = LEAST) -> list[str]:
        """Labels of the heads whose interval lies above ``least``, in the order of ``heads``."""
        lows = (low for low, _ in self.ci)
        return [label for label, low in zip(heads, lows, strict=True) if low is not None and low >= least]


class AttentionScores(Artefact):
    """Where every head looks, by function, on ``select``.

    Attributes:
        heads: labels in flat order.
        functions: function -> its attention.
        skipped: function -> why it has none.
    """

    schema_: Literal["headscope/attention/1"] = Field(default="headscope/attention/1", alias="schema")
    heads: tuple[str, ...]
    functions: dict[str, HeadAttention] = Field(default_factory=dict)
    skipped: dict[str, str] = Field(default_factory=dict)


def attention_scores(
    context: ExperimentContext,
    settings: AttentionSettings = AttentionSettings(),
    *,
    boxes: BoxSource | None = None,
) -> AttentionScores:
    """Share of each head's attention that falls on what questions name.

    This is how retrieval and localisation heads are defined (Wu et al. 2024, arXiv 2404.15574; Kang et al.
    2025, arXiv 2503.06287): by where they look, whether or not the answer rests on it. Of the prompt's last
    token, which predicts the answer's first one; the weights are recomputed from queries and keys. Writes
    ``attention.json`` into the study folder and resumes from ``attend/``.

    Args:
        boxes: where boxes come from; by default the cases.

    Raises:
        StoreError: the folder holds work made with other settings.
    """
    source = boxes if boxes is not None else CaseBoxes(context.seed)
    ledger = context.ledger("attend", settings)
    labels = tuple(str(h) for h in context.vlm.geometry.heads)
    found: dict[str, HeadAttention] = {}
    skipped: dict[str, str] = {}
    chosen = context.choose(settings.split, settings.max_items)
    for name, items in track(list(chosen.items()), "attention", unit="function"):
        named = [i for i in items if target_of(source, i.case, i.step).shown]
        if not named:
            skipped[name] = "no question of it names a thing with a box"
            continue
        read: Row = ledger.get_or(name, lambda n=named: _read(context, n, source))
        if read["reason"]:
            skipped[name] = read["reason"]
            continue
        shares = np.array(read["share"], dtype=np.float64)
        pictures = [context.groups[i.case.id] for i in named]
        found[name] = _summed(shares, pictures, context.seed)
    scores = AttentionScores(heads=labels, functions=found, skipped=skipped)
    scores.save(context.folder / FILE)
    return scores


def _read(context: ExperimentContext, items: Sequence[Item], source: BoxSource) -> Row:
    """(item, head) shares, or why there are none."""
    shares: dict[str, list[float]] = {}
    picture = case_pictures(context.cases)
    try:
        for encoded, asked in iter_batches(context.vlm, items, picture, context.batch_size):
            encoded = encoded.to(context.vlm.device)
            named = [target_of(source, i.case, i.step) for i in asked]
            boxes, pictures = [t.shown for t in named], [t.shown_in for t in named]
            targets = {"named": token_positions(encoded, boxes, pictures)}
            with attention_to(context.vlm, encoded, targets) as mass:
                ask(context.vlm, encoded, asked, max_new_tokens=1)
            for item, row in zip(asked, mass.sums["named"], strict=True):
                shares[item.id] = row.tolist()
    except ModelError as exc:  # attention that is not recomputed, or image tokens without a place
        return {"share": [], "reason": str(exc)}
    return {"share": [shares[i.id] for i in items], "reason": ""}


def _summed(shares: NDArray[np.float64], pictures: Sequence[str], seed: int) -> HeadAttention:
    """Mean over items and its interval, head by head."""
    ends: list[tuple[float | None, float | None]] = []
    for column in shares.T:
        known = bool(np.isfinite(column).all())
        low, high = bootstrap_ci(column, pictures, seed=seed) if known else (None, None)
        ends.append((None, None) if low is None or high is None else (float(low), float(high)))
    mean = shares.mean(axis=0)
    return HeadAttention(
        items=len(shares),
        share=tuple(float(v) if np.isfinite(v) else None for v in mean),
        ci=tuple(ends),
    )
