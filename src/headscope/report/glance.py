"""The page's first screen: what was asked, which heads, what silencing them costs, what pointing changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headscope.experiments.ablation_result import MutingTest
from headscope.functions import MAIN
from headscope.report.charts.base import interval, scaled, words
from headscope.report.contents import StudyContents
from headscope.report.estimates import Estimate, forced_lost
from headscope.report.findings import muting_verdict, pointed, verdict
from headscope.report.headmap import HeadMap, head_maps
from headscope.report.measure import accuracy, select
from headscope.report.pictures import BeforeAfter, WalkedCase, before_after, walked_case
from headscope.report.theme import number

STEPS = 7  # of the case that is shown
_WIDE, _LEFT = 300.0, 4.0  # of the bars, in units of their picture


@dataclass(frozen=True)
class Bar:
    """One bar of points lost, in the units of its picture.

    Attributes:
        label, value: what it is, in words.
        start, size: where it begins and how long it is.
        low, high: ends of the line over it: an interval, or the least and most of random sets; None: no line.
    """

    label: str
    value: str
    start: float
    size: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Glance:
    """What the first screen shows; a part that was not measured is None.

    Attributes:
        walked, left_out: a case with its steps, and how many of them are not shown.
        asked: how well the model answers.
        function, asks: the function whose heads are shown, and what it asks.
        map, heads: where they lie, how many of how many.
        silenced, silenced_verdict, bars: what muting them costs.
        pair, woken, woken_verdict: a question before and after pointing, and what pointing changes overall.
    """

    walked: WalkedCase | None = None
    left_out: int = 0
    asked: str = ""
    function: str = ""
    asks: str = ""
    map: HeadMap | None = None
    heads: str = ""
    silenced: str = ""
    silenced_verdict: str = ""
    bars: tuple[Bar, ...] = ()
    pair: BeforeAfter | None = None
    woken: str = ""
    woken_verdict: str = ""


def glance(study: StudyContents) -> Glance:
    """The first screen's content; nothing in it is measured here."""
    walked = walked_case(study)
    function, test = shown_function(study)
    found = {
        "walked": walked,
        "left_out": max(0, len(walked.rows) - STEPS) if walked else 0,
        "asked": _asked(study),
        **_heads(study, function, test),
        **_silenced(study, function, test),
        **_woken(study),
    }
    return Glance(**found)  # type: ignore[arg-type]


def shown_function(study: StudyContents) -> tuple[str, MutingTest | None]:
    """The function whose heads the first screen shows.

    Of the spatial ones whose heads may be called functional the one that loses most by forced choice; where
    there is none, of all spatial ones; where no spatial one was tested, of all.
    """
    tests = study.ablation.functions if study.ablation else {}
    spatial = {f: t for f, t in tests.items() if f in study.taxonomy.spatial}
    claimed = {f: t for f, t in spatial.items() if t.claimed}
    among: Mapping[str, MutingTest] = claimed or spatial or tests
    if not among:
        return "", None
    name = max(among, key=lambda f: among[f].forced_drop_points or 0.0)
    return name, among[name]


def _asked(study: StudyContents) -> str:
    """How well the model answers spatial steps and others."""
    rows = [r for r in select(study, context="gold") if r["function"] != MAIN]
    parts = []
    for name, of in (("spatial steps", True), ("other steps", False)):
        mine = [r for r in rows if (r["function"] in study.taxonomy.spatial) is of]
        if mine:
            right = scaled(accuracy(mine))
            parts.append(f"{number(right.value)} % of {name} (n = {right.n:,})")
    return (
        f"Given true answers to earlier steps, the model gets {' and '.join(parts)} right." if parts else ""
    )


def _heads(study: StudyContents, function: str, test: MutingTest | None) -> dict[str, object]:
    if study.atlas is None:
        return {}
    held = test.heads if test else ()
    name = function or next(iter(study.atlas.functions), "")
    ranking = study.atlas.default_ranking
    maps = [m for m in head_maps(study.atlas, name, held) if m.ranking == ranking]
    if not maps:
        return {}
    every = len(study.atlas.heads)
    text = f"The {ranking} score of every head: {maps[0].unit}."
    if held:
        text += f" Outlined: the {len(held)} of {every} that were chosen, on pictures not used in part 3."
        text += _layers_left_out(study)
    if maps[0].dots:
        text += " Dots: heads that pass that score's own test."
    asks = study.taxonomy.titles.get(name, "")
    return {"function": words(name), "asks": asks, "map": maps[0], "heads": text}


def _layers_left_out(study: StudyContents) -> str:
    """Layers in which no head may be chosen, since every function needs them, and what they cost."""
    out = [f for f in study.ablation.layers if f.left_out] if study.ablation else []
    if not out:
        return ""
    costs = ", ".join(number(f.forced_drop_points) for f in out)
    which = ", ".join(str(f.layer) for f in out)
    return (
        f" None is chosen in layer{'s' * (len(out) > 1)} {which}, where muting random heads costs "
        f"{costs} points, averaged over all functions."
    )


def _silenced(study: StudyContents, function: str, test: MutingTest | None) -> dict[str, object]:
    if test is None or test.forced_drop_points is None:
        return {}
    own = forced_lost(test)
    loss = f"{interval(own)} points of forced choice (n = {own.n})"
    text = f"With these heads muted, {words(function)} loses {loss}"
    if test.forced_clean is not None:
        text += f", from {number(test.forced_clean)} % right to {number(test.forced_clean - own.value)} %"
    says = muting_verdict(test)
    if test.forced_control_mean is not None:
        text += (
            f"; with as many random heads of the same layers {number(test.forced_control_mean)}, "
            f"at most {number(test.forced_control_max)} ({test.sets} sets)"
        )
    text += "."
    if test.elsewhere is not None and test.elsewhere.points is not None:
        text += f" The other functions lose {number(test.elsewhere.points)} on average."
    if not test.claimed:
        text += f" {test.verdict[:1].upper()}{test.verdict[1:]}."
    text += f" That these heads serve {words(function)}:"
    return {"silenced": text, "silenced_verdict": says, "bars": _bars(own, test)}


def _bars(own: Estimate, test: MutingTest) -> tuple[Bar, ...]:
    """Own heads with their interval; random sets with their mean and the most that any of them cost."""
    random = test.forced_control_mean
    ends = [0.0, own.value, own.low, own.high, random, test.forced_control_max]
    known = [v for v in ends if v is not None]
    least, most = min(known), max(max(known), 1.0)
    scale = _WIDE / (most - least)

    def at(value: float | None) -> float | None:
        return None if value is None else round(_LEFT + (value - least) * scale, 2)

    def bar(label: str, value: float, low: float | None, high: float | None) -> Bar:
        start, end = at(min(value, 0.0)), at(max(value, 0.0))
        assert start is not None
        assert end is not None
        return Bar(label, number(value), start, round(end - start, 2), at(low), at(high))

    found = [bar("these heads", own.value, own.low, own.high)]
    if random is not None:
        found.append(bar("random heads of the same layers", random, random, test.forced_control_max))
    return tuple(found)


def _woken(study: StudyContents) -> dict[str, object]:
    main = pointed(study.wake) if study.wake else None
    pairs = before_after(study, most=1)
    if main is None and not pairs:
        return {}
    text, says = "", ""
    if main is not None:
        says = verdict(main)
        text = (
            f"Over the {main.n} questions whose answer cannot be told from the marks alone, pointing "
            f"(outlines, and all else covered) changes {interval(main, 1, True)} points."
        )
    if pairs:
        text = f"One answer that changed, picked to show what is done; it is not typical. {text}"
    if says:
        text += " That pointing helps:"
    return {"pair": pairs[0] if pairs else None, "woken": text, "woken_verdict": says}
