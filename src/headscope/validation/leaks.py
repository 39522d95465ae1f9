"""Did anything leak from test? What a study's files must show if pictures and choices were kept apart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headscope.capturing.store import open_answers
from headscope.data.cases import Cases
from headscope.data.splits import group_by_content
from headscope.errors import StudyError
from headscope.experiments.candidates import Candidate, Dose
from headscope.experiments.choices import frozen
from headscope.models.geometry import parse_head
from headscope.storage import read_json, read_table


def check_leaks(folder: str | Path, cases: Cases) -> None:
    """Refuse a study in which pictures straddle splits, or in which heads were chosen on ``test``.

    Raises:
        StudyError: every leak found, one a line.
    """
    found = leaks(folder, cases)
    if found:
        raise StudyError(f"{folder}: {len(found)} leaks:\n" + "\n".join(found))


def leaks(folder: str | Path, cases: Cases) -> list[str]:
    """The leaks of a study folder in words; parts of the study that were not run are not judged.

    - no picture is in two splits, by file and by content;
    - every captured answer carries the split that ``splits.json`` gives its case;
    - the causal scan, whose scores choose heads, was read on ``select``;
    - the heads frozen in ``choices.json`` are those that the stated rule picks from ``select``;
    - the readings on ``test`` were made with the frozen heads.
    """
    folder = Path(folder)
    splits: dict[str, str] = read_json(folder / "splits.json")
    found = _pictures(splits, cases)
    if (folder / "capture" / "plan.json").exists():
        wrong = {r["case"] for r in open_answers(folder / "capture") if r["split"] != splits.get(r["case"])}
        found += [f"captured under another split than splits.json says: {sorted(wrong)[:5]}"] if wrong else []
    causal = folder / "causal" / "settings.json"
    if causal.exists() and (split := read_json(causal)["split"]) != "select":
        found.append(f"the causal scan that ranks heads was read on {split}, not on select")
    if (folder / "ablation.json").exists():
        found += _choices(folder, read_json(folder / "ablation.json"))
    return found


def _pictures(splits: Mapping[str, str], cases: Cases) -> list[str]:
    groups = group_by_content(
        cases, cases.folder
    )  # of the files as they are now, not as they were when the study began
    homes: dict[str, set[str]] = {}
    for case, picture in groups.items():
        homes.setdefault(picture, set()).add(splits.get(case, "no split"))
    return [
        f"picture {picture} is in {' and '.join(sorted(where))}"
        for picture, where in homes.items()
        if len(where) > 1 or where == {"no split"}
    ]


def _choices(folder: Path, content: Mapping[str, Any]) -> list[str]:
    """Choices against the doses on ``select``, and readings against the choices."""
    found = []
    held = (frozen(folder, "ablation") or {}).get("functions", {})
    for function, dose in content["dose"].items():
        names = (
            *("ranking", "k", "sets"),
            *("drop_points", "forced_drop_points", "smooth_points", "elsewhere_points"),
        )
        tried = [
            Candidate(heads=tuple(parse_head(h) for h in c["heads"]), **{n: c[n] for n in names})
            for c in dose["candidates"]
        ]
        best = [str(h) for h in Dose(function, tuple(tried), dose["n"]).chosen.heads]
        if (chosen := held.get(function, {}).get("heads")) != best:
            found.append(f"{function}: frozen heads {chosen} are not those that select picks, {best}")
        if (used := content["functions"][function]["heads"]) != chosen:
            found.append(f"{function}: test was read with {used}, frozen were {chosen}")
    for row in read_table(folder / "ablation.parquet"):
        if row["phase"] == "dose" and row["split"] != "select":
            found.append(f"{row['muted']}: a dose was read on {row['split']}")
    return found
