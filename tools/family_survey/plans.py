"""How a family is built and asked here: its recipe, or the first general way in which its class runs."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from family_survey.build import build, class_name, configure
from family_survey.inputs import Scene, likeliest
from family_survey.kinds_of_input import makers
from family_survey.makers import BLIND
from family_survey.recipes import Recipe, Unbuildable, known_recipes, recipe
from headscope.models.proofs.picture_proof import prove_picture
from headscope.models.proofs.proof_steps import HELD, logits_of

# How many of the families whose configurations are most alike lend their recipes.
_NEIGHBOURS = 3


@dataclass(frozen=True)
class Plan:
    """One way of building a family small and of asking it.

    Attributes:
        recipe: changes to the shrunk configuration, the kind of input, and what to say of the family.
        equal: whether fields of unknown meaning shrink with a known one that has the same default.
        failure: why no input was taken, empty if one was.
    """

    recipe: Recipe
    equal: bool = False
    failure: str = ""


def tiny_config(family: str) -> Any:
    """A small configuration of a family: few, narrow layers, every kind of decoder layer kept.

    Raises:
        Unbuildable: no such family, or none can be made here; the message says why.
    """
    how = plan(family)
    return configure(family, how.recipe, how.equal)


def tiny_model(family: str, seed: int = 0) -> nn.Module:
    """A tiny model of a family: float32, in evaluation mode, weights random and none of them idle.

    Gates and layer scales that training would open start open here, so that every layer is seen to act.

    Raises:
        Unbuildable: no such family, or none can be made here; the message says why.
    """
    how = plan(family)
    return build(family, how.recipe, how.equal, seed)


def tiny_inputs(
    family: str, model: nn.Module, items: int = 1, seed: int = 0, first: int = 0
) -> dict[str, Tensor]:
    """Keyword arguments of ``model.forward`` for a small batch of pictures, each with a few words.

    Args:
        family: model type.
        model: what :func:`headscope.models.survey.tiny_model` made of it.
        items: how many; their texts differ in length and are padded on the left (what an encoder reads,
            on the right).
        seed: of the pixels and words.
        first: number of the first item; item 1 alone is ``items=1, first=1``.

    Returns:
        input_ids and attention_mask (item, position), pixel values and what else the family asks for.

    Raises:
        Unbuildable: its class takes none of the kinds of input that are known; the message says why.
    """
    how = plan(family)
    if how.failure:
        raise Unbuildable(f"{family}: {how.failure}")
    with torch.no_grad():
        return makers()[how.recipe.inputs](Scene(family, model, items, seed, first))


@cache
def plan(family: str) -> Plan:
    """The first plan with which the family's class is built, runs, and reads its picture.

    A recipe says what a family needs; a family without one, or whose recipe does not fit this release of
    transformers, is tried in general ways: sizes cut down by the names of the fields, equal fields kept
    equal, the recipes of families with like configurations; every kind of input that is known.

    Raises:
        Unbuildable: no such family, or its class cannot be built; the message says why.
    """
    class_name(family)
    own = recipe(family)
    if own.unbuildable:
        raise Unbuildable(f"{family}: {own.unbuildable}")
    runs: Plan | None = None
    built: Plan | None = None
    reason = ""
    for one in _plans(family, own):
        try:
            model = build(family, one.recipe, one.equal)
        except Exception as exc:  # configurations and classes raise whatever they like
            reason = reason or _unbuilt(exc)
            continue
        kind, reads, failure = _input_kind(family, one.recipe, model)
        found = replace(one, recipe=replace(one.recipe, inputs=kind), failure=failure)
        if reads:
            return found
        runs = runs or (found if kind else None)
        built = built or found
    chosen = runs or built
    if chosen is None:
        raise Unbuildable(f"{family}: {reason}")
    return chosen


def _plans(family: str, own: Recipe) -> Iterator[Plan]:
    yield Plan(own)
    yield Plan(own, equal=True)
    if own.config or own.tower:
        general = replace(own, config={}, tower={})
        yield Plan(general)
        yield Plan(general, equal=True)
    for name in _neighbours(family):
        lent = recipe(name)
        yield Plan(replace(lent, note=own.note, inputs=own.inputs or lent.inputs))


def _neighbours(family: str) -> list[str]:
    """Families with recipes whose configurations share most field names with this one's."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    def fields(name: str) -> frozenset[str]:
        try:
            return _fields(CONFIG_MAPPING[name]())
        except Exception:  # a configuration without defaults lends nothing
            return frozenset()

    own = fields(family)
    alike = {
        name: len(own & other) / max(len(own | other), 1)
        for name in known_recipes()
        if name != family and name in CONFIG_MAPPING and (other := fields(name))
    }
    return sorted(alike, key=lambda name: -alike[name])[:_NEIGHBOURS]


def _fields(config: Any) -> frozenset[str]:
    """Names of the fields of a configuration and of the configurations inside it, ``part.field``."""
    names = set()
    for name, value in vars(config).items():
        names.add(name)
        if name in config.sub_configs and value is not None:
            names |= {f"{name}.{inner}" for inner in vars(value)}
    return frozenset(names)


def _input_kind(family: str, how: Recipe, model: nn.Module) -> tuple[str, bool, str]:
    """The first kind of input with which the model runs and reads its picture.

    Returns:
        Name of the kind, empty if none is taken; whether the picture is read (a recipe's own word counts);
        why the likeliest kind is not taken, empty if one is.
    """
    runs, failure = "", ""
    scene = Scene(family, model, 1)
    # Words alone come last, for a class that reads no picture of any known kind.
    for name in dict.fromkeys((how.inputs or likeliest(scene), *makers(), BLIND)):
        try:
            with torch.no_grad():
                inputs = makers()[name](Scene(family, model, 1))
                logits_of(model, inputs)
                if name == how.inputs or prove_picture(model, inputs).status == HELD:
                    return name, True, ""
        except Exception as exc:  # forwards raise whatever they like
            failure = failure or f"its forward fails: {told(exc)}"
            continue
        runs = name if name == BLIND else runs
    return runs, False, "" if runs else failure or "it reads no picture of any kind that is known here"


def _unbuilt(exc: Exception) -> str:
    if isinstance(exc, (Unbuildable, ImportError)):
        return " ".join(str(exc).split())
    return f"no small model of it can be built: {told(exc)}"


def told(exc: BaseException) -> str:
    """An error in one line: its kind, what it says, and where in the model's code it was raised."""
    text = " ".join(str(exc).split())[:300]
    places = [f for f in traceback.extract_tb(exc.__traceback__) if "modeling_" in Path(f.filename).name]
    where = f" ({Path(places[-1].filename).name}, line {places[-1].lineno})" if places else ""
    return f"{type(exc).__name__}{': ' if text else ''}{text}{where}"
