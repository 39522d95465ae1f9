"""This study's ranking of heads beside another's: heads in common, and agreement over depth."""

from __future__ import annotations

from headscope.experiments.compare_result import CompareResult
from headscope.report.charts.base import Figure, dots, dots_beside_chance, group, group_scale, interval, words
from headscope.report.contents import StudyContents
from headscope.report.estimates import estimate
from headscope.report.theme import number, p_value
from headscope.storage import Row


def overlap(study: StudyContents) -> Figure | None:
    """Share of each function's strongest heads that both studies name."""

    found = study.of(CompareResult)
    shared = {f: c.overlap for f, c in (found.functions if found else {}).items() if c.overlap}
    if found is None or not shared:
        return None
    rows: list[Row] = []
    table = []
    for name, cell in shared.items():
        share = estimate(100 * cell.share, _percent(cell.ci), cell.k)
        tip = f"{words(name)}: {cell.shared} of {cell.k} heads, {interval(share)} %, {p_value(cell.p)}"
        row = {"label": words(name), "group": group(name, study.taxonomy), "expected": 100 * cell.expected}
        rows.append(row | {"value": share.value, "low": share.low, "high": share.high, "tip": tip})
        counts = (str(cell.k), str(cell.shared), interval(share), number(100 * cell.expected, 1))
        table.append((words(name), *counts, p_value(cell.p), number(cell.q, 3)))
    chart = dots_beside_chance(rows, "% of the strongest heads", "expected")
    return Figure(
        "compare-overlap",
        "The same heads in another study",
        chart,
        f"Share of each function's strongest heads ({found.ranking} ranking) that are among the strongest of "
        f"{found.there.model} (revision {found.there.revision}) too. Grey ticks: what two random sets share "
        "on average. Bars: 95 % Wilson intervals, heads as trials.",
        "Dots with intervals: share of strongest heads in common, by function.",
        ("function", "heads", "in common", "share, %", "by chance, %", "hypergeometric", "q over functions"),
        tuple(table),
    )


def over_depth(study: StudyContents) -> Figure | None:
    """Rank correlation of the two studies over relative depth, by function."""
    found = study.of(CompareResult)
    if found is None:
        return None
    rows: list[Row] = []
    table = []
    for name, cell in found.functions.items():
        rho = estimate(cell.over_depth.rho, cell.over_depth.ci)
        heads = estimate(cell.over_heads.rho, cell.over_heads.ci) if cell.over_heads else None
        tip = f"{words(name)}: Spearman {interval(rho, 2)} over {cell.over_depth.n} parts of the depth"
        values = {"value": rho.value, "low": rho.low, "high": rho.high, "tip": tip}
        rows.append({"label": words(name), "group": group(name, study.taxonomy), **values})
        table.append((words(name), interval(rho, 2), str(cell.over_depth.n), interval(heads, 2)))
    chart = dots(
        [r for r in rows if r["value"] == r["value"]],
        order=[r["label"] for r in rows],
        x="Spearman correlation over relative depth",
        scale=group_scale(rows),
        legend="functions",
        domain=(-1, 1),
        zero=True,
    )
    return Figure(
        "compare-depth",
        "Heads at the same depth in another study",
        chart,
        f"Spearman correlation, over parts of the relative depth, of the mean rank of heads ({found.ranking} "
        f"ranking) here and in {found.there.model} ({found.there.layers} attention layers; here "
        f"{found.here.layers}). Bars: 95 % bootstrap intervals; heads are resampled within each part.",
        "Dots with intervals: agreement over depth, by function.",
        ("function", "over depth", "parts", "over heads, where both have the same"),
        tuple(table),
    )


def _percent(ci: tuple[float | None, float | None]) -> tuple[float | None, float | None]:
    low, high = ci
    return (None if low is None else 100 * low), (None if high is None else 100 * high)
