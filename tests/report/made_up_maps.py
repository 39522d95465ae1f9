"""Made-up attention maps of two test cases, in the stage's own format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headscope.data.cases import Cases
from headscope.experiments.attention_maps import AttentionMaps

ROWS, COLUMNS = 3, 4


def overlay(
    folder: Path, cases: Cases, splits: dict[str, str], labels: Sequence[str], rng: np.random.Generator
) -> None:
    """``overlay.json`` and ``overlay.parquet``; the first head's attention is not seen."""
    chosen = [c for c in cases if splits[c.id] == "test"][:2]
    rows: list[dict[str, Any]] = []
    for case in chosen:
        for step in (*case.steps, case.main_step()):
            shares = rng.uniform(0.2, 0.9, len(labels))
            cells = rng.random((len(labels), ROWS, COLUMNS))
            whole = (255 * cells / cells.max(axis=(1, 2), keepdims=True)).round().astype(np.uint8)
            unseen = [None, *shares[1:].tolist()]
            boxes = [
                {
                    "object": o.id,
                    "name": o.name,
                    "area": 0.04,
                    "on_box": [None, *(0.2 * shares[1:]).tolist()],
                }
                for o in case.objects
            ]
            rows.append(
                {
                    **{"item": f"{case.id}/{step.id}/gold", "case": case.id, "step": step.id},
                    **{"function": step.function, "size": [case.width, case.height]},
                    **{"rows": ROWS, "columns": COLUMNS, "area": [0.0, 0.0, case.width, case.height]},
                    **{"on_picture": unseen, "peak": [None, *(0.3 * shares[1:]).tolist()]},
                    **{"cells": whole.tobytes(), "boxes": boxes},
                    "contribution": rng.uniform(1, 5, len(labels)).tolist(),
                }
            )
    found = AttentionMaps(
        heads=tuple(labels),
        most_failed=(chosen[0].id,),
        drawn=(chosen[1].id,),
        unseen={labels[0]: "its kernel hides its weights"},
    )
    found.with_rows(rows).save(folder / "overlay.json")
