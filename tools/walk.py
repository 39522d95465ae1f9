"""A machine walks at random through the commands of a study: valid or not, killed, with files damaged.

    python tools/walk.py --sequences 2000 --seed 0      the long walk: a line a sequence, then the sum
    python tools/walk.py --only 17                      one sequence again, step by step

A sequence begins with a finished tiny study or with none, does a few steps, and ends in ``study repair`` and
every stage. Seen to, after each command: no traceback; the exit code that is right; a message wherever it was
refused; no finished stage lost; and each piece of advice, followed to the letter, leads on. In the end every
result has the bytes of a study that nothing happened to. A seed gives the same sequence on every machine,
but for ``--timed``, which also stops commands after so many seconds.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from study_walk.commands import Fault
from study_walk.home import MORE_STAGES, STAGES, make_home
from study_walk.walk import Walk


def main() -> None:
    """The long walk; exit code 1 if it met a fault."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--sequences", type=int, default=2000)
    asked.add_argument("--steps", type=int, default=6)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--only", type=int, default=None)
    asked.add_argument("--minutes", type=float, default=1e9)
    asked.add_argument("--short", action="store_true", help="capture, causal and probe alone")
    asked.add_argument("--timed", action="store_true")
    given = asked.parse_args()
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from tiny import tiny_llava

    stages, until = STAGES if given.short else MORE_STAGES, time.monotonic() + 60 * given.minutes
    numbers = range(given.seed, given.seed + given.sequences) if given.only is None else [given.only]
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place:
        home = make_home(Path(place) / "home", tiny_llava(Path(place) / "llava"), stages)
        for number in numbers:
            if time.monotonic() > until:
                break
            walk = Walk(home, Path(place) / f"walk-{number}", number, stages, timed=given.timed)
            walk.folder.mkdir()
            began = time.monotonic()
            try:
                walk.go(given.steps)
                print(f"{number}: {walk.commands} commands, {time.monotonic() - began:.1f} s", flush=True)
            except Fault as exc:
                counts["faults"] += 1
                print(f"FAULT {exc}\n", flush=True)
            counts["sequences"] += 1
            counts["commands"] += walk.commands
            shutil.rmtree(walk.folder, ignore_errors=True)
    print(f"{counts['sequences']} sequences, {counts['commands']} commands, {counts['faults']} with a fault")
    sys.exit(bool(counts["faults"]))


if __name__ == "__main__":
    main()
