"""What the general shrinking cannot know of a family: fields with special values, and its kind of input."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from headscope.errors import HeadscopeError


class Unbuildable(HeadscopeError):
    """No tiny model or input of this family can be made here; the message says why."""


_STAND_IN = "vision tower stands in for the family's own, which timm has; timm imports torchvision"


@dataclass(frozen=True)
class Recipe:
    """How to build a family; the tables lie in ``recipes/*.toml``.

    Attributes:
        config: changes to the shrunk configuration, nested like it.
        inputs: name of an input maker, empty for the one that fits the arguments of the model.
        tower: configuration of a vision tower put in place of the family's own, which is timm's, where timm
            cannot be imported.
        timm: further changes to the configuration, for timm's own tower where it can.
        words: how many words the first item has, each later one three more; where an index picks positions,
            many more than it picks.
        note: what a reader of the survey's result has to know about how the model was built.
        unbuildable: why no tiny model can be made, empty if one can.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    inputs: str = ""
    tower: Mapping[str, Any] = field(default_factory=dict)
    timm: Mapping[str, Any] = field(default_factory=dict)
    words: int = 6
    note: str = ""
    unbuildable: str = ""


@cache
def _tables() -> dict[str, dict[str, Any]]:
    tables: dict[str, dict[str, Any]] = {}
    for file in sorted((Path(__file__).parent / "recipes").glob("*.toml")):
        tables.update(tomllib.loads(file.read_text("utf-8")))
    return tables


def known_recipes() -> tuple[str, ...]:
    """Families that have a recipe."""
    return tuple(_tables())


def recipe(family: str) -> Recipe:
    """The recipe of a family; the empty one where the general way is enough."""
    table = dict(_tables().get(family, {}))
    section = table.pop("mrope", None)
    config = dict(table.pop("config", {}))
    if section is not None:  # widths of the rotary sections, which have to add up to half the head width
        rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": section}
        config["text_config"] = {"rope_parameters": rope, **config.get("text_config", {})}
    made = Recipe(config=config, **table)
    if made.tower and timm_runs():
        return replace(made, tower={}, config=_joined(config, made.timm))
    return replace(made, note=_STAND_IN) if made.tower else made


def timm_runs() -> bool:
    """Whether timm can be imported; it imports torchvision."""
    return find_spec("timm") is not None and find_spec("torchvision") is not None


def _joined(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings, the second ones on top."""
    result = dict(one)
    for name, value in other.items():
        before = result.get(name)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        result[name] = _joined(before, value) if both else value  # type: ignore[arg-type]
    return result
