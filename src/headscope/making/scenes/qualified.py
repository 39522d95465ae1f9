"""Kinds of main question in which a thing is named by colour, size, knowledge, a letter, or may be absent."""

from __future__ import annotations

import random

from headscope.making.scenes.kinds import COLOURS, KINDS, SIGN
from headscope.making.scenes.layout import Draft, NoRoom
from headscope.making.scenes.scene import THIRD, Thing, named
from headscope.making.scenes.story import TRUE_FALSE, WAYS, YES_NO, Steps, Story, the

CLEAR = 9  # pixels by which a thing on one side stays clear of the anchor's centre line


def truth(value: bool) -> str:
    """The word of a statement that holds or not."""
    return "true" if value else "false"


def yes(value: bool) -> str:
    """The answer to a question that is so or not."""
    return "yes" if value else "no"


def two_thirds(rng: random.Random, count: int = 2) -> list[int]:
    """Different thirds of the picture, in random order."""
    return rng.sample(range(3), count)


def _beside(
    rng: random.Random, steps: Steps, x: Thing, y: Thing, xn: str, yn: str, rests: list[int]
) -> tuple:
    """Where both are, whether x is further to a side; returns (way, holds)."""
    rests += [steps.where(x, xn), steps.where(y, yn)]
    way = rng.choice(WAYS)
    holds = (x.column < y.column) == (way == "left")
    steps.ask("beside", yes(holds), YES_NO, (x, y), tuple(rests[-2:]), way=way, x=xn, y=yn)
    steps.verdict(truth(holds), TRUE_FALSE, (x, y))
    return way, holds


def colour(rng: random.Random, draft: Draft, steps: Steps) -> Story:
    first, second = two_thirds(rng)
    x = draft.add(column=first)
    y = draft.add(column=second, colour=rng.choice([c for c in COLOURS if c != x.colour]))
    rests = [steps.what_coloured(draft, x), steps.colour(x, the(x))]
    way, holds = _beside(rng, steps, x, y, the(x), the(y), rests)
    fields = {"colour": x.colour, "way": way, "y": the(y)}
    return Story("colour", fields, truth(holds), TRUE_FALSE, (x, y), steps, colour_kept_for=(x,))


def coloured(rng: random.Random, draft: Draft, steps: Steps) -> Story:
    first, second = two_thirds(rng)
    number = rng.randint(1, max(1, min(3, draft.count - 1)))
    colours = rng.sample(list(COLOURS), number)
    x = draft.add(column=first, colour=colours[0])
    for colour in colours[1:]:
        draft.add(kind=x.kind, colour=colour)
    y = draft.add(column=second)
    choices = tuple(str(i) for i in range(1, 5))
    things = tuple(t for t in draft.things if t.kind == x.kind)
    rests = [steps.ask("count_kind", str(number), choices, things, plural=KINDS[x.kind].plural)]
    xn = the(x, colour=True)
    way, holds = _beside(rng, steps, x, y, xn, the(y), rests)
    fields = {"x": xn, "way": way, "y": the(y)}
    return Story("coloured", fields, truth(holds), TRUE_FALSE, (x, y), steps)


def size(rng: random.Random, draft: Draft, steps: Steps) -> Story:
    first, second = two_thirds(rng)
    sizes = rng.sample(("small", "big"), 2)
    x = draft.add(row=first, size=sizes[0])
    draft.add(kind=x.kind, size=sizes[1])
    y = draft.add(row=second, size=rng.choice(("small", "big")))
    xn = the(x, size=True)
    steps.colour(x, xn)
    steps.ask("size", y.size, ("small", "big"), (y,), x=the(y))
    rests = (steps.where(x, xn), steps.where(y, the(y)))
    way, word = rng.choice((("above", "higher"), ("below", "lower")))
    holds = (first < second) == (way == "above")
    steps.ask("beside_row", yes(holds), YES_NO, (x, y), rests, way=word, x=xn, y=the(y))
    steps.verdict(truth(holds), TRUE_FALSE, (x, y))
    fields = {"x": xn, "way": way, "y": the(y)}
    return Story("size", fields, truth(holds), TRUE_FALSE, (x, y), steps)


def knowledge(rng: random.Random, draft: Draft, steps: Steps) -> Story:
    first, second = two_thirds(rng)
    x, y = draft.add(column=first), draft.add(column=second)
    rests = [steps.known(x), steps.known(y)]
    way, holds = _beside(rng, steps, x, y, the(x), the(y), rests)
    hint = KINDS[x.kind].hint
    fields = {"hint": hint, "way": way, "y": f"the thing that {KINDS[y.kind].hint}"}
    return Story("knowledge", fields, truth(holds), TRUE_FALSE, (x, y), steps)


def sign(rng: random.Random, draft: Draft, steps: Steps) -> Story:
    x = draft.add(column=1)
    a, b = rng.sample(list(COLOURS), 2)
    columns = rng.sample((0, 2), 2)
    first = draft.add(kind=SIGN, column=columns[0], colour=a, accept=lambda t: abs(t.x - x.x) >= CLEAR)
    second = draft.add(kind=SIGN, column=columns[1], colour=b, accept=lambda t: abs(t.x - x.x) >= CLEAR)
    if first.letter == second.letter:
        raise NoRoom
    way = rng.choice(WAYS)
    asked = min(first, second, key=lambda t: t.x * (1 if way == "left" else -1))
    rests = (steps.where(x, the(x)), steps.where(first, the(first, colour=True)))
    which = steps.ask(
        "which_sign", asked.colour, (a, b), (x, first, second), rests, way=way, x=the(x), a=a, b=b
    )
    for sign in (first, second):
        steps.letter(sign, the(sign, colour=True))
    other = second if asked is first else first
    said = rng.choice((asked, other))
    steps.verdict(truth(said is asked), TRUE_FALSE, (x, first, second))
    steps[which].rests = rests
    fields = {"way": way, "x": the(x), "letter": said.letter}
    return Story("sign", fields, truth(said is asked), TRUE_FALSE, (x, first, second), steps)


def presence(rng: random.Random, draft: Draft, steps: Steps) -> Story:
    way = rng.choice(WAYS)
    roll = rng.random()
    y = draft.add(column=1)
    if roll < 0.45:
        kind = draft.kind()
        draft.kinds.add(kind)
        x, there, holds = None, False, False
    else:
        there, holds = True, roll < 0.92
        column = (0 if way == "left" else 2) if holds else (2 if way == "left" else 0)
        x = draft.add(column=column, accept=lambda t: abs(t.x - y.x) >= CLEAR and abs(t.x // THIRD - 1) == 1)
        kind = x.kind
    about = (x, y) if x else (y,)
    steps.ask("present", yes(there), YES_NO, (x,) if x else (), a=named(kind, "a"))
    where = steps.where(y, the(y))
    if x:
        rests = (steps.where(x, the(x)), where)
        steps.ask("beside", yes(holds), YES_NO, about, rests, way=way, x=the(x), y=the(y))
    steps.verdict(truth(holds), TRUE_FALSE, about)
    fields = {"a": named(kind, "a"), "way": way, "y": the(y)}
    absent = None if there else kind
    return Story("presence", fields, truth(holds), TRUE_FALSE, about, steps, absent=absent)
