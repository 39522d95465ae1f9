"""What was run, as rows of words for the page: model, data, seeds, versions, times, choices, commands."""

from __future__ import annotations

import json
from typing import Any

from headscope.report import unanswered
from headscope.report.charts.base import words
from headscope.report.theme import number
from headscope.report.views import StudyView

STAGES = ("data", "capture", "probe", "ablate", "emphasize", "wake", "report")


def facts(study: StudyView) -> list[tuple[str, str]]:
    """Rows of the table of what was run; what is unknown is left out."""
    model, data = study.run.model, study.run.data
    size = model.get("parameters")
    millions = f"{size / 1e6:,.1f} million parameters" if isinstance(size, int | float) and size else ""
    shape = [f"{model[k]} {k}" for k in ("layers", "heads") if model.get(k)]
    counts = ", ".join(f"{split} {count}" for split, count in study.run.cases.items())
    open_steps = unanswered.counts(study)[1].total()
    left = f", {open_steps:,} of them unanswered and left out" if open_steps else ""
    rows = [
        ("Model", str(model.get("name", ""))),
        ("Revision", str(model.get("revision", ""))),
        ("Size", ", ".join(part for part in (millions, *shape) if part)),
        ("Data", str(data.get("name") or data.get("path") or "")),
        ("Data fingerprint", str(data.get("fingerprint", ""))),
        ("Cases", f"{counts} (split by image)" if counts else ""),
        ("Steps", f"{study.run.steps:,}{left}" if study.run.steps else ""),
        ("Taxonomy", f"{study.taxonomy.name}: spatial group is {_spatial(study)}"),
        *((f"Setting: {key}", _plain(value)) for key, value in study.run.settings.items()),
        ("Wall time", _wall(study)),
        ("Versions", ", ".join(f"{k} {v}" for k, v in study.run.versions.items())),
        *(("Command", command) for command in study.run.commands),
    ]
    return [(key, value) for key, value in rows if value]


def _spatial(study: StudyView) -> str:
    names = [f for f in study.taxonomy.functions if f in study.taxonomy.spatial]
    return ", ".join(f.replace("_", " ") for f in names) or "empty"


def _wall(study: StudyView) -> str:
    """Seconds of each stage and in all."""
    seconds = study.run.seconds
    known = [s for s in STAGES if s in seconds] + [s for s in seconds if s not in STAGES and s != "total"]
    if not known:
        return ""
    parts = [f"{stage} {number(seconds[stage], 0)} s" for stage in known]
    total = seconds.get("total", sum(seconds[s] for s in known))
    return f"{', '.join(parts)}; in all {number(total / 60, 1)} minutes"


def chosen(study: StudyView) -> list[tuple[str, str, str]]:
    """What each stage froze before test was read: stage, function, choice."""
    rows = []
    for stage, value in study.run.chosen.items():
        functions = value.get("functions") if isinstance(value, dict) else None
        if isinstance(functions, dict):
            rows += [(stage, words(f), _choice(cell)) for f, cell in functions.items()]
        elif stage != "schema":
            rows.append((stage, "", _choice(value)))
    return rows


def _choice(cell: Any) -> str:
    """A frozen choice without the numbers that it was chosen by."""
    if not isinstance(cell, dict):
        return _plain(cell)
    kept = ("ranking", "source", "edit", "strength", "scope", "style", "k", "heads", "reason")
    known = {key: cell[key] for key in kept if cell.get(key) not in (None, "", [])}
    return _plain(known or cell)


def commands(study: StudyView) -> dict[str, str]:
    """The command that runs each stage on this study."""
    return {stage: f"headscope {stage} --study {study.folder}" for stage in STAGES}


def _plain(value: Any) -> str:
    """Settings in few words: scalars as they are, lists joined, the rest as compact JSON."""
    if isinstance(value, list | tuple) and all(isinstance(v, str | int | float | bool) for v in value):
        return ", ".join(str(v) for v in value)
    if isinstance(value, dict):
        return "; ".join(f"{k}: {_plain(v)}" for k, v in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
