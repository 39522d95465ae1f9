"""Pointing at the objects: accuracy with each style and control, by crowding and by function."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from headscope.experiments.waking.questions import BOTH
from headscope.experiments.waking.wake_result import (
    POPULATIONS,
    Comparison,
    Mediation,
    WakeResult,
    WrongName,
)
from headscope.report import theme
from headscope.report.charts.base import Figure, dots, interval, words
from headscope.report.contents import StudyContents
from headscope.report.estimates import gained, margin_gained
from headscope.report.theme import number, p_value
from headscope.storage import Row

TITLES = {"all": "all", "in_training_range": "as many things as trained on", "beyond": "more things"}
_COLOURS = {"in_training_range": "#7aa5bb", "beyond": "#0b4f6c", "all": "#2b2f36"}
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
_LEFT_OUT = "those that boxes or window answer (where one thing is, whether it is there) are shown apart"
_BARS = "Bars: 95 % bootstrap intervals of the paired change over images."


@dataclass(frozen=True)
class Change:
    """A variant (its label) on one set of questions."""

    label: str
    subset: str
    found: Comparison


def unread(wake: WakeResult) -> str:
    """Why no question of test could be pointed at; empty where some could."""
    asked = wake.questions.get("test")
    if asked is None or asked.read:
        return ""
    found = [f"{why} for {count} questions" for why, count in asked.found.items()]
    return f"nothing to point at: {', '.join(found) or 'no questions on test'}"


def variant_name(name: str, wake: WakeResult) -> str:
    """``equal_area`` -> ``control: equal area``."""
    return f"control: {name.replace('_', ' ')}" if name in wake.controls else name.replace("_", " ")


def _by_variant(wake: WakeResult) -> Iterator[Change]:
    """Every variant against the plain picture, styles first, on each population."""
    for variant in sorted(wake.test, key=lambda v: v in wake.controls):
        for population in POPULATIONS:
            found = wake.test[variant].population(population)
            if found is not None:
                yield Change(variant_name(variant, wake), population, found)


def _contrasts(wake: WakeResult) -> Iterator[Change]:
    for pair, cells in wake.contrasts.items():
        variant, _, against = pair.partition(" - ")
        label = f"{variant.replace('_', ' ')} − {against.replace('_', ' ')}"
        yield from (Change(label, population, found) for population, found in cells.items() if found)


def by_style(study: StudyContents) -> Figure | None:
    """Change of accuracy under each style and control, within and beyond the trained number of things."""
    wake = study.wake
    changes = list(_by_variant(wake)) if wake else []
    if wake is None or not changes:
        return None
    return Figure(
        "wake-styles",
        "Pointing at the objects, and its controls",
        _by_population(changes),
        "Change of accuracy on test, the same questions on marked and on plain pictures. “Both” (boxes, "
        f"and everything else masked) was fixed in advance; “{wake.choice.style}” was the best style on "
        "select. Styles mark the objects that the question names, never the answer. Controls: boxes "
        "elsewhere; background masked with all objects left in, and as much masked distractors first; the "
        "named objects masked; both on other things, or on empty ground. Questions that name all they need "
        f"and whose answer neither boxes nor window tell; {_LEFT_OUT}. {_BARS}",
        "Dots with intervals: change of accuracy under each style and control.",
        _HEADER,
        tuple(_cells(c.label, TITLES[c.subset], c.found) for c in changes),
    )


def against_controls(study: StudyContents) -> Figure | None:
    """Pointing minus each control, on the same questions."""
    changes = list(_contrasts(study.wake)) if study.wake else []
    if not changes:
        return None
    return Figure(
        "wake-contrasts",
        "Pointing minus its controls",
        _by_population(changes),
        "Accuracy with pointing minus accuracy with a control picture on test, the same questions. Zero: "
        f"the control does as well. {_BARS}",
        "Dots with intervals: pointing minus each control.",
        _HEADER,
        tuple(_cells(c.label, TITLES[c.subset], c.found) for c in changes),
    )


def _by_population(changes: Sequence[Change]) -> Any:
    import altair as alt

    rows = [_row(c.label, c.found, f"{c.label}, {TITLES[c.subset]}", population=c.subset) for c in changes]
    present = [p for p in _COLOURS if any(r["population"] == p for r in rows)]
    rows = sorted(rows, key=lambda r: present.index(r["population"]))
    rows = [r | {"population": TITLES[r["population"]]} for r in rows]
    return dots(
        rows,
        order=list(dict.fromkeys(c.label for c in changes)),
        x=_CHANGE,
        colour="population",
        scale=alt.Scale(domain=[TITLES[p] for p in present], range=[_COLOURS[p] for p in present]),
        legend="pictures with",
        offset=True,
        step=34,
        zero=True,
    )


def apart(study: StudyContents) -> Figure | None:
    """The gain beside what may feign it: leaky questions, muted heads, names of absent things."""
    import altair as alt

    wake = study.wake
    table = wake.test.get(BOTH) if wake else None
    if wake is None or table is None:
        return None
    left, named = wake.mediation, wake.wrong_name
    read = [
        ("answer not told by boxes or window", _TESTED, table.all),
        ("the same, spatial heads muted", _TESTED, left.muted),
        *((f"told by box or window: {leak}", _LEAKY, found) for leak, found in table.by_leak.items()),
    ]
    changes = [Change(label, subset, found) for label, subset, found in read if found is not None]
    if not changes:
        return None
    rows = [_row(c.label, c.found, c.label, mark=c.subset) for c in changes]
    chart = dots(
        rows,
        order=[r["label"] for r in rows],
        x=_CHANGE,
        colour="mark",
        scale=alt.Scale(domain=[_TESTED, _LEAKY], range=[theme.SPATIAL, theme.CONTROL]),
        legend="questions",
        zero=True,
    )
    return Figure(
        "wake-apart",
        "What a box tells by itself",
        chart,
        f"Change of accuracy on test under style “{BOTH}”: on the questions that test pointing, on the same "
        "with the heads muted that the muting experiment froze for spatial functions, and on those that a "
        f"box or its window answers.{_absent(named)}{_muted(left)} {_BARS}",
        "Dots with intervals: change of accuracy on questions that boxes tell, and with heads muted.",
        _HEADER,
        tuple(_cells(c.label, c.subset, c.found) for c in changes),
    )


_TESTED, _LEAKY = "test pointing", "left out of the headline"


def _absent(found: WrongName) -> str:
    """What was said when the place of an absent thing was asked for."""
    if found.share is None:
        return ""
    return (
        f" Asked where an absent thing is while another is boxed, the model gives the place of the box in "
        f"{number(found.share)} % (plain picture {number(found.share_plain)} %, n = {found.n})."
    )


def _muted(found: Mediation) -> str:
    """What random heads leave of the gain."""
    if found.random_mean is None:
        return ""
    return (
        f" With as many random heads of the same layers muted the gain is "
        f"{number(found.random_mean, 1, True)} points on average ({found.random_sets} sets)."
    )


def by_crowding(study: StudyContents) -> Figure | None:
    """Change of accuracy against the number of things, main style and controls."""
    import altair as alt

    wake = study.wake
    changes = [
        Change(variant_name(variant, wake), things, found)
        for variant, table in (wake.test if wake else {}).items()
        for things, found in table.by_crowding.items()
        if wake and found is not None and (variant == BOTH or variant in wake.controls)
    ]
    if wake is None or not changes:
        return None
    rows = [_row(c.label, c.found, f"{c.subset} things, {c.label}", things=c.subset) for c in changes]
    scale = _style_scale([r["label"] for r in rows])
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
    trained = wake.training_things
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
        f"Change of accuracy on test by the number of things in the picture, style “{BOTH}” and its "
        f"controls.{note} {_BARS}",
        "Dots with intervals: change of accuracy by number of things.",
        ("picture", "things", *_HEADER[2:]),
        tuple(_cells(c.label, c.subset, c.found) for c in changes),
    )


def by_function(study: StudyContents) -> Figure | None:
    """Change of accuracy of each function under the main style and the equal-area control."""
    wake = study.wake
    changes = [
        Change(variant_name(variant, wake), words(function), found)
        for variant, table in (wake.test if wake else {}).items()
        for function, found in table.by_function.items()
        if wake and found is not None and variant in (BOTH, "equal_area")
    ]
    if wake is None or not changes:
        return None
    rows = [_row(c.subset, c.found, f"{c.subset}, {c.label}", variant=c.label) for c in changes]
    chart = dots(
        rows,
        order=list(dict.fromkeys(r["label"] for r in rows)),
        x=_CHANGE,
        colour="variant",
        scale=_style_scale([r["variant"] for r in rows]),
        legend="picture",
        offset=True,
        step=32,
        zero=True,
    )
    return Figure(
        "wake-functions",
        "Whom pointing helps",
        chart,
        f"Change of accuracy on test for each function and for main questions, style “{BOTH}” and the "
        f"equal-area control. Steps are asked alone. {_BARS}",
        "Dots with intervals: change of accuracy of each function.",
        ("picture", "function", *_HEADER[2:]),
        tuple(_cells(c.label, c.subset, c.found) for c in changes),
    )


def on_select(study: StudyContents) -> Figure | None:
    """Every style on select, from which the best was frozen."""
    import altair as alt

    wake = study.wake
    changes = [
        Change(style, "select", found) for style, found in (wake.select if wake else {}).items() if found
    ]
    if wake is None or not changes:
        return None
    chosen = wake.choice.style
    rows = [_row(c.label, c.found, c.label, mark="chosen" if c.label == chosen else "tried") for c in changes]
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
        tuple(_cells(c.label, c.subset, c.found) for c in changes),
    )


def _style_scale(series: Sequence[str]) -> Any:
    import altair as alt

    greys = ("#6b737c", "#c9a06a", "#a3abb3", "#9d82b3", "#7f9a8a")
    rest = [s for s in dict.fromkeys(series) if s != BOTH]
    return alt.Scale(domain=[BOTH, *rest], range=[theme.SPATIAL, *(greys[i % 5] for i in range(len(rest)))])


def _cells(label: str, subset: str, found: Comparison) -> tuple[str, ...]:
    return (
        label,
        subset,
        f"{number(found.accuracy_before)} → {number(found.accuracy)}",
        interval(gained(found), 1, True),
        interval(margin_gained(found), 2, True),
        p_value(found.p),
        str(found.n or "–"),
    )


def _row(label: str, found: Comparison, tip: str, **more: str) -> Row:
    delta = gained(found)
    count = f", n = {delta.n}" if delta.n else ""
    tip = f"{tip}: {interval(delta, 1, True)} points{count}"
    ends = {"value": delta.value, "low": delta.low, "high": delta.high}
    return {"label": label, **ends, "tip": tip, **more}
