"""The page of ``headscope validate-method``: its summary as one HTML file that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from headscope.errors import StoreError
from headscope.report import theme
from headscope.report.charts.base import Figure, dots, words
from headscope.report.svg import draw, inline
from headscope.report.theme import number, percent
from headscope.storage import Row, read_json, write_atomic

SCHEMA = "headscope/validation/1"
FILE = "validation.html"
WAYS = {
    "causal": "causal: test and least effect",
    "decoding": "decoding: function and answer",
    "answer": "answer probe",
    "independent": "independent probe",
    "joint": "joint probe, elbow",
}
_COLOURS = dict(zip(WAYS, theme.STEPS, strict=False))
Table = tuple[str, Sequence[str], Sequence[Sequence[str]], str]  # title, header, rows, what it says


def read_validation(folder: str | Path) -> Row:
    """The summary that ``validate-method`` wrote.

    Raises:
        StoreError: it is missing, damaged or of another schema.
    """
    path = Path(folder) / "summary.json"
    content = read_json(path)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise StoreError(f"{path}: asked for a summary of schema {SCHEMA}; run headscope validate-method")
    return content


def write_validation_page(folder: str | Path) -> Path:
    """Write ``validation.html`` beside ``summary.json``; everything from the summary is escaped.

    Raises:
        StoreError: no summary, or the folder cannot be written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    summary = read_validation(folder)
    environment = Environment(
        loader=PackageLoader("headscope.report"), autoescape=True, undefined=StrictUndefined
    )
    figure = _chart(summary)
    css = resources.files("headscope.report").joinpath("templates", "report.css").read_text("utf-8")
    page = environment.get_template("validation.html.j2").render(
        css=Markup(css),
        figure=figure,
        chart=Markup(inline(draw(figure.spec()), figure.name, figure.alt)),
        tables=tables(summary),
        quick=bool(summary["quick"]),
        constructor=str(summary["constructor"]),
        default=WAYS.get(summary["default_ranking"], summary["default_ranking"]),
        minutes=number(summary["wall_s"] / 60, 1),
    )
    write_atomic(Path(folder) / FILE, page)
    return Path(folder) / FILE


def validation_table(summary: Row) -> Any:
    """The planted models as a table for the terminal."""
    from rich.table import Table as Grid

    _, header, rows, _ = tables(summary)[0]
    grid = Grid(*header, title=f"default ranking: {summary['default_ranking']}")
    for row in rows:
        grid.add_row(*row)
    return grid


def tables(summary: Row) -> list[Table]:
    """Everything measured, in tables."""
    return [
        _planted(summary["planted"]),
        _decoys(summary),
        _nulls(summary["null"]),
        _random_heads(summary["null"]["random_heads"]),
        _coverage(summary["coverage"]),
        _power(summary),
        *_dependence(summary["dependence"]),
        _stability(summary["stability"]),
    ]


def _planted(planted: Row) -> Table:
    header = ("level", "ranking", "precision", "recall", "F1", "false", "median place", "worst place")
    rows = []
    for level, cells in planted.items():
        for way in WAYS:
            c = cells[way]
            shares = (number(c[k], 2) for k in ("precision", "recall", "f1"))
            places = (number(c["rank_median"], 1), number(c["rank_worst"], 0))
            rows.append((words(level), way, *shares, str(c["false_discoveries"]), *places))
    text = "Heads named by each ranking at its own cut-off, against the heads that were planted."
    return "Planted heads", header, rows, text


def _decoys(summary: Row) -> Table:
    planted, rejected = summary["planted"], summary["decoy_rejection"]
    rows = [(f"decoys rejected, {way}", percent(share)) for way, share in rejected.items()]
    pairs = planted.get("redundant", {}).get("pairs")
    if pairs:
        rows += [(f"redundant pair, points lost without {k}", number(pairs[k])) for k in ("one", "both")]
    below = planted.get("suppressor", {}).get("suppressors_below_zero")
    if below is not None:
        rows.append(("suppressors whose causal score is clearly negative", percent(below)))
    text = "A decoy holds the answer and nothing reads it. Either head of a redundant pair is enough."
    return "Decoys, pairs, suppressors", ("what", "measured"), rows, text


def _nulls(null: Row) -> Table:
    rows = [
        (name, percent(c["claimed_share"], 2), percent(c["bound"]), str(c["runs"]), _yes(c["within"]))
        for name, c in null["labels"].items()
    ]
    weights = null["random_weights"]
    rows += [
        (f"random weights: pairs named, {way}", percent(share, 2), "–", str(weights["pairs"][way]), "–")
        for way, share in weights["claimed"].items()
    ]
    area = number(weights["function_auroc_median"], 2)
    text = (
        "Share of functions with any claim when labels mean nothing. Heads of random weights still tell the "
        f"function from the wording (median AUROC {area}): they are no null for that."
    )
    return "Nothing to find", ("test", "claimed", "bound", "runs", "within"), rows, text


def _random_heads(cells: Row) -> Table:
    header = ("controls and measure", "at 0.05", "within", "at 0.01", "within", "replicates")
    rows = [
        (
            name,
            percent(c["reject_at_05"], 1),
            _yes(c["reject_at_05_within"]),
            percent(c["reject_at_01"], 1),
            _yes(c["reject_at_01_within"]),
            str(c["replicates"]),
        )
        for name, c in cells.items()
    ]
    text = (
        "How often muting randomly drawn heads is called worse than controls. Disjoint controls share no "
        "head with the tested set, random ones may; claims rest on the disjoint ones."
    )
    return "The muting test under random heads", header, rows, text


def _coverage(cells: Row) -> Table:
    rows = [
        (name, percent(c["share"], 1), str(c["simulations"]), _yes(c["within"])) for name, c in cells.items()
    ]
    return "Coverage of 95 % intervals", ("interval of", "covers", "simulations", "93-97 %"), rows, ""


def _power(summary: Row) -> Table:
    rows = [
        (words(function), n, percent(c["random"], 0), percent(c["disjoint"], 0))
        for function, table in summary["power"].items()
        for n, c in table.items()
    ]
    heads = "; ".join(f"{words(f)}: {', '.join(c['heads'])}" for f, c in summary["tested"].items())
    text = f"Share of tests at 0.05 that reject, by number of questions, muting {heads}."
    return "Power of the muting test", ("function", "questions", "random", "disjoint"), rows, text


def _dependence(cells: Row) -> list[Table]:
    found: list[Table] = []
    for kind, table in cells.items():
        rows = [
            (name, way, number(c["precision"], 2), number(c["recall"], 2), number(c["f1"], 2))
            for name, ways in table.items()
            for way, c in ways.items()
        ]
        if rows:
            header = (kind, "ranking", "precision", "recall", "F1")
            found.append((f"By {kind}", header, rows, "Plain planted models."))
    return found


def _stability(cells: Row) -> Table:
    rows = [
        (kind, way, number(value, 2))
        for kind in ("seeds", "halves", "wordings")
        for way, value in cells.get(kind, {}).items()
        if way != "steps"
    ]
    for way, table in cells["top"].items():
        always = sum(len(c["always"]) for c in table.values())
        some = sum(len(c["sometimes"]) for c in table.values())
        rows.append(("top five", way, f"{always} always there, {some} come and go"))
    text = "Mean Spearman correlation over heads between variants, on the embedded model."
    return "Stability", ("between", "ranking", "correlation"), rows, text


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _chart(summary: Row) -> Figure:
    """F1 of every ranking at every level."""
    import altair as alt

    levels = [words(level) for level in summary["planted"]]
    rows = [
        {
            "label": words(level),
            "group": way,
            "value": cells[way]["f1"],
            "low": cells[way]["f1"],
            "high": cells[way]["f1"],
            "tip": f"{words(level)}, {way}: F1 {number(cells[way]['f1'], 2)}",
        }
        for level, cells in summary["planted"].items()
        for way in WAYS
        if cells[way]["f1"] is not None
    ]
    scale = alt.Scale(domain=list(_COLOURS), range=list(_COLOURS.values()))
    chart = dots(rows, order=levels, x="F1", scale=scale, legend="ranking", domain=(0.0, 1.02))
    models = sum(cells["models"] for cells in summary["planted"].values())
    return Figure(
        "f1",
        "F1 by level and ranking",
        chart,
        f"F1 of the heads that each ranking names at its own cut-off, pooled over {models} planted models.",
        "F1 of every ranking at every level of difficulty",
    )
