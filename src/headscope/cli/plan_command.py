"""``headscope plan``: how much a study asks and how long that takes here, before anything is started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headscope.cli.models import (
    DeviceMapOption,
    ImageBackendOption,
    MaxMemoryOption,
    QuantizationOption,
    model_options,
)
from headscope.cli.output import tell
from headscope.errors import StudyError

if TYPE_CHECKING:
    from headscope.study.planning import StudyPlan


def plan(
    data: Annotated[Path, typer.Option("--data", help="Folder of cases.")],
    model: Annotated[
        str | None, typer.Option("--model", help="Loaded and timed; without it, work is counted alone.")
    ] = None,
    size: Annotated[str, typer.Option("--size", help="quick, demo or full.")] = "demo",
    seed: Annotated[int, typer.Option("--seed", help="Seed of the study.")] = 0,
    device: Annotated[str | None, typer.Option("--device", help="cpu, cuda, cuda:1, mps ...")] = None,
    dtype: Annotated[str | None, typer.Option("--dtype", help="float32, bfloat16 or float16.")] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", min=1, help="Questions in one forward.")
    ] = None,
    taxonomy: Annotated[
        Path | None,
        typer.Option("--taxonomy", help="cogvsr (the paper's), or a JSON file."),
    ] = None,
    device_map: DeviceMapOption = None,
    max_memory: MaxMemoryOption = None,
    quantization: QuantizationOption = None,
    image_backend: ImageBackendOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Count what a study will ask; with a model, time a few questions and say the hours and the disk."""
    from headscope.data.cases import load_cases
    from headscope.study.planning import plan_study
    from headscope.study.record import load, taxonomy_of
    from headscope.study.sizes import size_named

    options = model_options(device_map, max_memory, quantization, image_backend=image_backend)
    if model is None and (unused := [v for v in (device, dtype, batch_size, options) if v is not None]):
        raise StudyError(
            f"plan: {unused[0]!r} says how a model is run, but none was named; add --model, or leave it out"
        )
    functions = taxonomy_of(taxonomy)
    cases = load_cases(data, functions, pictures=model is not None).in_taxonomy(functions)
    wanted = size_named(size)
    vlm = load(model, device or "cpu", dtype or "float32", options) if model is not None else None
    found = plan_study(cases, wanted, functions, vlm=vlm, batch_size=batch_size or 64, seed=seed)
    if as_json:
        tell(json.dumps(found.to_json(), indent=1))
        return
    from rich.console import Console

    console = Console()
    console.print(_table(found))
    for line in notes(found):
        console.print(line)


def _table(found: StudyPlan) -> Any:
    from rich.table import Table

    table = Table("stage", *(_right(n) for n in ("answers", "scanned prompts", "edited readings", "time")))
    hours = found.hours
    for work in found.stages:
        counts = (f"{n:,}" for n in (work.answers, work.scans, work.edited))
        table.add_row(work.stage, *counts, duration(hours[work.stage]) if hours else "-")
    return table


def _right(name: str) -> Any:
    from rich.table import Column

    return Column(name, justify="right")


def notes(found: StudyPlan) -> list[str]:
    """What stands below the table."""
    lines = [f"{found.cases:,} cases, size {found.size}; edited readings are an upper bound"]
    if found.seconds is None:
        return [*lines, "name a --model to have its work timed here"]
    s = found.seconds
    lines.append(
        f"{found.model}: {s.answer:.3g} s an answer, {s.scan:.3g} s a scanned prompt, {s.edited:.3g} s "
        "an edited reading"
    )
    lines.append(f"capture writes at most {(found.capture_bytes or 0) / 1e9:.2g} GB")
    total = duration(sum(found.hours.values()))
    return [*lines, f"about {total} in all, without the probes' own arithmetic on the CPU"]


def duration(hours: float) -> str:
    """Hours in words.

    Example:
        >>> duration(0.5), duration(30), duration(0.001)
        ('30 min', '30 h', '4 s')
    """
    if hours < 1 / 60:
        return f"{hours * 3600:.0f} s"
    return f"{hours * 60:.0f} min" if hours < 1 else f"{hours:.3g} h"
