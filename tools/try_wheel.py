"""The built wheel in empty environments: a newcomer's first hour, with nothing else of the repository.

    python tools/try_wheel.py                                    with the Python that runs this
    python tools/try_wheel.py python3.11 python3.12 --keep DIR   with others; environments stay in DIR

Builds the wheel, makes an environment for each Python, installs torch as ``--torch`` says and then the wheel,
and does in an empty folder what README says: demo (quick), ask, scenes, run (smoke), report. No variable of
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

ROOT = Path(__file__).parents[1]
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


def first_hour(place: Path) -> list[list[str]]:
    """What a newcomer says, as words after the environment's folder of programs."""
    picture = str(place / "runs" / "demo" / "data" / "images" / "scene-1-000000.png")
    begun = ["--model", "embedded", "--data", "my-data", "--study", "runs/mine", "--size", "smoke"]
    return [
        ["python", "-c", BELONGS],
        ["python", "-c", VERSIONS],
        ["headscope", "--version"],
        ["headscope", "demo", "--study", "runs/demo", "--size", "quick"],
        ["headscope", "ask", "--image", picture, "Is the dog facing the horse?", "--choices", "yes,no"],
        ["headscope", "data", "generate", "--cases", "12", "--seed", "1", "--out", "my-data"],
        ["headscope", "run", *begun],
        ["headscope", "report", "--study", "runs/mine"],
        ["headscope", "study", "status", "runs/demo"],
    ]


def try_in(python: str, wheel: Path, place: Path, torch: str) -> Iterator[Tried]:
    """Make an environment, install the wheel, and do the first hour; ends with the first command that fails.

    Args:
        python: an interpreter.
        place: an empty folder, for the environment and for what the commands write.
        torch: requirement of torch that is installed first.
    """
    programs, work = place / "environment" / "bin", place / "work"
    work.mkdir(parents=True)
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    bare = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(work), "LANG": "C.UTF-8", "HF_HUB_OFFLINE": "1"}
    steps = [[python, "-m", "venv", str(place / "environment")]]
    steps += [["pip", "install", "--quiet", what] for what in (torch, str(wheel))]
    for words in (*steps, *first_hour(work)):
        program = shutil.which(words[0], path=f"{programs}:{os.environ['PATH']}")
        environment = {**bare, **kept} if words[0] == "pip" else bare
        began = time.perf_counter()
        done = subprocess.run(
            [program or words[0], *words[1:]], cwd=work, env=environment, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        elsewhere = words[-1] == BELONGS and not done.stdout.strip().endswith("True")
        code = 1 if elsewhere else done.returncode
        yield Tried(python, " ".join(words), code, time.perf_counter() - began, done.stdout)
        if code:
            return


def main(arguments: Sequence[str] | None = None) -> None:
    """Try the wheel with every Python that is asked for; exit code 1 if a command failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pythons", nargs="*", default=[sys.executable])
    parser.add_argument("--torch", default="torch", help="what is installed first, such as torch==2.13.0")
    parser.add_argument("--keep", type=Path, help="folder for the environments; else they are deleted")
    asked = parser.parse_args(arguments)
    failed = False
    with tempfile.TemporaryDirectory() as scratch:
        wheel = build_wheel(Path(scratch))
        print("| Python | command | exit code | seconds | last line |\n|---|---|---|---|---|", flush=True)
        for number, python in enumerate(asked.pythons):
            for tried in try_in(python, wheel, (asked.keep or Path(scratch)) / str(number), asked.torch):
                print(tried.row, flush=True)
                if tried.code:
                    failed = True
                    print(tried.said, file=sys.stderr)
    sys.exit(failed)


if __name__ == "__main__":
    main()
