"""An atlas against the truth: which heads each ranking names at its own cut-off, and how often rightly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from headscope.probing.atlas import Atlas
from headscope.statistics.resampling import wilson_ci

# Criterion -> the ranking by which its heads are ordered.
WAYS = {
    "joint": "joint",
    "independent": "independent",
    "answer": "answer",
    "decoding": "independent",
    "causal": "causal",
}
Row = dict[str, Any]


def named_heads(atlas: Atlas, way: str) -> dict[str, list[str]]:
    """Function -> labels of the heads that pass the criterion; nothing where it was not judged."""
    table = atlas.selected.get(way) or {}
    found = {}
    for function in atlas.functions:
        flags = table.get(function) or [False] * len(atlas.heads)
        found[function] = [h.label for h, yes in zip(atlas.heads, flags, strict=True) if yes]
    return found


def score(named: Mapping[str, Sequence[str]], truth: Mapping[str, Any]) -> Row:
    """Counts over all (function, head) pairs, and what became of decoys and suppressors.

    Args:
        named: function -> heads named. truth: the content of ``truth.json``.

    Returns:
        ``hits``, ``false`` (named, not planted), ``missed``, ``false_heads`` (by role), ``decoys``,
        ``decoys_rejected``, ``suppressors``, ``suppressors_named``.

    Example:
        >>> truth = {"functions": {"a": ["L0H0"]}, "decoys": {"a": ["L0H1"]}, "suppressors": {}, "heads": []}
        >>> score({"a": ["L0H0", "L0H2"]}, truth)["false"]
        1
    """
    roles = {h["label"]: h["role"] for h in truth["heads"]}
    row: Row = {"hits": 0, "false": 0, "missed": 0, "decoys": 0, "decoys_rejected": 0}
    row |= {"suppressors": 0, "suppressors_named": 0, "false_heads": {}}
    for function, heads in truth["functions"].items():
        mine, planted = set(named.get(function, ())), set(heads)
        row["hits"] += len(mine & planted)
        row["missed"] += len(planted - mine)
        row["false"] += len(mine - planted)
        for head in mine - planted:
            role = roles.get(head, "unknown")
            row["false_heads"][role] = row["false_heads"].get(role, 0) + 1
        decoys = set(truth["decoys"].get(function, ()))
        row["decoys"] += len(decoys)
        row["decoys_rejected"] += len(decoys - mine)
        against = set(truth["suppressors"].get(function, ()))
        row["suppressors"] += len(against)
        row["suppressors_named"] += len(against & mine)
    return row


def ranks(atlas: Atlas, truth: Mapping[str, Any], way: str) -> list[float]:
    """Place of each planted head among all heads for its function, 1 first; ties share their middle place."""
    from scipy.stats import rankdata

    found = []
    place = {h.label: i for i, h in enumerate(atlas.heads)}
    for function, heads in truth["functions"].items():
        if not heads or not atlas.has(way, function):
            continue
        strength = np.nan_to_num(atlas.strength(function, way), nan=-np.inf)
        order = rankdata(-strength)
        found += [float(order[place[h]]) for h in heads]
    return found


def pooled(rows: Iterable[Row]) -> Row:
    """Precision, recall and F1 over several models, with the counts they rest on."""
    total: Row = {}
    roles: dict[str, int] = {}
    for row in rows:
        for name, value in row.items():
            if isinstance(value, int):
                total[name] = total.get(name, 0) + value
        for role, count in row["false_heads"].items():
            roles[role] = roles.get(role, 0) + count
    hits, named = total["hits"], total["hits"] + total["false"]
    wanted = hits + total["missed"]
    precision = hits / named if named else None
    recall = hits / wanted if wanted else None
    f1 = 2 * hits / (named + wanted) if named + wanted else None
    return {
        "precision": precision,
        "precision_ci": list(wilson_ci(hits, named)) if named else None,
        "recall": recall,
        "recall_ci": list(wilson_ci(hits, wanted)) if wanted else None,
        "f1": f1,
        "false_discoveries": total["false"],
        "false_by_role": roles,
        "counts": total,
    }
