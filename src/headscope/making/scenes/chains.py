"""The kinds of main question, each a function that drafts a scene and unfolds the steps."""

from __future__ import annotations

import random
from collections.abc import Callable

from headscope.making.scenes import qualified
from headscope.making.scenes.kinds import COLOURS
from headscope.making.scenes.layout import Draft, NoRoom
from headscope.making.scenes.qualified import CLEAR, truth, two_thirds, yes
from headscope.making.scenes.scene import Thing
from headscope.making.scenes.story import DIGITS, TRUE_FALSE, WAYS, YES_NO, Steps, Story, the

MOST_COUNTED = (4, 7)  # things on the side that is asked about, and on the other: answers stay single digits

Builder = Callable[[random.Random, Draft, Steps], Story]


def _facing(away: bool) -> Builder:
    def build(rng: random.Random, draft: Draft, steps: Steps) -> Story:
        first, second = two_thirds(rng)
        return _face(draft, steps, draft.add(faces=True, column=first), draft.add(column=second), away)

    return build


def _face(draft: Draft, steps: Steps, x: Thing, y: Thing, away: bool) -> Story:
    """Whether x faces y, or away from it, in steps."""
    assert x.facing
    lead = (x.facing == "left") == (y.column < x.column)
    rests = (steps.what(draft, x), steps.where(x, the(x)), steps.where(y, the(y)), steps.look(x, the(x)))
    steps.ask("lead", yes(lead), YES_NO, (x, y), rests[1:], way=x.facing, x=the(x), y=the(y))
    answer = truth(lead != away)
    steps.verdict(answer, TRUE_FALSE, (x, y))
    kind = "facing_away" if away else "facing"
    return Story(kind, {"x": the(x), "y": the(y)}, answer, TRUE_FALSE, (x, y), steps)


def seed_example(seed: int = 0) -> Story:
    """The example that explains the data: is the dog (right, looking left) facing the horse (left)? It is."""
    rng = random.Random(f"example/{seed}")
    draft = Draft(rng, 2)
    dog = draft.add("dog", column=2, row=1, colour="orange", size="big", facing="left")
    horse = draft.add("horse", column=0, row=1, colour="blue", size="big")
    story = _face(draft, Steps(rng), dog, horse, away=False)
    story.scene = draft.scene()
    return story


def _side(kind: str) -> Builder:
    def build(rng: random.Random, draft: Draft, steps: Steps) -> Story:
        across = kind in WAYS
        first, second = two_thirds(rng)
        x = draft.add(column=first) if across else draft.add(row=first)
        y = draft.add(column=second) if across else draft.add(row=second)
        before = first < second
        rests = (steps.what(draft, x), steps.where(x, the(x)), steps.where(y, the(y)))
        holds = before == (kind in ("left", "above"))
        way = kind if across else {"above": "higher", "below": "lower"}[kind]
        first_thing, other = (x, y) if rng.random() < 0.5 else (y, x)
        name = "further" if across else "higher"
        farther = x if holds else y
        choices = (first_thing.kind, other.kind)
        fields = {"way": way, "x": the(first_thing), "y": the(other)}
        steps.ask(name, farther.kind, choices, (x, y), rests[1:], **fields)
        steps.verdict(truth(holds), TRUE_FALSE, (x, y))
        return Story(kind, {"x": the(x), "y": the(y)}, truth(holds), TRUE_FALSE, (x, y), steps)

    return build


def _between(rng: random.Random, draft: Draft, steps: Steps) -> Story:
    holds = rng.random() < 0.5
    ends = [0, 2]
    rng.shuffle(ends)
    columns = [1, *ends] if holds else [ends[0], 1, ends[1]]
    x, y, z = (draft.add(column=c) for c in columns)
    if not holds and rng.random() < 0.5:
        y, z = z, y
    rests = tuple(steps.where(t, the(t)) for t in (x, y, z))
    way = rng.choice(WAYS)
    for other in (y, z):
        further = (x.column < other.column) == (way == "left")
        fields = {"way": way, "x": the(x), "y": the(other)}
        steps.ask("beside", yes(further), YES_NO, (x, other), rests, **fields)
    steps.verdict(truth(holds), TRUE_FALSE, (x, y, z))
    fields = {"x": the(x), "y": the(y), "z": the(z)}
    return Story("between", fields, truth(holds), TRUE_FALSE, (x, y, z), steps)


def _distance(a: Thing, b: Thing) -> float:
    return float(((a.x - b.x) ** 2 + (a.y - b.y) ** 2) ** 0.5)


def _cells(a: Thing, b: Thing) -> int:
    return (a.column - b.column) ** 2 + (a.row - b.row) ** 2


def _nearer(rng: random.Random, draft: Draft, steps: Steps) -> Story:
    z, near, far = draft.add(), draft.add(), draft.add()
    if _cells(near, z) > _cells(far, z):
        near, far = far, near
    if _cells(near, z) == _cells(far, z) or _distance(far, z) < 1.35 * _distance(near, z):
        raise NoRoom
    x, y = (near, far) if rng.random() < 0.5 else (far, near)
    rests = tuple(steps.where(t, the(t)) for t in (z, x, y))
    fields = {"x": the(x), "y": the(y), "z": the(z)}
    steps.ask("nearer", yes(x is near), YES_NO, (x, y, z), rests, **fields)
    choices = (x.kind, y.kind)
    steps.verdict(near.kind, choices, (x, y, z))
    return Story("nearer", fields, near.kind, choices, (x, y, z), steps)


def _same_side(rng: random.Random, draft: Draft, steps: Steps) -> Story:
    same = rng.random() < 0.5
    first = rng.choice((0, 2))
    x = draft.add(column=first)
    y = draft.add(column=first if same else 2 - first)
    rests = (steps.what(draft, x), steps.where(x, the(x)), steps.where(y, the(y)))
    fields = {"x": the(x), "y": the(y)}
    steps.ask("share_side", yes(same), YES_NO, (x, y), rests[1:], **fields)
    steps.verdict(truth(same), TRUE_FALSE, (x, y))
    return Story("same_side", fields, truth(same), TRUE_FALSE, (x, y), steps)


def _same_way(rng: random.Random, draft: Draft, steps: Steps) -> Story:
    x, y = draft.add(faces=True), draft.add(faces=True)
    same = x.facing == y.facing
    rests = (steps.what(draft, x), steps.look(x, the(x)), steps.look(y, the(y)))
    fields = {"x": the(x), "y": the(y)}
    steps.ask("share_way", yes(same), YES_NO, (x, y), rests[1:], **fields)
    steps.verdict(truth(same), TRUE_FALSE, (x, y))
    return Story("same_way", fields, truth(same), TRUE_FALSE, (x, y), steps)


def _count_side(rng: random.Random, draft: Draft, steps: Steps) -> Story:
    draft.count = min(draft.count, 1 + MOST_COUNTED[0] + MOST_COUNTED[1])
    anchor = draft.add(column=1)
    others = draft.count - 1
    holds = rng.random() < 0.5
    said = rng.choice([n for n in (0, 2, 3, 4) if n <= others])
    pool = [n for n in range(min(MOST_COUNTED[0], others) + 1) if n != said]
    number = said if holds else rng.choice(pool)
    side = rng.choice(WAYS)
    sign = -1 if side == "left" else 1
    if number > MOST_COUNTED[0] or others - number > MOST_COUNTED[1]:
        raise NoRoom
    for i in range(others):
        counted = i < number
        away = sign if counted else -sign
        draft.add(accept=lambda t, away=away: (t.x - anchor.x) * away >= CLEAR)  # type: ignore[misc]
    rests = [steps.where(anchor, the(anchor))]
    fields = {"side": f"{side} of", "x": the(anchor)}
    rests.append(steps.ask("count_side", str(number), DIGITS, (anchor,), (0,), **fields))
    far = {"side": f"{WAYS[side == 'left']} of", "x": the(anchor)}
    steps.ask("count_side", str(others - number), DIGITS, (anchor,), (0,), **far)
    steps.verdict(truth(number == said), TRUE_FALSE, (anchor,))
    main = {**fields, "n": said}
    return Story("count_side", main, truth(number == said), TRUE_FALSE, (anchor,), steps)


# Kind of main question -> (builder, fewest things, share among the cases).
CHAINS: dict[str, tuple[Builder, int, int]] = {
    "facing": (_facing(False), 2, 3),
    "facing_away": (_facing(True), 2, 2),
    "left": (_side("left"), 2, 1),
    "right": (_side("right"), 2, 1),
    "above": (_side("above"), 2, 1),
    "below": (_side("below"), 2, 1),
    "between": (_between, 3, 1),
    "nearer": (_nearer, 3, 2),
    "same_side": (_same_side, 2, 1),
    "same_way": (_same_way, 2, 2),
    "count_side": (_count_side, 2, 3),
    "colour": (qualified.colour, 2, 2),
    "coloured": (qualified.coloured, 2, 2),
    "size": (qualified.size, 3, 3),
    "knowledge": (qualified.knowledge, 2, 4),
    "sign": (qualified.sign, 3, 4),
    "presence": (qualified.presence, 2, 2),
}


def _fill(draft: Draft, story: Story) -> None:
    """Bystanders up to the wanted number, none of which makes a question ambiguous."""
    kept = {t.colour for t in story.colour_kept_for}
    colours = [c for c in COLOURS if c not in kept]
    while len(draft.things) < draft.count:
        draft.add(colour=draft.rng.choice(colours))


def build(
    rng: random.Random, kind: str, count: int, *, sprites: str = "trained", combination: bool = False
) -> Story:
    """A story of one kind with ``count`` things (or the fewest the kind needs, if that is more).

    ``combination``: whether a named thing stands in a held-out combination; where False, none does.
    Draws again until everything fits without ambiguity.
    """
    builder, fewest, _ = CHAINS[kind]
    for _ in range(1000):
        draft = Draft(rng, max(count, fewest), sprites)
        try:
            story = builder(rng, draft, Steps(rng))
            _fill(draft, story)
        except NoRoom:
            continue
        if story.is_held_combination() == combination:
            story.scene = draft.scene()
            return story
    raise RuntimeError(f"no scene for {kind} with {count} things: wanted {combination=} {sprites=}")


def draw_kind(rng: random.Random) -> str:
    """A kind of main question, by its share."""
    kinds = list(CHAINS)
    return rng.choices(kinds, [CHAINS[k][2] for k in kinds])[0]


__all__ = ["CHAINS", "build", "draw_kind", "seed_example"]
