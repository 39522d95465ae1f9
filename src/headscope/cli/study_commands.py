"""The commands of a study: ``run``, and one a row of the table of stages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headscope.cli.compare_command import compare_two, is_pair
from headscope.cli.models import (
    AttentionOption,
    DeviceMapOption,
    ImageBackendOption,
    MaxMemoryOption,
    QuantizationOption,
    TowerOption,
    model_options,
)
from headscope.cli.output import say
from headscope.errors import StudyError
from headscope.study.stages import STAGES

if TYPE_CHECKING:
    from headscope.records import JsonObject
    from headscope.study.requested_settings import RequestedSettings
    from headscope.study.study import OpenOptions, Study

# Of a study: what is left out is as the study has it, and what it does not have is refused.
StudyModelOption = Annotated[
    str | None,
    typer.Option("--model", help='"embedded" (default), a checkpoint folder, or a hub id (org/name).'),
]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder of cases (cases.jsonl and pictures).")
]
StudyOption = Annotated[Path, typer.Option("--study", help="Folder of the study; made if it is not there.")]
SizeOption = Annotated[
    str | None,
    typer.Option("--size", help="How much is read: smoke (does it run?), quick, demo (default) or full."),
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", help="Seed of splits and of everything drawn at random; default 0.")
]
StudyDeviceOption = Annotated[
    str | None, typer.Option("--device", help="cpu (default), cuda, cuda:1, mps ...")
]
StudyDtypeOption = Annotated[
    str | None, typer.Option("--dtype", help="float32 (default), bfloat16 or float16.")
]
BatchOption = Annotated[
    int | None, typer.Option("--batch-size", min=1, help="Questions in one forward; default 64.")
]
ProbeDeviceOption = Annotated[
    str | None,
    typer.Option(
        "--probe-device",
        help="Where the probes' permutations are scored: cpu, cuda, cuda:1, auto. By default cpu, or what "
        "the study began with.",
    ),
]
TaxonomyOption = Annotated[
    Path | None, typer.Option("--taxonomy", help="cogvsr (the paper's), or a JSON file.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="A stage's setting, such as ablate.draws=500; may be given several times."),
]
WaitOption = Annotated[
    bool, typer.Option("--wait", help="Wait while another process works on the study; else it is refused.")
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        help="Processes that share the work, for a model on the CPU.  [default: one a thread, up to 8]",
        show_default=False,
    ),
]


def add_stages(app: typer.Typer) -> None:
    """Register the commands."""
    every = ", ".join(stage.name for stage in STAGES if not stage.asks)
    _add_stage(app, "run", f"All stages: {every}.")
    for stage in STAGES:
        _add_stage(app, stage.name, stage.text)


def open_study(study: Path, data: Path | None, given: RequestedSettings, opening: OpenOptions) -> Study:
    """The study in the folder, or a new one where it holds none yet.

    Args:
        given: what the user said of its settings.
        opening: how it is opened.

    Raises:
        StudyError: nothing to start from, or a setting that differs from the study's.
    """
    from headscope.study.kept_record import has_study
    from headscope.study.study import Study

    opening = {"announce": say, **opening}
    if has_study(study):
        return Study.open(study, given, data, **opening)
    if data is None:
        raise StudyError(f"{study}: holds no study yet; to start one, say --data FOLDER (and --model)")
    return Study.create(study, data=data, **vars(given), **opening)


def parse_settings(words: list[str] | None) -> dict[str, JsonObject]:
    """Settings of stages as the command line gives them.

    Raises:
        StudyError: a word that is not STAGE.NAME=VALUE.

    Example:
        >>> parse_settings(["ablate.draws=500", "ablate.ks=[1, 2]", "compare.other=runs/b"])
        {'ablate': {'draws': 500, 'ks': [1, 2]}, 'compare': {'other': 'runs/b'}}
    """

    found: dict[str, JsonObject] = {}
    for word in words or ():
        name, equals, text = word.partition("=")
        stage, dot, setting = name.partition(".")
        if not (equals and dot and stage and setting):
            raise StudyError(f"--set: found {word!r}; expected STAGE.NAME=VALUE, such as ablate.draws=500")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        found.setdefault(stage, {})[setting] = value
    return found


def _add_stage(app: typer.Typer, name: str, text: str) -> None:
    protocol_option = typer.Option(
        None,
        "--protocol",
        help="paper: do what arXiv 2603.20662 did, in its functions, and print its figures beside.",
        hidden=name != "run",
    )

    pairs_option = typer.Option(
        None,
        "--pairs",
        help="Folder of `headscope data pairs`: carry heads' output between the pictures of a pair.",
        hidden=name not in ("run", "patch"),
    )

    function_option = typer.Option(
        None, "--function", help="One function of patch.json, or all.", hidden=name != "circuit"
    )

    study_option = typer.Option(
        None if name == "compare" else ..., "--study", help="Folder of the study; made if it is not there."
    )

    format_option = typer.Option(
        None,
        "--format",
        help="Of `headscope compare A B`: csv, latex or markdown (default).",
        hidden=name != "compare",
    )

    html_option = typer.Option(
        None,
        "--html",
        help="Of `headscope compare A B`: write one page with both side by side.",
        hidden=name != "compare",
    )

    def command(
        context: typer.Context,
        study: Path = study_option,
        model: StudyModelOption = None,
        data: DataOption = None,
        size: SizeOption = None,
        seed: SeedOption = None,
        device: StudyDeviceOption = None,
        dtype: StudyDtypeOption = None,
        batch_size: BatchOption = None,
        taxonomy: TaxonomyOption = None,
        device_map: DeviceMapOption = None,
        max_memory: MaxMemoryOption = None,
        quantization: QuantizationOption = None,
        attention: AttentionOption = None,
        tower: TowerOption = "decoder",
        image_backend: ImageBackendOption = "auto",
        probe_device: ProbeDeviceOption = None,
        settings: SetOption = None,
        wait: WaitOption = False,
        workers: WorkersOption = None,
        protocol: str | None = protocol_option,
        pairs: str | None = pairs_option,
        function: str | None = function_option,
        form: str | None = format_option,
        page: Path | None = html_option,
    ) -> None:
        if name == "compare" and is_pair(context, study, form, page):
            compare_two(context.args, parse_settings(settings), form or "markdown", page)
            return
        if page is not None:
            raise StudyError(f"--html is for `headscope compare A B`; found `headscope {name}`")
        if form is not None:
            raise StudyError(f"--format is for `headscope compare A B`; found `headscope {name}`")
        from headscope.study.requested_settings import RequestedSettings

        options = model_options(device_map, max_memory, quantization, tower, image_backend, attention)
        given = RequestedSettings(
            model, size, seed, taxonomy, device, dtype, options, batch_size, parse_settings(settings) or None
        )
        if pairs is not None:
            given = _with_setting(given, name, ("patch", "run"), "patch", "pairs", pairs)
        if function is not None:
            given = _with_setting(given, name, ("circuit",), "circuit", "function", function)
        if protocol is not None:
            given = _in_protocol(given, protocol, name, study)
        opened = open_study(
            study, data, given, {"probe_device": probe_device, "wait": wait, "workers": workers}
        )
        if protocol is not None:
            show_paper(opened)
        elif name in ("run", "report"):
            made = opened.run() if name == "run" else opened.report()
            show_summary(opened)
            say(f"report: {made}")
        else:
            opened.stage(name)
            say(f"{name}: done, in {opened.folder}")

    command.__doc__ = text
    if name == "compare":
        command.__doc__ = f"Two studies or atlas.json files side by side: A B. With --study: {text}"
        pair = {"allow_extra_args": True}
        app.command(name, context_settings=pair, options_metavar="[A B] [OPTIONS]")(command)
        return
    app.command(name)(command)


def _in_protocol(given: RequestedSettings, protocol: str, command: str, folder: Path) -> RequestedSettings:
    """The settings of a study that follows a protocol: its stage is asked for, in the paper's functions.

    Raises:
        StudyError: the command is another than ``run``.
    """
    if command != "run":
        raise StudyError(f"--protocol is for `headscope run`; `headscope {command}` does one stage alone")
    settings = {**(given.settings or {})}
    settings["paper"] = {**settings.get("paper", {}), "protocol": protocol}
    from headscope.study.kept_record import has_study

    begun = has_study(folder)  # a study keeps the functions that it began with
    return replace(given, settings=settings, taxonomy=given.taxonomy or (None if begun else "cogvsr"))


def _with_setting(
    given: RequestedSettings, command: str, takes: Sequence[str], stage: str, name: str, value: str
) -> RequestedSettings:
    """The settings of a study with one that an option of its own names.

    Raises:
        StudyError: another command than those that take it, or another value by ``--set``.
    """
    if command not in takes:
        raise StudyError(f"--{name} is for headscope {' and '.join(takes)}; found `headscope {command}`")
    settings = {**(given.settings or {})}
    own = settings.get(stage, {})
    if own.get(name, value) != value:
        raise StudyError(f"--{name} {value} and --set {stage}.{name}={own[name]}: name one")
    settings[stage] = {**own, name: value}
    return replace(given, settings=settings)


def show_paper(study: Study) -> None:
    """Run the paper's protocol and print it beside the published figures."""
    from rich.console import Console
    from rich.table import Table

    from headscope.experiments.paper_result import PaperResult, masking_row

    made = study.stage("paper")
    assert isinstance(made, PaperResult)
    masked = [masking_row(row) for row in made.masking]
    lines = [line.content() for line in made.table]
    for title, rows in ((f"Heads times {made.factor:g}, % right", masked), (made.source, lines)):
        table = Table(*(rows[0] if rows else ()), title=title, show_lines=True)
        for row in rows:
            table.add_row(*map(str, row.values()))
        Console().print(table)
    for function, why in made.left_out.items():
        say(f"{function}: left out, {why}")
    say(f"paper: done, in {study.folder / 'paper.json'}; what differs: docs/paper.md")


def show_summary(study: Study) -> None:
    """The study's summary as a table on standard output."""
    from rich.console import Console

    from headscope.cli.summary_table import summary_table
    from headscope.report.study_summary import Summary

    Console().print(summary_table(Summary.load(study.folder / "summary.json")))
