"""Attention maps: where in the picture every head attends, kept for a few cases of test to be shown."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from headscope.asking.ask import ask
from headscope.asking.batches import encode_batch
from headscope.asking.items import Item, make_items
from headscope.asking.picture_attention import PromptAttention, Watch, on_cells
from headscope.asking.picture_cache import case_pictures
from headscope.capturing.captured import CapturePlan
from headscope.capturing.store import iter_answers
from headscope.data.schema import Case
from headscope.errors import ModelError
from headscope.experiments.context import ExperimentContext
from headscope.experiments.waking.awakening import ContributionNorms
from headscope.models.types import ImageGrid
from headscope.progress import track
from headscope.records import Artefact
from headscope.storage import Row

FILE = "overlay.json"
CONTEXT = "gold"
READOUT = "prompt_last"
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class OverlaySettings:
    """Defaults of :func:`attention_maps`.

    Attributes:
        cases: of test that are read: half of them those with most wrong answers, the others drawn.
        side: most rows and columns of a map; a finer grid of image tokens is summed to it.
    """

    cases: int = 16
    side: int = 16


class AttentionMaps(Artefact):
    """Where every head attends in the pictures of a few cases; each question is a row of the table.

    Attributes:
        heads: labels in flat order.
        position: whose attention it is: ``prompt_last``, the prompt's last position, which predicts the
            answer's first token.
        context: what precedes each question: ``gold``, the earlier steps with their true answers.
        most_failed, drawn: cases with most wrong answers, and cases drawn from the others.
        unseen: head -> why its attention is not seen.
        left_out: case -> why it has no map.
    """

    TABLE: ClassVar[bool] = True
    schema_: Literal["headscope/overlay/1"] = Field(default="headscope/overlay/1", alias="schema")
    heads: tuple[str, ...]
    position: str = READOUT
    context: str = CONTEXT
    most_failed: tuple[str, ...] = ()
    drawn: tuple[str, ...] = ()
    unseen: dict[str, str] = Field(default_factory=dict)
    left_out: dict[str, str] = Field(default_factory=dict)


def attention_maps(
    context: ExperimentContext, captured: CapturePlan, settings: OverlaySettings = OverlaySettings()
) -> AttentionMaps:
    """Keep every head's attention over the picture, for all questions of a few cases of test.

    Each question is asked once more as it was captured, after the true answers to earlier steps. Nothing is
    chosen or claimed by it. Writes ``overlay.json`` and ``overlay.parquet``, and resumes from ``overlay/``.

    Raises:
        StoreError: the folder holds work made with other settings, or the answers cannot be read.
    """
    failed, drawn = _chosen(context, settings.cases)
    ledger = context.ledger("overlay", settings)
    vlm = context.vlm
    rows: list[Row] = []
    unseen: dict[str, str] = {}
    left_out = {c.id: "it has several pictures" for c in (*failed, *drawn) if c.more}
    norms: ContributionNorms | None = None
    for case in track([c for c in (*failed, *drawn) if not c.more], "attention maps", unit="case"):
        norms = norms or ContributionNorms(vlm.geometry)
        read: Row = ledger.get_or(case.id, lambda c=case, n=norms: _read(context, c, settings.side, n))
        unseen |= read["unseen"]
        if read["reason"]:
            left_out[case.id] = read["reason"]
        rows += [{**row, "cells": base64.b64decode(row["cells"])} for row in read["rows"]]
    found = AttentionMaps(
        heads=tuple(str(h) for h in vlm.geometry.heads),
        most_failed=tuple(c.id for c in failed),
        drawn=tuple(c.id for c in drawn),
        unseen=unseen,
        left_out=left_out,
    )
    found.with_rows(rows).save(context.folder / FILE)
    return found


def _chosen(context: ExperimentContext, most: int) -> tuple[list[Case], list[Case]]:
    """Cases of test with most wrong answers after true steps, ties by id; and as many drawn from the rest."""
    wrong: Counter[str] = Counter()
    for row in iter_answers(context.folder / "capture"):
        if row["context"] == CONTEXT and context.splits.get(str(row["case"])) == "test":
            wrong[str(row["case"])] += not row["correct"]
    known = sorted((context.cases.by_id[name] for name in wrong), key=lambda c: (-wrong[c.id], c.id))
    failed = [c for c in known if wrong[c.id]][: (most + 1) // 2]
    rest = sorted((c for c in known if c not in failed), key=lambda c: c.id)
    order = np.random.default_rng(context.seed).permutation(len(rest))[: most - len(failed)]
    return failed, [rest[i] for i in sorted(order)]


def _read(context: ExperimentContext, case: Case, side: int, norms: ContributionNorms) -> Row:
    """The rows of one case, or why there are none."""
    rows: list[Row] = []
    unseen: dict[str, str] = {}
    try:
        for item in make_items([case], context.taxonomy, (CONTEXT,)):
            row, unseen = _read_item(context, item, side, norms)
            rows.append(row)
    except ModelError as exc:  # image tokens without a place, or a prompt that the model refuses
        return {"rows": [], "unseen": {}, "reason": str(exc)}
    if rows and len(unseen) == len(context.vlm.geometry.heads):
        return {"rows": [], "unseen": unseen, "reason": next(iter(unseen.values()))}
    return {"rows": rows, "unseen": unseen, "reason": ""}


def _read_item(
    context: ExperimentContext, item: Item, side: int, norms: ContributionNorms
) -> tuple[Row, dict[str, str]]:
    vlm, picture = context.vlm, case_pictures(context.cases)
    encoded = encode_batch(vlm, [item], picture)
    watch = Watch(encoded)
    outcome = ask(vlm, encoded, [item], edit=watch, readouts=(READOUT,), max_new_tokens=1, score=False)
    image = picture(item)
    assert not isinstance(image, list)  # cases of one picture alone are read
    seen = watch.found(vlm, image)
    boxes = [(o, o.box) for o in item.case.objects if o.box is not None]
    row: Row = {
        **{"item": item.id, "case": item.case.id, "step": item.step.id, "function": item.function},
        **map_row(seen, side),
        "boxes": [{"object": o.id, "name": o.name, **on_box(seen, box)} for o, box in boxes],
        "contribution": _rounded(norms(outcome.z[READOUT])[0], 5),
    }
    return row, {str(head): why for head, why in seen.unseen.items()}


def map_row(seen: PromptAttention, side: int) -> Row:
    """One question's maps as the table holds them.

    Returns:
        ``size`` of the picture in pixels; ``rows``, ``columns`` and ``area`` (x0, y0, x1, y1 in its pixels)
        of the maps; ``on_picture``: (head,) share of attention on all image tokens; ``peak``: (head,) share
        on the cell attended to most; ``cells``: base64 of (head, row, column) bytes, 255 that cell.

    Raises:
        ModelError: it is not known where the image tokens lie.
    """
    cells, area = on_cells(seen.grid, np.nan_to_num(seen.weights), seen.picture.size)
    cells = pooled(cells, side)
    peak = cells.max(axis=(1, 2))
    scaled = cells / np.where(peak > 0, peak, 1)[:, None, None]
    shown = np.isfinite(seen.weights).all(axis=1)
    return {
        **{"size": list(seen.picture.size), "rows": cells.shape[1], "columns": cells.shape[2]},
        "area": [round(float(v), 2) for v in area],
        "on_picture": _rounded(seen.weights.sum(axis=1), 6),
        "peak": _rounded(np.where(shown, peak, np.nan), 6),
        "cells": base64.b64encode(np.round(255 * scaled).astype(np.uint8).tobytes()).decode(),
    }


def pooled(cells: Floats, side: int) -> Floats:
    """(head, row, column) weights summed over blocks, so that at most ``side`` rows and columns are left."""
    for axis in (1, 2):
        block = -(-cells.shape[axis] // side)
        cells = np.add.reduceat(cells, np.arange(0, cells.shape[axis], block), axis=axis)
    return cells


def on_box(seen: PromptAttention, box: Sequence[float]) -> Row:
    """``area``: the share of the picture that a box takes; ``on_box``: (head,) share of attention on it."""
    width, height = seen.picture.size
    shares = covered(seen.grid, box)
    x0, y0, x1, y1 = np.clip(box, 0, (width, height, width, height))
    return {
        "area": round(float((x1 - x0) * (y1 - y0) / (width * height)), 6),
        "on_box": _rounded(seen.weights @ shares, 6),
    }


def covered(grid: ImageGrid, box: Sequence[float]) -> NDArray[np.float64]:
    """(image token,) which share of each token's rectangle lies in a box; 0 of tokens without a place.

    Raises:
        ModelError: it is not known where the image tokens lie.
    """
    if grid.boxes is None:
        raise ModelError(f"attention on a box: {grid.reason or 'no map of image tokens is known'}")
    rects = grid.boxes.double().cpu().numpy()
    wide = np.minimum(rects[:, 2], box[2]) - np.maximum(rects[:, 0], box[0])
    high = np.minimum(rects[:, 3], box[3]) - np.maximum(rects[:, 1], box[1])
    size = (rects[:, 2] - rects[:, 0]) * (rects[:, 3] - rects[:, 1])
    shared = np.clip(wide, 0, None) * np.clip(high, 0, None) / size
    return np.nan_to_num(shared)


def _rounded(values: Floats, digits: int) -> list[float | None]:
    return [round(float(v), digits) if np.isfinite(v) else None for v in values]


def maps_of(found: AttentionMaps) -> Mapping[str, list[Row]]:
    """Case -> its rows, the cases in the order in which they were read."""
    cases: dict[str, list[Row]] = {}
    for row in found.rows:
        cases.setdefault(row["case"], []).append(row)
    return cases
