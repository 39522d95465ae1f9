"""One sequence: what is drawn at random to be done to a study, and how the study must come out of it."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable

from study_walk.checks import EITHER, REFUSED, RIGHT, USAGE, Walker
from study_walk.commands import Fault, Stop
from study_walk.home import begin, digests

LATEST, SLOWEST = 600, 3.0  # changes of files, and seconds, before which a stage is stopped
WRONG_VALUES = (  # what every stage refuses
    ("--size", "huge"), ("--size", "quick"), ("--seed", "5"), ("--batch-size", "7"), ("--dtype", "float16"),
    ("--device", "toaster"), ("--data", "/nowhere"), ("--model", "/nowhere"), ("--set", "nonsense"),
    ("--set", "probe.nope=1"), ("--set", "probe.draws=many"), ("--set", "compare.other"),
    ("--taxonomy", "missing.json"), ("--format", "csv"), ("--quantization", "3bit"), ("--tower", "cellar"),
)  # fmt: skip
WRONG_WORDS = (
    ("--batch-size", "0"), ("--frobnicate",), ("--workers", "many"), ("unexpected",), ("--seed", "one"),
    ("--size",), ("--wait", "yes"),
)  # fmt: skip
HARMLESS = (
    (),
    ("--size", "smoke"),
    ("--seed", "0"),
    ("--wait",),
    ("--batch-size", "64"),
    ("--dtype", "float32"),
)


class Walk(Walker):
    """One sequence of commands and mishaps.

    Example:
        >>> Walk(home, folder, seed=17, stages=("capture", "causal", "probe")).go(6)  # doctest: +SKIP
    """

    def begin(self) -> None:
        """Lay out the cases, and mostly a finished study, whose cases it is told to find here."""
        shutil.copytree(self.home / "cases", self.folder / "cases")
        if self.rng.random() < 0.7:
            shutil.copytree(self.home / "study", self.study)
            self.check(["study", "move", str(self.study), "--data", str(self.cases)], RIGHT)

    def go(self, steps: int) -> None:
        """Do so many steps, then mend and finish the study.

        Raises:
            Fault: with the steps that led to it.
        """
        acts: list[Callable[[], None]] = [self.stage, self.stage, self.wrong, self.other, self.stopped]
        acts += [self.stopped, self.damage, self.elsewhere]
        try:
            self.begin()
            for _ in range(steps):
                self.rng.choice(acts)()
            self.finish()
        except Fault as exc:
            raise Fault("\n  ".join((f"sequence {self.seed}: {exc}\nafter", *self.log))) from exc

    # what is done -----------------------------------------------------------------------------------------

    def stage(self) -> None:
        """A stage, begun or once more, with flags that it takes."""
        words = self._stage_words()
        if (self.study / "study.json").exists() and self.rng.random() < 0.5:
            words = [*words[:3], "--workers", "1", *self.rng.choice(HARMLESS)]
        self.check(words, EITHER if self.hurt or self.astray else RIGHT)

    def wrong(self) -> None:
        """A stage with a flag that makes no sense."""
        words = [self.rng.choice(self.stages), "--study", str(self.study)]
        if self.rng.random() < 0.4:
            self.check([*words, *self.rng.choice(WRONG_WORDS)], USAGE)
        else:
            self.check([*words, *self.rng.choice(WRONG_VALUES)], REFUSED)

    def other(self) -> None:
        """Another command of a study, or of its cases."""
        study = str(self.study)
        whole = (self.study / "study.json").exists() and not (self.hurt or self.astray)
        cases = ["--data", str(self.cases)]
        seen = RIGHT if whole else EITHER
        words, codes = self.rng.choice(
            [
                (["study", "status", study], seen),
                (["study", "repair", study], seen),
                (["study", "move", study], seen),
                (["study", "move", study, *cases], seen),
                (["study", "move", study, "--model", study], REFUSED),
                (["study", "table", study, "--format", "pdf"], REFUSED),
                (["study", "table", study], EITHER),
                (["compare", study, study, "--set", "compare.draws=20"], EITHER),
                (["compare", study], REFUSED),
                (["compare", study, str(self.folder)], REFUSED),
                (["bake", "--study", study, "--function", "nonsense", "--out", f"{study}-b"], REFUSED),
                (["demo", "--study", study, "--cases", "3", "--seed", "8"], REFUSED),
                (["scan", "--study", study, *cases, "--out", f"{study}-scan"], REFUSED),
                (["plan", *cases, "--size", "smoke"], RIGHT),
                (["data", "validate", str(self.cases)], RIGHT),
                (["data", "validate", study], REFUSED),
                (["data", "generate", "--cases", "3", "--out", str(self.cases)], REFUSED),
                (["study", "frobnicate", study], USAGE),
            ]
        )
        if words[0] != "demo" or whole:
            self.check(words, codes)

    def stopped(self) -> None:
        """A stage that is killed, or interrupted, at some moment; what was done before is still done."""
        kind = self.rng.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGINT))
        if self.timed and self.rng.random() < 0.5:
            stop = Stop(kind, seconds=max(0.001, self.rng.random() ** 2 * SLOWEST))
        else:
            stop = Stop(kind, change=round(LATEST ** self.rng.random()))
        self.check(self._stage_words(), EITHER if self.hurt or self.astray else RIGHT, stop)

    def damage(self) -> None:
        """A file of the study flipped, cut or deleted."""
        files = [p for p in sorted(self.study.rglob("*")) if p.is_file() and "lock" not in p.name]
        if not files:
            return
        file = self.rng.choice(files)
        content, how = bytearray(file.read_bytes()), self.rng.choice(("flip", "cut", "delete"))
        self.log.append(f"{how} {file.relative_to(self.folder)}")
        if how == "delete" or not content:
            file.unlink()
        elif how == "cut":
            file.write_bytes(content[: self.rng.randrange(len(content))])
        else:
            bit = self.rng.randrange(8 * len(content))
            content[bit // 8] ^= 1 << bit % 8
            file.write_bytes(content)
        self.hurt = True

    def elsewhere(self) -> None:
        """The study, or its cases, under another name; the cases come back the next time."""
        if self.away or self.rng.random() < 0.4:
            before = self.cases
            self.away = not self.away
            before.rename(self.cases)
        elif self.study.exists():
            self.study = self.study.rename(
                self.folder / ("moved" if self.study.name != "moved" else "my study")
            )
        self.log.append(f"moved: study in {self.study.name}, cases in {self.cases.name}")

    def finish(self) -> None:
        """Mend the study and run every stage: its results are those of one that nothing happened to.

        A study whose record and whose copy of it are both damaged is refused, and that is all.
        """
        if self.away:
            self.elsewhere()
        if self.hopeless():
            for words in (["study", "repair", str(self.study)], self._stage_words()):
                self.check(words, REFUSED)
            return
        if (self.study / "study.json").exists() or (self.study / "study-copy.json").exists():
            if self.astray:
                self.check(["study", "move", str(self.study), "--data", str(self.cases)], EITHER)
            self.check(["study", "repair", str(self.study)], RIGHT)
        for stage in self.stages:
            self.check(begin(self.home, self.cases, self.study, stage), RIGHT)
        self._compare()

    def _stage_words(self) -> list[str]:
        return begin(self.home, self.cases, self.study, self.rng.choice(self.stages))

    def _compare(self) -> None:
        found, wanted = digests(self.study), digests(self.home / "study")
        results = [n for n in wanted if not n.startswith(("study", "done/")) and n != "choices.json"]
        other = [name for name in results if found.get(name) != wanted[name]]
        if other:
            raise Fault(f"not the bytes of a study that nothing happened to: {', '.join(other[:5])}")
        left = [n for n in found if n.endswith(".tmp")] + [p.name for p in self.study.glob("lock.json")]
        if left:
            raise Fault(f"left behind: {', '.join(left[:5])}")
