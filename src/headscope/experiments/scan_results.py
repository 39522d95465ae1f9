"""What a scan found: effects per function and head, their agreement with the estimate, and the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from headscope.asking.items import Item
from headscope.records import Artefact, Interval, JsonValue, Number, Record
from headscope.statistics.ranking import strongest
from headscope.statistics.resampling import bootstrap_ci
from headscope.storage import Row

Floats = NDArray[np.float64]


class ScannedFunction(Record):
    """One function under every head, or head set; lists are in the order of ``heads``.

    Attributes:
        items, pictures: questions, and pictures that they show.
        clean_margin: mean margin of the clean runs.
        drop: mean clean minus muted margin, nats per token; null where not scanned exactly.
        ci: interval of the drop, or of the estimate where there is no drop.
        estimate: gradient x activation; null without ``--estimate``.
        spearman, compared: rank correlation of drop and estimate over the ``compared`` heads that have both.
    """

    items: int
    pictures: int
    clean_margin: Number
    drop: tuple[Number, ...]
    ci: tuple[Interval, ...]
    estimate: tuple[Number, ...]
    spearman: Number
    compared: int


class ScanResult(Artefact):
    """Effects of a scan; a drop is the clean margin minus the muted one, in nats per token.

    Attributes:
        engine: ``replay``, ``whole runs: <reason>``, ``gradient`` (an estimate); several by ``;``.
        settings: all of them.
        heads: labels; of a head set, joined by ``+``.
        functions: function -> what was found.
    """

    TABLE: ClassVar[bool] = True
    schema_: Literal["headscope/scan/1"] = Field(default="headscope/scan/1", alias="schema")
    engine: str
    settings: dict[str, JsonValue]
    heads: tuple[str, ...]
    functions: dict[str, ScannedFunction]

    def top(self, function: str, count: int = 5) -> list[tuple[str, float, Interval]]:
        """The heads whose muting costs the function most: label, drop (else estimate), interval."""
        own = self.functions[function]
        values = np.array(own.drop, dtype=float)
        if np.isnan(values).all():
            values = np.array(own.estimate, dtype=float)
        return [(self.heads[j], float(values[j]), own.ci[j]) for j in strongest(values, count)]


def collect(
    settings: dict[str, JsonValue],
    seed: int,
    engine: str,
    heads: tuple[str, ...],
    items: Mapping[str, Sequence[Item]],
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
    groups: Mapping[str, str],
) -> ScanResult:
    """Means and intervals from what was read of each item."""
    functions: dict[str, ScannedFunction] = {}
    table: list[Row] = []
    for name, own in rows.items():
        pictures = [groups[i.case.id] for i in items[name]]
        clean = np.array([r["clean"] for r in own], dtype=float)
        muted, estimate = (_matrix(own, key, len(heads)) for key in ("muted", "estimate"))
        drops = clean[:, None] - muted
        functions[name] = _function(clean, drops, estimate, pictures, seed)
        for i, item in enumerate(items[name]):
            for j, head in enumerate(heads):
                table.append(
                    {
                        "function": name,
                        "item": item.id,
                        "picture": pictures[i],
                        "head": head,
                        "margin_clean": clean[i],
                        "margin_muted": muted[i, j],
                        "drop": drops[i, j],
                        "estimate": estimate[i, j],
                    }
                )
    found = ScanResult(engine=engine, settings=settings, heads=heads, functions=functions)
    return found.with_rows(table)


def _matrix(rows: Sequence[Mapping[str, Any]], key: str, heads: int) -> Floats:
    empty = [None] * heads
    return np.array([r.get(key) or empty for r in rows], dtype=float).reshape(len(rows), heads)


def _function(
    clean: Floats, drops: Floats, estimate: Floats, pictures: Sequence[str], seed: int
) -> ScannedFunction:
    shown = np.where(np.isnan(drops), estimate, drops)
    intervals = [_interval(column, pictures, seed) for column in shown.T]
    mean, guess = drops.mean(axis=0), estimate.mean(axis=0)
    rho, compared = agreement(mean, guess)
    return ScannedFunction(
        items=len(clean),
        pictures=len(set(pictures)),
        clean_margin=float(clean.mean()),
        drop=tuple(mean.tolist()),
        ci=tuple(intervals),
        estimate=tuple(guess.tolist()),
        spearman=rho,
        compared=compared,
    )


def _interval(values: Floats, pictures: Sequence[str], seed: int) -> Interval:
    if not values.any():
        return 0.0, 0.0
    low, high = bootstrap_ci(values, pictures, seed=seed)
    return float(low), float(high)


def agreement(exact: Floats, estimate: Floats) -> tuple[float, int]:
    """Spearman's correlation over the heads that have both, and how many these are."""
    from scipy.stats import spearmanr

    both = ~(np.isnan(exact) | np.isnan(estimate))
    rho = float(spearmanr(exact[both], estimate[both]).statistic) if both.sum() > 2 else float("nan")
    return rho, int(both.sum())
