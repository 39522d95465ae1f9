"""One look for every chart: colours by meaning, type, and how numbers are written."""

from __future__ import annotations

import math

from headscope.storage import Row

FONT = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"
INK = "#1f2328"
MUTED = "#5b636d"
GRID = "#e4e6e9"
SPATIAL = "#0b6a8f"  # functions of the spatial group, and their heads
OTHER = "#8a6d3b"  # every other function
MAIN_COLOUR = "#2b2f36"  # main questions
TREATED = "#b5432a"  # the heads or pictures under test
CONTROL = "#8b929b"  # whatever they are compared with
CONTEXTS = {"alone": "#9aa5b1", "own": "#c98a1b", "gold": "#0b6a8f", "wrong": "#b5432a", "other": "#6b4a8c"}
STEPS = ("#0b6a8f", "#b5432a", "#c98a1b", "#5d6d31", "#6b4a8c", "#2b2f36", "#8b929b")

# One scale per meaning. Change of accuracy or margin: blue helps, red hurts, white is zero.
CHANGE = ("#1d5b8f", "#6fa3c8", "#cfe0ec", "#f7f7f5", "#f3cfc0", "#d97b5c", "#9c2f1b")
# Signed importance (gradient x activation): green for, purple against, white is zero.
IMPORTANCE = ("#5e3c78", "#9d82b3", "#d9cfe2", "#f7f7f5", "#cfe3cf", "#7fb285", "#23693a")
# Size without a sign (AUROC, shares, counts): light to dark, even steps in lightness.
SIZE = ("#fbfaf3", "#dfe8c8", "#a9d0b4", "#68b0ab", "#3a8aa0", "#2b6288", "#2a3768")


def config() -> Row:
    """Vega-Lite configuration shared by all charts."""
    label = {"labelColor": INK, "titleColor": MUTED, "labelFontSize": 11, "titleFontSize": 11}
    return {
        "font": FONT,
        "background": "white",
        "view": {"stroke": None},
        "axis": {
            **label,
            "titleFontWeight": "normal",
            "titlePadding": 8,
            "grid": True,
            "gridColor": GRID,
            "domain": False,
            "ticks": False,
            "labelPadding": 6,
            "labelLimit": 240,
            "labelFlush": False,
        },
        "axisY": {"grid": False},
        "legend": {
            **label,
            "titleFontWeight": "normal",
            "symbolSize": 60,
            "symbolOpacity": 1,
            "orient": "top",
            "titleOrient": "left",
            "layout": {"top": {"anchor": "start", "direction": "horizontal", "margin": 26}},
            "labelLimit": 300,
            "titleLimit": 300,
        },
        "header": {**label, "labelFontWeight": "bold", "labelPadding": 4, "titlePadding": 4},
        "title": {"color": INK, "fontSize": 12, "anchor": "start", "fontWeight": "bold"},
        "text": {"font": FONT, "fontSize": 11, "color": INK},
    }


def blend(colours: tuple[str, ...], position: float) -> tuple[int, int, int]:
    """RGB of a scale at ``position`` in 0..1, linear between its stops; the same rule as the charts' own.

    Example:
        >>> blend(("#000000", "#ffffff"), 0.5)
        (128, 128, 128)
    """
    place = min(max(position, 0.0), 1.0) * (len(colours) - 1)
    left = min(int(place), len(colours) - 2)
    share = place - left
    a, b = (tuple(int(c[i : i + 2], 16) for i in (1, 3, 5)) for c in colours[left : left + 2])
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def number(value: float | None, digits: int = 1, sign: bool = False) -> str:
    """A number for people: a true minus sign, no negative zero, a dash where there is none.

    Example:
        >>> number(-3.14159, 2), number(2, 1, sign=True), number(None)
        ('−3.14', '+2.0', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.replace("-", "").replace("+", "")
    return text.replace("-", "−")


def percent(share: float | None, digits: int = 1) -> str:
    """A share as a percentage, e.g. ``91.3 %``."""
    return "–" if share is None or not math.isfinite(share) else f"{number(100 * share, digits)} %"


def p_value(p: float | None) -> str:
    """A p-value as papers write it, e.g. ``p = 0.012`` or ``p < 0.001``."""
    if p is None or not math.isfinite(p):
        return "p not computed"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
