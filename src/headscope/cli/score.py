"""``headscope score``: saved predictions of any model by the rules of the cases' sources."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headscope.cli.output import OverwriteOption, new_file, say, table_of, tell

if TYPE_CHECKING:
    from rich.table import Table

    from headscope.benchmarks.predictions import FileReading, PredictionScores
    from headscope.benchmarks.score_types import OfficialScores, Score, Scores


def score(
    data: Annotated[Path, typer.Option("--data", help="Folder of cases.")],
    predictions: Annotated[
        Path,
        typer.Option(
            "--predictions", help="JSON lines or array, CSV, TSV, Parquet, xlsx; a folder of these."
        ),
    ],
    key: Annotated[str, typer.Option("--id", help="Column of ids, where it is not called so.")] = "",
    text: Annotated[str, typer.Option("--text", help="Column of what was said.")] = "",
    out: Annotated[Path, typer.Option(help="JSON file to write.")] = Path("score.json"),
    overwrite: OverwriteOption = False,
) -> None:
    """Score saved predictions: accuracy with intervals, each source's own rule, what could not be read."""
    from headscope.benchmarks.predictions import (
        PredictionScores,
        answer_rows,
        file_reading,
        matched,
        read_predictions,
    )
    from headscope.benchmarks.scores import score as scored
    from headscope.data.cases import load_cases

    new_file(out, overwrite)
    cases = load_cases(data, taxonomy=None, pictures=False)
    found = read_predictions(predictions, cases, key, text)
    rows = answer_rows(cases.cases, found.texts)
    result = PredictionScores(
        **dict(scored(rows, cases.by_id, cases.picture_groups)),
        predictions=str(predictions),
        fit=matched(found, cases.cases),
        reading=file_reading(found, rows, cases),
        rows=tuple(rows),
    )
    result.save(out)
    _show(result, len(cases))
    say(f"every answer and figure: {out}")


def _show(result: PredictionScores, count: int) -> None:
    from rich.console import Console

    console = Console()
    console.print(kinds_table(result))
    for own in result.official.values():
        console.print(rule_table(own))
        if own.parser is not None:
            shown = f"{_percent(own.parser.value)} of {own.parser.n:,}"
            tell(f"  read by headscope's parser instead: {shown}")
    fit = result.fit
    missing, unknown = len(fit.missing), len(fit.unknown)
    tell(
        f"{fit.matched:,} of {count:,} cases have a prediction (column {fit.column}); {missing:,} have "
        f"none and count as wrong; {unknown:,} predictions are no case's"
    )
    if result.reading is not None:
        tell(_read_by_file(result.reading))
    tell(guessing(result))


def _read_by_file(own: FileReading) -> str:
    """What the file's own reading gives, and where it differs from the rule's."""
    differ = f"{len(own.differ):,} cases"
    some = ", ".join(own.differ[:5]) + (", ..." if len(own.differ) > 5 else "")
    shown = f" ({some})" if own.differ else ""
    return (
        f"as the file itself reads them (column {own.column}): {_percent(own.value)} of {own.n:,}; judged "
        f"otherwise here: {differ}{shown}"
    )


def kinds_table(scores: Scores, changed: Scores | None = None, name: str = "right") -> Table:
    """Shares right over all and by kind, commonest first; those of a changed model beside them."""
    from rich.markup import escape

    columns = ("main questions", "n", name, "95 %", *(("changed", "95 %") if changed else ()))
    table = table_of(columns, left=1)
    others: dict[str, Score] = {r.kind: r for r in changed.by_kind} if changed else {}
    if changed:
        others["all"] = changed.accuracy
    kinds = sorted(scores.by_kind, key=lambda r: -r.n)
    for kind, row in [("all", scores.accuracy), *((r.kind, r) for r in kinds)]:
        other = others.get(kind)
        table.add_row(escape(kind), f"{row.n:,}", *_share(row), *(_share(other) if other else ()))
    return table


def rule_table(own: OfficialScores, other: OfficialScores | None = None, name: str = "value") -> Table:
    """The table of a source's own rule; that of a changed model beside it."""
    from rich.markup import escape

    table = table_of(("score", "group", "n", name, *(("changed",) if other else ())), left=2)
    table.title, table.title_justify = f"by the rule of {own.rule}", "left"
    for i, row in enumerate(own.table):
        values = [row.value, other.table[i].value] if other else [row.value]
        table.add_row(escape(row.score), escape(row.group), f"{row.n:,}", *map(_percent, values))
    return table


def guessing(scores: Scores) -> str:
    """What a figure is to be compared with, in a line."""
    constant, unreadable = _percent(scores.constant), _percent(scores.unreadable)
    return f"a constant answer or a guess: {constant}; no answer could be read: {unreadable}"


def _share(cell: Score) -> tuple[str, str]:
    low, high = ("–" if end is None else f"{100 * end:.0f}" for end in cell.ci)
    return _percent(cell.value), f"{low} to {high}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
