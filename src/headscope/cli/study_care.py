"""``headscope study``: how a study folder stands, what is damaged made again, where its data lie now."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headscope.cli.output import say, table_of, tell
from headscope.errors import command_line

study_app = typer.Typer(help="Look after the folder of a study.", no_args_is_help=True)
FolderArgument = Annotated[Path, typer.Argument(help="Folder of the study.")]


@study_app.command()
def status(folder: FolderArgument) -> None:
    """Read every file; say how each stage stands, and where cases and model are; 1 if something is amiss."""
    from rich.console import Console

    from headscope.study.care import status as look

    found = look(folder)
    table = table_of(("stage", "state", "what is wrong"), left=3)
    for stage in found.stages:
        table.add_row(stage.stage, stage.state, stage.fault)
    Console().print(table)
    for line in (*found.files, *found.places):
        say(line)
    if found.damaged:
        say(f"{command_line('study', 'repair', folder)} mends it")
    if found.damaged or found.lost:
        raise SystemExit(1)


@study_app.command()
def table(
    folder: FolderArgument,
    form: Annotated[str, typer.Option("--format", help="csv, latex or markdown.")] = "markdown",
) -> None:
    """The functions with their heads, what muting costs and what may be claimed, to paste into a paper."""
    from headscope.cli.summary_table import table_in
    from headscope.cli.text_tables import check_format
    from headscope.errors import StudyError
    from headscope.report.study_summary import FILE, Summary
    from headscope.study.kept_record import has_study

    check_format(form)
    if not (folder / FILE).exists():
        if not has_study(folder):
            raise StudyError(f"{folder}: holds no study; looked for study.json there")
        advice = command_line("report", "--study", folder)
        raise StudyError(f"{folder}: has no {FILE} yet; {advice} writes it")
    tell(table_in(Summary.load(folder / FILE), form))


@study_app.command()
def repair(
    folder: FolderArgument,
    wait: Annotated[bool, typer.Option("--wait", help="Wait while another process works on it.")] = False,
) -> None:
    """Make again what was done and is damaged or lost, from what is whole."""
    from headscope.study.care import repair as mend

    mended = mend(folder, announce=say, wait=wait)
    for line in mended:
        tell(f"mended: {line}")
    say(f"{folder}: {len(mended)} mended" if mended else f"{folder}: nothing was damaged")


@study_app.command()
def move(
    folder: FolderArgument,
    data: Annotated[Path | None, typer.Option("--data", help="Where its cases are now.")] = None,
    model: Annotated[Path | None, typer.Option("--model", help="Where its checkpoint folder is now.")] = None,
) -> None:
    """Record where the cases and the model of a study lie, after it or they were moved."""
    from headscope.study.care import move as record_places

    record = record_places(folder, data, model)
    say(f"{folder}: cases in {record.data.path}, model {record.load_ or record.model.name}")
