"""The survey: every family built small, its heads found and proved, and what else holds or is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from headscope.errors import GeometryError
from headscope.models.geometry import Geometry, find_geometry
from headscope.models.proofs.full import prove
from headscope.models.proofs.steps import HELD, REFUSED, Step
from headscope.models.survey import checks
from headscope.models.survey.build import Unbuildable, class_name, family_names, tiny_model
from headscope.models.survey.inputs import tiny_inputs
from headscope.models.survey.recipes import recipe

RESULTS = Path(__file__).parent / "results.json"
Status = Literal["PROVED", "PARTLY", "REFUSED"]


@dataclass(frozen=True)
class Row:
    """What the survey found of one family.

    Attributes:
        family: model type.
        class_name: the class that transformers loads it with.
        status: PROVED; PARTLY, if heads are proved and something else is refused; REFUSED.
        reason: what is refused and why, and what a reader has to know; empty if there is nothing to say.
        proofs: figure of each step by name, or "refused" or "not applicable"; under ``heads`` in words which
            heads there are.
    """

    family: str
    class_name: str
    status: Status
    reason: str = ""
    proofs: dict[str, float | str] = field(default_factory=dict)

    @property
    def captured(self) -> bool:
        """Whether the heads of the prompt's positions can be captured and edited."""
        return self.status != "REFUSED" and isinstance(self.proofs.get("positions"), float)


def survey(families: Sequence[str] | None = None) -> list[Row]:
    """Rows of the families asked for, all by default; about a second each on one thread."""
    return list(survey_rows(family_names() if families is None else families))


def survey_rows(families: Sequence[str]) -> Iterator[Row]:
    """The same one by one, for those who show progress."""
    for family in families:
        yield survey_row(family)


def survey_row(family: str) -> Row:
    """Build one family, prove it, and try what else headscope relies on.

    Raises:
        Unbuildable: transformers has no such family.
    """
    name = class_name(family)
    plan = recipe(family)
    try:
        model = tiny_model(family)
        inputs = tiny_inputs(family, model)
        geometry = find_geometry(model)
        proof = prove(model, inputs, geometry)
    except (Unbuildable, GeometryError) as exc:
        return Row(family, name, "REFUSED", str(exc).removeprefix(f"{family}: "))
    proofs: dict[str, float | str] = {"heads": geometry.summary().removeprefix("found ")}
    refused: list[str] = []
    for step in (*proof.steps, _items(family, model, proof.numbered), _picture(model, inputs)):
        if step.name == "spans":
            continue  # needs a processor; shown on checkpoints
        proofs[step.name] = float(f"{step.figure:.2g}") if step.status == HELD else step.status
        if step.status != HELD:
            refused.append(f"{step.name}: {plan.why.get(step.name) or _without_figures(step.reason)}")
    said = [f"refused: {'; '.join(refused)}"] if refused else []
    said += [text for text in (_left_out(geometry), plan.note) if text]
    return Row(family, name, "PARTLY" if refused else "PROVED", ". ".join(said), proofs)


def _items(family: str, model: nn.Module, numbered: bool) -> Step:
    """Items that differ, in one padded batch."""
    shown = "each of two different items gives in a padded batch the logits it gives alone"
    figure = checks.batch_gap(family, model, numbered)
    if figure <= checks.LIMIT:
        return Step("items", shown, figure)
    return Step("items", shown, figure, REFUSED, "an item's logits depend on the batch that it is read in")


def _picture(model: nn.Module, inputs: dict[str, Tensor]) -> Step:
    """That the picture is read at all."""
    shown = "a changed picture changes the last logits"
    figure = checks.picture_effect(model, inputs)
    if figure > checks.LIMIT:
        return Step("picture", shown, figure)
    return Step("picture", shown, figure, REFUSED, "it takes no picture")


def _without_figures(reason: str) -> str:
    """A reason without its measured figures, which differ from machine to machine."""
    return re.sub(r" \([^()]*: \S+ relative, limit \S+\)", "", reason)


def _left_out(geometry: Geometry) -> str:
    """Layers without heads, by kind."""
    kinds: dict[str, list[str]] = {}
    for layer in geometry.left_out:
        kinds.setdefault(layer.kind, []).append(str(layer.layer))
    return "; ".join(f"no heads in layers of {kind}" for kind in kinds)


def save(rows: Sequence[Row], file: Path = RESULTS) -> None:
    """Write rows as JSON, one a line."""
    lines = [json.dumps(asdict(row)) for row in rows]
    file.write_text("[\n" + ",\n".join(lines) + "\n]\n", "utf-8")


def load(file: Path = RESULTS) -> list[Row]:
    """The rows of the survey that this version of headscope was released with."""
    return [Row(**row) for row in json.loads(file.read_text("utf-8"))]
