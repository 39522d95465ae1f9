"""A made-up picture alphabet: 3 x 3 cells, a thing in a cell drawn as lit squares that a linear map reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

COLUMNS, ROWS = 3, 3
CELLS = COLUMNS * ROWS
PATCH = 16  # pixels of a cell's side
SIDE = COLUMNS * PATCH  # pixels of a picture's side
SQUARE = 4  # pixels of a lit square's side; 4 x 4 squares a cell
KINDS = ("dog", "cat", "cow", "hen", "owl", "fox")
FACINGS = ("north", "east", "south", "west")
COLOURS = ("red", "green", "blue")
COUNTS = (3, 4, 5, 6)  # things in a picture
DIM, NOISE = 0.85, 6.0  # least brightness of a thing; spread of the pixel noise, of 255

# Which of the 16 squares of a cell says what.
KIND_AT = dict(zip(KINDS, range(6), strict=True))
FACING_AT = dict(zip(FACINGS, range(6, 10), strict=True))
PRESENT_AT, COLOUR_AT = 10, 11


@dataclass(frozen=True)
class Thing:
    """One thing of a picture; ``cell`` counts from 0 row by row."""

    kind: str
    cell: int
    facing: str
    colour: str

    @property
    def column(self) -> int:
        """0 left, 1 middle, 2 right."""
        return self.cell % COLUMNS

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Pixels x0, y0, x1, y1 of its cell."""
        x, y = self.column * PATCH, self.cell // COLUMNS * PATCH
        return (float(x), float(y), float(x + PATCH), float(y + PATCH))


def draw_things(rng: np.random.Generator) -> tuple[Thing, ...]:
    """Three to six things of different kinds in different cells, in at least two columns."""
    while True:
        count = int(rng.choice(COUNTS))
        kinds = rng.permutation(len(KINDS))[:count]
        cells = rng.permutation(CELLS)[:count]
        if len({int(c) % COLUMNS for c in cells}) > 1:
            break
    return tuple(
        Thing(
            KINDS[k],
            int(c),
            FACINGS[int(rng.integers(len(FACINGS)))],
            COLOURS[int(rng.integers(len(COLOURS)))],
        )
        for k, c in zip(kinds, cells, strict=True)
    )


def paint(things: tuple[Thing, ...], rng: np.random.Generator) -> Any:
    """The picture (PIL, RGB, 48 x 48): squares in the thing's colour and brightness, one white, and noise."""
    from PIL import Image

    canvas = np.zeros((SIDE, SIDE, 3))
    for thing in things:
        light = float(rng.uniform(DIM, 1.0))
        tint = np.eye(3)[COLOURS.index(thing.colour)] * light
        for square in (KIND_AT[thing.kind], FACING_AT[thing.facing], COLOUR_AT):
            _fill(canvas, thing.cell, square, tint)
        _fill(canvas, thing.cell, PRESENT_AT, np.ones(3))
    noisy = 255 * canvas + rng.normal(0.0, NOISE, canvas.shape)
    return Image.fromarray(np.clip(noisy.round(), 0, 255).astype(np.uint8))


def square_of(square: int) -> tuple[slice, slice]:
    """Rows and columns of a square inside its cell, in pixels."""
    y, x = divmod(square, PATCH // SQUARE)
    return slice(y * SQUARE, (y + 1) * SQUARE), slice(x * SQUARE, (x + 1) * SQUARE)


def _fill(canvas: NDArray[Any], cell: int, square: int, colour: NDArray[Any]) -> None:
    top, left = cell // COLUMNS * PATCH, cell % COLUMNS * PATCH
    rows, columns = square_of(square)
    canvas[top : top + PATCH, left : left + PATCH][rows, columns] = colour
