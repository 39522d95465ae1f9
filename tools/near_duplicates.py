"""Measures how often `headscope data validate` takes distinct scenes for near-duplicates, and finds copies.

    python tools/near_duplicates.py --scenes 3000 --tried 600

Prints pairs of distinct scenes reported, scenes with one thing changed reported, and copies found.
"""

from __future__ import annotations

import argparse
import io
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from PIL import Image

from headscope.data.near_duplicates import look_of, near_pairs
from headscope.making.scenes.generate import one_case
from headscope.making.scenes.kinds import COLOURS
from headscope.making.scenes.scene import Scene, Thing

Picture = Image.Image


def encoded(picture: Picture, kind: str, quality: int) -> Picture:
    """The picture after it was saved with loss."""
    file = io.BytesIO()
    picture.save(file, kind, quality=quality)
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def resized(picture: Picture, factor: float) -> Picture:
    """The picture in another size."""
    size = round(picture.width * factor), round(picture.height * factor)
    return picture.resize(size, Image.Resampling.BICUBIC)


COPIES: dict[str, Callable[[Picture], Picture]] = {
    **{f"JPEG, quality {q}": partial(encoded, kind="JPEG", quality=q) for q in (95, 75, 50, 30)},
    **{f"WebP, quality {q}": partial(encoded, kind="WEBP", quality=q) for q in (80, 50)},
    **{f"size x {f:g}": partial(resized, factor=f) for f in (0.5, 0.75, 2.0)},
    "size x 0.5, then JPEG 75": lambda p: encoded(resized(p, 0.5), "JPEG", 75),
    "size x 2, then WebP 80": lambda p: encoded(resized(p, 2.0), "WEBP", 80),
}


def scene(number: int, seed: int) -> Scene:
    """A scene of a case."""
    found = one_case(number, seed)[1].scene
    assert found is not None
    return found


def changed(one: Scene, rng: random.Random) -> Iterator[tuple[str, Scene]]:
    """The scene with one thing changed in one way."""
    place = rng.randrange(len(one.things))
    thing = one.things[place]

    def put(*others: Thing) -> Scene:
        return replace(one, things=(*one.things[:place], *others, *one.things[place + 1 :]))

    yield "another colour", put(replace(thing, colour=rng.choice([c for c in COLOURS if c != thing.colour])))
    yield "moved by 8 pixels", put(thing.at(thing.x + (8 if thing.x < 160 else -8), thing.y))
    yield "taken away", put()
    if thing.facing:
        turned = "right" if thing.facing == "left" else "left"
        yield "turned round", put(replace(thing, facing=turned))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=3000)
    parser.add_argument(
        "--tried", type=int, default=600, help="scenes that are changed, and a quarter copied"
    )
    parser.add_argument("--seed", type=int, default=11)
    given = parser.parse_args()
    looks = [look_of(Image.fromarray(scene(i, given.seed).render())) for i in range(given.scenes)]
    pairs = given.scenes * (given.scenes - 1) // 2
    print(f"distinct scenes: {len(near_pairs(looks))} of {pairs:,} pairs reported")
    rng, reported, tried = random.Random(given.seed), Counter[str](), Counter[str]()
    for number in range(given.tried):
        one = scene(number, given.seed + 1)
        look = look_of(Image.fromarray(one.render()))
        for name, other in changed(one, rng):
            tried[name] += 1
            reported[name] += bool(near_pairs([look, look_of(Image.fromarray(other.render()))]))
    for name, count in tried.items():
        print(f"one thing {name}: {reported[name]} of {count} reported")
    for name, make in COPIES.items():
        few = [Image.fromarray(scene(i, given.seed).render()) for i in range(max(1, given.tried // 4))]
        found = sum(bool(near_pairs([look_of(p), look_of(make(p))])) for p in few)
        print(f"{name}: {found} of {len(few)} copies found")


if __name__ == "__main__":
    main()
