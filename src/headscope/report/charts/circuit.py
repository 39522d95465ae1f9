"""The circuit of each function as a small graph: heads by layer, and the edges that were named."""

from __future__ import annotations

from typing import Any

from headscope.experiments.patching.circuit import Circuit, CircuitResult, Edge
from headscope.experiments.patching.edges import ANSWER
from headscope.models.geometry import parse_head
from headscope.report import theme
from headscope.report.charts.base import Figure, interval, words
from headscope.report.contents import StudyContents
from headscope.report.estimates import estimate
from headscope.report.theme import number
from headscope.storage import Row

_SIZE = (230, 190)
_COLUMNS = 3


def graph(study: StudyContents) -> Figure | None:
    """Which head reads what which other wrote, by function."""
    found = study.of(CircuitResult)
    drawn = {f: c for f, c in (found.functions if found else {}).items() if c.edges}
    if found is None or not drawn:
        return None
    import altair as alt

    layers = max(parse_head(h).layer for c in drawn.values() for h in c.heads) + 1
    charts = [_one(name, made, layers) for name, made in drawn.items()]
    table = [
        (words(name), e.sender, e.receiver, *_cells(e)) for name, made in drawn.items() for e in made.edges
    ]
    counts = ", ".join(f"{words(f)} {c.pairs} pairs, {c.null_edges} random edges" for f, c in drawn.items())
    return Figure(
        "circuit-graph",
        "Which head reads what which other wrote",
        alt.concat(*charts, columns=_COLUMNS),
        "Dots: the heads that carry the fact, by layer; top: the answer. A line: with only what the lower "
        "head takes from the other picture handed on to the upper one, the margin moves; the thicker, the "
        "farther. Drawn are edges beyond those of random heads of the same layers (q < 5 %). On test: "
        f"{counts}.",
        "Graphs: heads by layer and the edges among them, by function.",
        ("function", "from", "to", "share carried", "q", "named"),
        tuple(table),
    )


def _one(name: str, made: Circuit, layers: int) -> Any:
    import altair as alt

    place = _places(made, layers)
    lines: list[Row] = [
        {
            "x": place[e.sender][0], "y": place[e.sender][1], "x2": place[e.receiver][0],
            "y2": place[e.receiver][1], "share": e.share,
            "tip": f"{e.sender} to {e.receiver}: {number(e.share, 2)} of the difference",
        }
        for e in made.edges
        if e.named
    ]  # fmt: skip
    nodes: list[Row] = [{"x": x, "y": y, "label": label, "tip": label} for label, (x, y) in place.items()]
    y = alt.Y("y:Q", title="layer", scale=alt.Scale(domain=[-0.5, layers + 0.6], nice=False))
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[0, 1], nice=False))
    width = alt.StrokeWidth("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.6, 9]), legend=None)
    edges = (
        alt.Chart(alt.Data(values=lines))
        .mark_rule(color=theme.CONTROL, opacity=0.75)
        .encode(x=x, y=y, x2="x2:Q", y2="y2:Q", strokeWidth=width, description="tip:N")
    )
    base = alt.Chart(alt.Data(values=nodes)).encode(x=x, y=y)
    dots = base.mark_point(filled=True, size=70, opacity=1, color=theme.INK).encode(description="tip:N")
    marks = base.mark_text(dx=8, align="left", fontSize=10, color=theme.INK, aria=False)
    texts = marks.encode(text="label:N")
    return alt.layer(edges, dots, texts).properties(width=_SIZE[0], height=_SIZE[1], title=words(name))


def _places(made: Circuit, layers: int) -> dict[str, tuple[float, float]]:
    """Label -> x from 0 to 1, and its layer; the answer stands above all."""
    rows: dict[int, list[str]] = {}
    for label in made.heads:
        rows.setdefault(parse_head(label).layer, []).append(label)
    found = {
        label: ((i + 0.5) / len(labels), float(layer))
        for layer, labels in rows.items()
        for i, label in enumerate(labels)
    }
    return {**found, ANSWER: (0.5, float(layers))}


def _cells(edge: Edge) -> tuple[str, str, str]:
    """Share, q, and whether the edge is named."""
    share = interval(estimate(edge.share, edge.ci), 2)
    return share, number(edge.q, 3), "yes" if edge.named else "no"
