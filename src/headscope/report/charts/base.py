"""What every chart is made of: the figure with its caption and table, dots with intervals, heat maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headscope.functions import MAIN, Taxonomy
from headscope.report import theme
from headscope.report.estimates import Estimate
from headscope.report.theme import number
from headscope.storage import Row

GROUPS = {"spatial": theme.SPATIAL, "other": theme.OTHER, "main question": theme.MAIN_COLOUR}


@dataclass(frozen=True)
class Figure:
    """A chart with all that a reader needs to judge it.

    ``name`` is the file stem and the anchor; ``chart`` an Altair chart; ``caption`` says what is shown, n,
    split and what the interval is; ``alt`` says in one line what is to be seen; ``header`` and ``table`` hold
    the same numbers for those who want to read them.
    """

    name: str
    title: str
    chart: Any
    caption: str
    alt: str
    header: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()

    def spec(self) -> Row:
        """The Vega-Lite specification with the shared look."""
        spec: Row = self.chart.to_dict()
        spec["config"] = theme.config()
        return spec


@dataclass(frozen=True)
class Matrix:
    """Change of accuracy (points, losses negative) for each row's edit on each column's function."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    change: tuple[tuple[Estimate | None, ...], ...]


def words(function: str) -> str:
    """``spatial_perception`` -> ``spatial perception``; ``main@gold`` -> ``main question (gold)``."""
    name, _, context = function.partition("@")
    title = "main question" if name == MAIN else name.replace("_", " ")
    return f"{title} ({context})" if context else title


def group(function: str, taxonomy: Taxonomy) -> str:
    """The group a function is coloured by."""
    if function.partition("@")[0] == MAIN:
        return "main question"
    return "spatial" if function in taxonomy.spatial else "other"


def group_scale(rows: Sequence[Row], key: str = "group") -> Any:
    """Colours of the groups that occur."""
    import altair as alt

    present = [g for g in GROUPS if any(r[key] == g for r in rows)]
    return alt.Scale(domain=present, range=[GROUPS[g] for g in present])


def interval(estimate: Estimate | None, digits: int = 1, sign: bool = False) -> str:
    """``91.2 [88.0, 93.9]``."""
    if estimate is None:
        return "–"
    text = number(estimate.value, digits, sign)
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} [{number(estimate.low, digits, sign)}, {number(estimate.high, digits, sign)}]"


def scaled(estimate: Estimate, factor: float = 100.0) -> Estimate:
    """The same estimate in another unit, e.g. a share in percent."""
    low = None if estimate.low is None else estimate.low * factor
    high = None if estimate.high is None else estimate.high * factor
    return Estimate(estimate.value * factor, low, high, estimate.n)


def negative(estimate: Estimate | None) -> Estimate | None:
    """A loss as a change."""
    if estimate is None:
        return None
    low, high = (None if v is None else 0.0 - v for v in (estimate.high, estimate.low))
    return Estimate(0.0 - estimate.value, low, high, estimate.n)


def padded(values: Sequence[float]) -> Any:
    """A scale with room around all values, so that rings stay inside and panels line up."""
    import altair as alt

    low, high = min([0.0, *values]), max([0.0, *values])
    room = 0.12 * (high - low or 1.0)
    return alt.Scale(domain=[low - room, high + room], nice=False)


def dots_beside_chance(rows: Sequence[Row], x: str, chance: str) -> Any:
    """Dots of functions in percent with intervals, and a grey tick where chance would be.

    Args:
        rows: as :func:`dots` takes them, with ``group``, in the order of the lines.
        x: title of the axis.
        chance: the column that the ticks show.
    """
    import altair as alt

    order = [r["label"] for r in rows]
    chart = dots(rows, order=order, x=x, scale=group_scale(rows), legend="functions", domain=(0, 100))
    ticks = (
        alt.Chart(alt.Data(values=rows))
        .mark_tick(color=theme.CONTROL, thickness=2, size=14)
        .encode(x=f"{chance}:Q", y=alt.Y("label:N", sort=order), description="tip:N")
    )
    return alt.layer(ticks, chart)


def dots(
    rows: Sequence[Row],
    *,
    order: Sequence[str],
    x: str,
    colour: str = "group",
    scale: Any = None,
    legend: str | None = None,
    domain: tuple[float, float] | None = None,
    offset: bool = False,
    width: int = 330,
    step: int = 23,
    zero: bool = False,
    faceted: bool = False,
) -> Any:
    """Dots with intervals, one line per label.

    Rows hold ``label``, ``value``, ``low``, ``high``, ``tip`` and the column that ``colour`` names; with
    ``offset`` the series of one label stand below each other; ``faceted`` leaves the data to the facet
    around it.
    """
    import altair as alt

    series = list(dict.fromkeys(r[colour] for r in rows))
    axis_y = alt.Axis(title=None)
    height = alt.Step(step, **({"for": "position"} if offset else {}))
    y = alt.Y("label:N", sort=list(order), axis=axis_y)
    x_scale = alt.Scale(domain=list(domain), nice=False) if domain else alt.Scale(zero=zero, nice=True)
    colours = alt.Color(
        f"{colour}:N",
        scale=scale or alt.Undefined,
        legend=alt.Legend(title=legend) if len(series) > 1 else None,
    )
    shared: Row = {"y": y, "color": colours, "description": "tip:N"}
    if offset:
        shared["yOffset"] = alt.YOffset(f"{colour}:N", sort=series, scale=alt.Scale(paddingOuter=0.35))
    base = alt.Chart() if faceted else alt.Chart(alt.Data(values=list(rows)))
    bars = base.mark_rule(strokeWidth=2, opacity=0.55, strokeCap="round").encode(
        x=alt.X("low:Q", title=x, scale=x_scale), x2="high:Q", **shared
    )
    points = base.mark_point(filled=True, size=52, opacity=1).encode(
        x=alt.X("value:Q", title=x, scale=x_scale), **shared
    )
    layers = [bars, points]
    if zero:
        layers.insert(0, zero_line())
    return alt.layer(*layers).properties(width=width, height=height)


def zero_line() -> Any:
    """The line of no change."""
    import altair as alt

    return (
        alt.Chart(alt.Data(values=[{"zero": 0}]))
        .mark_rule(color=theme.MUTED, strokeWidth=1, aria=False)
        .encode(x="zero:Q")
    )


def heat(
    rows: Sequence[Row],
    *,
    x_order: Sequence[str],
    y_order: Sequence[str],
    x_title: str | None,
    y_title: str | None,
    colours: Sequence[str],
    domain: tuple[float, float],
    legend: str,
    cell: tuple[int, int] = (38, 24),
    text: bool = True,
) -> Any:
    """A heat map of rows with ``x``, ``y``, ``value`` (None: no cell), ``text`` (in the cell) and ``tip``."""
    import altair as alt

    filled = [r for r in rows if r["value"] is not None]
    base = alt.Chart(alt.Data(values=filled)).encode(
        x=alt.X(
            "x:N", sort=list(x_order), title=x_title, axis=alt.Axis(orient="top", labelAngle=-35, grid=False)
        ),
        y=alt.Y("y:N", sort=list(y_order), title=y_title),
        description="tip:N",
    )
    scale = alt.Scale(domain=stops(domain, len(colours)), range=list(colours), clamp=True, interpolate="rgb")
    bar = alt.Legend(
        title=legend,
        titleOrient="top",
        orient="bottom",
        gradientLength=220,
        gradientThickness=9,
        format=",.2~f",
    )
    cells = base.mark_rect(stroke="white", strokeWidth=1.5).encode(
        color=alt.Color("value:Q", scale=scale, legend=bar)
    )
    return alt.layer(cells, *(_cell_texts(base, filled, domain, colours) if text else ())).properties(
        width=cell[0] * len(x_order), height=cell[1] * len(y_order)
    )


def _cell_texts(base: Any, rows: Sequence[Row], domain: tuple[float, float], colours: Sequence[str]) -> Any:
    """Layers of dark numbers for light cells and white ones for dark cells."""
    import altair as alt

    for ink in (theme.INK, "#ffffff"):
        mine = [r for r in rows if _ink(r["value"], domain, colours) == ink]
        if mine:
            marks = base.properties(data=alt.Data(values=mine)).mark_text(fontSize=9.5, color=ink, aria=False)
            yield marks.encode(text="text:N")


def change_matrix(
    matrix: Matrix, name: str, title: str, caption: str, row_title: str, column_title: str
) -> Figure:
    """A heat map of changes, red for losses and blue for gains."""
    rows: list[Row] = []
    table = []
    for row, line in zip(matrix.rows, matrix.change, strict=True):
        for column, cell in zip(matrix.columns, line, strict=True):
            rows.append(
                {
                    "x": words(column),
                    "y": words(row),
                    "value": None if cell is None else cell.value,
                    "text": "" if cell is None else number(cell.value, 0, sign=True),
                    "tip": f"{row_title} {words(row)}, {column_title} {words(column)}: "
                    f"{interval(cell, 1, True)} points",
                }
            )
        table.append((words(row), *(interval(c, 1, True) for c in line)))
    chart = heat(
        rows,
        x_order=[words(c) for c in matrix.columns],
        y_order=[words(r) for r in matrix.rows],
        x_title=column_title,
        y_title=row_title,
        colours=tuple(reversed(theme.CHANGE)),
        domain=symmetric([r["value"] for r in rows], 5.0),
        legend="change of accuracy, percentage points",
        cell=(36, 24),
    )
    return Figure(
        name,
        title,
        chart,
        caption,
        f"Heat map: {caption.split('.')[0].lower()}.",
        (row_title, *(words(c) for c in matrix.columns)),
        tuple(table),
    )


def stops(domain: tuple[float, float], count: int) -> list[float]:
    """Equally spaced stops, so that zero of a symmetric domain meets the middle colour."""
    low, high = domain
    return [low + (high - low) * i / (count - 1) for i in range(count)]


def symmetric(values: Sequence[float | None], least: float) -> tuple[float, float]:
    """A domain centred at zero that holds all values and is at least ``least`` wide on each side."""
    top = max([abs(v) for v in values if v is not None] + [least])
    return -top, top


def _ink(value: float, domain: tuple[float, float], colours: Sequence[str]) -> str:
    """Dark or white text, whichever is read better on the cell (relative luminance)."""
    low, high = domain
    red, green, blue = theme.blend(tuple(colours), (value - low) / (high - low or 1))
    return theme.INK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#ffffff"
