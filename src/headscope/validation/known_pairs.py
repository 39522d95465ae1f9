"""Counterfactual pairs of the planted world: two pictures of which one thing differs, and one question."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from headscope.data.cases import save_cases
from headscope.data.schema import Case, Split, Step
from headscope.making.pairs.schema import Pair, Pairs, save_pairs
from headscope.validation.planted.glyphs import (
    CELLS,
    COLOURS,
    COLUMNS,
    COUNTS,
    FACINGS,
    KINDS,
    PATCH,
    Thing,
    draw_things,
    paint,
)
from headscope.validation.planted.harder_build import in_two_hops
from headscope.validation.planted.questions import (
    ANSWERS,
    COLOUR,
    COUNT,
    FACING,
    NUMBERS,
    OBJECT,
    PICTURED,
    PLACE,
    RELATION,
    WORDINGS,
    _case,
)

FACTS = {
    PLACE: "place", FACING: "facing", RELATION: "further", COLOUR: "colour", OBJECT: "kind", COUNT: "count",
}  # fmt: skip
Things = tuple[Thing, ...]


def known_pairs(folder: str | Path, level: str, count: int, seed: int) -> Pairs:
    """Write ``count`` pairs of every function on ``select``, and as many on ``test``.

    Args:
        folder: gets the pictures, ``cases.jsonl`` and ``pairs.jsonl``.
        level: of the models that are asked; ``two_hop`` has a wording of its own.
        seed: of pictures and questions.

    Raises:
        StoreError: the folder cannot be written.
    """
    folder = Path(folder)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, 12])
    cases: list[Case] = []
    pairs: list[Pair] = []
    for function in PICTURED:
        for number in range(2 * count):
            split: Split = "select" if number < count else "test"
            both = _drawn(function, rng)
            name = f"{FACTS[function]}-{number:03d}"
            images = [f"images/{name}-{side}.png" for side in "ab"]
            for image, picture in zip(images, _painted(both, int(rng.integers(2**31))), strict=True):
                picture.save(folder / image)
            steps = _steps(function, both, int(rng.integers(len(WORDINGS[function]) - 1)), rng, level)
            made = [
                _case(f"{name}-{side}", image, things, [step], split)
                for side, image, things, step in zip("ab", images, both, steps, strict=True)
            ]
            cases += made
            pairs.append(
                Pair(
                    id=name, function=function, fact=FACTS[function], first=made[0].id, second=made[1].id,
                    question="s1", changed=() if function == COUNT else (steps[0].objects[0],),
                )
            )  # fmt: skip
    save_cases(cases, folder)
    return save_pairs(cases, pairs, folder)


def _drawn(function: str, rng: np.random.Generator) -> tuple[Things, Things]:
    """Things of both pictures; the first is the one that the question is about, and that differs."""
    while True:
        things = draw_things(rng)
        changed = _changed(function, things, rng)
        if changed is not None:
            return things, changed


def _changed(function: str, things: Things, rng: np.random.Generator) -> Things | None:
    one, *rest = things
    free = [c for c in range(CELLS) if c not in {t.cell for t in things}]
    kinds = [k for k in KINDS if k not in {t.kind for t in things}]

    def pick(options: list[str]) -> str:
        return options[int(rng.integers(len(options)))]

    if function == FACING:
        return (replace(one, facing=pick([f for f in FACINGS if f != one.facing])), *rest)
    if function == COLOUR:
        return (replace(one, colour=pick([c for c in COLOURS if c != one.colour])), *rest)
    if function == OBJECT:
        return (replace(one, kind=pick(kinds)), *rest) if kinds else None
    if function == COUNT:
        return things[:-1] if len(things) > min(COUNTS) else None
    if function == PLACE:
        cells = [c for c in free if c % COLUMNS != one.column]
    else:  # the second thing stands to the right of the first in one picture, to the left in the other
        two = things[1].column
        sides = np.sign(one.column - two)
        cells = [c for c in free if np.sign(c % COLUMNS - two) == -sides] if sides else []
    return (replace(one, cell=int(cells[int(rng.integers(len(cells)))])), *rest) if cells else None


def _painted(both: tuple[Things, Things], seed: int) -> list[Image.Image]:
    """Both pictures, of the same noise but in the cells that differ."""
    first, other = (paint(things, np.random.default_rng(seed)) for things in both)
    second = first.copy()
    before, after = ({t.cell: t for t in things} for things in both)
    for cell in range(CELLS):
        if before.get(cell) != after.get(cell):
            x, y = cell % COLUMNS * PATCH, cell // COLUMNS * PATCH
            box = (x, y, x + PATCH, y + PATCH)
            second.paste(other.crop(box), box)
    return [first, second]


def _steps(
    function: str, both: tuple[Things, Things], variant: int, rng: np.random.Generator, level: str
) -> list[Step]:
    """The question about either picture, with its answer there."""
    one, two = both[0][:2]
    word = {
        PLACE: f"{one.kind}-place",
        FACING: f"{one.kind}-facing",
        COLOUR: f"{one.kind}-colour",
        OBJECT: f"cell{one.cell}-thing",
        RELATION: f"{one.kind}-{two.kind}-righter",
        COUNT: "all-number",
    }[function]
    about = {RELATION: (0, 1), COUNT: ()}.get(function, (0,))
    found = []
    for things in both:
        step = Step(
            id="s1",
            question=WORDINGS[function][variant].format(word),
            answer=_answer(function, things),
            function=function,
            choices=ANSWERS[function],
            objects=tuple(f"o{i}" for i in about),
            wording=f"{function}.{variant}",
        )
        found.append(in_two_hops(step) if level == "two_hop" else step)
    return found


def _answer(function: str, things: Things) -> str:
    one = things[0]
    return {
        PLACE: ANSWERS[PLACE][one.column],
        FACING: one.facing,
        COLOUR: one.colour,
        OBJECT: one.kind,
        COUNT: NUMBERS[len(things)],
        RELATION: ANSWERS[RELATION][int(things[1].column > one.column)],
    }[function]
