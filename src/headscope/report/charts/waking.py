"""Which heads do more when pictures point: each head, and spatial heads against the rest."""

from __future__ import annotations

from typing import Any

from headscope.experiments.waking.gain_records import GainValue, GroupGain, WakingMeasure
from headscope.experiments.waking.questions import BOTH
from headscope.experiments.waking.wake_result import WakeResult
from headscope.report import theme
from headscope.report.charts.base import Figure, interval, scaled, zero_line
from headscope.report.contents import StudyContents
from headscope.report.estimates import Estimate, estimate
from headscope.report.theme import number
from headscope.storage import Row


def head_gain(study: StudyContents) -> Figure | None:
    """Growth of each head's contribution, spatial heads beside the rest."""
    wake = study.wake
    known = [
        (h, h.contribution_gain) for h in (wake.heads if wake else ()) if h.contribution_gain is not None
    ]
    if wake is None or not known:
        return None
    rows: list[Row] = [
        {
            "label": _HEADS[h.spatial],
            "value": 100 * gain,
            "jitter": 2 * ((i * 0.6180339887498949) % 1) - 1,
            "tip": f"{h.head}: contribution {_percent(gain)}, attention on objects "
            f"{_percent(h.attention_gain)}",
        }
        for i, (h, gain) in enumerate(known)
    ]
    woken = sorted(known, key=lambda pair: -pair[1])[:5]
    most = ", ".join(f"{h.head} ({_percent(gain)}{', spatial' if h.spatial else ''})" for h, gain in woken)
    group = group_gain(wake)
    found = wake.waking
    table = [_cells(m, i == 0) for i, m in enumerate((found.primary, *found.others))] if found else []
    return Figure(
        "wake-heads",
        "Which heads wake",
        _gain_chart(rows, [(_HEADS[True], group.spatial), (_HEADS[False], group.other)] if group else []),
        "Relative change of each head's contribution norm (its output at the last prompt position, "
        f"through the output projection) when pictures are marked, style “{BOTH}”, test. One dot a "
        "head; black: the median of each group with its 95 % bootstrap interval over images, all questions "
        "that name all they need. Spatial heads: those that the muting froze for spatial functions, else the "
        "atlas’s strongest. The primary measure was fixed before any run; p is over random head sets with as "
        f"many heads in every layer, q over the measures beside it. Most woken: {most}.",
        "Strip chart: growth of head contributions, spatial heads against the rest.",
        ("measure", "questions", "against", "spatial heads, %", "other heads, %", "difference, %", "p", "q"),
        tuple(table),
    )


def group_gain(wake: WakeResult) -> GroupGain | None:
    """Growth of contribution by group of heads on all questions that name all they need."""
    gains = wake.gains.get(BOTH, {}).get("all")
    return gains.contribution if gains is not None else None


def gain_estimate(part: GainValue) -> Estimate:
    """A relative change with its interval, 0.1 for 10 percent."""
    return estimate(part.value, part.ci)


def _cells(found: WakingMeasure, primary: bool) -> tuple[str, ...]:
    return (
        f"{found.measure} (primary)" if primary else found.measure,
        f"{found.questions.replace('_', ' ')}, n = {found.n}",
        found.against.replace("_", " "),
        _percent(found.spatial),
        _percent(found.other),
        interval(scaled(estimate(found.difference, found.ci)), 1, True),
        number(found.p, 4),
        number(found.q, 4),
    )


_HEADS = {True: "spatial heads", False: "other heads"}


def _gain_chart(rows: list[Row], groups: list[tuple[str, GainValue]]) -> Any:
    import altair as alt

    names = [n for n in _HEADS.values() if any(r["label"] == n for r in rows)]
    medians = [_marked(name, scaled(gain_estimate(g))) for name, g in groups]
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
    base = alt.Chart(alt.Data(values=medians)).encode(y=y)
    bars = base.mark_rule(strokeWidth=2.5, color=theme.INK, aria=False).encode(x="low:Q", x2="high:Q")
    points = base.mark_point(filled=True, size=95, color=theme.INK, opacity=1).encode(
        x="value:Q", description="tip:N"
    )
    return alt.layer(zero_line(), cloud, bars, points).properties(width=360, height=alt.Step(58))


def _marked(name: str, estimate: Estimate) -> Row:
    tip = f"{name}, median: {interval(estimate, 1, True)} %"
    return {"label": name, "value": estimate.value, "low": estimate.low, "high": estimate.high, "tip": tip}


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{number(100 * share, 0, sign=True)} %"
