"""A study's summary as a table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headscope.asking.form import Form, warnings_of
from headscope.cli.text_tables import text_table
from headscope.experiments.waking.summary_records import PointingSummary
from headscope.records import Interval
from headscope.report.charts.base import words
from headscope.report.study_summary import Summary
from headscope.report.theme import number, percent
from headscope.study.evaluation_result import AnswerForm

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table


def summary_table(summary: Summary) -> Group:
    """The summary as a rich renderable for the terminal.

    Example:
        >>> from rich.console import Console  # doctest: +SKIP
        >>> Console().print(summary_table(write_summary("runs/demo")))  # doctest: +SKIP
    """
    from rich.console import Group
    from rich.text import Text

    model = summary.model
    shape = f"{model.layers or '?'} layers, {model.heads or '?'} heads"
    counts = " / ".join(str(n) for _, n in summary.cases)
    head = Text(f"{model.name or 'model'} ({shape}); cases fit / select / test: {counts}", style="bold")
    lines = [Text(line) for line in _lines(summary)]
    return Group(head, _function_table(summary), *lines)


_COLUMNS = (
    *("", "accuracy", "heads", "muted", "points lost", "forced choice", "random heads", "q", "claimed"),
)


def table_in(summary: Summary, form: str) -> str:
    """The table of functions as text to paste into a paper.

    Args:
        form: ``csv``, ``latex`` or ``markdown``.
    """
    return text_table([["function", *_COLUMNS[1:]], *_function_rows(summary)], form)


def _function_table(summary: Summary) -> Table:
    from rich.table import Table

    table = Table(title=None, header_style="bold", pad_edge=False)
    for column in _COLUMNS:
        table.add_column(column, justify="left" if not column else "right")
    for row in _function_rows(summary):
        table.add_row(*row)
    return table


def _function_rows(summary: Summary) -> list[list[str]]:
    rows = []
    claims = {claim.function: claim for claim in summary.claims}
    for name, cell in summary.accuracy.items():
        heads, muted = summary.functional_heads.get(name), claims.get(name)
        row = (
            words(name),
            f"{percent(cell.value)} (n = {cell.n})",
            str(heads.significant) if heads else "–",
            str(len(muted.heads)) if muted else "–",
            _interval(muted.drop_points, muted.ci) if muted else "–",
            _interval(muted.forced_drop_points, muted.forced_ci) if muted else "–",
            number(muted.control_mean) if muted else "–",
            number(muted.q, 3) if muted else "–",
            ("yes" if muted.claimed else muted.verdict.split(":")[0]) if muted else "–",
        )
        rows.append(list(row))
    return rows


def _lines(summary: Summary) -> list[str]:
    """One line for each of the other findings; stages that were not run are said to be so."""
    contexts = [f"{c} {percent(v)}" for c, v in summary.main_by_context.items() if v is not None]
    lines = [f"Main questions by context: {', '.join(contexts)}"] if contexts else ["Answers: not captured"]
    if isinstance(summary.form, AnswerForm):
        lines += [f"Warning: {said}" for said in warnings_of(Form(**summary.form.model_dump()))]
    raised, wake = summary.emphasis, summary.wake
    if raised.function:
        lines.append(
            f"Emphasis: {words(raised.function)}, {raised.edit} {raised.strength:g}: "
            f"{_interval(raised.delta_points, raised.ci, True)} points (n = {raised.n}); random heads "
            f"{number(raised.random_sets_mean, 1, True)} (at most "
            f"{number(raised.random_sets_max, 1, True)}); worst side effect "
            f"{number(raised.worst_side_effect_points, 1, True)}"
        )
    if raised.testable is False:
        lines.append(f"Emphasis: not testable: {raised.reason}")
    if wake.both is not None:
        lines += _pointing(summary.pointing)
    if wake.unread:
        lines.append(f"Pointing: {wake.unread}")
    emphasized, pointed = raised.testable is not None, wake.both or wake.unread
    ran = {"emphasize": emphasized, "wake": pointed, "ablate": summary.claims}
    missing = [name for name, found in ran.items() if not found]
    lines += [f"Not run: {', '.join(missing)}"] if missing else []
    return [*lines, f"Wall time: {number(summary.wall_s['total'] / 60, 1)} minutes"]


def _pointing(found: PointingSummary) -> list[str]:
    """The headline, and what else a box tells."""
    headline, controls = found.headline, found.controls
    told = ", ".join(
        f"{name} {number(points, 1, True)}"
        for name, points in (
            ("equal area", controls.equal_area),
            ("other boxes", controls.other_boxes),
            ("empty window", controls.empty_window),
        )
    )
    return [
        f"Pointing (both): {_interval(headline.delta_points, headline.ci, True)} points (n = {headline.n}, "
        f"answers that no box tells); controls: {told}; spatial heads muted: "
        f"{number(found.with_spatial_heads_muted, 1, True)}",
        f"Told by boxes: {number(found.leaky.delta_points, 1, True)} points (n = {found.leaky.n}); an absent "
        f"thing gets the place of the box in {number(controls.wrong_name_share)} %",
    ]


def _interval(value: float | None, ci: Interval | None, sign: bool = False) -> str:
    low, high = ci or (None, None)
    return f"{number(value, 1, sign)} [{number(low, 1, sign)}, {number(high, 1, sign)}]"
