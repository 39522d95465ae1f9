"""Turning heads up, or steering them: what it gains, what it costs elsewhere, and how it was chosen."""

from __future__ import annotations

from typing import Any

from headscope.report import theme
from headscope.report.charts.base import (
    Figure,
    Row,
    change_matrix,
    dots,
    group,
    group_scale,
    interval,
    padded,
    words,
)
from headscope.report.stage_views import Emphasis, Matrix
from headscope.report.theme import number, p_value
from headscope.report.views import StudyView


def gains(study: StudyView) -> Figure | None:
    """Gain of each chosen edit on its own function."""
    if study.emphasis is None or not study.emphasis.items:
        return None
    rows: list[Row] = []
    table = []
    for item in study.emphasis.items:
        label = edit_label(item)
        tip = f"{label}: {interval(item.delta, 1, True)} points, n = {item.delta.n}"
        values = {"value": item.delta.value, "low": item.delta.low, "high": item.delta.high}
        rows.append({"label": label, "tip": tip, "group": group(item.function, study.taxonomy), **values})
        table.append(_cells(item, item.function == study.emphasis.headline))
    chart = dots(
        rows,
        order=[r["label"] for r in rows],
        x="change of accuracy, percentage points",
        scale=group_scale(rows),
        legend="functions",
        width=270,
        zero=True,
    )
    return Figure(
        "emphasis",
        "Turning heads up",
        chart,
        "Change of accuracy on test when the heads of a function are scaled up or steered along the mean "
        "difference between right and wrong answers. Heads, edit and strength were chosen on select, "
        f"where the headline ({words(study.emphasis.headline)}) was too. Bars: 95 % bootstrap intervals of "
        "the paired change over images.",
        "Dots with intervals: gain of each chosen edit on its own function.",
        (
            "function",
            "edit",
            "heads",
            "accuracy before → after, %",
            "change, points",
            "margin, nats",
            "sign flip by image",
            "worst side effect, points",
            "n",
        ),
        tuple(table),
    )


def _cells(item: Emphasis, headline: bool) -> tuple[str, ...]:
    before, after = (None if v is None else 100 * v for v in (item.before, item.after))
    return (
        words(item.function) + (" (headline)" if headline else ""),
        f"{item.edit} {number(item.strength, 2)} at {item.scope}",
        f"{len(item.heads)} ({item.source}): {', '.join(item.heads)}",
        f"{number(before)} → {number(after)}",
        interval(item.delta, 1, True),
        interval(item.margin, 2, True),
        p_value(item.p),
        f"{words(item.worst[0])} {number(item.worst[1], 1, True)}" if item.worst else "–",
        str(item.delta.n or "–"),
    )


def edit_label(item: Emphasis) -> str:
    """``spatial perception, scale 1.5``."""
    return f"{words(item.function)}, {item.edit} {item.strength:g}"


def side_effects(study: StudyView) -> Figure | None:
    """The change on every measured function beside each edit."""
    items = [e for e in (study.emphasis.items if study.emphasis else ()) if e.others]
    if not items:
        return None
    own = [e.function for e in items]
    columns = [*own, *dict.fromkeys(f for e in items for f in e.others if f not in own)]
    cells = [{**e.others, e.function: e.delta} for e in items]
    matrix = Matrix(tuple(own), tuple(columns), tuple(tuple(line.get(c) for c in columns) for line in cells))
    return change_matrix(
        matrix,
        "emphasis-side-effects",
        "What turning up does to the rest",
        "Change of accuracy on test, in percentage points, of every measured function (column) under the "
        "edit chosen for each function (row). Hover shows the 95 % bootstrap interval over images.",
        "edit for",
        "measured on",
    )


def tried(study: StudyView) -> Figure | None:
    """The search on select: gain against strength, one line per head set and edit."""
    if study.emphasis is None or not study.emphasis.tried:
        return None
    rows: list[Row] = []
    for point in study.emphasis.tried:
        heads = f"{point.k} by {point.source}"
        tip = f"{words(point.function)}, {point.edit} {point.strength:g}, {heads}: "
        tip += f"{number(point.delta, 1, True)} points on select"
        rows.append(
            {
                "panel": words(point.function),
                "strength": point.strength,
                "edit": point.edit,
                "heads": heads,
                "value": point.delta,
                "tip": tip,
                "chosen": point.chosen,
            }
        )
    return Figure(
        "emphasis-tried",
        "How edit and strength were chosen",
        _tried_chart(rows),
        "Change of accuracy on select for every head set, edit and strength that was tried. Ringed: what "
        "was chosen and then judged once on test. The best of many on select looks better there than it "
        "is.",
        "Small line charts: gain on select against strength.",
        ("function", "edit", "strength", "heads", "points on select", ""),
        tuple(
            (
                r["panel"],
                r["edit"],
                f"{r['strength']:g}",
                r["heads"],
                number(r["value"], 1, True),
                "chosen" if r["chosen"] else "",
            )
            for r in rows
        ),
    )


def _tried_chart(rows: list[Row]) -> Any:
    import altair as alt

    sets = list(dict.fromkeys(r["heads"] for r in rows))
    palette = [theme.STEPS[i % len(theme.STEPS)] for i in range(len(sets))]
    base = alt.Chart().encode(
        x=alt.X("strength:Q", title="strength", scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=4)),
        y=alt.Y("value:Q", title="points on select", scale=padded([r["value"] for r in rows])),
        color=alt.Color(
            "heads:N", scale=alt.Scale(domain=sets, range=palette), legend=alt.Legend(title="heads")
        ),
    )
    dash = alt.StrokeDash(
        "edit:N",
        scale=alt.Scale(domain=["scale", "steer"], range=[[1, 0], [3, 3]]),
        legend=alt.Legend(title="edit", symbolType="stroke"),
    )
    ring = base.transform_filter("datum.chosen").mark_point(size=120, strokeWidth=1.6, aria=False)
    zero = alt.Chart().mark_rule(color=theme.MUTED, strokeWidth=0.7, aria=False).encode(y=alt.datum(0))
    layers = alt.layer(
        zero,
        base.mark_line(strokeWidth=1.6, aria=False).encode(strokeDash=dash),
        base.mark_point(filled=True, size=26, opacity=1).encode(description="tip:N"),
        ring.encode(color=alt.value(theme.INK)),
        data=alt.Data(values=rows),
    ).properties(width=112, height=80)
    return layers.facet(
        facet=alt.Facet("panel:N", title=None, sort=list(dict.fromkeys(r["panel"] for r in rows))), columns=3
    )
