"""Muting: against random heads, over the number of heads, by scope and kind, and what else it breaks."""

from __future__ import annotations

from typing import Any

from headscope.functions import MAIN
from headscope.report import theme
from headscope.report.charts.base import (
    Figure,
    Row,
    change_matrix,
    dots,
    interval,
    negative,
    padded,
    words,
    zero_line,
)
from headscope.report.stage_views import Matrix, MuteTest
from headscope.report.theme import number, p_value
from headscope.report.views import StudyView

_LOSS = "accuracy lost, percentage points"


def against_controls(study: StudyView) -> Figure | None:
    """Each function's loss beside the losses under random heads."""
    if study.ablation is None or not study.ablation.tests:
        return None
    tests = [t for t in study.ablation.tests if t.function == t.measured]
    rows = [_test_row(t) for t in tests]
    order = [r["label"] for r in rows]
    draws: list[Row] = []
    means: list[Row] = []
    for test, row in zip(tests, rows, strict=True):
        draws += [
            {"label": row["label"], "value": v, "jitter": _jitter(i), "series": "random heads, one draw"}
            for i, v in enumerate(test.controls)
        ]
        if test.mean is not None:
            tip = f"{row['label']}: mean of {test.draws} random draws {number(test.mean)} points"
            means.append({"label": row["label"], "value": test.mean, "tip": tip})
    counts = " or ".join(str(c) for c in sorted({t.distinct for t in tests}))
    matched = all(t.layer_matched for t in tests)
    note = "the same number in each layer" if matched else "layer-matched where the table says so"
    return Figure(
        "muting",
        "Muting the heads of a function against muting random heads",
        _strip(rows, draws, means, order),
        f"Points of accuracy lost on {study.ablation.split} when the heads chosen for each function on "
        f"select are set to zero. Grey dots: random heads instead, {counts} distinct sets, disjoint from the "
        f"heads under test, {note}; dark tick: their mean. Bars: 95 % bootstrap intervals of the paired "
        "difference over images. The table also holds the same heads muted when the steps are asked alone.",
        "Strip chart: loss under the function's own heads against the spread of losses under random heads.",
        _HEADER,
        tuple(_test_cells(t) for t in study.ablation.tests if not _on_main(t)),
    )


def _on_main(test: MuteTest) -> bool:
    return test.measured.partition("@")[0] == MAIN


def on_main(study: StudyView) -> Figure | None:
    """What muting each function's heads costs the main questions."""
    import altair as alt

    tests = [t for t in (study.ablation.tests if study.ablation else ()) if _on_main(t)]
    if not tests:
        return None
    rows = [_test_row(t) | {"label": words(t.function), "series": words(t.measured)} for t in tests]
    series = list(dict.fromkeys(r["series"] for r in rows))
    palette = [theme.CONTEXTS.get(s.partition("(")[2].rstrip(")"), theme.INK) for s in series]
    chart = dots(
        rows,
        order=list(dict.fromkeys(r["label"] for r in rows)),
        x=_LOSS,
        colour="series",
        scale=alt.Scale(domain=series, range=palette),
        legend="asked",
        offset=len(series) > 1,
        step=32,
        zero=True,
    )
    return Figure(
        "muting-main",
        "What muting costs the main question",
        chart,
        "Points of accuracy lost on the main questions of test when the heads of each function are set to "
        "zero, asked alone and after the true answers to the steps (gold). Bars: 95 % bootstrap intervals "
        "over images; the table holds the control draws where they were made.",
        "Dots with intervals: loss on main questions when each function's heads are muted.",
        _HEADER,
        tuple(_test_cells(t) for t in tests),
    )


_HEADER = (
    "muted for → measured on",
    "heads",
    "accuracy before → after, %",
    "points lost",
    "margin lost, nats",
    "controls: mean, greatest",
    "draws (distinct sets)",
    "layer-matched",
    "p against the sets",
    "q over functions",
    "sign flip by image",
    "n",
    "verdict",
)


def _test_label(test: MuteTest) -> str:
    if test.measured == test.function:
        return words(test.function)
    return f"{words(test.function)} → {words(test.measured)}"


def _test_row(test: MuteTest) -> Row:
    tip = (
        f"{_test_label(test)}: {interval(test.drop)} points lost with {test.k} heads muted, {p_value(test.p)}"
    )
    return {
        "label": _test_label(test),
        "value": test.drop.value,
        "low": test.drop.low,
        "high": test.drop.high,
        "tip": tip,
        "series": "heads of the function",
    }


def _test_cells(test: MuteTest) -> tuple[str, ...]:
    matched = {True: "yes", False: "no", None: "–"}[test.layer_matched]
    return (
        _test_label(test),
        f"{test.k} ({test.ranking}): {', '.join(test.heads)}",
        f"{number(_points(test.before))} → {number(_points(test.after))}",
        interval(test.drop),
        interval(test.margin, 2),
        f"{number(test.mean)}, {number(test.greatest)}",
        f"{test.draws} ({test.distinct})" if test.draws else "–",
        f"{matched} ({test.reason})" if test.reason else matched,
        p_value(test.p) if test.draws else "–",
        number(test.q, 3),
        p_value(test.p_signflip),
        str(test.drop.n or "–"),
        test.verdict or "–",
    )


def _points(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _strip(rows: list[Row], draws: list[Row], means: list[Row], order: list[str]) -> Any:
    import altair as alt

    names = ["heads of the function", "random heads, one draw"]
    scale = alt.Scale(domain=names, range=[theme.TREATED, theme.CONTROL])
    y = alt.Y("label:N", sort=order, title=None)
    legend = alt.Legend(title="muted")
    cloud = (
        alt.Chart(alt.Data(values=draws))
        .mark_circle(size=16, opacity=0.28, aria=False)
        .encode(
            x=alt.X("value:Q", title=_LOSS),
            y=y,
            yOffset=alt.YOffset("jitter:Q", scale=alt.Scale(domain=[-1.3, 1.3])),
            color=alt.Color("series:N", scale=scale, legend=legend),
        )
    )
    tick = (
        alt.Chart(alt.Data(values=means))
        .mark_tick(thickness=2.5, size=20, color="#4c535b")
        .encode(x="value:Q", y=y, description="tip:N")
    )
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=y, color=alt.Color("series:N", scale=scale, legend=legend)
    )
    bars = base.mark_rule(strokeWidth=2, opacity=0.6).encode(x="low:Q", x2="high:Q", description="tip:N")
    points = base.mark_point(filled=True, size=80, opacity=1).encode(x="value:Q", description="tip:N")
    return alt.layer(zero_line(), cloud, tick, bars, points).properties(width=330, height=alt.Step(28))


def _jitter(i: int) -> float:
    """Evenly spread, the same every time (golden ratio)."""
    return 2 * ((i * 0.6180339887498949) % 1) - 1


def dose(study: StudyView) -> Figure | None:
    """Loss over the number of muted heads, for each ranking, on select."""
    if study.ablation is None or not study.ablation.dose:
        return None
    rows: list[Row] = []
    table = []
    for point in study.ablation.dose:
        name = words(point.function)
        for series, value in ((point.ranking, point.drop), (f"random, as {point.ranking}", point.control)):
            if value is not None:
                tip = f"{name}, {point.k} heads, {series}: {number(value)} points lost on select"
                row = {"f": name, "k": point.k, "value": value, "tip": tip, "ranking": point.ranking}
                kind = "first heads" if series == point.ranking else "random heads"
                rows.append(row | {"kind": kind, "chosen": point.chosen and kind == "first heads"})
        chosen = "chosen" if point.chosen else ""
        table.append((name, point.ranking, str(point.k), number(point.drop), number(point.control), chosen))
    return Figure(
        "dose",
        "How many heads it takes",
        _dose_chart(rows),
        "Points of accuracy lost on select when the first k heads of each ranking are muted (solid), and "
        "the mean loss under a few random sets of as many heads (dashed). Ringed: the head set frozen for "
        "test, the one that loses most beyond its random sets. Nothing here is read from test.",
        "Small line charts: loss against number of muted heads, for each function and ranking.",
        ("function", "ranking", "k", "points lost", "random heads", ""),
        tuple(table),
    )


def _dose_chart(rows: list[Row]) -> Any:
    import altair as alt

    order = list(dict.fromkeys(r["f"] for r in rows))
    names = list(dict.fromkeys(r["ranking"] for r in rows))
    scale = alt.Scale(domain=names, range=list(theme.STEPS[: len(names)]))
    ks = sorted({r["k"] for r in rows})
    base = alt.Chart().encode(
        x=alt.X(
            "k:Q", title="muted heads", scale=alt.Scale(type="symlog"), axis=alt.Axis(values=ks, format="d")
        ),
        color=alt.Color("ranking:N", scale=scale, legend=alt.Legend(title="ranking")),
    )
    dash = alt.StrokeDash(
        "kind:N",
        scale=alt.Scale(domain=["first heads", "random heads"], range=[[1, 0], [3, 3]]),
        legend=alt.Legend(title="muted", symbolType="stroke"),
    )
    y = alt.Y("value:Q", title="points lost", scale=padded([r["value"] for r in rows]))
    base = base.encode(y=y)
    ring = base.transform_filter("datum.chosen").mark_point(size=120, strokeWidth=1.6, aria=False)
    layers = alt.layer(
        base.mark_line(strokeWidth=1.8, aria=False).encode(strokeDash=dash),
        base.transform_filter("datum.kind == 'first heads'")
        .mark_point(filled=True, size=26, opacity=1)
        .encode(description="tip:N"),
        ring.encode(color=alt.value(theme.INK)),
        data=alt.Data(values=rows),
    ).properties(width=112, height=80)
    return layers.facet(facet=alt.Facet("f:N", sort=order, title=None), columns=3)


def variants(study: StudyView) -> Figure | None:
    """The same heads muted in other ways and at other positions."""
    if study.ablation is None or not study.ablation.variants:
        return None
    found = {(v.function, f"{v.what}, {v.scope}"): v.drop for v in study.ablation.variants}
    functions = list(dict.fromkeys(f for f, _ in found))
    edits = list(dict.fromkeys(e for _, e in found))
    change = tuple(tuple(negative(found.get((f, e))) for e in edits) for f in functions)
    return change_matrix(
        Matrix(tuple(functions), tuple(edits), change),
        "scopes",
        "How and where heads are muted",
        f"Change of accuracy on {study.ablation.split}, in percentage points, of each function when its "
        "own heads are set to zero, to a small factor or to their mean over fit, at all positions; and "
        "set to zero at the positions of the picture, of the question, at the last of the prompt, or at "
        "the answer's. Hover shows the 95 % bootstrap interval over images.",
        "heads of",
        "edit, positions",
    )


def specificity(study: StudyView) -> Figure | None:
    """Mute the heads of one function, measure all."""
    if study.ablation is None or study.ablation.specificity is None:
        return None
    return change_matrix(
        study.ablation.specificity,
        "specificity",
        "What else breaks",
        f"Change of accuracy on {study.ablation.split}, in percentage points, of each function (column) "
        "when the heads of another (row) are muted. The diagonal is what was aimed at; losses off it are "
        "side effects. Hover shows the 95 % bootstrap interval over images.",
        "muted heads of",
        "measured on",
    )
