"""What is seen to after every command of a walk."""

from __future__ import annotations

import random
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from study_walk.commands import Fault, Outcome, Stop, run
from study_walk.home import SMALL, begin, done_stages

RIGHT, REFUSED, USAGE, EITHER = (frozenset(codes) for codes in ((0,), (1,), (2,), (0, 1)))
INTERRUPTED = 130
_DEEPEST = 5  # pieces of advice, each from the one before, before one of them has to help


@dataclass
class Walker:
    """A study on which commands are run, and what is known of it.

    Attributes:
        home: as :func:`study_walk.home.make_home` left it.
        folder: where the sequence happens.
        seed: of everything drawn.
        stages: those that are run.
        timed: whether commands are also stopped after so many seconds, which no seed repeats.
        log: what was done, a line a step.
        commands: how many commands ran.
        hurt: whether a file was damaged that no command has mended yet.
        away: whether the cases are not where they were.
    """

    home: Path
    folder: Path
    seed: int
    stages: Sequence[str]
    timed: bool = False
    log: list[str] = field(default_factory=list)
    commands: int = 0
    hurt: bool = False
    away: bool = False

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.study = self.folder / "my study"
        self._touched: list[tuple[Path, int]] = []
        self._done: frozenset[str] = frozenset()

    @property
    def astray(self) -> bool:
        """Whether the study looks for its cases where they are not."""
        from headscope.errors import HeadscopeError
        from headscope.study.kept_record import has_study, read_record

        try:
            recorded = Path(read_record(self.study).data.path) if has_study(self.study) else self.cases
        except HeadscopeError:
            return True
        return not (self.study / recorded).exists()

    @property
    def cases(self) -> Path:
        """Where the cases are now."""
        return self.folder / ("cases-elsewhere" if self.away else "cases")

    def check(self, words: Sequence[str], codes: frozenset[int], stop: Stop | None = None) -> Outcome:
        """Run a command and see to everything.

        Args:
            codes: exit codes that are right, unless it is stopped.
            stop: what stops it on its way.

        Raises:
            Fault: something is not as it must be.
        """
        before = self.done()
        self.log.append(f"headscope {shlex.join(words)}{'' if stop is None else f'  ({stop})'}")
        ended = self._said(words, stop)
        stopped = stop is not None and ended.code in (None, INTERRUPTED)
        if not stopped and ended.code not in codes:
            expected = " or ".join(map(str, sorted(codes)))
            raise Fault(f"exit code {ended.code}, expected {expected}: {ended.text[-4000:]}")
        now = self.done()
        if before - now:
            raise Fault(f"no longer done: {', '.join(sorted(before - now))}")
        if ended.code == 0 and words and words[0] in self.stages and words[0] not in now:
            raise Fault(f"exit code 0, and {words[0]} is not done: {ended.text}")
        if ended.code == 1:
            self._follow(ended.text, [])
        return ended

    def done(self) -> frozenset[str]:
        """Stages that are done, and whole; looked at anew where a file was touched since."""
        touched = [(p, p.lstat().st_mtime_ns) for p in self.study.rglob("*")]
        if touched != self._touched:
            self._touched, self._done = touched, done_stages(self.study)
        return self._done

    def _said(self, words: Sequence[str], stop: Stop | None = None) -> Outcome:
        """Run a command that must not end in a traceback, nor fail without a word."""
        ended = run(words, stop)
        self.commands += 1
        self.log[-1] += f"  -> {'killed' if ended.code is None else ended.code}"
        known = (0, 1, 2, INTERRUPTED) if stop is not None else (0, 1, 2)
        if "Traceback" in ended.text or (ended.code is not None and ended.code not in known):
            raise Fault(f"headscope {shlex.join(words)}: exit code {ended.code}: {ended.text[-4000:]}")
        if ended.code and not ended.text.strip():
            raise Fault(f"headscope {shlex.join(words)}: exit code {ended.code} without a word")
        if ended.code == 0 and words[:2] == ["study", "repair"]:
            self.hurt = False
        return ended

    # advice -----------------------------------------------------------------------------------------------

    def advice(self, text: str) -> list[list[str]]:
        """Commands that a message spells out, what it leaves open filled in; a stage for its own files."""
        found: list[list[str]] = []
        for words in map(shlex.split, re.findall(r"`headscope ([^`]+ [^`]+)`", text)):
            if words == ["compare", "A", "B"]:
                continue  # how a command is used, and no advice
            places = {"--data": self.cases, "--study": self.study, "--model": self.home / "model"}
            for n, word in enumerate(words):
                if re.fullmatch(r"[A-Z]+", word):
                    words[n] = str(places.get(words[n - 1], self.study))
            if (
                words[0] == "run" and "--data" in words
            ):  # begins a study: of this size and these stages, as all here
                found.extend([stage, *words[1:], *SMALL] for stage in self.stages)
            else:
                found.append(words)
        from headscope.study.stages import STAGES

        again = rf"{re.escape(str(self.study))}/([^/:]+)[^:;]*: [^;]*; run (?:its stage again|the stage that)"
        for kept in re.findall(again, text):
            for row in (r for r in STAGES if kept in r.keeps and not r.asks):
                found.append(begin(self.home, self.cases, self.study, row.name))
        return found

    def _follow(self, text: str, said: list[str]) -> None:
        """Follow every piece of advice of a message, and of what that leads to, until a command succeeds."""
        if text in said or len(said) > _DEEPEST:
            raise Fault(f"advice in a circle: {text}")
        for words in self.advice(text):
            self.log.append(f"as advised: headscope {shlex.join(words)}")
            ended = self._said(words)
            if ended.code and not self.advice(ended.text) and not self.hopeless():
                raise Fault(f"advice that leads nowhere: {text}\nthen: {ended.text}")
            if ended.code:
                self._follow(ended.text, [*said, text])

    def hopeless(self) -> bool:
        """Whether what the study began with is lost: its record is damaged, and so is the copy of it."""
        from headscope.errors import DamagedError
        from headscope.study.kept_record import COPY, FILE
        from headscope.study.record import StudyRecord

        there = [self.study / name for name in (FILE, COPY) if (self.study / name).exists()]
        for path in there:
            try:
                StudyRecord.load(path)
                return False
            except DamagedError:
                continue
        return bool(there)
