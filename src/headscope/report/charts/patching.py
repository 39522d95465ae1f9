"""What heads carry between two pictures that differ in one fact: by position, in sets, in pairs."""

from __future__ import annotations

from headscope.experiments.patching.asked_pair import GROUPS
from headscope.experiments.patching.result import CarryingSet, PatchResult
from headscope.report import theme
from headscope.report.charts.base import Figure, dots, heat, interval, words
from headscope.report.contents import StudyContents
from headscope.report.estimates import estimate
from headscope.report.theme import number, p_value
from headscope.statistics.ranking import strongest
from headscope.storage import Row

HEADS = 6  # shown of each function
_WHERE = {
    "all": "all tokens",
    "image": "picture",
    "objects": "the thing",
    "question": "question",
    "names": "its name",
    "last": "last token",
}


def by_position(study: StudyContents) -> Figure | None:
    """Share of the difference that each function's strongest heads carry, by group of positions."""
    found = study.of(PatchResult)
    tested = {f: p for f, p in (found.functions if found else {}).items() if p.groups}
    if found is None or not tested:
        return None
    rows: list[Row] = []
    table = []
    order = []
    shown = [g for g in GROUPS if any(g in p.groups for p in tested.values())]
    for name, patched in tested.items():
        for j in strongest(list(patched.groups["all"].recovered), HEADS):
            label = f"{words(name)}: {found.heads[j]}"
            order.append(label)
            cells = []
            for group in shown:
                own = patched.groups.get(group)
                share = None if own is None else estimate(own.recovered[j], own.ci[j])
                cells.append("–" if own is None else interval(share, 2))
                value = None if own is None else own.recovered[j]
                tip = f"{label}, patched at {_WHERE[group]}: {interval(share, 2)} of the difference"
                rows.append(
                    {"x": _WHERE[group], "y": label, "value": value, "text": number(value, 2), "tip": tip}
                )
            table.append((words(name), found.heads[j], *cells))
    most = max([abs(r["value"]) for r in rows if r["value"] is not None] + [0.2])
    chart = heat(
        rows,
        x_order=[_WHERE[g] for g in shown],
        y_order=order,
        x_title="z taken from the other picture at",
        y_title=None,
        colours=theme.CHANGE,
        domain=(-most, most),
        legend="share of the difference carried over",
        cell=(58, 20),
    )
    pairs = ", ".join(f"{words(f)} {p.right} of {p.pairs}" for f, p in tested.items())
    return Figure(
        "patch-positions",
        "Which heads carry the fact, and where",
        chart,
        "One head's output is taken from the run on the other picture of a pair: 0, the answer's margin "
        "stays; 1, it moves as far as if everything were taken. Mean of both ways, the strongest heads of "
        f"each function on select. Pairs that are answered right both ways: {pairs}.",
        "Heat map: share of the margin's difference carried over, by head and position.",
        ("function", "head", *(_WHERE[g] for g in shown)),
        tuple(table),
    )


def sets(study: StudyContents) -> Figure | None:
    """Share of runs whose answer follows, or is lost, under the sets found and under random sets."""
    import altair as alt

    found = study.of(PatchResult)
    rows: list[Row] = []
    table = []
    for name, patched in (found.functions if found else {}).items():
        for kind, held in (("sufficient", patched.sufficient), ("necessary", patched.necessary)):
            if held is None:
                continue
            label = f"{words(name)}, {kind} ({len(held.heads)})"
            share = estimate(_percent(held.share), (_percent(held.ci[0]), _percent(held.ci[1])), held.n)
            tip = (
                f"{label}: {interval(share)} % of runs; random sets {number(_percent(held.control_mean), 1)}"
            )
            own = {"value": share.value, "low": share.low, "high": share.high}
            control = _percent(held.control_mean)
            rows.append({"label": label, "series": "the set found", **own, "tip": tip})
            rows.append(
                {"label": label, "series": "random sets", "value": control, "low": control,
                 "high": _percent(held.control_max), "tip": tip}
            )  # fmt: skip
            table.append((words(name), kind, *_cells(held)))
    if not rows:
        return None
    chart = dots(
        rows,
        order=list(dict.fromkeys(r["label"] for r in rows)),
        x="% of runs whose answer follows (sufficient) or is lost (necessary)",
        colour="series",
        scale=alt.Scale(domain=["the set found", "random sets"], range=[theme.TREATED, theme.CONTROL]),
        legend="heads",
        domain=(0, 100),
        offset=True,
    )
    return Figure(
        "patch-sets",
        "Smallest sets of heads that carry the fact",
        chart,
        "Heads found by a greedy search on select, judged on test. Sufficient: with their output from "
        "the other picture the answer is the other picture's. Necessary: without their own output the own "
        "answer is lost. Bars: 95 % intervals by picture; of random sets, with as many heads in every layer "
        "unless the table says otherwise, from mean to greatest.",
        "Dots with intervals: share of runs, the sets found beside random sets.",
        ("function", "set", "heads", "n", "% of runs", "carried over", "random sets, mean (most)", "p"),
        tuple(table),
    )


def stand_ins(study: StudyContents) -> Figure | None:
    """Pairs of heads that carry more together than one by one."""
    found = study.of(PatchResult)
    rows: list[Row] = []
    table = []
    for name, patched in (found.functions if found else {}).items():
        for pair in patched.stand_ins[:2]:
            label = f"{words(name)}: {' + '.join(pair.heads)}"
            beyond = estimate(pair.beyond, pair.ci)
            tip = f"{label}: together {number(pair.together, 2)}, one by one {number(pair.apart, 2)}"
            values = {"value": beyond.value, "low": beyond.low, "high": beyond.high}
            rows.append({"label": label, "group": words(name), **values, "tip": tip})
            table.append(
                (
                    words(name),
                    *pair.heads,
                    number(pair.together, 2),
                    number(pair.apart, 2),
                    interval(beyond, 2),
                )
            )
    if not rows:
        return None
    chart = dots(
        rows,
        order=[r["label"] for r in rows],
        x="share of the difference carried together, beyond the sum of both alone",
        zero=True,
    )
    return Figure(
        "patch-stand-ins",
        "Heads that stand in for each other",
        chart,
        "Among the strongest heads of each function on select, the two pairs whose joint patch carries "
        "most beyond the sum of both alone: above 0 one does the other's work where it is missing. 95 % "
        "bootstrap intervals by picture.",
        "Dots with intervals: share carried together beyond the sum.",
        ("function", "head", "head", "together", "one by one", "beyond"),
        tuple(table),
    )


def mirror(study: StudyContents) -> Figure | None:
    """Answers that must not change in a mirror, under the sufficient set."""
    found = study.of(PatchResult)
    rows: list[Row] = []
    table = []
    for name, patched in (found.functions if found else {}).items():
        control = patched.mirror_control
        if control is None:
            continue
        kept = estimate(_percent(control.kept), (_percent(control.ci[0]), _percent(control.ci[1])), control.n)
        tip = f"{words(name)}: {interval(kept)} % of answers kept"
        values = {"value": kept.value, "low": kept.low, "high": kept.high}
        rows.append({"label": words(name), "group": words(name), **values, "tip": tip})
        others = number(_percent(control.control_mean), 1)
        table.append(
            (words(name), str(control.n), number(_percent(control.clean), 1), interval(kept), others)
        )
    if not rows:
        return None
    chart = dots(rows, order=[r["label"] for r in rows], x="% of answers kept", domain=(0, 100))
    return Figure(
        "patch-mirror",
        "Answers that a mirror must not change",
        chart,
        "The sufficient set's output is taken from the mirror image, and a question is asked whose answer is "
        "the same there. An answer that changes was carried by more than the fact in question.",
        "Dots with intervals: share of answers kept.",
        ("function", "pairs", "right before, %", "kept, %", "kept under random sets, %"),
        tuple(table),
    )


def _cells(held: CarryingSet) -> tuple[str, ...]:
    share = estimate(_percent(held.share), (_percent(held.ci[0]), _percent(held.ci[1])), held.n)
    carried = estimate(held.recovered, held.recovered_ci, held.n)
    apart = ", of all layers" if held.layer_matched is False else ""
    controls = f"{number(_percent(held.control_mean), 1)} ({number(_percent(held.control_max), 1)}){apart}"
    counts = f"{held.n} ({held.pictures} pictures)"
    return (
        ", ".join(held.heads), counts, interval(share), interval(carried, 2), controls, p_value(held.p)
    )  # fmt: skip


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value
