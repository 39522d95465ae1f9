"""The studies behind README: the demo on seeds that were drawn after the code was frozen.

    python tools/demo_seeds.py run COMMIT --out FOLDER       # the demo on each seed; what is complete is kept
    python tools/demo_seeds.py collect COMMIT --out FOLDER   # docs/demo-seeds.json and docs/demo-seeds.md

The seeds follow from the commit's id, so that nobody can have looked at their test sets while the code was
written. README shows medians over the studies (``python tools/readme.py``).
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

ROOT = Path(__file__).parent.parent
STUDIES = ROOT / "docs" / "demo-seeds.json"
PAGE = ROOT / "docs" / "demo-seeds.md"
COUNT = 5
DEVELOPMENT = (0, 1)  # seeds whose test sets were looked at while the code was written
app = typer.Typer(add_completion=False)
Out = Annotated[Path, typer.Option("--out", help="Folder of the studies.")]


def seeds_of(commit: str, count: int = COUNT) -> list[int]:
    """Seeds from 1000 to 9999 that follow from a commit's id.

    Example:
        >>> seeds_of("0" * 40, 2)
        [7864, 5583]
    """
    digests = (hashlib.sha256(f"{commit} {i}".encode()).hexdigest() for i in range(count))
    return [1000 + int(digest[:8], 16) % 9000 for digest in digests]


def median_of(values: Sequence[Any]) -> Any:
    """Medians of numbers, item by item in dictionaries and lists; words where all agree, else "various"."""
    there = [v for v in values if v is not None]
    if not there:
        return None
    first = there[0]
    if isinstance(first, bool):
        return all(there)
    if isinstance(first, int | float):
        return float(median(there))
    if isinstance(first, Mapping):
        keys = dict.fromkeys(k for v in there for k in v)
        return {k: median_of([v.get(k) for v in there]) for k in keys}
    if isinstance(first, list) and all(isinstance(x, int | float | None) for v in there for x in v):
        return [median_of(list(column)) for column in zip(*there, strict=True)]
    return first if all(v == first for v in there) else "various"


def page(studies: Sequence[Mapping[str, Any]], commit: str) -> str:
    """All studies one by one."""
    lines = [
        "# The studies behind README",
        "",
        f"`make demo` with the code of commit `{commit[:12]}`, on {len(studies)} of the {COUNT} seeds that "
        "follow from its id. `python tools/demo_seeds.py run COMMIT --out FOLDER`, "
        "then `collect`. Points are percentage points lost by muting; intervals are 95 % by picture.",
        "",
        "| seed | function | n (pictures) | heads | free answers | forced choice | by others | q | claimed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for study in studies:
        for c in study["summary"]["claims"]:
            cells = (
                str(study["seed"]),
                c["function"].replace("_", " "),
                f"{c['n']} ({c['pictures']})",
                ", ".join(c["heads"]),
                _with_ci(c["drop_points"], c["ci"]),
                _with_ci(c["forced_drop_points"], c["forced_ci"]),
                _with_ci(c["elsewhere_points"], c["elsewhere_ci"]),
                "-" if c["q"] is None else f"{c['q']:.3f}",
                "yes" if c["claimed"] else c["verdict"],
            )
            lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "| seed | pointing, leak-free | emphasis | true steps less alone | random sets claimed |",
    ]
    lines.append("|---|---|---|---|---|")
    for study in studies:
        s = study["summary"]
        pointed, raised, chain, random = (
            s["pointing"]["headline"],
            s["emphasis"],
            s["chain"],
            s["random_sets_claimed"],
        )
        gain = None if chain["alone"] is None else chain["gold_without_verdict"] - chain["alone"]
        cells = (
            str(study["seed"]),
            f"{_with_ci(pointed['delta_points'], pointed['ci'])} (n {pointed['n']})",
            _with_ci(raised["delta_points"], raised["ci"]) if raised["testable"] else "not testable",
            "-" if gain is None else f"{gain:.1f} (n {chain['n']})",
            "-" if random["share"] is None else f"{100 * random['share']:.1f} % of {random['sets']}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _with_ci(value: float | None, ci: Sequence[float | None] | None) -> str:
    if value is None:
        return "-"
    low, high = ci or (None, None)
    return f"{value:.1f}" + ("" if low is None or high is None else f" [{low:.1f}, {high:.1f}]")


@app.command()
def run(commit: str, out: Out, count: int = COUNT) -> None:
    """Run the demo on each seed, one after the other; a study that is complete is not run again."""
    for seed in seeds_of(commit, count):
        command = [
            sys.executable,
            "-m",
            "headscope",
            "demo",
            "--study",
            str(out / str(seed)),
            "--seed",
            str(seed),
        ]
        subprocess.run(command, check=True)


@app.command()
def collect(commit: str, out: Out) -> None:
    """Write docs/demo-seeds.json and docs/demo-seeds.md from the studies that are complete.

    Studies of the same commit that were collected before stay where their folder is not at hand.
    """
    before = json.loads(STUDIES.read_text("utf-8")) if STUDIES.exists() else {}
    known = {s["seed"]: s for s in before.get("studies", ()) if before.get("commit") == commit}
    studies = []
    for seed in seeds_of(commit):
        path = out / str(seed) / "summary.json"
        if path.exists():
            known[seed] = {"seed": seed, "summary": json.loads(path.read_text("utf-8"))}
        studies += [known[seed]] if seed in known else []
    content = {"schema": "headscope/demo-seeds/1", "commit": commit, "studies": studies}
    STUDIES.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    PAGE.write_text(page(studies, commit), "utf-8")
    typer.echo(f"{len(studies)} of {COUNT} studies: {STUDIES.name}, {PAGE.name}")


if __name__ == "__main__":
    app()
