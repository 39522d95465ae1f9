"""The page of ``headscope validate-method``: its summary as one HTML file that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from headscope.records import Interval
from headscope.report import theme
from headscope.report.charts.base import Figure, dots, words
from headscope.report.svg import draw, inline
from headscope.report.theme import number, percent
from headscope.storage import write_atomic
from headscope.validation.validation_result import Nulls, Stability, ValidationResult

if TYPE_CHECKING:
    from rich.table import Table as Grid

FILE = "validation.html"
WAYS = {
    "causal": "causal: test and least effect",
    "decoding": "decoding: function and answer",
    "answer": "answer probe",
    "independent": "independent probe",
    "joint": "joint probe, elbow",
    "attention": "attention on what is named",
    "patching": "patching: carries the fact",
}
_COLOURS = dict(zip(WAYS, theme.STEPS, strict=False))
Table = tuple[str, Sequence[str], Sequence[Sequence[str]], str]  # title, header, rows, what it says


def write_validation_page(folder: str | Path) -> Path:
    """Write ``validation.html`` beside ``summary.json``; everything from the summary is escaped.

    Raises:
        StoreError: no summary, or the folder cannot be written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    summary = ValidationResult.load(Path(folder) / "summary.json")
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
        quick=summary.quick,
        constructor=summary.constructor,
        default=WAYS.get(summary.default_ranking, summary.default_ranking),
        minutes=number(summary.wall_s / 60, 1),
    )
    write_atomic(Path(folder) / FILE, page)
    return Path(folder) / FILE


def validation_table(summary: ValidationResult) -> Grid:
    """The planted models as a table for the terminal."""
    from rich.table import Table as Grid

    _, header, rows, _ = tables(summary)[0]
    grid = Grid(*header, title=f"default ranking: {summary.default_ranking}")
    for row in rows:
        grid.add_row(*row)
    return grid


def tables(summary: ValidationResult) -> list[Table]:
    """Everything measured, in tables."""
    return [
        _planted(summary),
        *_claims(summary),
        _decoys(summary),
        _nulls(summary.null),
        _random_heads(summary.null),
        _coverage(summary),
        _power(summary),
        *_dependence(summary),
        _stability(summary.stability),
    ]


def _planted(summary: ValidationResult) -> Table:
    header = ("level", "ranking", "precision", "recall", "F1", "false", "median place", "worst place")
    rows = []
    for level, cells in summary.planted.items():
        for way in WAYS:
            c = cells.way(way)
            if c is None:
                continue
            shares = (number(v, 2) for v in (c.precision, c.recall, c.f1))
            places = (number(c.rank_median, 1), number(c.rank_worst, 0))
            rows.append((words(level), way, *shares, str(c.false_discoveries), *places))
    text = "Heads named by each ranking at its own cut-off, against the heads that were planted."
    return "Planted heads", header, rows, text


def _claims(summary: ValidationResult) -> list[Table]:
    if not summary.claims:
        return []
    header = ("level", "models", "tests", "false", "95 %", "power", "95 %", "tests", "points", "random sets")
    rows = [
        (
            words(level),
            str(c.models),
            str(c.replicates),
            percent(c.false_claim_share, 1),
            _between(c.false_ci),
            percent(c.power_20_points),
            _between(c.power_ci),
            str(c.power_replicates),
            number(c.true_points, 1),
            percent(c.random_claimed_share, 1),
        )
        for level, c in summary.claims.items()
    ]
    text = (
        "False: heads claimed for a function that they do not serve, or an early generalist among them. "
        "Power: planted effects of 20 points that are claimed. Random sets: of the same layers, put through "
        "the same test; some hold the right heads. Intervals are exact, over tests."
    )
    return [("Claims of the muting experiment", header, rows, text)]


def _between(ci: Interval | None) -> str:
    return "–" if ci is None else f"{percent(ci[0], 1)} to {percent(ci[1], 1)}"


def _decoys(summary: ValidationResult) -> Table:
    planted = summary.planted
    rows = [(f"decoys rejected, {way}", percent(share)) for way, share in summary.decoy_rejection.items()]
    pairs = planted["redundant"].pairs if "redundant" in planted else None
    if pairs:
        lost = (("one", pairs.one), ("both", pairs.both))
        rows += [(f"redundant pair, points lost without {k}", number(points)) for k, points in lost]
    below = planted["suppressor"].suppressors_below_zero if "suppressor" in planted else None
    if below is not None:
        rows.append(("suppressors whose causal score is clearly negative", percent(below)))
    text = "A decoy holds the answer and nothing reads it. Either head of a redundant pair is enough."
    return "Decoys, pairs, suppressors", ("what", "measured"), rows, text


def _nulls(null: Nulls) -> Table:
    rows = [
        (name, percent(c.claimed_share, 2), percent(c.bound), str(c.runs), _yes(c.within))
        for name, c in null.labels.items()
    ]
    weights = null.random_weights
    rows += [
        (f"random weights: pairs named, {way}", percent(share, 2), "–", str(weights.pairs[way]), "–")
        for way, share in weights.claimed.items()
    ]
    area = number(weights.function_auroc_median, 2)
    text = (
        "Share of functions with any claim when labels mean nothing. Heads of random weights still tell the "
        f"function from the wording (median AUROC {area}): they are no null for that."
    )
    return "Nothing to find", ("test", "claimed", "bound", "runs", "within"), rows, text


def _random_heads(null: Nulls) -> Table:
    header = ("controls and measure", "at 0.05", "within", "at 0.01", "within", "replicates")
    rows = [
        (
            name,
            percent(c.reject_at_05, 1),
            _yes(c.reject_at_05_within),
            percent(c.reject_at_01, 1),
            _yes(c.reject_at_01_within),
            str(c.replicates),
        )
        for name, c in null.random_heads.items()
    ]
    text = (
        "How often muting randomly drawn heads is called worse than controls. Disjoint controls share no "
        "head with the tested set, random ones may; claims rest on the disjoint ones."
    )
    return "The muting test under random heads", header, rows, text


def _coverage(summary: ValidationResult) -> Table:
    rows = [
        (name, percent(c.share, 1), str(c.simulations), _yes(c.within))
        for name, c in summary.coverage.items()
    ]
    header = ("interval of", "covers", "simulations", "93-97 %, shares 93 % or more")
    return "Coverage of 95 % intervals", header, rows, ""


def _power(summary: ValidationResult) -> Table:
    rows = [
        (words(function), n, percent(c["random"], 0), percent(c["disjoint"], 0))
        for function, table in summary.power.items()
        for n, c in table.items()
    ]
    heads = "; ".join(f"{words(f)}: {', '.join(c.heads)}" for f, c in summary.tested.items())
    text = f"Share of tests at 0.05 that reject, by number of questions, muting {heads}."
    return "Power of the muting test", ("function", "questions", "random", "disjoint"), rows, text


def _dependence(summary: ValidationResult) -> list[Table]:
    found: list[Table] = []
    for kind, table in summary.dependence.items():
        rows = [
            (name, way, number(c.precision, 2), number(c.recall, 2), number(c.f1, 2))
            for name, ways in table.items()
            for way, c in ways.items()
        ]
        if rows:
            header = (kind, "ranking", "precision", "recall", "F1")
            found.append((f"By {kind}", header, rows, "Plain planted models."))
    return found


def _stability(cells: Stability) -> Table:
    rows = [
        (kind, way, number(value, 2))
        for kind, table in (("seeds", cells.seeds), ("halves", cells.halves), ("wordings", cells.wordings))
        for way, value in table.items()
        if way != "steps"
    ]
    for way, functions in cells.top.items():
        always = sum(len(c.always) for c in functions.values())
        some = sum(len(c.sometimes) for c in functions.values())
        rows.append(("top five", way, f"{always} always there, {some} come and go"))
    text = "Mean Spearman correlation over heads between variants, on the embedded model."
    return "Stability", ("between", "ranking", "correlation"), rows, text


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _chart(summary: ValidationResult) -> Figure:
    """F1 of every ranking at every level."""
    import altair as alt

    levels = [words(level) for level in summary.planted]
    rows = [
        {
            "label": words(level),
            "group": way,
            **dict.fromkeys(("value", "low", "high"), errors.f1),
            "tip": f"{words(level)}, {way}: F1 {number(errors.f1, 2)}",
        }
        for level, cells in summary.planted.items()
        for way in WAYS
        if (errors := cells.way(way)) is not None and errors.f1 is not None
    ]
    scale = alt.Scale(domain=list(_COLOURS), range=list(_COLOURS.values()))
    chart = dots(rows, order=levels, x="F1", scale=scale, legend="ranking", domain=(0.0, 1.02))
    models = sum(cells.models for cells in summary.planted.values())
    return Figure(
        "f1",
        "F1 by level and ranking",
        chart,
        f"F1 of the heads that each ranking names at its own cut-off, pooled over {models} planted models.",
        "F1 of every ranking at every level of difficulty",
    )
