"""A machine walks at random through the commands of a study: valid or not, killed, with files damaged.

    python tools/walk.py --sequences 2000 --seed 0      the long walk; stops at the first fault of a sequence
    python tools/walk.py --only 17                      one sequence again, step by step

A sequence begins with a finished tiny study or with none, does a few steps, and ends in ``study repair`` and
every stage. Seen to, after each step: no traceback; an exit code that is right; a message wherever a command
was refused; no finished stage lost; and each piece of advice, followed to the letter, leads on. In the end
every result has the bytes of a study that nothing happened to.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import re
import shlex
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

STAGES = ("capture", "causal", "probe")
MORE_STAGES = (*STAGES, "ablate", "emphasize", "wake")
CHANGING = (
    "timings.json",
    "summary.json",
    "report.html",
    "report.json",
    ".lock-guard",
    "lock.json",
    "ways.json",
)
CODES = (0, 1, 2, 130)
WRONG = (  # flags that every stage refuses
    ("--size", "huge"), ("--size", "quick"), ("--seed", "5"), ("--batch-size", "0"), ("--batch-size", "7"),
    ("--dtype", "float16"), ("--device", "toaster"), ("--data", "/nowhere"), ("--set", "nonsense"),
    ("--set", "probe.nope=1"), ("--taxonomy", "missing.json"), ("--frobnicate",), ("--model", "/nowhere"),
    ("--workers", "many"), ("--format", "csv"), ("--set", "compare.other"), ("unexpected",),
)  # fmt: skip
RIGHT = ((), (), ("--size", "smoke"), ("--seed", "0"), ("--wait",), ("--batch-size", "64"))


class Fault(AssertionError):
    """What the walk must never see."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit code (None: it was killed), and all that it said."""

    code: int | None
    text: str


def preload() -> None:
    """Import what commands need, so that the processes forked for them do not."""
    from headscope.study.stages import STAGES as ROWS

    names = [row.home for row in ROWS if row.name != "report"]
    for name in (
        *names,
        "headscope.cli.app",
        "headscope.models.vlm",
        "headscope.study.study",
        "headscope.study.care",
    ):
        import_module(name)


def run(words: Sequence[str], kill_after: float | None = None, limit: float = 600.0) -> Outcome:
    """Run a command in a process of its own, a fork of this one, so that nothing is imported again."""
    with tempfile.TemporaryFile("w+") as said:
        child = os.fork()
        if child == 0:
            _be_the_command(words, said.fileno())
        until = time.monotonic() + (limit if kill_after is None else kill_after)
        ended, status = os.waitpid(child, os.WNOHANG)
        while not ended and time.monotonic() < until:
            time.sleep(0.005)
            ended, status = os.waitpid(child, os.WNOHANG)
        if not ended:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        said.seek(0)
        text = said.read()
    if not ended and kill_after is None:
        raise Fault(f"{' '.join(words)}: not done after {limit} s; it said: {text}")
    return Outcome(os.waitstatus_to_exitcode(status) if ended else None, text)


def _be_the_command(words: Sequence[str], said: int) -> None:
    """In the child: become the command; never returns."""
    code = 99
    try:
        os.dup2(said, 1)
        os.dup2(said, 2)
        sys.stdout, sys.stderr = (open(fd, "w", closefd=False) for fd in (1, 2))  # noqa: SIM115
        sys.argv = ["headscope", *words]
        from headscope.cli.app import main

        main()
        code = 0
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def make_home(root: Path, model: Path, stages: Sequence[str]) -> Path:
    """Cases, the model, and a study in which nothing went wrong."""
    from headscope.making.scenes.generate import draw_scenes

    preload()
    shutil.copytree(model, root / "model")
    draw_scenes(root / "cases", 16, seed=4, things=(2, 4), card=False)
    for stage in stages:
        done = run(begin(root, root / "study", stage))
        if done.code != 0:
            raise Fault(f"{stage}: {done}")
    return root


def begin(home: Path, study: Path, stage: str) -> list[str]:
    """A stage of a study that may not be there yet."""
    how = ["--model", str(home / "model"), "--data", str(home / "cases"), "--size", "smoke", "--workers", "1"]
    return [stage, "--study", str(study), *how, "--set", "ablate.layer_limit=100.0"]


def digests(study: Path) -> dict[str, str]:
    """Digest of every file that is the same whenever a study is run."""
    return {
        str(p.relative_to(study)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(study.rglob("*"))
        if p.is_file() and p.name not in CHANGING
    }


def done_stages(study: Path) -> set[str]:
    """Stages that are done and whole."""
    from headscope.study.health import health

    return {stage.stage for stage in health(study) if stage.state == "done"}


@dataclass
class Walk:
    """One sequence.

    Attributes:
        home: as :func:`make_home` left it.
        folder: where the sequence happens.
        seed: of everything drawn.
        stages: those that are run.
        log: what was done, a line a step.
        hurt: whether a file was damaged that no command has mended yet.
        away: whether the cases are not where they were.
    """

    home: Path
    folder: Path
    seed: int
    stages: Sequence[str]
    log: list[str] = field(default_factory=list)
    hurt: bool = False
    away: bool = False

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.study = self.folder / "study"
        shutil.copytree(self.home / "cases", self.folder / "cases")
        shutil.copytree(self.home / "model", self.folder / "model")
        if self.rng.random() < 0.7:
            shutil.copytree(self.home / "study", self.study)
            self._check(["study", "move", str(self.study), "--data", str(self.folder / "cases")], "right")

    def go(self, steps: int) -> None:
        """Do so many steps, then mend and finish the study.

        Raises:
            Fault: with the steps that led to it.
        """
        acts: list[Callable[[], None]] = [self.stage, self.stage, self.wrong, self.other, self.killed]
        acts += [self.damage, self.elsewhere]
        try:
            for _ in range(steps):
                self.rng.choice(acts)()
            self.finish()
        except Fault as exc:
            steps_done = "\n  ".join(self.log)
            raise Fault(f"sequence {self.seed}: {exc}\nafter\n  {steps_done}") from exc

    # what is done -----------------------------------------------------------------------------------------

    def stage(self) -> None:
        """A stage, begun or once more, with flags that it takes."""
        words = begin(self.folder, self.study, self.rng.choice(self.stages))
        if self.study.exists() and self.rng.random() < 0.5:
            words = [*words[:3], "--workers", "1", *self.rng.choice(RIGHT)]
        self._check(words, "any" if self.hurt or self.away else "right")

    def wrong(self) -> None:
        """A stage with a flag that makes no sense."""
        words = [self.rng.choice(self.stages), "--study", str(self.study), *self.rng.choice(WRONG)]
        self._check(words, "wrong")

    def other(self) -> None:
        """Another command of a study."""
        study, hurt = str(self.study), self.hurt or self.away or not (self.study / "study.json").exists()
        words, expected = self.rng.choice(
            [
                (["study", "status", study], "any"),
                (["study", "repair", study], "any" if hurt else "right"),
                (["study", "move", study], "any" if hurt else "right"),
                (["study", "table", study, "--format", "pdf"], "wrong"),
                (["study", "table", study], "any"),
                (["compare", study, study, "--set", "compare.draws=20"], "any"),
                (["compare", study], "wrong"),
                (["compare", study, str(self.folder)], "wrong"),
                (["bake", "--study", study, "--function", "nonsense", "--out", f"{study}-baked"], "wrong"),
                (["demo", "--study", study, "--cases", "3", "--seed", "8"], "wrong" if not hurt else "any"),
                (["report", "--study", study], "any"),
                (["study", "frobnicate", study], "wrong"),
                ([], "any"),
            ]
        )
        if words[:1] != ["demo"] or not hurt:
            self._check(words, expected)

    def killed(self) -> None:
        """A stage that is killed at some moment; what was done before is still done."""
        words = begin(self.folder, self.study, self.rng.choice(self.stages))
        before = self._done()
        self.log.append(f"killed: headscope {shlex.join(words)}")
        self._said(words, run(words, kill_after=self.rng.random() ** 2 * 3))
        self._nothing_lost(before)

    def damage(self) -> None:
        """A file of the study flipped, cut or deleted."""
        files = [p for p in sorted(self.study.rglob("*")) if p.is_file() and p.name != ".lock-guard"]
        if not files:
            return
        file = self.rng.choice(files)
        content, how = file.read_bytes(), self.rng.choice(("flip", "cut", "delete"))
        self.log.append(f"{how} {file.relative_to(self.folder)}")
        if how == "delete" or not content:
            file.unlink()
        elif how == "cut":
            file.write_bytes(content[: self.rng.randrange(len(content))])
        else:
            bit, changed = self.rng.randrange(8 * len(content)), bytearray(content)
            changed[bit // 8] ^= 1 << bit % 8
            file.write_bytes(bytes(changed))
        self.hurt = True

    def elsewhere(self) -> None:
        """The study, or its cases, under another name; the cases come back the next time."""
        cases, hidden = self.folder / "cases", self.folder / "cases-elsewhere"
        if self.away:
            hidden.rename(cases)
            self.away = False
        elif self.rng.random() < 0.4:
            cases.rename(hidden)
            self.away = True
        elif self.study.exists():
            new = self.study.with_name("moved" if self.study.name == "study" else "study")
            self.study.rename(new)
            self.study = new
        self.log.append(f"moved: study in {self.study.name}, cases {'away' if self.away else 'there'}")

    def finish(self) -> None:
        """Mend the study and run every stage: its results are those of one that nothing happened to."""
        if self.away:
            self.elsewhere()
        if (self.study / "study.json").exists() or (self.study / "study-copy.json").exists():
            self._check(["study", "repair", str(self.study)], "any")
        for stage in self.stages:
            self._check(begin(self.folder, self.study, stage), "right")
        found, wanted = digests(self.study), digests(self.home / "study")
        results = [n for n in wanted if not n.startswith(("study", "done/")) and n != "choices.json"]
        other = [name for name in results if found.get(name) != wanted[name]]
        if other:
            raise Fault(f"not the bytes of a study that nothing happened to: {', '.join(other[:5])}")

    # what is seen to --------------------------------------------------------------------------------------

    def _check(self, words: Sequence[str], expected: str) -> None:
        """Run a command and see that it ends as it should; ``expected``: right, wrong or any."""
        before = self._done()
        self.log.append(f"headscope {shlex.join(words)}")
        done = run(words)
        self.log[-1] += f"  -> {done.code}"
        self._said(words, done)
        if expected == "right" and done.code != 0:
            raise Fault(f"exit code {done.code} of a command that makes sense: {done.text}")
        if expected == "wrong" and done.code == 0:
            raise Fault(f"exit code 0 of a command that makes no sense: {done.text}")
        self._nothing_lost(before)
        if done.code == 0 and words and words[0] in self.stages and words[0] not in self._done():
            raise Fault(f"exit code 0, and {words[0]} is not done: {done.text}")
        if done.code and expected != "wrong" and not self.away:
            self._follow(done.text, [])

    def _said(self, words: Sequence[str], done: Outcome) -> None:
        if "Traceback" in done.text or (done.code is not None and done.code not in CODES):
            raise Fault(f"headscope {shlex.join(words)}: exit code {done.code}: {done.text[-4000:]}")
        if done.code and not done.text.strip():
            raise Fault(f"headscope {shlex.join(words)}: exit code {done.code} without a word")

    def _done(self) -> set[str]:
        return done_stages(self.study) if self.study.exists() else set()

    def _nothing_lost(self, before: set[str]) -> None:
        lost = before - self._done()
        if lost:
            raise Fault(f"no longer done: {', '.join(sorted(lost))}")

    def _follow(self, text: str, said: list[str]) -> None:
        """Follow the advice of a message to the letter, and that of the next, until one command succeeds."""
        advice = re.findall(r"`(headscope [^`]+)`", text)
        whole = [a for a in advice if not re.search(r"(?<![/\w.-])[A-Z]{1,}\b|\.\.\.", a)]
        if not whole:
            return
        if text in said or len(said) > 4:
            raise Fault(f"advice in a circle: {text}")
        for path in re.findall(r"delete (\S+) and run", text):
            Path(path).unlink(missing_ok=True)
        words = shlex.split(whole[0])[1:]
        self.log.append(f"as advised: {whole[0]}")
        done = run(words)
        self.log[-1] += f"  -> {done.code}"
        self._said(words, done)
        if done.code:
            self._follow(done.text, [*said, text])


def main() -> None:
    """The long walk."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--sequences", type=int, default=2000)
    asked.add_argument("--steps", type=int, default=6)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--only", type=int, default=None)
    asked.add_argument("--minutes", type=float, default=1e9)
    asked.add_argument("--short", action="store_true", help="capture, causal and probe alone")
    given = asked.parse_args()
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from tiny import tiny_llava

    stages, until = STAGES if given.short else MORE_STAGES, time.monotonic() + 60 * given.minutes
    numbers = [given.only] if given.only is not None else range(given.seed, given.seed + given.sequences)
    walked, faults = 0, 0
    with tempfile.TemporaryDirectory() as place:
        home = make_home(Path(place) / "home", tiny_llava(Path(place) / "llava"), stages)
        for number in numbers:
            if time.monotonic() > until:
                break
            folder = Path(place) / f"walk-{number}"
            folder.mkdir()
            walked += 1
            try:
                walk = Walk(home, folder, number, stages)
                walk.go(given.steps)
                print(f"{number}: {len(walk.log)} commands and mishaps", flush=True)
            except Fault as exc:
                faults += 1
                print(f"FAULT {exc}\n", flush=True)
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{walked} sequences of {given.steps} steps, {faults} with a fault")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
