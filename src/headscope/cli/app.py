"""The commands; heavy rooms are imported inside them, so that ``--help`` answers at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

import headscope.cli.decompose  # registers its commands
import headscope.cli.review  # noqa: F401  (the same)
from headscope.cli.atlas_commands import atlas_app
from headscope.cli.data import data_app
from headscope.cli.evaluate import evaluate
from headscope.cli.models import AttentionOption, models_app
from headscope.cli.output import any_terminal, say, tell
from headscope.cli.plan_command import plan
from headscope.cli.play_command import play
from headscope.cli.scan_command import scan
from headscope.cli.score import score
from headscope.cli.study_care import study_app
from headscope.cli.study_commands import (
    SizeOption,
    StudyModelOption,
    StudyOption,
    WaitOption,
    WorkersOption,
    add_stages,
    show_summary,
)
from headscope.cli.validate import validate_method
from headscope.errors import HeadscopeError
from headscope.pointing.styles import STYLES
from headscope.progress import heeding_ctrl_c
from headscope.version import __version__

app = typer.Typer(
    name="headscope",
    help="Find, test and wake the attention heads that let a vision-language model reason about space.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(atlas_app, name="atlas")
app.add_typer(data_app, name="data")
app.add_typer(models_app, name="models")
app.add_typer(study_app, name="study")

INTERRUPTED = 130


def _show_version(asked: bool) -> None:
    if asked:
        tell(f"headscope {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Say the version, and stop."),
    ] = False,
) -> None:
    """Find, test and wake the attention heads that let a vision-language model reason about space."""


ModelOption = Annotated[
    str, typer.Option("--model", help='"embedded", a checkpoint folder, or a hub id (org/name).')
]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1, mps ...")]
DtypeOption = Annotated[str, typer.Option("--dtype", help="float32, bfloat16 or float16.")]
add_stages(app)


@app.command()
def demo(
    study: StudyOption = Path("runs/demo"),
    cases: Annotated[
        int | None,
        typer.Option("--cases", help="How many scenes; default 400 and what functions lack."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Seed of scenes, splits and everything else; default 1.")
    ] = None,
    size: SizeOption = None,
    model: StudyModelOption = None,
    wait: WaitOption = False,
    workers: WorkersOption = None,
) -> None:
    """Draw scenes, run the whole study on the embedded model, write the report."""
    from headscope.demo import run_demo

    opened = run_demo(
        study, cases=cases, seed=seed, size=size, model=model, announce=say, wait=wait, workers=workers
    )
    show_summary(opened)
    say(f"report: {opened.folder / 'report.html'}")


@app.command()
def ask(
    images: Annotated[
        list[Path], typer.Option("--image", help="Picture file; once for each of several, in order.")
    ],
    question: Annotated[str, typer.Argument(help="What to ask about the picture or pictures.")],
    model: ModelOption = "embedded",
    choices: Annotated[str, typer.Option(help="Answers to weigh, comma-separated; none: open.")] = "",
    mute: Annotated[str, typer.Option(help="Mute the heads of this function, or these: L3H5,L4H0.")] = "",
    heads: Annotated[int, typer.Option(min=1, help="How many of the function's heads.")] = 4,
    atlas: Annotated[
        Path | None,
        typer.Option(help="atlas.json of a study on this model; by default the embedded model's."),
    ] = None,
    boxes: Annotated[
        list[str] | None,
        typer.Option(
            help="Point at x0,y0,x1,y1 (pixels); of several pictures at 2:x0,y0,x1,y1. Once or several times."
        ),
    ] = None,
    style: Annotated[str, typer.Option(help=f"How to point: {', '.join(STYLES)}.")] = "both",
    save: Annotated[
        Path | None, typer.Option(help="Write the picture as the model sees it here (several: NAME-1 ...).")
    ] = None,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    attention: AttentionOption = None,
) -> None:
    """Ask one question about one picture, or about several."""
    from headscope.cli.ask_command import AskOptions, ask_once

    asked = AskOptions(
        tuple(images),
        question,
        model,
        choices,
        mute,
        heads,
        atlas,
        tuple(boxes or ()),
        style,
        save,
        device,
        dtype,
        attention,
    )
    tell(ask_once(asked))


@app.command()
def bake(
    study: Annotated[Path, typer.Option("--study", help="Study whose atlas names the heads.")],
    function: Annotated[str, typer.Option(help="Turn up the heads of this function.")],
    out: Annotated[Path, typer.Option("--out", help="New checkpoint folder.")],
    factor: Annotated[float, typer.Option("--scale", help="What their output is multiplied with.")] = 1.5,
    heads: Annotated[int, typer.Option(min=1, help="How many heads.")] = 4,
) -> None:
    """Write an ordinary checkpoint whose outputs equal those of the edited model."""
    from headscope.edits.baking import bake as write
    from headscope.probing.atlas import Atlas
    from headscope.study.study import Study

    opened = Study(study, announce=say)
    atlas = Atlas.load(opened.folder / "probe" / "atlas.json")
    chosen = atlas.top(function, heads)
    folder = write(opened.vlm, chosen, factor, out)
    say(f"{', '.join(str(h) for h in chosen)} x {factor:g}")
    tell(str(folder))


def main() -> None:
    """Entry point: every expected failure ends in one message and an exit code, without a traceback."""
    any_terminal()
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        with heeding_ctrl_c():
            code = app(standalone_mode=False)
        if code == INTERRUPTED:  # typer turns Ctrl-C into this exit code
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else 0)
    except HeadscopeError as exc:
        _stop(f"error: {exc}", 1)
    except (KeyboardInterrupt, typer.Abort):
        _stop("interrupted; finished work is kept, and the same command goes on from there", INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as exc:
        from headscope.storage import file_error

        if exc.filename is None and exc.errno is None:
            raise
        _stop(f"error: {file_error(exc)}", 1)
    except Exception as exc:
        if hasattr(exc, "show") and hasattr(exc, "exit_code"):  # a usage error of click's
            exc.show()
            sys.exit(exc.exit_code)
        raise


def _stop(message: str, code: int) -> None:
    say(message)
    sys.exit(code)


app.command("validate-method")(validate_method)
app.command()(evaluate)
app.command()(score)
app.command()(scan)
app.command()(plan)
app.command()(play)
