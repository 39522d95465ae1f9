"""What every sequence begins with: cases, a model, and a study in which nothing went wrong."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from study_walk.commands import Fault, preload, run_here

STAGES = ("capture", "causal", "probe")
MORE_STAGES = (*STAGES, "ablate", "emphasize", "wake", "report")
CASES, STEPS = 6, 3
SETTINGS = (
    *("capture.max_new_tokens=1", "causal.max_new_tokens=1", "causal.max_items=1"),
    "ablate.layer_limit=100.0",
)
SMALL = ("--size", "smoke", "--workers", "1", *(word for s in SETTINGS for word in ("--set", s)))
CHANGING = frozenset(  # files with seconds, hints of the system, or the name of a process in them
    (
        *("timings.json", "summary.json", "report.html", "report.json"),
        *(".lock-guard", "lock.json", "ways.json"),
    )
)


def make_home(root: Path, model: Path, stages: Sequence[str]) -> Path:
    """Draw cases, copy the model, and run every stage of a study, in this very process.

    Args:
        root: folder that gets ``cases``, ``model`` and ``study``.
        model: a tiny checkpoint.

    Raises:
        Fault: a stage failed.
    """
    from headscope.making.scenes.generate import draw_scenes

    shutil.copytree(model, root / "model")
    preload(root / "model")
    draw_scenes(root / "cases", CASES, seed=4, things=(2, 3), card=False)
    _keep_first_steps(root / "cases" / "cases.jsonl")
    for stage in stages:
        done = run_here(begin(root, root / "cases", root / "study", stage))
        if done.code != 0:
            raise Fault(f"{stage}: {done}")
    run_here(["compare", *[str(root / "study")] * 2, "--set", "compare.draws=20"])  # for what it imports
    return root


def _keep_first_steps(path: Path) -> None:
    """Leave out most steps of every case: each is asked in every context, under every edit."""
    cases = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    kept = [{**case, "steps": case["steps"][:STEPS]} for case in cases]
    path.write_text("".join(f"{json.dumps(case)}\n" for case in kept), "utf-8")


def begin(home: Path, cases: Path, study: Path, stage: str) -> list[str]:
    """A stage of a study that may not be there yet, as words of the command line."""
    return [stage, "--study", str(study), "--model", str(home / "model"), "--data", str(cases), *SMALL]


def digests(study: Path) -> dict[str, str]:
    """File -> digest, of every file that is the same whenever a study is run."""
    return {
        str(p.relative_to(study)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(study.rglob("*"))
        if p.is_file() and p.name not in CHANGING
    }


def done_stages(study: Path) -> frozenset[str]:
    """Stages that are done, and whole."""
    from headscope.study.health import health

    return frozenset(stage.stage for stage in health(study) if stage.state == "done")
