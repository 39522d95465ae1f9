"""A scene: things with exact places, drawn on a background."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from headscope.making.scenes.kinds import KINDS
from headscope.making.scenes.sprites import paste, sprite

SIDE = 192  # pixels of a scene's side
THIRD = SIDE // 3
MARGIN = 7  # pixels by which a centre stays clear of the lines between thirds
COLUMNS = ("left", "middle", "right")
PLACES = (
    ("top left", "top", "top right"),
    ("left", "middle", "right"),
    ("bottom left", "bottom", "bottom right"),
)
ALL_PLACES = tuple(p for row in PLACES for p in row)


@dataclass(frozen=True)
class Thing:
    """One thing of a scene; ``x`` and ``y`` are the centre in pixels of the 192-pixel scene."""

    kind: str
    colour: str
    size: str
    facing: str | None
    variant: int
    letter: str | None
    x: int = 0
    y: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        """(width, height) of the drawing in pixels."""
        height, width = self.sprite().shape[:2]
        return width, height

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(x0, y0, x1, y1) in pixels, tight around the drawing."""
        width, height = self.shape
        x0, y0 = self.x - width // 2, self.y - height // 2
        return x0, y0, x0 + width, y0 + height

    @property
    def column(self) -> int:
        """Third of the picture from left to right, 0 to 2."""
        return self.x // THIRD

    @property
    def row(self) -> int:
        """Third of the picture from top to bottom, 0 to 2."""
        return self.y // THIRD

    @property
    def place(self) -> str:
        """One of nine words for where the centre is, such as ``top left``."""
        return PLACES[self.row][self.column]

    def sprite(self) -> np.ndarray:
        """(height, width, 4) uint8 drawing."""
        return sprite(self.kind, self.colour, self.size, self.facing, self.variant, self.letter)

    def at(self, x: int, y: int) -> Thing:
        """The same thing elsewhere."""
        return replace(self, x=x, y=y)

    def attributes(self) -> dict[str, str]:
        """What the ground truth says of the thing, for the case's object."""
        known = {"kind": self.kind, "colour": self.colour, "size": self.size, "place": self.place}
        if self.facing and KINDS[self.kind].faces:
            known["facing"] = self.facing
        if self.letter:
            known["letter"] = self.letter
        known["drawing"] = str(self.variant)
        return known


@dataclass(frozen=True)
class Scene:
    """Things on a background; ``background`` seeds its look."""

    things: tuple[Thing, ...]
    background: int

    def render(self) -> np.ndarray:
        """(192, 192, 3) uint8 picture; lower things are drawn over higher ones."""
        canvas = _background(self.background).copy()
        for thing in sorted(self.things, key=lambda t: t.y):
            x0, y0, _, _ = thing.box
            paste(canvas, thing.sprite(), x0, y0)
        return canvas

    def count(self, kind: str) -> int:
        """How many things of a kind there are."""
        return sum(t.kind == kind for t in self.things)


_PALETTE = (
    (238, 236, 228),
    (222, 232, 240),
    (226, 238, 222),
    (243, 231, 218),
    (232, 226, 240),
    (205, 212, 218),
    (214, 206, 192),
    (198, 214, 200),
)


BACKGROUNDS = 512  # different grounds


@lru_cache(maxsize=BACKGROUNDS)
def _background(seed: int) -> np.ndarray:
    """Plain, graded, striped, checked or speckled ground in two soft colours."""
    rng = random.Random(seed)
    first = np.array(rng.choice(_PALETTE), np.float32)
    second = np.clip(first + rng.choice((-1, 1)) * rng.uniform(6, 16), 0, 250)
    style = rng.choice(("plain", "graded", "horizon", "stripes", "checks", "speckles"))
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    period = rng.choice((12, 16, 24, 32))
    if style == "plain":
        weight = np.zeros((SIDE, SIDE), np.float32)
    elif style == "graded":
        weight = (y if rng.random() < 0.5 else x) / SIDE
    elif style == "horizon":
        weight = (y > rng.uniform(0.3, 0.7) * SIDE).astype(np.float32)
    elif style == "stripes":
        weight = ((x + rng.choice((-1, 0, 1)) * y) // period % 2).astype(np.float32)
    elif style == "checks":
        weight = ((x // period + y // period) % 2).astype(np.float32)
    else:
        weight = np.random.default_rng(seed).random((SIDE // 4, SIDE // 4), dtype=np.float32)
        weight = weight.repeat(4, 0).repeat(4, 1)
    blend = first + (second - first) * weight[..., None]
    return np.ascontiguousarray(blend.astype(np.uint8))


def named(kind: str, article: str = "the") -> str:
    """``the dog``, ``a dog``, ``an apple``."""
    if article == "a":
        return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
    return f"{article} {kind}"
