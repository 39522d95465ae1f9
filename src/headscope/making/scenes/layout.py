"""Choosing things and finding places for them without ambiguity."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from headscope.making.scenes.kinds import COLOURS, KINDS, LETTERS, SIGN, VARIANTS
from headscope.making.scenes.scene import BACKGROUNDS, MARGIN, SIDE, THIRD, Scene, Thing

POOL = (
    *("dog", "cat", "horse", "cow", "pig", "rabbit", "duck", "elephant", "fish", "snail"),
    *("truck", "tractor", "train", "helicopter", "car"),
    *("apple", "banana", "cake", "tree", "flower", "cactus"),
    *("cup", "clock", "key", "umbrella", "chair", "guitar", "bell"),
)
FACING = tuple(k for k in POOL if KINDS[k].faces)
# Drawings that the embedded model never sees in training.
NEW_DRAWINGS = frozenset({("dog", 1), ("horse", 1), ("cat", 1), ("truck", 1), ("tree", 1), ("cup", 1)})
COLOUR_NAMES = tuple(COLOURS)


class NoRoom(Exception):
    """A draft that cannot be laid out; the caller draws another."""


class Draft:
    """Things chosen and placed one by one; ``sprites`` says which drawings may be used.

    ``sprites``: ``trained`` (never a held-out drawing) or ``new`` (held-out drawings where there are any).
    """

    def __init__(self, rng: random.Random, count: int, sprites: str = "trained") -> None:
        self.rng = rng
        self.count = count
        self.sprites = sprites
        self.things: list[Thing] = []
        self.kinds: set[str] = set()
        self.big_share = 0.5 if count <= 5 else 0.3 if count <= 8 else 0.12

    def kind(self, faces: bool | None = None) -> str:
        """A kind that is not there yet."""
        pool: Sequence[str] = FACING if faces else POOL
        if self.sprites == "new" and self.rng.random() < 0.7:
            new = tuple(k for k, _ in NEW_DRAWINGS if k not in self.kinds and k in pool)
            pool = sorted(new) or pool
        for _ in range(50):
            kind = self.rng.choice(pool)
            if kind not in self.kinds:
                return kind
        raise NoRoom

    def add(
        self,
        kind: str | None = None,
        *,
        faces: bool | None = None,
        column: int | None = None,
        row: int | None = None,
        colour: str | None = None,
        size: str | None = None,
        facing: str | None = None,
        letter: str | None = None,
        accept: Callable[[Thing], bool] | None = None,
    ) -> Thing:
        """Choose what is not given at random, place it, and return it.

        Raises:
            NoRoom: no free place was found.
        """
        rng = self.rng
        kind = kind or self.kind(faces)
        thing = Thing(
            kind=kind,
            colour=colour or rng.choice(COLOUR_NAMES),
            size=size or ("big" if rng.random() < self.big_share else "small"),
            facing=(facing or rng.choice(("left", "right"))) if KINDS[kind].faces else None,
            variant=self._variant(kind),
            letter=(letter or rng.choice(LETTERS)) if kind == SIGN else None,
        )
        for _ in range(40):
            placed = self._place(thing, column, row)
            if placed and (accept is None or accept(placed)):
                self.things.append(placed)
                self.kinds.add(kind)
                return placed
        raise NoRoom

    def _variant(self, kind: str) -> int:
        options = [v for v in range(VARIANTS) if (kind, v) not in NEW_DRAWINGS]
        if self.sprites == "new":
            options = [v for v in range(VARIANTS) if (kind, v) in NEW_DRAWINGS] or options
        return self.rng.choice(options)

    def _place(self, thing: Thing, column: int | None, row: int | None) -> Thing | None:
        rng = self.rng
        width, height = thing.shape
        column = rng.randrange(3) if column is None else column
        row = rng.randrange(3) if row is None else row
        x = _within(rng, column, width)
        y = _within(rng, row, height)
        placed = thing.at(x, y)
        allowed = 0.0 if self.count <= 8 else 0.12
        return placed if all(_overlap(placed, other) <= allowed for other in self.things) else None

    def scene(self) -> Scene:
        """The finished scene."""
        things = list(self.things)
        self.rng.shuffle(things)
        return Scene(tuple(things), self.rng.randrange(BACKGROUNDS))


def _within(rng: random.Random, third: int, extent: int) -> int:
    low = max(third * THIRD + MARGIN, extent // 2 + 1)
    high = min((third + 1) * THIRD - MARGIN, SIDE - extent + extent // 2 - 1)
    return rng.randint(low, high)


def _overlap(a: Thing, b: Thing) -> float:
    """Shared area over the smaller box's area."""
    ax0, ay0, ax1, ay1 = a.box
    bx0, by0, bx1, by1 = b.box
    shared = max(0, min(ax1, bx1) - max(ax0, bx0)) * max(0, min(ay1, by1) - max(ay0, by0))
    return shared / min((ax1 - ax0) * (ay1 - ay0), (bx1 - bx0) * (by1 - by0))
