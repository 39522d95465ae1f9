"""The plan of a capture: which item in which batch in which shard, fixed before anything is asked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from headscope.capture.batches import length_key, plan_batches
from headscope.capture.items import Item
from headscope.capture.store import ROW_BYTES, SCHEMA
from headscope.errors import StudyError


def estimate_bytes(n_items: int, vlm: Any, readouts: Sequence[str]) -> int:
    """Bytes that a capture writes at most, before compression: float32 z of all heads, and answer rows."""
    per_item = len(vlm.geometry.heads) * vlm.geometry.max_width * 4 * len(readouts)
    return n_items * (per_item + ROW_BYTES)


def make_plan(vlm: Any, items: Sequence[Item], settings: Mapping[str, Any], cases: str) -> dict[str, Any]:
    """Everything that a capture's result depends on, and the fixed order of its work.

    Args:
        items: what to ask.
        settings: see :func:`capture`.
        cases: fingerprint of the cases.

    Returns:
        The content of plan.json: docs/file-formats (capture).
    """
    batch_size, shard_items = settings["batch_size"], settings["shard_items"]
    if shard_items < 1:
        raise StudyError(f"asked for shards of {shard_items} items; expected at least 1")
    batches = plan_batches([i for i in items if i.context != "own"], batch_size)
    a_shard = max(1, shard_items // batch_size)
    groups = [batches[i : i + a_shard] for i in range(0, len(batches), a_shard)]
    groups += _own_groups([i for i in items if i.context == "own"], batch_size, shard_items)
    geometry = vlm.geometry
    return {
        "schema": SCHEMA,
        "model": vlm.revision,
        "model_name": vlm.name,
        "dtype": str(vlm.dtype).removeprefix("torch."),
        "cases": cases,
        "settings": dict(settings),
        "heads": {
            "head": [str(h) for h in geometry.heads],
            "layer": [h.layer for h in geometry.heads],
            "head_width": [s.head_dim for s in geometry.sites for _ in range(s.n_heads)],
        },
        "width": geometry.max_width,
        "items": len(items),
        "bytes": estimate_bytes(len(items), vlm, settings["readouts"]),
        "shards": [
            {"name": f"{n:05d}", "batches": [[i.id for i in batch] for batch in group]}
            for n, group in enumerate(groups)
        ],
    }


def _own_groups(items: Sequence[Item], batch_size: int, shard_items: int) -> list[list[list[Item]]]:
    """Shards of whole chains: within one, batches in rounds, each round the n-th question of its cases."""
    chains: dict[str, list[Item]] = {}
    for item in sorted(items, key=lambda i: len(i.earlier)):
        chains.setdefault(item.case.id, []).append(item)
    if not chains:
        return []
    longest = max(map(len, chains.values()))
    # Whole batches in every round, as far as the shard's size allows.
    count = max(1, math.ceil(shard_items / longest / batch_size)) * batch_size
    ordered = sorted(chains, key=lambda c: (len(chains[c]), length_key(chains[c][-1])))
    groups = []
    for start in range(0, len(ordered), count):
        rounds: dict[int, list[Item]] = {}
        for case in ordered[start : start + count]:
            for item in chains[case]:
                rounds.setdefault(len(item.earlier), []).append(item)
        groups.append([batch for n in sorted(rounds) for batch in plan_batches(rounds[n], batch_size)])
    return groups
