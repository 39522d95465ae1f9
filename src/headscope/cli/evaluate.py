"""``headscope evaluate``: a model's score on main questions, plain and under an intervention."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headscope.cli.models import AttentionOption
from headscope.cli.output import OverwriteOption, new_file, say, tell
from headscope.cli.score import guessing, kinds_table, rule_table
from headscope.pointing.styles import STYLES

if TYPE_CHECKING:
    from headscope.benchmarks.score_types import PairedDifference
    from headscope.study.evaluation import Loading
    from headscope.study.evaluation_result import EvaluationResult, InterventionResult


def evaluate(
    data: Annotated[Path, typer.Option("--data", help="Folder of cases.")],
    model: Annotated[
        str | None,
        typer.Option("--model", help="A checkpoint folder or a hub id; default: the study's, or embedded."),
    ] = None,
    study: Annotated[
        Path | None, typer.Option("--study", help="Study on this model whose atlas names the heads.")
    ] = None,
    mute: Annotated[str, typer.Option(help="Mute the heads of this function.")] = "",
    bake: Annotated[str, typer.Option(help="Bake the heads of this function, turned up.")] = "",
    wake: Annotated[str, typer.Option(help=f"Point at the named objects: {', '.join(STYLES)}.")] = "",
    heads: Annotated[int, typer.Option(min=1, help="How many heads of the function.")] = 4,
    factor: Annotated[
        float, typer.Option("--scale", help="bake: what their output is multiplied with.")
    ] = 1.5,
    out: Annotated[Path, typer.Option(help="JSON file to write.")] = Path("evaluation.json"),
    limit: Annotated[int | None, typer.Option(min=1, help="The first so many cases only.")] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="cpu, cuda, cuda:1, mps ...; default: the study's, or cpu.")
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option("--dtype", help="float32, bfloat16 or float16; default: the study's, or float32."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Questions in one forward.")] = 32,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 16,
    attention: AttentionOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Answer every main question, score by the source's own rule; with an intervention, compare in pairs."""
    from headscope.errors import StudyError
    from headscope.study.evaluation import Intervention
    from headscope.study.evaluation import evaluate as run

    new_file(out, overwrite)
    asked = [(k, v) for k, v in (("mute", mute), ("bake", bake), ("wake", wake)) if v]
    if len(asked) > 1:
        raise StudyError(f"asked for --{' and --'.join(k for k, _ in asked)}; one intervention at a time")
    change = Intervention(*asked[0], study=study, heads=heads, factor=factor) if asked else None
    needs_heads = change is not None and change.kind != "wake"
    if change and needs_heads and study is None and model not in (None, "embedded"):
        raise StudyError(f"--{change.kind} {change.what}: say --study, a study run on {model}, for its heads")
    if study is not None and not needs_heads:
        raise StudyError("--study names the heads of --mute or --bake; say one of them, or leave it out")
    model, loading = _loading(study, model, device, dtype, attention, batch_size, max_new_tokens)
    found = run(model, data, change, loading, limit=limit, announce=lambda text: say(text))
    found.save(out)
    _show(found)
    say(f"every answer and figure: {out}")


def _loading(
    study: Path | None,
    model: str | None,
    device: str | None,
    dtype: str | None,
    attention: str | None,
    batch_size: int,
    most: int,
) -> tuple[str, Loading]:
    """What is loaded, and how: as the study loads its model, where nothing else is said.

    Raises:
        StudyError: the study was run on another model.
    """
    from headscope.study.evaluation import Loading
    from headscope.study.places import find_model
    from headscope.study.requested_settings import RequestedSettings
    from headscope.study.study import Study

    if study is None:
        how = device or "cpu", dtype or "float32", batch_size, most
        return model or "embedded", Loading(*how, {"attention": attention} if attention else None)
    record = Study.open(study, RequestedSettings(model=model)).record
    name = find_model(record, study)
    options = record.options()
    if attention is not None:
        options["attention"] = attention
    if device is not None:  # then all parts go there
        options.pop("device_map", None)
        options.pop("max_memory", None)
    where = device or record.device
    return name, Loading(where, dtype or record.dtype, batch_size, most, options or None)


def _show(found: EvaluationResult) -> None:
    from rich.console import Console

    change, plain = found.intervention, found.plain
    changed = change.scores if change else None
    console = Console()
    console.print(kinds_table(plain, changed, name="plain"))
    for source, own in plain.official.items():
        console.print(rule_table(own, changed.official[source] if changed else None, name="plain"))
    tell(guessing(plain))
    if change:
        _show_change(change)


def _show_change(change: InterventionResult) -> None:
    turned, by = change.difference, change.difference.accuracy
    heads = f" ({', '.join(change.chosen)})" if change.chosen else ""
    tell(
        f"{change.kind} {change.what}{heads}: {_points(by)}, p {by.p or 0.0:.3g}, {by.n:,} questions on "
        f"{by.images:,} pictures; {turned.to_right} turned right, {turned.to_wrong} wrong"
    )
    if change.difference_touched:
        touched = _points(change.difference_touched.accuracy)
        tell(f"  on the {change.touched:,} questions with something to point at: {touched}")


def _points(by: PairedDifference) -> str:
    low, high = ("–" if end is None else f"{100 * end:+.1f}" for end in by.ci)
    return f"{100 * (by.value or 0.0):+.1f} points, 95 % {low} to {high}"
