"""How well the model answers: by function, by context, by number of things, on what it never saw."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from headscope.functions import MAIN
from headscope.report import theme
from headscope.report.charts.base import (
    Figure,
    Row,
    dots,
    dots_beside_chance,
    group,
    group_scale,
    interval,
    scaled,
    words,
)
from headscope.report.contents import StudyContents
from headscope.report.estimates import Estimate
from headscope.report.measure import accuracy, chance, majority, select

_NEW = "familiar cases apart from cases with a combination, wording or sprite kept out of its training"
_HELD_OUT = (
    "cases in which a combination, wording or sprite is held out, apart from the others; which of them are "
    "new to this model is not known"
)
_INTERVAL = "Bars: 95 % intervals by image."


def by_function(study: StudyContents) -> Figure | None:
    """Accuracy of each function after gold steps, with what a blind guess reaches."""

    rows, table = [], []
    for name in [*study.functions, MAIN]:
        answers = select(study, function=name, context="gold") or select(study, function=name)
        if not answers:
            continue
        estimate = scaled(accuracy(answers))
        guess = 100 * chance(answers)
        blind = 100 * majority(answers)
        tip = f"{words(name)}: {interval(estimate)} %, n = {estimate.n}, blind guess {guess:.1f} %"
        rows.append(
            _row(words(name), estimate, tip)
            | {"group": group(name, study.taxonomy), "guess": guess, "mark": "guess"}
        )
        table.append((words(name), interval(estimate), str(estimate.n), f"{guess:.1f}", f"{blind:.1f}"))
    if not rows:
        return None
    chart = dots_beside_chance(rows, "accuracy, % of answers", "guess")
    return Figure(
        "accuracy-by-function",
        "Accuracy by function",
        chart,
        "Share of right answers to each kind of step on test, earlier steps given with their true answers "
        f"(context gold). Grey ticks: a blind guess among the choices. {_INTERVAL}",
        "Dots with intervals: accuracy of each cognitive function and of the main question.",
        ("function", "accuracy, % [95 % interval]", "n", "blind guess, %", "most frequent answer, %"),
        tuple(table),
    )


def by_context(study: StudyContents) -> Figure | None:
    """The main question, and each function, asked alone, after gold and after own steps."""
    import altair as alt

    rows, table = [], []
    for name in [MAIN, *study.functions]:
        cells = [words(name)]
        for context in theme.CONTEXTS:
            answers = select(study, function=name, context=context)
            estimate = scaled(accuracy(answers)) if answers else None
            cells.append(interval(estimate) if estimate else "–")
            if estimate:
                tip = f"{words(name)}, {context}: {interval(estimate)} %, n = {estimate.n}"
                rows.append(_row(words(name), estimate, tip) | {"context": context})
        table.append(tuple(cells))
    if not rows:
        return None
    present = [c for c in theme.CONTEXTS if any(r["context"] == c for r in rows)]
    scale = alt.Scale(domain=present, range=[theme.CONTEXTS[c] for c in present])
    order = list(dict.fromkeys(r["label"] for r in rows))
    chart = dots(
        rows,
        order=order,
        x="accuracy, % of answers",
        colour="context",
        scale=scale,
        legend="asked",
        domain=(0, 100),
        offset=True,
        step=32,
    )
    return Figure(
        "accuracy-by-context",
        "Asked at once, or step by step",
        chart,
        "Accuracy on test when a question is asked alone, after the steps with the model's own answers "
        "(own), and after the steps with the true answers (gold); steps that give the main question's answer "
        "are not shown before it. Controls: one true answer replaced by a wrong one (wrong), the steps of "
        f"another case (other). {_INTERVAL}",
        "Dots with intervals: accuracy of the main question and of each function in each context.",
        ("question", *(f"{c}, %" for c in theme.CONTEXTS)),
        tuple(table),
    )


def by_things(study: StudyContents) -> Figure | None:
    """Accuracy against the number of things in the picture, by group."""
    rows: list[Row] = []
    table: list[tuple[str, ...]] = []
    counts = sorted({int(r["things"]) for r in select(study) if r.get("things") is not None})
    for count in counts:
        cells = [str(count)]
        for title, keep in _groups(study):
            answers = [r for r in select(study, context="gold") if r.get("things") == count and keep(r)]
            estimate = scaled(accuracy(answers)) if answers else None
            cells.append(f"{interval(estimate)} ({estimate.n})" if estimate else "–")
            if estimate:
                tip = f"{title}, {count} things: {interval(estimate)} %, n = {estimate.n}"
                rows.append(_row(title, estimate, tip) | {"things": count, "group": title})
        table.append(tuple(cells))
    if len(counts) < 2 or not rows:
        return None
    trained = study.training.things
    note = (
        f" Grey ground: the numbers the model was trained on ({trained[0]} to {trained[1]})."
        if trained
        else ""
    )
    return Figure(
        "accuracy-by-things",
        "Accuracy by crowding",
        _crowding_chart(rows, counts, trained),
        f"Accuracy on test (context gold) by the number of things in the picture.{note} Bars: 95 % "
        "intervals by image.",
        "Lines: accuracy of spatial functions, other functions and the main question as pictures get "
        "crowded.",
        ("things", *(f"{title}, % (n)" for title, _ in _groups(study))),
        tuple(table),
    )


def _crowding_chart(rows: list[Row], counts: list[int], trained: tuple[int, int] | None) -> Any:
    """One panel a group; the numbers of things that the model was trained on lie on grey ground."""
    import altair as alt

    order = list(dict.fromkeys(r["group"] for r in rows))
    base = alt.Chart().encode(
        x=alt.X(
            "things:Q",
            title="things in the picture",
            scale=alt.Scale(domain=[counts[0] - 0.5, counts[-1] + 0.5], nice=False),
            axis=alt.Axis(values=counts[:: max(1, len(counts) // 6)], format="d", grid=False),
        ),
        color=alt.Color("group:N", scale=group_scale(rows), legend=None),
    )
    y = alt.Y("value:Q", scale=alt.Scale(domain=[0, 100]), title="accuracy, %")
    low = alt.Y("low:Q", title="accuracy, %")
    layers = [
        base.mark_rule(strokeWidth=2, opacity=0.45, aria=False).encode(y=low, y2="high:Q"),
        base.mark_line(strokeWidth=1.5, opacity=0.6, aria=False).encode(y=y),
        base.mark_point(filled=True, size=48, opacity=1).encode(y=y, description="tip:N"),
    ]
    if trained:
        ground = alt.Chart().transform_aggregate(groupby=["group"])  # once a panel, not once a dot
        ground = ground.mark_rect(color="#eef1f3", aria=False, clip=True)
        ends = alt.datum(trained[0] - 0.5), alt.datum(trained[1] + 0.5)
        layers.insert(0, ground.encode(x=ends[0], x2=ends[1]))
    chart = alt.layer(*layers, data=alt.Data(values=rows)).properties(width=118, height=120)
    return chart.facet(facet=alt.Facet("group:N", sort=order, title=None), columns=3)


def held_out(study: StudyContents) -> Figure | None:
    """Held-out cases by what is held out in them, beside the others; new to the model where it says so."""
    kinds = sorted({k for r in select(study) for k in _held(r)})
    if not kinds:
        return None
    new = set(kinds) <= set(study.training.held_out)
    others, mark = ("familiar", "new") if new else ("nothing held out", "held out:")
    subsets: list[tuple[str, Callable[[Row], bool]]] = [(others, lambda r: not _held(r))]
    subsets += [(f"{mark} {kind}", lambda r, kind=kind: kind in _held(r)) for kind in kinds]  # type: ignore[misc]
    rows, table = [], []
    for subset, belongs in subsets:
        cells = [subset]
        for title, keep in _groups(study):
            answers = [r for r in select(study, context="gold") if belongs(r) and keep(r)]
            estimate = scaled(accuracy(answers)) if answers else None
            cells.append(f"{interval(estimate)} ({estimate.n})" if estimate else "–")
            if estimate:
                tip = f"{subset}, {title}: {interval(estimate)} %, n = {estimate.n}"
                rows.append(_row(subset, estimate, tip) | {"group": title})
        table.append(tuple(cells))
    order = [subset for subset, _ in subsets]
    chart = dots(
        rows,
        order=order,
        x="accuracy, % of answers",
        scale=group_scale(rows),
        legend="questions",
        domain=(0, 100),
        offset=True,
        step=34,
    )
    return Figure(
        "accuracy-held-out",
        "What the model never saw" if new else "Held-out cases",
        chart,
        f"Accuracy on test (context gold), {_NEW if new else _HELD_OUT}. A case can be so in several ways. "
        f"{_INTERVAL}",
        f"Dots with intervals: accuracy on each kind of held-out case and on the others ({others}).",
        ("cases", *(f"{title}, % (n)" for title, _ in _groups(study))),
        tuple(table),
    )


def _groups(study: StudyContents) -> Iterable[tuple[str, Callable[[Row], bool]]]:
    spatial = study.taxonomy.spatial
    return (
        ("spatial", lambda r: r["function"] in spatial),
        ("other", lambda r: r["function"] not in spatial and r["function"] != MAIN),
        ("main question", lambda r: r["function"] == MAIN),
    )


def _held(row: Row) -> list[str]:
    return [part for part in str(row.get("held_out") or "").split(",") if part]


def _row(label: str, estimate: Estimate, tip: str) -> Row:
    return {"label": label, "value": estimate.value, "low": estimate.low, "high": estimate.high, "tip": tip}
