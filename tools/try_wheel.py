"""The built wheel in empty environments: a newcomer's first hour, with nothing else of the repository.

    python tools/try_wheel.py                                    with the Python that runs this
    python tools/try_wheel.py python3.11 python3.12 --keep DIR   with others; environments stay in DIR
    python tools/try_wheel.py --parts play                       one part alone

Builds the wheel, makes an environment for each Python, installs torch as ``--torch`` says and then the wheel,
and does in an empty folder what README says, in parts: ``demo`` (quick, and a question), ``run`` (scenes, run
of size smoke, report), ``play`` (extra app, the page and one answer of it: tools/try_play.py). No variable of
this shell reaches the commands, and hubs are forbidden. Prints a row a command; exit code 1 if one failed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from try_play import COMMAND as PLAY
from try_play import try_play

ROOT = Path(__file__).parents[1]
PARTS = ("demo", "run", "play")
BELONGS = "import headscope, pathlib, sys; print(pathlib.Path(headscope.__file__).is_relative_to(sys.prefix))"
VERSIONS = (
    "import platform, torch, transformers; "
    "print(platform.python_version(), torch.__version__, transformers.__version__)"
)


@dataclass(frozen=True)
class Tried:
    """How one command went.

    Attributes:
        python: the interpreter as it was named.
        what: the command.
        code: its exit code.
        seconds: how long it took.
        said: all that it said.
    """

    python: str
    what: str
    code: int
    seconds: float
    said: str

    @property
    def row(self) -> str:
        """As a row of the table."""
        last = self.said.strip().splitlines()[-1] if self.said.strip() else ""
        return f"| {self.python} | `{self.what}` | {self.code} | {self.seconds:.1f} | {last[:90]} |"


def build_wheel(out: Path) -> Path:
    """Build this repository's wheel into a folder, without a network.

    Raises:
        subprocess.CalledProcessError: it cannot be built.
    """
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return next(out.glob("headscope-*.whl"))


def first_hour(place: Path, parts: Sequence[str] = PARTS) -> list[list[str]]:
    """What a newcomer says, as words after the environment's folder of programs.

    Args:
        place: where it is said.
        parts: those of :data:`PARTS` that are done.
    """
    picture = str(place / "runs" / "demo" / "data" / "images" / "scene-1-000000.png")
    begun = ["--model", "embedded", "--data", "my-data", "--study", "runs/mine", "--size", "smoke"]
    first = [["python", "-c", BELONGS], ["python", "-c", VERSIONS], ["headscope", "--version"]]
    said = {
        "demo": [
            ["headscope", "demo", "--study", "runs/demo", "--size", "quick"],
            ["headscope", "ask", "--image", picture, "Is the dog facing the horse?", "--choices", "yes,no"],
            ["headscope", "study", "status", "runs/demo"],
        ],
        "run": [
            ["headscope", "data", "generate", "--cases", "12", "--seed", "1", "--out", "my-data"],
            ["headscope", "run", *begun],
            ["headscope", "report", "--study", "runs/mine"],
        ],
        "play": [list(PLAY)],
    }
    return first + [words for part in PARTS if part in parts for words in said[part]]


def try_in(
    python: str, wheel: Path, place: Path, torch: str, parts: Sequence[str] = PARTS
) -> Iterator[Tried]:
    """Make an environment, install the wheel, and do the first hour; ends with the first command that fails.

    Args:
        python: an interpreter.
        place: an empty folder, for the environment and for what the commands write.
        torch: requirement of torch that is installed first.
        parts: those of :data:`PARTS` that are done; ``play`` installs the extra ``app``.
    """
    programs, work = place / "environment" / "bin", place / "work"
    work.mkdir(parents=True)
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    bare = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(work), "LANG": "C.UTF-8", "HF_HUB_OFFLINE": "1"}
    steps = [[python, "-m", "venv", str(place / "environment")]]
    steps += [["pip", "install", "--quiet", what] for what in (torch, _with_extra(wheel, parts))]
    for words in (*steps, *first_hour(work, parts)):
        program = shutil.which(words[0], path=f"{programs}:{os.environ['PATH']}")
        environment = {**bare, **kept} if words[0] == "pip" else bare
        began = time.perf_counter()
        command = [program or words[0], *words[1:]]
        if words == list(PLAY):
            code, said = try_play(command, work, environment)
        else:
            done = subprocess.run(
                command, cwd=work, env=environment, text=True, check=False,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            elsewhere = words[-1] == BELONGS and not done.stdout.strip().endswith("True")
            code, said = 1 if elsewhere else done.returncode, done.stdout
        yield Tried(python, " ".join(words), code, time.perf_counter() - began, said)
        if code:
            return


def _with_extra(wheel: Path, parts: Sequence[str]) -> str:
    return f"{wheel}[app]" if "play" in parts else str(wheel)


def parts_of(text: str) -> tuple[str, ...]:
    """Parts named with commas between.

    Raises:
        argparse.ArgumentTypeError: one is none.
    """
    named = tuple(part.strip() for part in text.split(","))
    if unknown := [part for part in named if part not in PARTS]:
        raise argparse.ArgumentTypeError(f"no part {unknown[0]!r}; there are: {', '.join(PARTS)}")
    return named


def main(arguments: Sequence[str] | None = None) -> None:
    """Try the wheel with every Python that is asked for; exit code 1 if a command failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pythons", nargs="*", default=[sys.executable])
    parser.add_argument("--torch", default="torch", help="what is installed first, such as torch==2.13.0")
    parser.add_argument("--keep", type=Path, help="folder for the environments; else they are deleted")
    parser.add_argument("--parts", type=parts_of, default=PARTS, help=f"some of {','.join(PARTS)}")
    asked = parser.parse_args(arguments)
    failed = False
    with tempfile.TemporaryDirectory() as scratch:
        wheel = build_wheel(Path(scratch))
        print("| Python | command | exit code | seconds | last line |\n|---|---|---|---|---|", flush=True)
        for number, python in enumerate(asked.pythons):
            place = (asked.keep or Path(scratch)) / str(number)
            for tried in try_in(python, wheel, place, asked.torch, asked.parts):
                print(tried.row, flush=True)
                if tried.code:
                    failed = True
                    print(tried.said, file=sys.stderr)
    sys.exit(failed)


if __name__ == "__main__":
    main()
