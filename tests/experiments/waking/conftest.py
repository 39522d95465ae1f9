"""A few small cases with coloured squares for things, for tests of the wake experiment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from headscope.data.cases import Cases, save_cases
from headscope.data.schema import Case, Object, Step

NAMES = ("dog", "horse", "cup", "tree", "bell", "car", "key", "drum", "cake", "fish")
PLACES = [(x, y) for y in (2, 20, 38) for x in (2, 20, 38)]
YES_NO = ("yes", "no")


def make_case(i: int, folder: Path, boxes: bool = True) -> Case:
    """Case ``i`` has 2 to 9 things; its main question names two of them, a step asks for an absent one."""
    rng = np.random.default_rng(i)
    things = 2 + i % 8
    names = [str(n) for n in rng.permutation(NAMES)]
    places = [PLACES[j] for j in rng.permutation(len(PLACES))]
    image = Image.new("RGB", (60, 56), (90, 120, 90))
    draw = ImageDraw.Draw(image)
    objects = []
    for j in range(things):
        x, y = places[j]
        draw.rectangle((x, y, x + 15, y + 13), fill=tuple(int(v) for v in rng.integers(0, 255, 3)))
        box = (x, y, x + 16, y + 14) if boxes else None
        objects.append(Object(id=f"o{j}", name=names[j], box=box))
    objects.append(Object(id="gone", name=names[9]))
    (folder / "images").mkdir(parents=True, exist_ok=True)
    image.save(folder / "images" / f"{i}.png")
    a, b = names[0], names[1]
    left = "yes" if places[0][0] < places[1][0] else "no"

    def step(n, question, answer, function, objects, choices, rests=()):
        return Step(
            id=f"s{n}", question=question, answer=answer, function=function, objects=objects, choices=choices,
            depends_on=rests, wording=f"{function}/0",
        )  # fmt: skip

    steps = (
        step(1, f"Is there a {names[9]}?", "no", "object_recognition", (), YES_NO),
        step(2, f"Where is the {a}?", "left" if places[0][0] < 20 else "right", "spatial_perception", ("o0",),
             ("left", "right")),
        step(3, f"What is left of the {b}?", a, "object_recognition", ("o0", "o1"), (a, names[9])),
        step(4, "How many things are there?", str(things), "counting", (), tuple(map(str, range(2, 10)))),
        step(5, f"So is the {a} left of the {b}?", left, "decision_making", ("o0", "o1"), YES_NO, ("s2",)),
    )  # fmt: skip
    return Case(
        id=f"c{i}", image=f"images/{i}.png", width=60, height=56, question=f"Is the {a} left of the {b}?",
        answer=left, choices=YES_NO, kind="left", wording="left/0", objects=tuple(objects),
        named=("o0", "o1"), steps=steps, split=("select" if i % 3 == 0 else "test"),
    )  # fmt: skip


def _make_cases(folder: Path, n: int = 24, boxes: bool = True) -> Cases:
    """``n`` cases, a third of them in ``select``, the rest in ``test``."""
    return save_cases([make_case(i, folder, boxes) for i in range(n)], folder)


@pytest.fixture(scope="session")
def make_cases() -> Callable[..., Cases]:
    """``make_cases(folder, n=24, boxes=True)`` writes cases and gives them back."""
    return _make_cases
