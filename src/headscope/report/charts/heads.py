"""How few heads serve a function, where they lie, and how far the three rankings agree."""

from __future__ import annotations

from dataclasses import dataclass

from headscope.probing.atlas import Atlas, Contrast, Scores
from headscope.report import theme
from headscope.report.charts.base import Figure, dots, group, group_scale, heat, interval, scaled, words
from headscope.report.contents import StudyContents
from headscope.report.estimates import estimate
from headscope.report.theme import number
from headscope.storage import Row

CRITERIA = {
    "joint": "joint elbow",
    "independent": "independent",
    "answer": "answer",
    "decoding": "both of these",
    "causal": "causal",
}


@dataclass(frozen=True)
class HeadScores:
    """One ranking to draw: a score per head (flat order) for each function.

    Attributes:
        name: joint, independent, answer or causal.
        unit: what a score is.
        signed: whether less than nothing means something.
        scores: function -> scores.
    """

    name: str
    unit: str
    signed: bool
    scores: Scores


_DRAWN = {  # ranking -> unit, signed
    "joint": ("importance", True),
    "independent": ("AUROC", False),
    "answer": ("accuracy beyond question", False),
    "causal": ("margin lost, nats", True),
    "attention": ("attention share", False),
    "patching": ("share carried", True),
}


def rankings(atlas: Atlas) -> list[HeadScores]:
    """The rankings that hold anything, the decoding of answers among them."""
    tables: dict[str, Scores | None] = {
        **atlas.rankings,
        "answer": {f: cell.score for f, cell in atlas.answers.items()},
    }
    return [
        HeadScores(name, unit, signed, scores)
        for name, (unit, signed) in _DRAWN.items()
        if (scores := tables.get(name))
    ]


def places(atlas: Atlas) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
    """Names of the rows of a head map (attention layers in flat order), and (row, column) of each head."""
    sites = [(h.tower, h.layer, h.site) for h in atlas.heads]
    rows = {site: i for i, site in enumerate(dict.fromkeys(sites))}
    plain = len({(tower, site) for tower, _, site in rows}) == 1
    names = tuple(f"L{n}" if plain else f"{tower} {site} L{n}" for tower, n, site in rows)
    return names, tuple((rows[site], h.head) for site, h in zip(sites, atlas.heads, strict=True))


def sparsity(study: StudyContents) -> Figure | None:
    """Share of heads that serve each function, by every criterion."""
    import altair as alt

    atlas = study.atlas
    if atlas is None or not atlas.sparsity:
        return None
    rows, table = [], []
    every = [(c, f, item) for c, found in atlas.sparsity.items() for f, item in found.items()]
    for criterion, function, item in every:
        share = scaled(estimate(item.share, item.ci, len(atlas.heads)))
        name = CRITERIA.get(criterion, criterion)
        count = f"{item.significant} of {len(atlas.heads)} heads"
        tip = f"{words(function)}, {name}: {count}, {interval(share)} %"
        values = {"value": share.value, "low": share.low, "high": share.high, "tip": tip, "criterion": name}
        rows.append({"label": words(function), "group": group(function, study.taxonomy), **values})
        above = ", ".join(f"{number(100 * v)} % of {cut}" for cut, v in item.above.items()) or "–"
        cells = (str(item.significant), interval(share), number(item.effective), above, number(item.gini, 2))
        table.append((words(function), name, *cells))
    order = [words(f) for f in dict.fromkeys(f for _, f, _ in every)]
    shown = [CRITERIA[c] for c in CRITERIA if any(c == have for have, _, _ in every)]
    scale = group_scale(rows)
    panel = dots(
        rows, order=order, x="% of heads", scale=scale, legend="functions", width=68, step=19, faceted=True
    )
    chart = panel.facet(
        column=alt.Column("criterion:N", title=None, sort=shown), data=alt.Data(values=rows), spacing=10
    )
    default = CRITERIA.get(atlas.default_criterion, atlas.default_criterion)
    return Figure(
        "sparsity",
        "How few heads serve a function",
        chart,
        f"Share of the {len(atlas.heads)} heads that serve each function, by each criterion: before the "
        "elbow of the joint probe's importance; significant and selective independent probe; the step's "
        "answer decoded beyond the question and a blank picture; both of these; margin lost when the head "
        f"alone is muted. Benjamini-Hochberg over heads, level {atlas.level:g}. The findings use "
        f"“{default}”. Bars: 95 % Wilson intervals, heads as trials. In the table: effective number of "
        "heads, share of heads above fixed cuts of the causal score, and Gini (1 if all strength lies in one "
        "head).",
        "Dots with intervals: share of heads that serve each function, one panel a criterion.",
        ("function", "criterion", "heads", "share, %", "effective", "heads of so many nats", "Gini"),
        tuple(table),
    )


def scarcity(study: StudyContents) -> Figure | None:
    """Effective number of heads of each function, and spatial functions against the others."""
    atlas = study.atlas
    found = atlas.default_scarcity if atlas else None
    if atlas is None or found is None:
        return None
    rows: list[Row] = []
    for name, value in found.effective.items():
        tip = f"{words(name)}: {number(value)} of {len(atlas.heads)} heads"
        kind = {"group": group(name, study.taxonomy), "value": value, "low": value, "high": value}
        rows.append({"label": words(name), "tip": tip, **kind})
    chart = dots(
        rows,
        order=[r["label"] for r in rows],
        x="effective number of heads",
        scale=group_scale(rows),
        legend="functions",
        zero=True,
    )
    table = []
    for criterion, item in atlas.scarcity.items():
        table.append(_contrast(f"effective heads, {CRITERIA.get(criterion, criterion)}", item, 1.0))
        table += [_contrast(f"% of heads of {cut} nats or more", c, 100.0) for cut, c in item.above.items()]
    return Figure(
        "scarcity",
        "Are spatial heads scarcer?",
        chart,
        "Effective number of heads of each function: (sum of effects)^2 / sum of their squares, over heads "
        "with a positive one: 1 where one head does it all. The unit is the function, so that no interval "
        "over heads is drawn. Relabelling: among all ways to call as many functions spatial.",
        "Dots: effective number of heads of each function.",
        ("measure", "spatial, mean", "other, mean", "difference", "relabelling p", "ways"),
        tuple(table),
    )


def _contrast(name: str, found: Contrast, scale: float) -> tuple[str, ...]:
    values = (found.spatial, found.other)
    means = [number(scale * v, 1) for v in values]
    difference = number(scale * found.difference, 1, True)
    return (name, *means, difference, number(found.relabel_p, 3), str(found.ways))


def layers(study: StudyContents) -> Figure | None:
    """Heads that serve each function by layer."""
    atlas = study.atlas
    judged = atlas.sparsity.get(atlas.default_criterion, {}) if atlas else {}
    found = {words(function): item.by_layer for function, item in judged.items() if item.by_layer}
    if atlas is None or not found:
        return None
    rows: list[Row] = []
    names = list(places(atlas)[0])
    for name, by_layer in found.items():
        for layer, count in zip(names, by_layer, strict=False):
            tip = f"{name}, {layer}: {count} heads"
            rows.append({"x": layer, "y": name, "value": count, "text": str(count), "tip": tip})
    top = max(float(r["value"]) for r in rows)
    width = max(9, min(38, 380 // len(names)))
    chart = heat(
        rows,
        x_order=names,
        y_order=list(found),
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
        f"“{CRITERIA.get(atlas.default_criterion)}”.",
        "Heat map: heads by function and layer.",
        ("function", *names),
        tuple((name, *(str(c) for c in by_layer)) for name, by_layer in found.items()),
    )


def agreement(study: StudyContents) -> Figure | None:
    """Rank correlation of each pair of rankings, for each function."""
    known = [c for c in (study.atlas.correlations if study.atlas else ()) if c.rho is not None]
    if not known:
        return None
    pairs = list(dict.fromkeys(f"{c.a} – {c.b}" for c in known))
    rows: list[Row] = []
    for item in known:
        pair, name, rho = f"{item.a} – {item.b}", words(item.function), number(item.rho, 2)
        tip = f"{name}, {pair}: Spearman {rho}"
        rows.append({"x": pair, "y": name, "value": item.rho, "text": rho, "tip": tip})
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


def head_maps(study: StudyContents) -> list[Figure]:
    """One figure per ranking: layer x head maps of all functions, as files for papers."""
    if study.atlas is None:
        return []
    return [_maps(study.atlas, ranking) for ranking in rankings(study.atlas)]


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


def _maps(atlas: Atlas, ranking: HeadScores) -> Figure:
    import altair as alt

    names, spots = places(atlas)
    columns = max(c for _, c in spots) + 1
    cell = max(4, min(14, 150 // columns))
    panels = []
    for function in ranking.scores:
        rows = [
            {
                "x": str(column),
                "y": names[row],
                "value": value,
                "text": "",
                "tip": f"{head.label}: {number(value, 3)}",
            }
            for head, (row, column), value in zip(atlas.heads, spots, ranking.scores[function], strict=True)
        ]
        panel = heat(
            rows,
            x_order=[str(i) for i in range(columns)],
            y_order=names,
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
