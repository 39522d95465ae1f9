"""What the survey found on several releases of transformers, compared and written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from headscope.models.releases import ABSENT, TRIED, Found, SurveyDifference, TriedReleases


def save(found: TriedReleases, file: Path = TRIED) -> None:
    """Write them as JSON, one entry a line."""
    parts = []
    for name, entries in asdict(found).items():
        lines = ",\n".join(f"  {json.dumps(entry)}" for entry in entries)
        parts.append(f' "{name}": [\n{lines}\n ]')
    file.write_text("{\n" + ",\n".join(parts) + "\n}\n", "utf-8")


def differing(newest: Found, others: Mapping[str, Found]) -> tuple[SurveyDifference, ...]:
    """Where releases differ from the newest one: families that changed, and those that are not there.

    Args:
        newest: what the survey found on the newest release.
        others: the same by release.
    """
    return tuple(
        SurveyDifference(release, family, *found.get(family, (ABSENT, "")))
        for release, found in others.items()
        for family in dict.fromkeys((*newest, *found))
        if found.get(family) != newest.get(family)
    )
