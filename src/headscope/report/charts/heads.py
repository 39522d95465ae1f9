"""How few heads serve a function, where they lie, and how far the three rankings agree."""

from __future__ import annotations

from headscope.report import theme
from headscope.report.charts.base import Figure, Row, dots, group, group_scale, heat, interval, scaled, words
from headscope.report.theme import number, p_value
from headscope.report.views import AtlasView, HeadScores, StudyView

CRITERIA = {
    "joint": "joint elbow",
    "independent": "independent",
    "answer": "answer",
    "decoding": "both of these",
    "causal": "causal",
}


def sparsity(study: StudyView) -> Figure | None:
    """Share of heads that serve each function, by every criterion."""
    import altair as alt

    atlas = study.atlas
    if atlas is None or not atlas.sparsity:
        return None
    rows, table = [], []
    for item in atlas.sparsity:
        share = scaled(item.share)
        name = CRITERIA.get(item.criterion, item.criterion)
        count = f"{item.significant} of {len(atlas.heads)} heads"
        tip = f"{words(item.function)}, {name}: {count}, {interval(share)} %"
        values = {"value": share.value, "low": share.low, "high": share.high, "tip": tip, "criterion": name}
        rows.append({"label": words(item.function), "group": group(item.function, study.taxonomy), **values})
        table.append(
            (words(item.function), name, str(item.significant), interval(share), number(item.gini, 2))
        )
    order = [words(f) for f in dict.fromkeys(s.function for s in atlas.sparsity)]
    shown = [CRITERIA[c] for c in CRITERIA if any(s.criterion == c for s in atlas.sparsity)]
    scale = group_scale(rows)
    panel = dots(
        rows, order=order, x="% of heads", scale=scale, legend="functions", width=68, step=19, faceted=True
    )
    chart = panel.facet(
        column=alt.Column("criterion:N", title=None, sort=shown), data=alt.Data(values=rows), spacing=10
    )
    default = CRITERIA.get(atlas.criterion, atlas.criterion)
    return Figure(
        "sparsity",
        "How few heads serve a function",
        chart,
        f"Share of the {len(atlas.heads)} heads that serve each function, by each criterion: before the "
        "elbow of the joint probe's importance; significant and selective independent probe; the step's "
        "answer decoded beyond the question and a blank picture; both of these; margin lost when the head "
        f"alone is muted. Benjamini-Hochberg over heads, level {atlas.level:g}. The findings use "
        f"“{default}”. Bars: 95 % Wilson intervals, heads as trials. Gini in the table: 1 if all strength "
        "lies in one head.",
        "Dots with intervals: share of heads that serve each function, one panel a criterion.",
        ("function", "criterion", "heads", "share, %", "Gini"),
        tuple(table),
    )


def scarcity(study: StudyView) -> Figure | None:
    """Spatial functions against the others, by every criterion."""
    if study.atlas is None or not study.atlas.scarcity:
        return None
    rows: list[Row] = []
    table = []
    for item in study.atlas.scarcity:
        name = CRITERIA.get(item.criterion, item.criterion)
        difference = scaled(item.difference)
        tip = f"{name}: {interval(difference, 1, True)} percentage points, {p_value(item.p)}"
        values = {"value": difference.value, "low": difference.low, "high": difference.high}
        mark = "the findings' criterion" if item.criterion == study.atlas.criterion else "other criteria"
        rows.append({"label": name, "tip": tip, "mark": mark, **values})
        shares = [number(None if v is None else 100 * v) for v in (item.spatial, item.other)]
        table.append((name, *shares, interval(difference, 1, True), p_value(item.p)))
    import altair as alt

    scale = alt.Scale(
        domain=["the findings' criterion", "other criteria"], range=[theme.SPATIAL, theme.CONTROL]
    )
    chart = dots(
        rows,
        order=[r["label"] for r in rows],
        x="share for spatial − share for other functions, percentage points of heads",
        colour="mark",
        scale=scale,
        zero=True,
    )
    return Figure(
        "scarcity",
        "Are spatial heads scarcer?",
        chart,
        "Mean share of heads that serve a spatial function minus mean share that serve another. Negative: "
        "spatial heads are scarcer. Bars: 95 % bootstrap intervals over heads. p: among all ways to call "
        "as many functions spatial.",
        "Dots with intervals: share of heads for spatial functions minus share for others.",
        ("criterion", "spatial, %", "other, %", "difference, points", "relabelling"),
        tuple(table),
    )


def layers(study: StudyView) -> Figure | None:
    """Heads that serve each function by layer."""
    atlas = study.atlas
    found = [s for s in (atlas.by(atlas.criterion) if atlas else ()) if s.by_layer]
    if atlas is None or not found:
        return None
    rows: list[Row] = []
    names = list(atlas.rows)
    for item in found:
        for layer, count in zip(names, item.by_layer, strict=False):
            tip = f"{words(item.function)}, {layer}: {count} heads"
            rows.append(
                {"x": layer, "y": words(item.function), "value": count, "text": str(count), "tip": tip}
            )
    top = max(float(r["value"]) for r in rows)
    width = max(9, min(38, 380 // len(names)))
    chart = heat(
        rows,
        x_order=names,
        y_order=[words(s.function) for s in found],
        x_title="layer",
        y_title=None,
        colours=theme.SIZE,
        domain=(0, max(top, 1)),
        legend="heads",
        cell=(width, 23),
        text=width > 16,
    )
    return Figure(
        "layers",
        "In which layers they lie",
        chart,
        "Number of heads that serve each function in each layer, criterion "
        f"“{CRITERIA.get(atlas.criterion)}”.",
        "Heat map: heads by function and layer.",
        ("function", *names),
        tuple((words(s.function), *(str(c) for c in s.by_layer)) for s in found),
    )


def agreement(study: StudyView) -> Figure | None:
    """Rank correlation of each pair of rankings, for each function."""
    if study.atlas is None or not study.atlas.correlations:
        return None
    pairs = list(dict.fromkeys(f"{c['a']} – {c['b']}" for c in study.atlas.correlations))
    rows: list[Row] = []
    for item in study.atlas.correlations:
        pair = f"{item['a']} – {item['b']}"
        tip = f"{words(item['function'])}, {pair}: Spearman {number(item['rho'], 2)}"
        rows.append(
            {
                "x": pair,
                "y": words(item["function"]),
                "value": item["rho"],
                "text": number(item["rho"], 2),
                "tip": tip,
            }
        )
    order = list(dict.fromkeys(r["y"] for r in rows))
    chart = heat(
        rows,
        x_order=pairs,
        y_order=order,
        x_title=None,
        y_title=None,
        colours=theme.IMPORTANCE,
        domain=(-1, 1),
        legend="Spearman rank correlation",
        cell=(56, 23),
    )
    cells = {(r["y"], r["x"]): r["text"] for r in rows}
    return Figure(
        "agreement",
        "Do the rankings agree?",
        chart,
        "Spearman correlation over heads between the joint probe (absolute importance), the independent "
        "probes (AUROC), the decoding of answers, and the causal score (margin lost when the head alone "
        "is muted). Where they disagree, being readable from a head and being used by the model are "
        "different things.",
        "Heat map: rank correlation of three head rankings for each function.",
        ("function", *pairs),
        tuple((y, *(cells.get((y, x), "–") for x in pairs)) for y in order),
    )


def head_maps(study: StudyView) -> list[Figure]:
    """One figure per ranking: layer x head maps of all functions, as files for papers."""
    if study.atlas is None:
        return []
    return [_maps(study, study.atlas, ranking) for ranking in study.atlas.rankings]


def domain(ranking: HeadScores, function: str) -> tuple[float, float]:
    """Ends of the colour scale: centred at zero if scores have a sign, else from least to greatest."""
    values = [v for v in ranking.scores[function] if v is not None] or [0.0]
    if ranking.signed:
        top = max(abs(v) for v in values) or 1.0
        return -top, top
    low, high = min(min(values), 0.5 if ranking.name == "independent" else 0.0), max(values)
    return low, high if high > low else low + 1.0


def colours(ranking: HeadScores) -> tuple[str, ...]:
    """The colour scale of a ranking: losses of margin share the scale of all losses."""
    if not ranking.signed:
        return theme.SIZE
    return theme.CHANGE if ranking.name == "causal" else theme.IMPORTANCE


def _maps(study: StudyView, atlas: AtlasView, ranking: HeadScores) -> Figure:
    import altair as alt

    columns = max(c for _, c in atlas.places) + 1
    cell = max(4, min(14, 150 // columns))
    panels = []
    for function in ranking.scores:
        rows = [
            {
                "x": str(column),
                "y": atlas.rows[row],
                "value": value,
                "text": "",
                "tip": f"{label}: {number(value, 3)}",
            }
            for label, (row, column), value in zip(
                atlas.heads, atlas.places, ranking.scores[function], strict=True
            )
        ]
        panel = heat(
            rows,
            x_order=[str(i) for i in range(columns)],
            y_order=atlas.rows,
            x_title="head",
            y_title=None,
            colours=colours(ranking),
            domain=domain(ranking, function),
            legend=ranking.unit,
            cell=(cell, cell),
            text=False,
        )
        panels.append(panel.properties(title=words(function)))
    chart = alt.concat(*panels, columns=3).resolve_scale(color="independent")
    return Figure(
        f"heads-{ranking.name}",
        f"Head maps, {ranking.name} ranking",
        chart,
        f"Score of every head (layer x head) for each function: {ranking.unit}.",
        f"Heat maps of head scores by the {ranking.name} ranking.",
    )
