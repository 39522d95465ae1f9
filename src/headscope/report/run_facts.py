"""What was run, as rows of words for the page: model, data, seeds, versions, times, choices, commands."""

from __future__ import annotations

import json
from typing import Any

from headscope.report import unanswered
from headscope.report.charts.base import words
from headscope.report.contents import StudyContents
from headscope.report.theme import number
from headscope.study.record import StudyRecord
from headscope.study.stages import STAGES as TABLE

STAGES = ("data", *(stage.name for stage in TABLE if not stage.asks))
_SHOWN_ELSEWHERE = (  # fields of study.json that have rows of their own, or no place on the page
    *("schema", "load", "model", "data", "versions", "cases", "steps", "taxonomy", "training", "asked"),
)


def facts(study: StudyContents) -> list[tuple[str, str]]:
    """Rows of the table of what was run; what is unknown is left out."""
    record = study.record
    if record is None:
        return [row for row in (("Wall time", _wall(study)),) if row[1]]
    model = record.model
    millions = f"{model.parameters / 1e6:,.1f} million parameters" if model.parameters else ""
    shape = [f"{n} {k}" for k, n in (("layers", model.layers), ("heads", model.heads)) if n]
    counts = ", ".join(f"{split} {count}" for split, count in record.cases)
    open_steps = unanswered.counts(study)[1].total()
    left = f", {open_steps:,} of them unanswered and left out" if open_steps else ""
    rows = [
        ("Model", model.name),
        ("Revision", model.revision),
        ("Size", ", ".join(part for part in (millions, *shape) if part)),
        ("Data", record.data.path),
        ("Data fingerprint", record.data.fingerprint),
        ("Cases", f"{counts} (split by image)" if counts else ""),
        ("Steps", f"{record.steps:,}{left}" if record.steps else ""),
        ("Taxonomy", f"{study.taxonomy.name}: spatial group is {_spatial(study)}"),
        *((f"Setting: {key}", _plain(value)) for key, value in _settings(record)),
        ("Wall time", _wall(study)),
        ("Versions", ", ".join(f"{k} {v}" for k, v in record.versions.items())),
    ]
    return [(key, value) for key, value in rows if value]


def _settings(record: StudyRecord) -> list[tuple[str, Any]]:
    """Settings without a row of their own."""
    content = record.content().items()
    return [(k, v) for k, v in content if k not in _SHOWN_ELSEWHERE and v is not None]


def _spatial(study: StudyContents) -> str:
    names = [f for f in study.taxonomy.functions if f in study.taxonomy.spatial]
    return ", ".join(f.replace("_", " ") for f in names) or "empty"


def _wall(study: StudyContents) -> str:
    """Seconds of each stage and in all."""
    seconds = study.seconds
    known = [s for s in STAGES if s in seconds] + [s for s in seconds if s not in STAGES and s != "total"]
    if not known:
        return ""
    parts = [f"{stage} {number(seconds[stage], 0)} s" for stage in known]
    total = seconds.get("total", sum(seconds[s] for s in known))
    return f"{', '.join(parts)}; in all {number(total / 60, 1)} minutes"


def chosen(study: StudyContents) -> list[tuple[str, str, str]]:
    """What each stage froze before test was read: stage, function, choice."""
    rows = []
    for stage, value in study.chosen.items():
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


def commands(study: StudyContents) -> dict[str, str]:
    """The command that runs each stage on this study."""
    return {stage: f"headscope {stage} --study {study.folder}" for stage in STAGES}


def _plain(value: Any) -> str:
    """Settings in few words: scalars as they are, lists joined, the rest as compact JSON."""
    if isinstance(value, list | tuple) and all(isinstance(v, str | int | float | bool) for v in value):
        return ", ".join(str(v) for v in value)
    if isinstance(value, dict):
        return "; ".join(f"{k}: {_plain(v)}" if k else _plain(v) for k, v in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
