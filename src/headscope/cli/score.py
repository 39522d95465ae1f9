"""``headscope score``: saved predictions of any model by the rules of the cases' sources."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

SCHEMA = "headscope/score/1"


def score(
    data: Annotated[Path, typer.Option("--data", help="Folder of cases.")],
    predictions: Annotated[
        Path, typer.Option("--predictions", help="JSON lines or array, CSV, TSV, Parquet, xlsx.")
    ],
    key: Annotated[str, typer.Option("--id", help="Column of ids, where it is not called so.")] = "",
    text: Annotated[str, typer.Option("--text", help="Column of what was said.")] = "",
    out: Annotated[Path, typer.Option(help="JSON file to write.")] = Path("score.json"),
) -> None:
    """Score saved predictions: accuracy with intervals, each source's own rule, what could not be read."""
    from headscope.benchmarks.predictions import answer_rows, counts, read_predictions
    from headscope.benchmarks.scores import score as scored
    from headscope.data.cases import load_cases
    from headscope.storage import write_json

    cases = load_cases(data, taxonomy=None, pictures=False)
    found = read_predictions(predictions, cases, key, text)
    rows = answer_rows(cases.cases, found.texts)
    result = scored(rows, cases.by_id, cases.picture_groups)
    fit = counts(found, cases.cases)
    write_json(out, {"schema": SCHEMA, "predictions": str(predictions), "fit": fit, **result, "rows": rows})
    _show(result, fit, len(cases))
    typer.echo(f"every answer and figure: {out}", err=True)


def _show(result: dict[str, Any], fit: dict[str, Any], count: int) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    overall = Table(box=None, pad_edge=False)
    for name in ("main questions", "n", "right", "95 %"):
        overall.add_column(name, justify="left" if name == "main questions" else "right")
    every = {"kind": "all"} | result["accuracy"]
    for row in [every, *sorted(result["by_kind"], key=lambda r: -r["n"])]:
        low, high = row["ci"]
        shown = f"{100 * low:.0f} to {100 * high:.0f}"
        overall.add_row(Text(row["kind"]), f"{row['n']:,}", f"{100 * row['value']:.1f} %", shown)
    console.print(overall)
    for own in result["official"].values():
        by_rule = Table(box=None, pad_edge=False, title=f"by the rule of {own['rule']}", title_justify="left")
        for name in ("score", "group", "n", "value"):
            by_rule.add_column(name, justify="left" if name in ("score", "group") else "right")
        for row in own["table"]:
            value = "-" if row["value"] is None else f"{100 * row['value']:.1f} %"
            by_rule.add_row(Text(row["score"]), Text(row["group"]), f"{row['n']:,}", value)
        console.print(by_rule)
        parsed = own["parser"]
        typer.echo(f"  read by headscope's parser instead: {100 * parsed['value']:.1f} % of {parsed['n']:,}")
    missing, unknown = len(fit["missing"]), len(fit["unknown"])
    typer.echo(
        f"{fit['matched']:,} of {count:,} cases have a prediction (column {fit['column']}); {missing:,} have "
        f"none and count as wrong; {unknown:,} predictions are no case's"
    )
    typer.echo(
        f"a constant answer or a guess: {100 * result['constant']:.1f} %; no answer could be read: "
        f"{100 * result['unreadable']:.1f} %"
    )
