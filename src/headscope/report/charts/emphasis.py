"""Turning heads up, or steering them: what it gains, what it costs elsewhere, and how it was chosen."""

from __future__ import annotations

from typing import Any

from headscope.experiments.emphasis_result import EmphasisTest
from headscope.functions import MAIN
from headscope.report import theme
from headscope.report.charts.base import (
    Figure,
    Matrix,
    change_matrix,
    dots,
    group,
    group_scale,
    interval,
    padded,
    words,
)
from headscope.report.contents import StudyContents
from headscope.report.estimates import estimate, gained
from headscope.report.theme import number
from headscope.storage import Row


def gains(study: StudyContents) -> Figure | None:
    """Gain of each chosen edit on its own function."""
    if study.emphasis is None or not study.emphasis.functions:
        return None
    rows: list[Row] = []
    table = []
    best = study.emphasis.headline.function if study.emphasis.headline else ""
    for name, item in study.emphasis.functions.items():
        label, delta = edit_label(name, item), gained(item)
        tip = f"{label}: {interval(delta, 1, True)} points, n = {delta.n}"
        values = {"value": delta.value, "low": delta.low, "high": delta.high}
        rows.append({"label": label, "tip": tip, "group": group(name, study.taxonomy), **values})
        table.append(_cells(name, item, name == best))
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
        "difference between right and wrong answers, functions with headroom only. Heads, edit and strength "
        f"were chosen on select, where the headline ({words(best)}) was too. Random heads: as many of the "
        "same layers, edited alike. Bars: 95 % bootstrap intervals of the paired change over images.",
        "Dots with intervals: gain of each chosen edit on its own function.",
        (
            "function",
            "edit",
            "heads",
            "accuracy before → after, %",
            "change, points",
            "by forced choice",
            "random heads: mean, most",
            "sets",
            "q",
            "may be said to help",
            "worst side effect, points",
            "n",
        ),
        tuple(table),
    )


def _cells(function: str, item: EmphasisTest, headline: bool) -> tuple[str, ...]:
    worst, points = item.worst_side_effect, item.worst_side_effect_points
    return (
        words(function) + (" (headline)" if headline else ""),
        f"{item.edit} {number(item.strength, 2)} at {item.scope}",
        f"{len(item.heads)} ({item.source}): {', '.join(item.heads)}",
        f"{number(item.accuracy_clean)} → {number(item.accuracy)}",
        interval(gained(item), 1, True),
        interval(estimate(item.forced_delta_points, item.forced_ci), 1, True),
        f"{number(item.random_sets_mean, 1, True)}, {number(item.random_sets_max, 1, True)}",
        str(item.random_sets),
        number(item.q, 3),
        item.verdict or "–",
        f"{words(worst)} {number(points, 1, True)}" if worst else "–",
        str(item.n or "–"),
    )


def headroom(study: StudyContents) -> Figure | None:
    """Clean accuracy of every function on select, and whether that leaves room to gain."""
    rooms = study.emphasis.headroom if study.emphasis else {}
    if study.emphasis is None or not rooms:
        return None
    import altair as alt

    shown = {True: "tried", False: "not testable"}
    rows: list[Row] = []
    for name, room in rooms.items():
        tip = f"{words(name)}: {number(room.clean)} % on select, n = {room.n}"
        values = {"value": room.clean, "low": room.clean, "high": room.clean, "mark": shown[room.testable]}
        rows.append({"label": words(name), "tip": f"{tip}; {room.reason or 'tried'}", **values})
    chart = dots(
        rows,
        order=[r["label"] for r in rows],
        x="accuracy on select as it is, %",
        colour="mark",
        scale=alt.Scale(domain=list(shown.values()), range=[theme.TREATED, theme.CONTROL]),
    )
    low, high = study.emphasis.bounds or (0.0, 100.0)
    return Figure(
        "emphasis-headroom",
        "Which functions could be turned up",
        chart,
        f"Accuracy on select without any edit. Functions between {low:g} and {high:g} % are tried; above, "
        "there is nothing to gain, and a change of 0.0 would say nothing.",
        "Dots: accuracy of each function on select.",
        ("function", "accuracy on select, %", "n", "tried"),
        tuple(
            (words(f), number(room.clean), str(room.n), "yes" if room.testable else room.reason)
            for f, room in rooms.items()
        ),
    )


def edit_label(function: str, item: EmphasisTest) -> str:
    """``spatial perception, scale 1.5``."""
    return f"{words(function)}, {item.edit} {item.strength:g}"


def side_effects(study: StudyContents) -> Figure | None:
    """The change on every measured function beside each edit."""
    cells = {
        name: {
            **{f: gained(change) for f, change in item.side_effects.items()},
            **{f"{MAIN}@{context}": gained(change) for context, change in item.main.items()},
        }
        for name, item in (study.emphasis.functions if study.emphasis else {}).items()
    }
    own = [name for name, others in cells.items() if others]
    if study.emphasis is None or not own:
        return None
    columns = [*own, *dict.fromkeys(f for name in own for f in cells[name] if f not in own)]
    for name in own:
        cells[name][name] = gained(study.emphasis.functions[name])
    matrix = Matrix(
        tuple(own), tuple(columns), tuple(tuple(cells[name].get(c) for c in columns) for name in own)
    )
    return change_matrix(
        matrix,
        "emphasis-side-effects",
        "What turning up does to the rest",
        "Change of accuracy on test, in percentage points, of every measured function (column) under the "
        "edit chosen for each function (row). Hover shows the 95 % bootstrap interval over images.",
        "edit for",
        "measured on",
    )


def tried(study: StudyContents) -> Figure | None:
    """The search on select: gain against strength, one line per head set and edit."""
    tests = study.emphasis.functions if study.emphasis else {}
    rows: list[Row] = []
    for name, point, picked in ((f, o, test.same_as) for f, test in tests.items() for o in test.tried):
        heads = f"{point.k} by {point.source}"
        tip = f"{words(name)}, {point.edit} {point.strength:g}, {heads}: "
        tip += f"{number(point.gain_points, 1, True)} points on select"
        rows.append(
            {
                "panel": words(name),
                "strength": point.strength,
                "edit": point.edit,
                "heads": heads,
                "value": point.gain_points,
                "tip": tip,
                "chosen": point.same_as == picked,
            }
        )
    if not rows:
        return None
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
