"""Muting: against random heads, over the number of heads, by scope and kind, and what else it breaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headscope.experiments.ablation_result import AblationResult, MutingTest
from headscope.experiments.controls import CLAIM_SETS
from headscope.experiments.effects import ControlledEffect
from headscope.functions import MAIN
from headscope.report import theme
from headscope.report.charts.base import (
    Figure,
    Matrix,
    change_matrix,
    dots,
    interval,
    negative,
    padded,
    words,
    zero_line,
)
from headscope.report.contents import StudyContents
from headscope.report.estimates import Estimate, estimate, forced_lost, lost, margin_lost
from headscope.report.theme import number, p_value
from headscope.storage import Row

_LOSS = "accuracy lost, percentage points"
SPLIT = "test"


@dataclass(frozen=True)
class Muted:
    """The heads of a function muted, measured on itself, on its steps asked alone, or on main questions."""

    function: str
    measured: str
    test: MutingTest
    effect: ControlledEffect

    @property
    def own(self) -> bool:
        """Whether it is the claim itself."""
        return self.measured == self.function


def muted(result: AblationResult) -> list[Muted]:
    """Everything that was measured under each function's heads, but other functions."""
    found = []
    for name, test in result.functions.items():
        found.append(Muted(name, name, test, test))
        if test.alone is not None:
            found.append(Muted(name, f"{name}@alone", test, test.alone))
        found += [Muted(name, f"{MAIN}@{context}", test, cell) for context, cell in test.main.items()]
    return found


def against_controls(study: StudyContents) -> Figure | None:
    """Each function's loss beside the losses under random heads."""
    if study.ablation is None or not study.ablation.functions:
        return None
    every = muted(study.ablation)
    tests = [t for t in every if t.own]
    rows = [_test_row(t) for t in tests]
    order = [r["label"] for r in rows]
    draws: list[Row] = []
    means: list[Row] = []
    for test, row in zip(tests, rows, strict=True):
        draws += [
            {"label": row["label"], "value": v, "jitter": _jitter(i), "series": "random heads, one draw"}
            for i, v in enumerate(study.ablation.control_points(test.function))
        ]
        mean = test.effect.control_mean
        if mean is not None:
            tip = f"{row['label']}: mean of {test.effect.draws} random draws {number(mean)} points"
            means.append({"label": row["label"], "value": mean, "tip": tip})
    counts = " or ".join(str(c) for c in sorted({t.effect.sets for t in tests}))
    matched = all(t.effect.layer_matched for t in tests)
    note = "the same number in each layer" if matched else "layer-matched where the table says so"
    return Figure(
        "muting",
        "Muting the heads of a function against muting random heads",
        _strip(rows, draws, means, order),
        f"Points of accuracy lost on {SPLIT} when the heads chosen for each function on "
        f"select are set to zero. Grey dots: random heads instead, {counts} distinct sets, disjoint from the "
        f"heads under test, {note}; dark tick: their mean. Bars: 95 % bootstrap intervals of the paired "
        "difference over images. The table also holds the same heads muted when the steps are asked alone.",
        "Strip chart: loss under the function's own heads against the spread of losses under random heads.",
        _HEADER,
        tuple(_test_cells(t) for t in every if not _on_main(t)),
    )


def _on_main(test: Muted) -> bool:
    return test.measured.partition("@")[0] == MAIN


def on_main(study: StudyContents) -> Figure | None:
    """What muting each function's heads costs the main questions."""
    import altair as alt

    tests = [t for t in (muted(study.ablation) if study.ablation else ()) if _on_main(t)]
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
    "p: free, forced, random sets",
    "q over functions",
    "forced choice lost, points",
    "beyond the others, points",
    "unreadable, %",
    "first tokens moved, nats: neutral, others",
    "random sets claimed",
    "sign flip by image",
    "n",
    "verdict",
)


def _test_label(test: Muted) -> str:
    if test.own:
        return words(test.function)
    return f"{words(test.function)} → {words(test.measured)}"


def _test_row(test: Muted) -> Row:
    drop, count = lost(test.effect), test.test.k
    tip = f"{_test_label(test)}: {interval(drop)} points lost with {count} heads muted, "
    tip += p_value(test.effect.p)
    return {
        "label": _test_label(test),
        "value": drop.value,
        "low": drop.low,
        "high": drop.high,
        "tip": tip,
        "series": "heads of the function",
    }


def _test_cells(test: Muted) -> tuple[str, ...]:
    own, cell = test.test, test.effect
    matched = {True: "yes", False: "no", None: "–"}[cell.layer_matched]
    return (
        _test_label(test),
        f"{own.k} ({own.ranking}): {', '.join(own.heads)}",
        f"{number(cell.accuracy_clean)} → {number(cell.accuracy)}",
        interval(lost(cell)),
        interval(margin_lost(cell), 2),
        f"{number(cell.control_mean)}, {number(cell.control_max)}",
        f"{cell.draws} ({cell.sets})" if cell.draws else "–",
        f"{matched} ({cell.reason})" if cell.reason else matched,
        _p_values(test) if cell.draws else "–",
        number(own.q if test.own else None, 3),
        interval(forced_lost(cell)),
        *(_claim_cells(own) if test.own else ("–",) * 4),
        p_value(cell.p_paired),
        str(cell.n or "–"),
        (own.verdict if test.own else "") or "–",
    )


def _p_values(test: Muted) -> str:
    found = [test.effect.p, test.effect.forced_p, *([test.test.p_random] if test.own else [])]
    return ", ".join(number(p, 3) for p in found)


def _claim_cells(test: MutingTest) -> tuple[str, str, str, str]:
    """Loss beyond the others, unreadable answers, divergence, random sets that would be claimed."""
    beyond, damage, random = test.elsewhere, test.damage, test.random_sets
    return (
        interval(estimate(beyond.beyond_points, beyond.beyond_ci, test.n)) if beyond else "–",
        f"{number(test.unreadable_clean)} → {number(test.unreadable)}",
        f"{number(damage.kl_neutral, 2)}, {number(damage.kl_elsewhere, 2)}" if damage else "–",
        f"{random.claimed} of {random.sets}" if random else "–",
    )


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


def dose(study: StudyContents) -> Figure | None:
    """Loss over the number of muted heads, for each ranking, on select."""
    if study.ablation is None or not study.ablation.dose:
        return None
    rows: list[Row] = []
    table = []
    points = [(f, point) for f, curve in study.ablation.dose.items() for point in curve.candidates]
    for function, point in points:
        name, frozen = words(function), study.ablation.functions.get(function)
        picked = frozen is not None and (point.ranking, point.k) == (frozen.ranking, frozen.k)
        own, others = point.smooth_points, point.elsewhere_points
        for kind, value in ((_OWN, own), (_OTHERS, others)):
            if value is not None:
                tip = f"{name}, {point.k} heads ({point.ranking}), {kind}: {number(value)} points lost"
                row = {"f": name, "k": point.k, "value": value, "tip": tip, "ranking": point.ranking}
                rows.append(row | {"kind": kind, "chosen": picked and kind == _OWN})
        cells = (number(own), number(others), number(point.score), number(point.drop_points))
        chosen = "chosen" if picked else ""
        table.append((name, point.ranking, str(point.k), *cells, str(point.sets), chosen))
    return Figure(
        "dose",
        "How many heads it takes",
        _dose_chart(rows),
        "Points of smoothed forced choice (100 times the logistic function of the margin) lost on select "
        "when the first k heads of each ranking are muted: by the function (solid), and by the others "
        "on average (dashed). Ringed: the set frozen for test, the one with the greatest difference among "
        f"those that {CLAIM_SETS} sets match layer by layer. Nothing here is read from test.",
        "Small line charts: loss against number of muted heads, for each function and ranking.",
        (
            *("function", "ranking", "k", "lost by the function", "lost by others", "difference"),
            *("free answers lost", "sets that match", ""),
        ),
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
        scale=alt.Scale(domain=[_OWN, _OTHERS], range=[[1, 0], [3, 3]]),
        legend=alt.Legend(title="measured on", symbolType="stroke"),
    )
    y = alt.Y("value:Q", title="points lost", scale=padded([r["value"] for r in rows]))
    base = base.encode(y=y)
    ring = base.transform_filter("datum.chosen").mark_point(size=120, strokeWidth=1.6, aria=False)
    layers = alt.layer(
        base.mark_line(strokeWidth=1.8, aria=False).encode(strokeDash=dash),
        base.transform_filter(f"datum.kind == '{_OWN}'")
        .mark_point(filled=True, size=26, opacity=1)
        .encode(description="tip:N"),
        ring.encode(color=alt.value(theme.INK)),
        data=alt.Data(values=rows),
    ).properties(width=112, height=80)
    return layers.facet(facet=alt.Facet("f:N", sort=order, title=None), columns=3)


def variants(study: StudyContents) -> Figure | None:
    """The same heads muted in other ways and at other positions."""
    found: dict[tuple[str, str], Estimate] = {}
    for name, test in (study.ablation.functions if study.ablation else {}).items():
        found |= {(name, f"{_WAYS.get(way, way)}, all"): lost(e) for way, e in test.mutes.items()}
        found |= {(name, f"zero, {s}"): lost(e) for s, e in test.scopes.items() if s != "all"}
    if not found:
        return None
    functions = list(dict.fromkeys(f for f, _ in found))
    edits = list(dict.fromkeys(e for _, e in found))
    change = tuple(tuple(negative(found.get((f, e))) for e in edits) for f in functions)
    return change_matrix(
        Matrix(tuple(functions), tuple(edits), change),
        "scopes",
        "How and where heads are muted",
        f"Change of accuracy on {SPLIT}, in percentage points, of each function when its "
        "own heads are set to zero, to a small factor, to their mean over fit, or to what they hold on "
        "another case asked in the same words, at all positions; and "
        "set to zero at the positions of the picture, of the question, at the last of the prompt, or at "
        "the answer's. Hover shows the 95 % bootstrap interval over images.",
        "heads of",
        "edit, positions",
    )


_OWN, _OTHERS = "the function", "the others, mean"
_WAYS = {"small": "small factor", "mean": "mean over fit", "resample": "another case"}


def specificity(study: StudyContents) -> Figure | None:
    """Mute the heads of one function, measure all."""
    table = study.ablation.specificity if study.ablation else None
    if table is None:
        return None
    change = tuple(
        tuple(negative(estimate(*cell)) for cell in zip(*line, strict=True))
        for line in zip(table.forced_drop_points, table.forced_ci, table.n, strict=True)
    )
    return change_matrix(
        Matrix(table.muted, table.measured, change),
        "specificity",
        "What else breaks",
        f"Change of forced choice on {SPLIT}, in percentage points, of each function (column) "
        "when the heads of another (row) are muted. The diagonal is what was aimed at; losses off it are "
        "side effects. Hover shows the 95 % bootstrap interval over images.",
        "muted heads of",
        "measured on",
    )
