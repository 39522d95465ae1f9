"""How the wake experiment writes its files, as a view."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from headscope.report.stage_sources import estimate, read_record, share
from headscope.report.stage_views import Estimate, GroupGain, HeadGain, WakeDelta, WakeExample, WakeView
from headscope.storage import read_table

Row = dict[str, Any]
PLAIN, BOTH = "plain", "both"
POPULATIONS = ("all", "in_training_range", "beyond")
_TABLES = {
    "crowding": "by_crowding",
    "function": "by_function",
    "beyond_by_function": "beyond_by_function",
    "main_by_context": "main_by_context",
    "pointing": "by_pointing",
}


def read_wake(path: Path) -> WakeView:
    """``wake.json`` (headscope/wake/1), with examples from ``wake.parquet``."""
    content = read_record(path, "headscope/wake/1")
    settings = content.get("settings") or {}
    things = settings.get("training_things")
    table = path.with_suffix(".parquet")
    population = str((content.get("summary") or {}).get("population") or "all")
    return WakeView(
        style=BOTH,
        chosen=str((content.get("choice") or {}).get("style") or BOTH),
        controls=tuple(content.get("controls") or ()),
        population=population,
        deltas=tuple(_deltas(content)),
        gains=tuple(
            HeadGain(h["head"], bool(h["spatial"]), h.get("contribution_gain"), h.get("attention_gain"))
            for h in content.get("heads") or ()
        ),
        groups=tuple(_groups(content)),
        examples=tuple(_examples(read_table(table))) if table.exists() else (),
        caveats=tuple(content.get("caveats") or ()),
        trained_things=(int(things[0]), int(things[1])) if things else None,
        unread=_unread(content),
    )


def _unread(content: Row) -> str:
    asked = (content.get("questions") or {}).get("test") or {}
    if asked.get("read", 1):
        return ""
    found = [f"{why} for {count} questions" for why, count in (asked.get("found") or {}).items()]
    return f"nothing to point at: {', '.join(found) or 'no questions on test'}"


def _deltas(content: Row) -> Iterable[WakeDelta]:
    for style, cell in (content.get("select") or {}).items():
        yield from _delta(style, PLAIN, "select", "all", cell)
    for variant, table in (content.get("test") or {}).items():
        for population in POPULATIONS:
            yield from _delta(variant, PLAIN, "population", population, table.get(population))
        for by, key in _TABLES.items():
            for subset, cell in (table.get(key) or {}).items():
                yield from _delta(variant, PLAIN, by, subset, cell)
    for pair, cells in (content.get("contrasts") or {}).items():
        variant, _, against = pair.partition(" - ")
        for population, cell in cells.items():
            yield from _delta(variant, against, "population", population, cell)


def _delta(variant: str, against: str, by: str, subset: str, cell: Any) -> Iterable[WakeDelta]:
    found = estimate(cell, "delta_points")
    if found is not None:
        yield WakeDelta(
            variant=variant,
            against=against,
            by=by,
            subset=subset,
            delta=found,
            before=share(cell.get("accuracy_before")),
            after=share(cell.get("accuracy")),
            p=cell.get("p"),
            margin=estimate(cell, "margin_delta", "margin_ci"),
        )


def _groups(content: Row) -> Iterable[GroupGain]:
    for subset, cell in ((content.get("gains") or {}).get(BOTH) or {}).items():
        for measure in ("contribution", "attention"):
            parts = (cell or {}).get(measure) or {}
            found = [estimate(parts.get(k), "value") for k in ("spatial", "other", "difference")]
            if all(isinstance(e, Estimate) for e in found):
                yield GroupGain(measure, subset, *found)  # type: ignore[arg-type]


def _examples(rows: list[Row], most: int = 24) -> list[WakeExample]:
    """Questions that name all they need, in the order of the greatest change of margin on changed answers.

    Answers that pointing put right and answers that it spoilt in turn, as far as there are any; one per case.
    """
    plain = {r["item"]: r for r in rows if r["variant"] == PLAIN and r.get("pointing") == "named"}
    both = {r["item"]: r for r in rows if r["variant"] == BOTH and r["item"] in plain}
    righted: list[tuple[float, str]] = []
    spoilt: list[tuple[float, str]] = []
    for item, after in both.items():
        before = plain[item]
        if bool(before["correct"]) != bool(after["correct"]):
            change = (after.get("margin") or 0.0) - (before.get("margin") or 0.0)
            (righted if after["correct"] else spoilt).append((-abs(change), item))
    order = [i for pair in zip(sorted(righted), sorted(spoilt), strict=False) for _, i in pair]
    order += [i for _, i in sorted(righted)[len(spoilt) :]] + [i for _, i in sorted(spoilt)[len(righted) :]]
    found: list[WakeExample] = []
    seen: set[str] = set()
    for item in order:
        if plain[item]["case"] not in seen and len(found) < most:
            seen.add(plain[item]["case"])
            found.append(_example(plain[item], both[item]))
    return found


def _example(before: Row, after: Row) -> WakeExample:
    boxes = json.loads(after.get("boxes") or "[]")
    woken = {}
    for group in ("spatial", "other"):
        one, two = before.get(f"norm_{group}"), after.get(f"norm_{group}")
        if one and two is not None:
            woken[group] = two / one - 1
    return WakeExample(
        case=after["case"],
        question=after["question"],
        truth=after["truth"],
        style=BOTH,
        before=_said(before),
        after=_said(after),
        boxes=tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in boxes),
        woken=woken,
        function=after["function"],
    )


def _said(row: Row) -> Row:
    answer = row["answer"] if row.get("answer") is not None else row.get("text") or "–"
    return {"answer": answer, "margin": row.get("margin"), "correct": bool(row["correct"])}
