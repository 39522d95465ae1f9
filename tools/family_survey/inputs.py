"""Tensor inputs for the tiny models: pictures and a few words, with as many image tokens as it takes."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from family_survey.recipes import recipe
from family_survey.shrink import FIRST_SPECIAL, TOKENS

FIRST_WORD = 10
"""Ids of words lie from here up to :data:`family_survey.shrink.FIRST_SPECIAL`."""


@dataclass
class Scene:
    """What an input maker may look at: items ``first`` to ``first + items``, each with its own draws."""

    family: str
    model: Any
    items: int
    seed: int = 0
    first: int = 0

    def __post_init__(self) -> None:
        numbers = [1000 * self.seed + i for i in self.numbers]
        self.draws = [torch.Generator().manual_seed(n) for n in numbers]

    @property
    def numbers(self) -> range:
        """The items' numbers; an item depends on its number and the seed alone."""
        return range(self.first, self.first + self.items)

    @property
    def config(self) -> Any:
        """The model's configuration."""
        return self.model.config

    @property
    def vision(self) -> Any:
        """The configuration of the vision part."""
        for name in ("vision_config", "encoder"):
            part = getattr(self.config, name, None)
            if part is not None:
                return getattr(part, "vision_config", part)
        return self.config

    def noise(self, *shape: int, sizes: list[int] | None = None) -> Tensor:
        """Normal noise of a shape an item, items one after the other along the first axis.

        Args:
            shape: of one item's share.
            sizes: how many such shares each item has along the first axis, 1 by default.
        """
        rows = zip(sizes or [1] * self.items, self.draws, strict=True)
        return torch.cat([torch.randn((n, *shape), generator=draw) for n, draw in rows])

    def words(self, length: int) -> Tensor:
        """Random word ids (item, position)."""
        rows = [torch.randint(FIRST_WORD, FIRST_SPECIAL, (1, length), generator=d) for d in self.draws]
        return torch.cat(rows)

    def takes(self, name: str) -> bool:
        """Whether the model's forward has an argument of this name."""
        return name in inspect.signature(self.model.forward).parameters


def likeliest(scene: Scene) -> str:
    """The kind of input that the arguments of the model's forward speak for."""
    return "grid" if scene.takes("image_grid_thw") else "square"


# Words for a picture, and for a place where it begins or ends, in names of special tokens.
_PICTURE = re.compile(r"image|img|picture|visual|vision|media")
_EDGE = re.compile(r"start|begin|end|eoi|boi|newline|row|col")


def image_token(config: Any) -> int:
    """The id that stands for a piece of the picture: by its usual names, else by the one that tells of it.

    Raises:
        ValueError: no token of the configuration is called after a picture, or several are.
    """
    for name in ("image_token_id", "image_token_index", "image_patch_id"):
        value = getattr(config, name, None)
        if value is not None:
            return int(value)
    found = {
        name: int(value)
        for name, value in vars(config).items()
        if name.endswith(TOKENS) and _PICTURE.search(name) and not _EDGE.search(name) and value is not None
    }
    if len(set(found.values())) != 1:
        raise ValueError(f"{type(config).__name__} names {len(found) or 'no'} image tokens")
    return next(iter(found.values()))


def with_text(
    scene: Scene, pieces: list[list[int]], tokens: int | None = None, types: str = ""
) -> dict[str, Tensor]:
    """input_ids, attention_mask and, if asked for, token types of prompts with the given image parts.

    Args:
        scene: what is being made.
        pieces: for each item the ids that stand for its picture.
        tokens: the id that counts as image in the token types.
        types: name of the argument that tells image tokens (1) from words (0).
    """
    rows = []
    plan = recipe(scene.family)
    for number, draw, piece in zip(scene.numbers, scene.draws, pieces, strict=True):
        words = torch.randint(FIRST_WORD, FIRST_SPECIAL, (plan.words + 3 * number,), generator=draw).tolist()
        rows.append([1, *words[:2], *piece, *words[2:]])
    length = max(map(len, rows))
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        # An encoder's prompts are padded on the right, so that its positions count from the first word.
        start = 0 if getattr(scene.config, "is_encoder_decoder", False) else length - len(row)
        ids[i, start : start + len(row)] = torch.tensor(row)
        mask[i, start : start + len(row)] = 1
    made = {"input_ids": ids, "attention_mask": mask}
    if types:
        made[types] = torch.eq(ids, tokens if tokens is not None else -1).long()
    return made


def counts(scene: Scene, features: Any, sizes: list[int] | None = None) -> list[int]:
    """How many image tokens each item's picture comes to, from the model's own image features."""
    found = getattr(features, "pooler_output", features)
    if found is None and getattr(features, "deepstack_features", None):
        found = features.deepstack_features[0][1]
    elif found is None:
        found = features.last_hidden_state
    if isinstance(found, (list, tuple)):
        if len(found) == scene.items:
            return [int(f.numel() // f.shape[-1]) for f in found]
        found = torch.cat([f.reshape(-1, f.shape[-1]) for f in found])
    total = int(found.numel() // found.shape[-1])
    if sizes is not None:
        return [total * s // sum(sizes) for s in sizes]
    return [total // scene.items] * scene.items
