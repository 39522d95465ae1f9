"""The survey: every family built small, its heads found and proved, and what else holds or is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from family_survey.build import class_name, family_names
from family_survey.plans import plan, tiny_inputs, tiny_model, told
from headscope.errors import HeadscopeError
from headscope.models.finding import find_geometry
from headscope.models.geometry import Geometry
from headscope.models.proofs.full import prove
from headscope.models.proofs.proof_steps import HELD
from headscope.models.survey import RESULTS, SurveyedFamily


def survey(families: Sequence[str] | None = None) -> list[SurveyedFamily]:
    """Rows of the families asked for, all by default; about a second each on one thread."""
    return [survey_row(family) for family in (family_names() if families is None else families)]


def survey_row(family: str) -> SurveyedFamily:
    """Build one family and prove it. Whatever its code raises on the way ends in a row that says so.

    Raises:
        Unbuildable: transformers has no such family.
    """
    name = class_name(family)
    try:
        return _proved(family, name)
    except HeadscopeError as exc:
        reason = str(exc).removeprefix(f"{family}: ")
    except Exception as exc:  # the classes are of many hands; none of them may end the survey
        reason = f"the proof ended in the model's {told(exc)}"
    return SurveyedFamily(family, name, "REFUSED", reason)


def _proved(family: str, name: str) -> SurveyedFamily:
    model = tiny_model(family)
    inputs = tiny_inputs(family, model)
    geometry = find_geometry(model, inputs=lambda: inputs)
    alone = [tiny_inputs(family, model, first=number) for number in range(2)]
    proof = prove(model, inputs, geometry, (alone, tiny_inputs(family, model, items=2)))
    proofs: dict[str, float | str] = {"heads": geometry.summary().removeprefix("found ")}
    for step in proof.steps:
        proofs[step.name] = float(f"{step.figure:.2g}") if step.status == HELD else step.status
    said = [without_figures(proof.reason), _left_out(geometry), plan(family).recipe.note]
    return SurveyedFamily(family, name, proof.status, ". ".join(text for text in said if text), proofs)


def without_figures(reason: str) -> str:
    """A reason without its measured figures, which differ from machine to machine."""
    return re.sub(r" \([^()]*: \S+ relative, limit \S+\)", "", reason)


def _left_out(geometry: Geometry) -> str:
    """Layers without heads, by kind."""
    kinds: dict[str, list[str]] = {}
    for layer in geometry.left_out:
        kinds.setdefault(layer.kind, []).append(str(layer.layer))
    return "; ".join(f"no heads in layers of {kind}" for kind in kinds)


def save(rows: Sequence[SurveyedFamily], file: Path = RESULTS) -> None:
    """Write rows as JSON, one a line."""
    lines = [json.dumps(asdict(row)) for row in rows]
    file.write_text("[\n" + ",\n".join(lines) + "\n]\n", "utf-8")
