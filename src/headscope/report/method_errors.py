"""The method's measured error rates, as the package carries them, in words that stand beside a head map."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib import resources

from headscope.report.theme import number
from headscope.storage import Row

SCHEMA = "headscope/measured/1"


@dataclass(frozen=True)
class MethodErrors:
    """A line for each ranking, and where the figures come from; both empty if none were measured."""

    lines: dict[str, str] = field(default_factory=dict)
    source: str = ""


def method_errors(content: Row | None = None) -> MethodErrors:
    """What ``headscope validate-method`` measured on planted models with one head a function.

    Args:
        content: of ``measured.json``; None: that of the package.
    """
    if content is None:
        file = resources.files("headscope").joinpath("validation", "measured.json")
        if not file.is_file():
            return MethodErrors()
        content = json.loads(file.read_text("utf-8"))
    if content.get("schema") != SCHEMA:
        return MethodErrors()
    plain, rejected = content["planted"]["plain"], content["decoy_rejection"]
    lines = {}
    for way, cell in plain.items():
        text = f"known answers: precision {number(cell['precision'], 2)}, recall {number(cell['recall'], 2)}"
        if way in rejected:
            text += f", decoys rejected {number(100 * rejected[way], 0)} %"
        lines[way] = text
    models = content["provenance"]["models"]
    size = " (a quick run)" if content["provenance"]["quick"] else ""
    source = (
        f"Under each map: how right its dots are on models with planted heads, measured by "
        f"{content['provenance']['command']}{size} on {sum(models.values())} models, {models['plain']} of "
        "them plain (docs/method.md). A real model has no such truth, and its heads share their work."
    )
    return MethodErrors(lines, source)
