"""``headscope scan``: what muting each head alone costs each function."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headscope.cli.models import AttentionOption
from headscope.cli.output import say
from headscope.edits.named import NAMED_EDITS
from headscope.errors import StudyError

if TYPE_CHECKING:
    from rich.table import Table

    from headscope.experiments.context import ExperimentContext
    from headscope.experiments.scan_results import ScanResult
    from headscope.models.placement import ModelOptions
    from headscope.study.requested_settings import RequestedSettings

_UNITS = {"": 1, "B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30}


def scan(
    out: Annotated[Path, typer.Option("--out", help="Folder of scan.json and scan.parquet.")],
    model: Annotated[
        str | None, typer.Option("--model", help='"embedded" (default), a folder, or a hub id.')
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Folder of cases.")] = None,
    study: Annotated[Path | None, typer.Option("--study", help="A study: its model, data, splits.")] = None,
    scope: Annotated[str, typer.Option("--scope", help="all, last or answer.")] = "all",
    functions: Annotated[str, typer.Option("--functions", help="Names, by commas; else all.")] = "",
    heads: Annotated[str, typer.Option("--heads", help="Heads such as L3H5, by commas; else all.")] = "",
    edit: Annotated[
        str, typer.Option("--edit", help=f"What is done to a head: {', '.join(NAMED_EDITS)}.")
    ] = "zero",
    split: Annotated[str, typer.Option("--split", help="select or fit.")] = "select",
    max_items: Annotated[int, typer.Option("--max-items", min=1, help="Questions per function.")] = 24,
    memory: Annotated[str, typer.Option("--memory", help="For heads in one pass: 2GB, 500MB.")] = "2GB",
    estimate: Annotated[bool, typer.Option("--estimate", help="Gradient x activation instead.")] = False,
    exact_top: Annotated[int, typer.Option("--exact-top", min=0, help="Scan the N strongest.")] = 0,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Seed of splits and intervals; default 0, or the study's.")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="cpu (default), cuda, cuda:1, mps ...")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option("--dtype", help="float32 (default), bfloat16 or float16.")
    ] = None,
    attention: AttentionOption = None,
) -> None:
    """Mute every head alone and say what that costs each function, exactly or by an estimate."""
    from headscope.experiments.scan import ScanSettings, scan_heads
    from headscope.models.geometry import parse_head
    from headscope.study.requested_settings import RequestedSettings

    settings = ScanSettings(
        scope=_one_of("--scope", scope, ("all", "last", "answer")),
        split=_one_of("--split", split, ("select", "fit")),
        functions=tuple(f.strip() for f in functions.split(",") if f.strip()),
        max_items=max_items,
        edit=_one_of("--edit", edit, tuple(NAMED_EDITS)),
        estimate=estimate or exact_top > 0,
        exact_top=exact_top,
    )
    chosen = [parse_head(h) for h in heads.split(",") if h.strip()]
    room = parse_memory(memory)
    options: ModelOptions | None = {"attention": attention} if attention is not None else None
    given = RequestedSettings(model=model, seed=seed, device=device, dtype=dtype, model_options=options)
    result = scan_heads(_opened(study, data, given, out), settings, heads=chosen, memory=room)
    from rich.console import Console

    Console().print(_table(result))
    say(f"engine: {result.engine}")
    say(f"scan: {out / 'scan.json'}")


def parse_memory(text: str) -> int:
    """Bytes of a size such as ``2GB``.

    Raises:
        StudyError: it is no size.

    Example:
        >>> parse_memory("1.5 MB")
        1572864
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKmMgG]?[bB]?)\s*", text)
    unit = match[2].upper() if match else ""
    if match is None or (size := int(float(match[1]) * _UNITS.get(unit, _UNITS.get(f"{unit}B", 1)))) < 1:
        raise StudyError(f"asked for memory {text!r}; expected a size such as 2GB or 500MB")
    return size


def _one_of(option: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise StudyError(f"{option}: found {value!r}; there are: {', '.join(known)}")
    return value


def _opened(study: Path | None, data: Path | None, given: RequestedSettings, out: Path) -> ExperimentContext:
    """Model, cases, splits, taxonomy and seed, of a study or of a folder of cases."""
    from headscope.data.cases import load_cases
    from headscope.data.splits import assign_splits
    from headscope.experiments.context import ExperimentContext
    from headscope.study.requested_settings import loaded
    from headscope.study.study import Study

    if (study is None) == (data is None):
        raise StudyError("scan: say either --data FOLDER (with --model) or --study FOLDER")
    if study is not None:
        return replace(Study.open(study, given).context, folder=out)
    assert data is not None
    cases, given = load_cases(data), given.filled()
    seed = given.seed or 0
    return ExperimentContext(loaded(given), cases, assign_splits(cases, seed), out, seed=seed)


def _table(result: ScanResult) -> Table:
    from rich.table import Table

    exact = not result.settings.get("estimate")
    title = "Heads whose muting costs most: drop of the margin, nats per token"
    table = Table(title=title if exact or result.settings.get("exact_top") else f"{title} (estimated)")
    for column in ("function", "questions", "heads", "agreement"):
        table.add_column(column)
    for name, own in result.functions.items():
        best = "  ".join(
            f"{h} {v:+.3f} [{', '.join('–' if end is None else f'{end:+.3f}' for end in ci)}]"
            for h, v, ci in result.top(name, 3)
        )
        rho = own.spearman
        agrees = "" if rho is None else f"Spearman {rho:.2f} of {own.compared}"
        table.add_row(name, str(own.items), best, agrees)
    return table
