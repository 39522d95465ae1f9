"""What a scan found: effects per function and head, their agreement with the estimate, and the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headscope.asking.items import Item
from headscope.statistics.ranking import strongest
from headscope.statistics.resampling import bootstrap_ci
from headscope.storage import write_json, write_table

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = "headscope/scan/1"
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ScanResult:
    """Effects of a scan; a drop is the clean margin minus the muted one, in nats per token.

    Attributes:
        settings: all of them. engine: ``replay``, ``whole runs: <reason>``, ``gradient``.
        heads: label of each head, or heads joined by ``+``.
        functions: name -> its values: ``items``, ``pictures``, ``clean_margin``, per head ``drop`` (NaN where
            not scanned), ``ci``, ``estimate``, and ``spearman`` of the two over the heads that have both.
        rows: one dict per item and head: the Parquet file.
    """

    settings: dict[str, Any]
    engine: str
    heads: tuple[str, ...]
    functions: dict[str, dict[str, Any]]
    rows: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """All but the rows, as plain values."""
        return {
            "schema": SCHEMA,
            "engine": self.engine,
            "settings": self.settings,
            "heads": list(self.heads),
            "functions": self.functions,
        }

    def write(self, folder: str | Path) -> None:
        """``scan.json`` and ``scan.parquet``."""
        write_table(Path(folder) / "scan.parquet", self.rows)
        write_json(Path(folder) / "scan.json", self.to_json())

    def to_dataframe(self) -> pd.DataFrame:
        """One row an item and head, as the Parquet file holds them."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    def top(self, function: str, count: int = 5) -> list[tuple[str, float, tuple[float, float]]]:
        """The heads whose muting costs the function most: label, drop (else estimate), interval."""
        own = self.functions[function]
        values = np.array(own["drop"], dtype=float)
        if np.isnan(values).all():
            values = np.array(own["estimate"], dtype=float)
        best = strongest(values, count)
        return [(self.heads[j], float(values[j]), tuple(own["ci"][j])) for j in best]


def collect(
    settings: Any,
    engine: str,
    heads: tuple[str, ...],
    items: Mapping[str, Sequence[Item]],
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
    groups: Mapping[str, str],
) -> ScanResult:
    """Means and intervals from what was read of each item."""
    functions, table = {}, []
    for name, own in rows.items():
        pictures = [groups[i.case.id] for i in items[name]]
        clean = np.array([r["clean"] for r in own], dtype=float)
        muted, estimate = (_matrix(own, key, len(heads)) for key in ("muted", "estimate"))
        drops = clean[:, None] - muted
        functions[name] = _function(clean, drops, estimate, pictures, settings.seed)
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
    return ScanResult(asdict(settings), engine, heads, functions, table)


def _matrix(rows: Sequence[Mapping[str, Any]], key: str, heads: int) -> Floats:
    empty = [None] * heads
    return np.array([r.get(key) or empty for r in rows], dtype=float).reshape(len(rows), heads)


def _function(
    clean: Floats, drops: Floats, estimate: Floats, pictures: Sequence[str], seed: int
) -> dict[str, Any]:
    shown = np.where(np.isnan(drops), estimate, drops)
    intervals = [_interval(column, pictures, seed) for column in shown.T]
    mean, guess = drops.mean(axis=0), estimate.mean(axis=0)
    return {
        "items": len(clean),
        "pictures": len(set(pictures)),
        "clean_margin": float(clean.mean()),
        "drop": mean.tolist(),
        "ci": intervals,
        "estimate": guess.tolist(),
        **agreement(mean, guess),
    }


def _interval(values: Floats, pictures: Sequence[str], seed: int) -> list[float]:
    if not values.any():
        return [0.0, 0.0]
    low, high = bootstrap_ci(values, pictures, seed=seed)
    return [float(low), float(high)]


def agreement(exact: Floats, estimate: Floats) -> dict[str, Any]:
    """Spearman's correlation over the heads that have both, and how many these are."""
    from scipy.stats import spearmanr

    both = ~(np.isnan(exact) | np.isnan(estimate))
    rho = float(spearmanr(exact[both], estimate[both]).statistic) if both.sum() > 2 else float("nan")
    return {"spearman": rho, "compared": int(both.sum())}
