"""Pointing at the objects: accuracy with each style and control, by crowding, and which heads wake."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headscope.report import theme
from headscope.report.charts.base import Figure, Row, dots, interval, words
from headscope.report.stage_views import POPULATIONS, Estimate, WakeDelta, WakeView
from headscope.report.theme import number, p_value
from headscope.report.views import StudyView

_POPULATIONS = {"in_training_range": "#7aa5bb", "beyond": "#0b4f6c", "all": "#2b2f36"}
_HEADER = (
    "picture",
    "questions",
    "accuracy before → after, %",
    "change, points",
    "margin, nats",
    "sign flip",
    "n",
)
_CHANGE = "change of accuracy, percentage points"
_BARS = "Bars: 95 % bootstrap intervals of the paired change over images."


def variant_name(name: str, wake: WakeView) -> str:
    """``equal_area`` -> ``control: equal area``."""
    return f"control: {name.replace('_', ' ')}" if name in wake.controls else name.replace("_", " ")


def by_style(study: StudyView) -> Figure | None:
    """Change of accuracy under each style and control, within and beyond the trained number of things."""
    wake = study.wake
    deltas = [d for d in (wake.deltas if wake else ()) if d.by == "population" and d.against == "plain"]
    if wake is None or not deltas:
        return None
    deltas = sorted(deltas, key=lambda d: d.variant in wake.controls)
    return Figure(
        "wake-styles",
        "Pointing at the objects, and its controls",
        _by_population(deltas, [variant_name(d.variant, wake) for d in deltas]),
        "Change of accuracy on test, the same questions on marked and on plain pictures. “Both” (boxes, "
        f"and everything else masked) was fixed in advance; “{wake.chosen}” was the best style on select. "
        "Styles mark the objects that the question names, never the answer. Controls: boxes elsewhere; "
        "background masked with all objects left in, and as much masked distractors first; the named "
        f"objects masked. Questions that name all they need. {_BARS}",
        "Dots with intervals: change of accuracy under each style and control.",
        _HEADER,
        tuple(_cells(variant_name(d.variant, wake), POPULATIONS.get(d.subset, d.subset), d) for d in deltas),
    )


def against_controls(study: StudyView) -> Figure | None:
    """Pointing minus each control, on the same questions."""
    wake = study.wake
    deltas = [d for d in (wake.deltas if wake else ()) if d.by == "population" and d.against != "plain"]
    if wake is None or not deltas:
        return None
    labels = [f"{d.variant.replace('_', ' ')} − {d.against.replace('_', ' ')}" for d in deltas]
    return Figure(
        "wake-contrasts",
        "Pointing minus its controls",
        _by_population(deltas, labels),
        "Accuracy with pointing minus accuracy with a control picture on test, the same questions. Zero: "
        f"the control does as well. {_BARS}",
        "Dots with intervals: pointing minus each control.",
        _HEADER,
        tuple(
            _cells(label, POPULATIONS.get(d.subset, d.subset), d)
            for label, d in zip(labels, deltas, strict=True)
        ),
    )


def _by_population(deltas: Sequence[WakeDelta], labels: Sequence[str]) -> Any:
    import altair as alt

    rows = [
        _row(label, d.delta, f"{label}, {POPULATIONS.get(d.subset, d.subset)}", population=d.subset)
        for d, label in zip(deltas, labels, strict=True)
    ]
    present = [p for p in _POPULATIONS if any(r["population"] == p for r in rows)]
    names = [POPULATIONS[p] for p in present]
    rows = sorted(rows, key=lambda r: present.index(r["population"]))
    rows = [r | {"population": POPULATIONS[r["population"]]} for r in rows]
    return dots(
        rows,
        order=list(dict.fromkeys(labels)),
        x=_CHANGE,
        colour="population",
        scale=alt.Scale(domain=names, range=[_POPULATIONS[p] for p in present]),
        legend="pictures with",
        offset=True,
        step=34,
        zero=True,
    )


def by_crowding(study: StudyView) -> Figure | None:
    """Change of accuracy against the number of things, main style and controls."""
    import altair as alt

    wake = study.wake
    deltas = [d for d in (wake.deltas if wake else ()) if d.by == "crowding"]
    deltas = [d for d in deltas if wake and (d.variant == wake.style or d.variant in wake.controls)]
    if wake is None or not deltas:
        return None
    rows = [
        _row(name, d.delta, f"{d.subset} things, {name}", things=d.subset)
        for d in deltas
        for name in (variant_name(d.variant, wake),)
    ]
    scale = _style_scale(wake, [r["label"] for r in rows])
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X(
            "things:N",
            sort=list(dict.fromkeys(r["things"] for r in rows)),
            title="things in the picture",
            axis=alt.Axis(labelAngle=0),
        ),
        xOffset=alt.XOffset("label:N", sort=scale.domain),
        color=alt.Color("label:N", scale=scale, legend=alt.Legend(title="picture", columns=3)),
    )
    title = "change of accuracy, points"
    chart = alt.layer(
        alt.Chart().mark_rule(color=theme.MUTED, aria=False).encode(y=alt.datum(0)),
        base.mark_rule(strokeWidth=2, opacity=0.55, aria=False).encode(
            y=alt.Y("low:Q", title=title), y2="high:Q"
        ),
        base.mark_point(filled=True, size=55, opacity=1).encode(
            y=alt.Y("value:Q", title=title), description="tip:N"
        ),
    ).properties(width=420, height=190)
    trained = wake.trained_things
    note = (
        f" The model was trained on pictures of {trained[0]} to {trained[1]} things. Beyond that range "
        "masking may help only by bringing a picture back to familiar ground."
        if trained
        else ""
    )
    return Figure(
        "wake-crowding",
        "Pointing, by crowding",
        chart,
        f"Change of accuracy on test by the number of things in the picture, style “{wake.style}” and its "
        f"controls.{note} {_BARS}",
        "Dots with intervals: change of accuracy by number of things.",
        ("picture", "things", *_HEADER[2:]),
        tuple(_cells(variant_name(d.variant, wake), d.subset, d) for d in deltas),
    )


def by_function(study: StudyView) -> Figure | None:
    """Change of accuracy of each function under the main style and the equal-area control."""
    wake = study.wake
    deltas = [d for d in (wake.deltas if wake else ()) if d.by == "function"]
    deltas = [d for d in deltas if wake and d.variant in (wake.style, "equal_area")]
    if wake is None or not deltas:
        return None
    rows = [
        _row(words(d.subset), d.delta, f"{words(d.subset)}, {name}", variant=name)
        for d in deltas
        for name in (variant_name(d.variant, wake),)
    ]
    chart = dots(
        rows,
        order=list(dict.fromkeys(r["label"] for r in rows)),
        x=_CHANGE,
        colour="variant",
        scale=_style_scale(wake, [r["variant"] for r in rows]),
        legend="picture",
        offset=True,
        step=32,
        zero=True,
    )
    return Figure(
        "wake-functions",
        "Whom pointing helps",
        chart,
        f"Change of accuracy on test for each function and for main questions, style “{wake.style}” and the "
        f"equal-area control. Steps are asked alone. {_BARS}",
        "Dots with intervals: change of accuracy of each function.",
        ("picture", "function", *_HEADER[2:]),
        tuple(_cells(variant_name(d.variant, wake), words(d.subset), d) for d in deltas),
    )


def on_select(study: StudyView) -> Figure | None:
    """Every style on select, from which the best was frozen."""
    wake = study.wake
    deltas = [d for d in (wake.deltas if wake else ()) if d.by == "select"]
    if wake is None or not deltas:
        return None
    rows = [
        _row(d.variant, d.delta, d.variant, mark="chosen" if d.variant == wake.chosen else "tried")
        for d in deltas
    ]
    import altair as alt

    chart = dots(
        rows,
        order=[r["label"] for r in rows],
        x=_CHANGE,
        colour="mark",
        scale=alt.Scale(domain=["chosen", "tried"], range=[theme.TREATED, theme.CONTROL]),
        zero=True,
    )
    return Figure(
        "wake-select",
        "How the style was chosen",
        chart,
        f"Change of accuracy on select under every style; the best was frozen before test was read. {_BARS}",
        "Dots with intervals: change of accuracy on select under each style.",
        _HEADER,
        tuple(_cells(d.variant, "select", d) for d in deltas),
    )


def _style_scale(wake: WakeView, series: Sequence[str]) -> Any:
    import altair as alt

    greys = ("#6b737c", "#c9a06a", "#a3abb3", "#9d82b3", "#7f9a8a")
    main = wake.style
    rest = [s for s in dict.fromkeys(series) if s != main]
    return alt.Scale(domain=[main, *rest], range=[theme.SPATIAL, *(greys[i % 5] for i in range(len(rest)))])


def _cells(label: str, subset: str, item: WakeDelta) -> tuple[str, ...]:
    before, after = (None if v is None else 100 * v for v in (item.before, item.after))
    return (
        label,
        subset,
        f"{number(before)} → {number(after)}",
        interval(item.delta, 1, True),
        interval(item.margin, 2, True),
        p_value(item.p),
        str(item.delta.n or "–"),
    )


def _row(label: str, estimate: Estimate, tip: str, unit: str = "points", **more: str) -> Row:
    count = f", n = {estimate.n}" if estimate.n else ""
    tip = f"{tip}: {interval(estimate, 1, True)} {unit}{count}"
    return {
        "label": label,
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "tip": tip,
        **more,
    }
