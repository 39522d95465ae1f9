"""The plan of a capture: which item in which batch in which shard, fixed before anything is asked."""

from __future__ import annotations

from collections.abc import Sequence

from headscope.asking.batches import length_key, plan_batches
from headscope.asking.items import Item
from headscope.capturing.captured import SCHEMA, CapturedHeads, CapturedSettings, CapturePlan, Shard
from headscope.errors import StudyError
from headscope.models.vlm import VLM

ROW_BYTES = 400  # an answer row, roughly, before compression


def estimate_bytes(n_items: int, vlm: VLM, readouts: Sequence[str]) -> int:
    """Bytes that a capture writes at most, before compression: float32 z of all heads, and answer rows."""
    per_item = len(vlm.geometry.heads) * vlm.geometry.max_width * 4 * len(readouts)
    return n_items * (per_item + ROW_BYTES)


def make_plan(vlm: VLM, items: Sequence[Item], settings: CapturedSettings, cases: str) -> CapturePlan:
    """Everything that a capture's result depends on, and the fixed order of its work.

    Args:
        items: what to ask.
        cases: fingerprint of the cases.

    Raises:
        StudyError: shards of no items.
    """
    if settings.shard_items < 1:
        raise StudyError(f"asked for shards of {settings.shard_items} items; expected at least 1")
    groups = _case_groups(items, settings.batch_size, settings.shard_items)
    geometry = vlm.geometry
    return CapturePlan(
        schema=SCHEMA,
        model=vlm.confirmed_revision(),
        model_name=vlm.name,
        dtype=str(vlm.dtype).removeprefix("torch."),
        image_backend=vlm.image_backend,
        cases=cases,
        settings=settings,
        heads=CapturedHeads(
            head=tuple(str(h) for h in geometry.heads),
            layer=tuple(h.layer for h in geometry.heads),
            head_width=tuple(s.head_dim for s in geometry.sites for _ in range(s.n_heads)),
        ),
        width=geometry.max_width,
        items=len(items),
        bytes=estimate_bytes(len(items), vlm, settings.readouts),
        shards=tuple(
            Shard(
                name=f"{n:05d}",
                cases=tuple(sorted({i.case.id for batch in group for i in batch})),
                batches=tuple(tuple(i.id for i in batch) for batch in group),
            )
            for n, group in enumerate(groups)
        ),
    )


def _case_groups(items: Sequence[Item], batch_size: int, shard_items: int) -> list[list[list[Item]]]:
    """Shards of whole cases, cases of like length together; in each its batches in the order of asking.

    First what rests on no answer of the model, by length; then ``own`` chains in rounds, each round the n-th
    question of its cases.
    """
    by_case: dict[str, list[Item]] = {}
    for item in items:
        by_case.setdefault(item.case.id, []).append(item)
    ordered = sorted(by_case, key=lambda c: (len(by_case[c]), *max(map(length_key, by_case[c]))))
    count = max(1, shard_items * len(by_case) // max(1, len(items)))
    # Rounds as long as a shard has cases: whole batches of them where its size is about that anyway.
    if any(i.context == "own" for i in items):
        count = round(count / batch_size) * batch_size or count
    groups = []
    for start in range(0, len(ordered), count):
        here = [i for case in ordered[start : start + count] for i in by_case[case]]
        batches = plan_batches([i for i in here if i.context != "own"], batch_size)
        rounds: dict[int, list[Item]] = {}
        for item in here:
            if item.context == "own":
                rounds.setdefault(item.round, []).append(item)
        groups.append(batches + [b for n in sorted(rounds) for b in plan_batches(rounds[n], batch_size)])
    return groups
