"""Which heads do more when pictures point: each head, and spatial heads against the rest."""

from __future__ import annotations

from typing import Any

from headscope.report import theme
from headscope.report.charts.base import Figure, Row, interval, scaled, zero_line
from headscope.report.stage_views import POPULATIONS, Estimate
from headscope.report.theme import number
from headscope.report.views import StudyView


def head_gain(study: StudyView) -> Figure | None:
    """Growth of each head's contribution, spatial heads beside the rest."""
    wake = study.wake
    known = [g for g in (wake.gains if wake else ()) if g.gain is not None]
    if wake is None or not known:
        return None
    rows: list[Row] = [
        {
            "label": _HEADS[g.spatial],
            "value": 100 * (g.gain or 0.0),
            "jitter": 2 * ((i * 0.6180339887498949) % 1) - 1,
            "tip": f"{g.head}: contribution {_percent(g.gain)}, attention on objects {_percent(g.attention)}",
        }
        for i, g in enumerate(known)
    ]
    woken = sorted(known, key=lambda g: -(g.gain or 0.0))[:5]
    most = ", ".join(f"{g.head} ({_percent(g.gain)}{', spatial' if g.spatial else ''})" for g in woken)
    group = wake.group(subset="all")
    table = [
        (
            g.measure,
            POPULATIONS.get(g.subset, g.subset.replace("_", " ")),
            *(interval(scaled(e), 1, True) for e in (g.spatial, g.other, g.difference)),
        )
        for g in wake.groups
    ]
    return Figure(
        "wake-heads",
        "Which heads wake",
        _gain_chart(rows, [(_HEADS[True], group.spatial), (_HEADS[False], group.other)] if group else []),
        "Relative change of each head's contribution norm (its output at the last prompt position, "
        f"through the output projection) when pictures are marked, style “{wake.style}”, test. One dot a "
        "head; black: the mean of each group with its 95 % bootstrap interval over images. Spatial heads: "
        f"the top heads of the spatial functions. Most woken: {most}.",
        "Strip chart: growth of head contributions, spatial heads against the rest.",
        ("measure", "questions", "spatial heads, %", "other heads, %", "difference, %"),
        tuple(table),
    )


_HEADS = {True: "spatial heads", False: "other heads"}


def _gain_chart(rows: list[Row], groups: list[tuple[str, Estimate]]) -> Any:
    import altair as alt

    names = [n for n in _HEADS.values() if any(r["label"] == n for r in rows)]
    means = [_mean(name, scaled(e)) for name, e in groups]
    scale = alt.Scale(domain=list(_HEADS.values()), range=[theme.SPATIAL, theme.OTHER])
    y = alt.Y("label:N", sort=names, title=None)
    cloud = (
        alt.Chart(alt.Data(values=rows))
        .mark_circle(size=34, opacity=0.45)
        .encode(
            x=alt.X("value:Q", title="change of contribution norm, %"),
            y=y,
            yOffset=alt.YOffset("jitter:Q", scale=alt.Scale(domain=[-1.5, 1.5])),
            color=alt.Color("label:N", scale=scale, legend=None),
            description="tip:N",
        )
    )
    base = alt.Chart(alt.Data(values=means)).encode(y=y)
    bars = base.mark_rule(strokeWidth=2.5, color=theme.INK, aria=False).encode(x="low:Q", x2="high:Q")
    points = base.mark_point(filled=True, size=95, color=theme.INK, opacity=1).encode(
        x="value:Q", description="tip:N"
    )
    return alt.layer(zero_line(), cloud, bars, points).properties(width=360, height=alt.Step(58))


def _mean(name: str, estimate: Estimate) -> Row:
    tip = f"{name}, mean: {interval(estimate, 1, True)} %"
    return {"label": name, "value": estimate.value, "low": estimate.low, "high": estimate.high, "tip": tip}


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{number(100 * share, 0, sign=True)} %"
