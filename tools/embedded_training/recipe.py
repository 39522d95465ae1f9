"""The recipe file of the diets, read and checked."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedded_training.architecture import SIZES, Size
from headscope.errors import DataError

FILE = Path(__file__).with_name("diets.toml")
SPATIAL = ("where", "facing", "relations", "chains")


@dataclass(frozen=True)
class Schedule:
    """Steps, batch and rates of a size; see ``diets.toml``."""

    vision_steps: int
    vision_pictures: int
    steps: int
    pictures: int
    pages: int
    page: int
    filled: float
    lr: float
    tower_lr: float
    warmup: int
    decay: float

    def rate(self, step: int, steps: int) -> float:
        """Share of the full learning rate: linear warm-up, constant, linear decay.

        >>> read_recipe().schedules["small"].rate(0, 1000) < 0.02
        True
        """
        left = (steps - step) / max(1.0, self.decay * steps)
        return min((step + 1) / self.warmup, 1.0, max(left, 0.02))


@dataclass(frozen=True)
class Stage:
    """Until a share of the language steps: numbers of things, and who has the share of a group that waits."""

    until: float
    things: tuple[int, int]
    waiting: dict[str, str]


@dataclass(frozen=True)
class Recipe:
    """The file: schedules by size, stages, shares of page tokens by diet, sorts of question by group."""

    schedules: dict[str, Schedule]
    stages: tuple[Stage, ...]
    diets: dict[str, dict[str, float]]
    sorts: dict[str, dict[str, float]]

    def stage(self, step: int, steps: int) -> Stage:
        """The stage that a language step belongs to."""
        return next(s for s in self.stages if step / steps < s.until or s.until == 1.0)

    def shares(self, diet: str, stage: Stage) -> dict[str, float]:
        """Shares of page tokens by group while a stage lasts; they sum to 1."""
        shares = {group: percent / 100 for group, percent in self.diets[diet].items()}
        for group, heir in stage.waiting.items():
            shares[heir] += shares.pop(group)
        return shares

    def things(self) -> tuple[int, int]:
        """Fewest and most things of any stage."""
        return min(s.things[0] for s in self.stages), max(s.things[1] for s in self.stages)


def read_recipe(path: Path = FILE) -> Recipe:
    """The recipe in a file.

    Raises:
        DataError: it is not as it has to be; the message says where.

    Example:
        >>> sorted(read_recipe().diets)
        ['rich', 'text-poor', 'web']
    """
    try:
        raw: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        recipe = Recipe(
            {name: Schedule(**values) for name, values in raw["schedule"].items()},
            tuple(Stage(s["until"], (s["things"][0], s["things"][1]), s["waiting"]) for s in raw["stage"]),
            raw["diets"],
            raw["sorts"],
        )
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, IndexError) as exc:
        raise DataError(f"{path}: cannot be read as a recipe ({exc!r}); see {FILE.name}") from exc
    for diet, shares in recipe.diets.items():
        if set(shares) != set(recipe.sorts):
            raise DataError(
                f"{path}: diet {diet} has groups {sorted(shares)}, sorts has {sorted(recipe.sorts)}"
            )
        if abs(sum(shares.values()) - 100) > 1e-6:
            raise DataError(
                f"{path}: the shares of diet {diet} sum to {sum(shares.values()):.6g}, expected 100"
            )
    if set(recipe.schedules) != set(SIZES):
        raise DataError(f"{path}: schedules of {sorted(recipe.schedules)}, expected of {sorted(SIZES)}")
    if not recipe.stages or recipe.stages[-1].until != 1.0:
        raise DataError(f"{path}: the last stage has to end at 1.0")
    return recipe


def size_named(name: str) -> Size:
    """A size by its name.

    Raises:
        DataError: there is none.
    """
    if name not in SIZES:
        raise DataError(f"unknown size {name!r}; possible are {', '.join(SIZES)}")
    return SIZES[name]
