"""Tables of accuracy: how often answers are right, by function, context, number of things, with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from headscope.statistics.shares import share_estimate

Row = Mapping[str, Any]


def accuracy_table(
    rows: Iterable[Row],
    by: str | Sequence[str] = ("function",),
    *,
    images: Mapping[str, str] | None = None,
    level: float = 0.95,
) -> list[dict[str, Any]]:
    """Accuracy within each combination of the ``by`` columns, in order of first appearance.

    Args:
        rows: answer rows (columns ``case``, ``correct``, ``margin`` and those of ``by``); a row counts for
            its ``image`` column if it has one, else for ``images[case]``, else for its case.
        by: column name or names. ``held_out`` counts a row once for every way in which it is new, and as
            ``none`` where it is new in no way.
        level: of the interval.

    Returns:
        One dict per combination: the ``by`` columns, ``value`` (share right, 0..1), ``n``, ``images``, ``ci``
        (by image: :func:`headscope.statistics.shares.share_estimate`), ``margin`` (mean, nats per token; None
        without one).

    Example:
        >>> table = accuracy_table([{"case": "a", "function": "counting", "correct": True, "margin": 1.0}])
        >>> table[0]["function"], table[0]["value"], table[0]["n"]
        ('counting', 1.0, 1)
    """
    names = (by,) if isinstance(by, str) else tuple(by)
    cells: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        for key in _keys(row, names):
            cells.setdefault(key, []).append(row)
    table = []
    for key, members in cells.items():
        groups = [_image(row, images) for row in members]
        found = share_estimate([float(r["correct"]) for r in members], groups, level)
        margins = [float(r["margin"]) for r in members if r.get("margin") is not None]
        margins = [m for m in margins if math.isfinite(m)]
        table.append(
            {
                **dict(zip(names, key, strict=True)),
                "value": found.value,
                "n": found.n,
                "images": found.groups,
                "ci": list(found.ci),
                "margin": float(np.mean(margins)) if margins else None,
            }
        )
    return table


def _keys(row: Row, names: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """The cells that a row counts for: one, unless it is new in several ways."""
    keys: list[tuple[Any, ...]] = [()]
    for name in names:
        value = row[name]
        values = (str(value).split(",") if value else ["none"]) if name == "held_out" else [value]
        keys = [(*key, v) for key in keys for v in values]
    return keys


def _image(row: Row, images: Mapping[str, str] | None) -> str:
    if row.get("image") is not None:
        return str(row["image"])
    case = str(row["case"])
    return images.get(case, case) if images else case
