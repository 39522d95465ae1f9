"""Draws the cost curves and fills their table in docs/benchmarks.md: ``python benchmarks/curves.py``.

Both come from curves.json (bench_curves.py) alone; each picture carries the fingerprint of what it shows.
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

from headscope.report import theme
from headscope.report.svg import draw, to_png
from headscope.storage import fingerprint, read_json, write_atomic

ROOT = Path(__file__).resolve().parent
CURVES = ROOT / "curves.json"
PAGE = ROOT.parent / "docs" / "benchmarks.md"
IMAGES = ROOT.parent / "docs" / "img"
BEGIN, END = "<!-- curves: begin -->", "<!-- curves: end -->"
AXES = {
    "heads": "heads a layer",
    "layers": "decoder layers",
    "cases": "cases",
    "text tokens": "text tokens",
    "image tokens": "image tokens",
    "new tokens": "new tokens",
}
# Picture -> figures of curves.json with their names and colours (blue and vermilion differ for all eyes).
PICTURES = {
    "cost-scan": {
        "scan_last": ("last position", theme.TREATED),
        "scan_all": ("all positions", theme.SPATIAL),
    },
    "cost-capture": {
        "capture_hooks": ("hooks alone", theme.SPATIAL),
        "capture_stage": ("whole stage", theme.TREATED),
    },
}
WHAT = {"cost-scan": "times faster than whole runs", "cost-capture": "times bare generation"}
SIZE = (176, 150)  # of a panel
KEY = "curves"  # of the fingerprint in a picture

Point = dict[str, Any]


def shown(points: list[Point], picture: str) -> list[Point]:
    """The points that a picture shows."""
    return [p for p in points if p["figure"] in PICTURES[picture]]


def chart(points: list[Point], picture: str) -> dict[str, Any]:
    """Vega-Lite specification of a picture: a panel an axis, logarithmic both ways."""
    import altair as alt

    mine = shown(points, picture)
    panels = [
        _panel(mine, picture, axis, first=i % 3 == 0)
        for i, axis in enumerate(a for a in AXES if any(p["axis"] == a for p in mine))
    ]
    every = alt.concat(*panels, columns=3, spacing={"row": 26, "column": 22})
    spec: dict[str, Any] = every.resolve_scale(color="shared", shape="shared", strokeDash="shared").to_dict()
    spec["config"] = theme.config()
    return spec


def _panel(points: list[Point], picture: str, axis: str, first: bool) -> Any:
    import altair as alt

    names = PICTURES[picture]
    rows = [_row(p, names[p["figure"]][0]) for p in points if p["axis"] == axis]
    limits = [{**r, "line": "limit", "value": r["limit"]} for r in rows if r["limit"] is not None]
    places = sorted({r["place"] for r in rows})
    x_scale = alt.Scale(type="log", base=2, domain=[places[0] / 1.15, places[-1] * 1.15], nice=False)
    y_scale = alt.Scale(type="log", domain=list(domain(points)), nice=False)
    y_axis = alt.Axis(values=ticks(domain(points)), format="~r", grid=True, labels=first)
    x = alt.X("place:Q", title=AXES[axis], scale=x_scale, axis=alt.Axis(values=places, format="d"))
    y_title = WHAT[picture] if first else None
    series, legend = [n for n, _ in names.values()], alt.Legend(title=None)
    colours = alt.Scale(domain=series, range=[c for _, c in names.values()])
    colour = alt.Color("name:N", scale=colours, legend=legend)
    shapes = alt.Scale(domain=series, range=["square", "circle"])
    shape = alt.Shape("name:N", scale=shapes, legend=legend)
    dash = alt.StrokeDash(
        "line:N",
        scale=alt.Scale(domain=["measured", "limit"], range=[[1, 0], [5, 4]]),
        legend=alt.Legend(title=None, symbolType="stroke", symbolSize=400, symbolStrokeColor=theme.INK),
    )
    y = alt.Y("value:Q", title=y_title, scale=y_scale, axis=y_axis)
    lines = alt.Chart(alt.Data(values=rows + limits)).mark_line(strokeWidth=1.6)
    spread = alt.Chart(alt.Data(values=rows)).mark_rule(strokeWidth=1.6, opacity=0.6)
    dots = alt.Chart(alt.Data(values=rows)).mark_point(filled=True, size=46, opacity=1)
    return alt.layer(
        lines.encode(x=x, y=y, color=colour, strokeDash=dash),
        spread.encode(
            x=x, y=alt.Y("low:Q", title=y_title, scale=y_scale, axis=y_axis), y2="high:Q", color=colour
        ),
        dots.encode(x=x, y=y, color=colour, shape=shape),
    ).properties(width=SIZE[0], height=SIZE[1])


def _row(point: Point, name: str) -> dict[str, Any]:
    low, high = point["spread"]
    measured = {"value": point["median"], "low": low, "high": high, "limit": point["limit"]}
    return {"place": point["value"], "name": name, "line": "measured", **measured}


def domain(points: list[Point]) -> tuple[float, float]:
    """Of the vertical axis, one for all panels, with some room."""
    values = [v for p in points for v in (p["median"], *p["spread"], p["limit"]) if v is not None]
    return min(*values, 1.0) / 1.12, max(values) * 1.12


def ticks(ends: tuple[float, float]) -> list[float]:
    """Round numbers on a logarithmic axis, closer together where it is short.

    Example:
        >>> ticks((0.8, 30)), ticks((0.9, 1.5))
        ([1, 2, 5, 10, 20], [0.9, 1, 1.1, 1.2, 1.3, 1.4, 1.5])
    """
    low, high = ends
    if high / low < 4:
        step = 0.1 if high - low < 0.9 else 0.25 if high - low < 2 else 0.5
        every = [round(i * step, 2) for i in range(1, math.ceil(high / step) + 1)]
    else:
        every = [m * 10.0**e for e in range(-2, 5) for m in (1, 2, 5)]
    return [int(v) if v == int(v) else v for v in every if low <= v <= high]


def png(points: list[Point], picture: str) -> bytes:
    """A picture that carries the fingerprint of its points."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    note = PngInfo()
    note.add_text(KEY, fingerprint(shown(points, picture)))
    buffer = io.BytesIO()
    Image.open(io.BytesIO(to_png(draw(chart(points, picture)), scale=2.5))).save(
        buffer, "PNG", pnginfo=note, compress_level=6
    )
    return buffer.getvalue()


def table(points: list[Point]) -> list[str]:
    """For each curve its ends: medians, and the share of the limit."""
    lines = [
        "| figure | axis | from | to | there | share of the limit | n |",
        "|---|---|---|---|---|---|---|",
    ]
    for figure in (f for names in PICTURES.values() for f in names):
        for axis in AXES:
            curve = sorted(
                (p for p in points if (p["figure"], p["axis"]) == (figure, axis)), key=lambda p: p["value"]
            )
            if curve:
                lines.append(_line(figure, axis, curve[0], curve[-1]))
    return lines


def _line(figure: str, axis: str, a: Point, b: Point) -> str:
    there = f"{a['median']:.3g} to {b['median']:.3g}"
    share = "-"
    if a["limit"] is not None and figure.startswith("scan"):
        share = f"{100 * a['median'] / a['limit']:.0f} to {100 * b['median'] / b['limit']:.0f} %"
    ends = f"{a['value']} | {b['value']} | {there} | {share} | {min(a['n'], b['n'])}"
    return f"| `{figure}` | {AXES[axis]} | {ends} |"


def filled(page: str, points: list[Point]) -> str:
    """The page with the table of curves made afresh."""
    head, _, rest = page.partition(BEGIN)
    return "\n".join([head + BEGIN, *table(points), END]) + rest.partition(END)[2]


def main() -> None:
    """Write both pictures and the page."""
    points = read_json(CURVES)["points"]
    for picture in PICTURES:
        write_atomic(IMAGES / f"{picture}.png", png(points, picture))
    write_atomic(PAGE, filled(PAGE.read_text("utf-8"), points))


if __name__ == "__main__":
    main()
