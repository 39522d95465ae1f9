"""Questions asked in training only: each relation in the graded form in which it is learned first.

A relation that is only ever asked as yes or no stays at chance for thousands of steps: it is an exclusive or
of two things that are not yet seen. Asked as a direction, a distance, a number or a list, it breaks through,
and the yes-or-no form follows.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from embedded_training.lesson_wordings import WORDINGS
from embedded_training.more_wordings import MORE
from headscope.making.scenes.kinds import KINDS, SIGN
from headscope.making.scenes.scene import Scene, Thing
from headscope.making.scenes.story import WAYS, the
from headscope.making.scenes.wordings import STEPS

Turn = tuple[str, str, str]  # question, answer, tag for the log

SORTS = {
    "count_look": 5,
    "ways": 3,
    "look_and_way": 4,
    "count_facing": 5,
    "towards": 6,
    "share_way": 5,
    "distance": 4,
    "nearer": 3,
    "nearest": 3,
    "list_side": 5,
    "count_side": 5,
    "list_kind": 2,
    "other_kind": 3,
    "second_kind": 3,
    "count_kind": 4,
    "which_sign": 5,
    "sign_letter": 8,
    "two_signs": 4,
    "beside": 3,
    "beside_row": 2,
    "lead": 2,
    "further": 2,
    "higher": 2,
    "share_side": 1,
}
CLEAR = 8  # pixels by which things stay clear of the centre line of the thing they are compared with
GRAIN = 18  # pixels to one unit of distance


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _facing(sort: str, rng: random.Random, x: Thing, y: Thing) -> tuple[dict, str] | None:
    if not (x.facing and y.facing):
        return None
    fields = {"x": the(x), "y": the(y), "way": rng.choice(WAYS)}
    if sort == "count_look":
        return fields, str((x.facing == fields["way"]) + (y.facing == fields["way"]))
    if sort == "ways":
        return fields, f"{x.facing} {y.facing}"
    return fields, _yes(x.facing == y.facing)


def _towards(sort: str, rng: random.Random, x: Thing, y: Thing) -> tuple[dict, str] | None:
    if not x.facing or x.column == y.column:
        return None
    there = "left" if y.column < x.column else "right"
    fields = {"x": the(x), "y": the(y), "way": rng.choice(WAYS)}
    if sort == "count_facing":
        return fields, str((x.facing == fields["way"]) + (there == fields["way"]))
    if sort == "look_and_way":
        return fields, f"{x.facing} {there}"
    return fields, _yes(x.facing == there)


def _squared(a: Thing, b: Thing) -> float:
    return float((a.x - b.x) ** 2 + (a.y - b.y) ** 2)


def _near(sort: str, x: Thing, y: Thing, z: Thing | None) -> tuple[dict, str] | None:
    if sort == "distance":
        return {"x": the(x), "y": the(y)}, str(int(_squared(x, y) ** 0.5 / GRAIN))
    if z is None:
        return None
    near, far = _squared(x, z), _squared(y, z)
    if max(near, far) < 1.6 * min(near, far):
        return None
    fields = {"x": the(x), "y": the(y), "z": the(z)}
    return fields, (x if near < far else y).kind if sort == "nearest" else _yes(near < far)


def _beyond(sort: str, rng: random.Random, scene: Scene, x: Thing) -> tuple[dict, str] | None:
    """What stands on one side of x: a list in reading order, or how many."""
    way = rng.choice(WAYS)
    sign = -1 if way == "left" else 1
    others = [t for t in scene.things if t is not x]
    if any(abs(t.x - x.x) < CLEAR for t in others):
        return None
    there = [t for t in others if (t.x - x.x) * sign > 0]
    fields = {"x": the(x), "side": f"{way} of"}
    if sort == "count_side":
        return fields, str(len(there))
    listed = sorted(there, key=lambda t: (t.row, t.column, t.x))
    return fields, ", ".join(t.kind for t in listed) or "0"


def _kinds(sort: str, rng: random.Random, scene: Scene) -> tuple[dict, str] | None:
    """About all things of one kind, more often a kind that is there more than once."""
    several = [t for t in scene.things if scene.count(t.kind) > 1]
    thing = rng.choice(several if several and rng.random() < 0.6 else scene.things)
    same = sorted((t for t in scene.things if t.kind == thing.kind), key=lambda t: (t.row, t.column, t.x))
    if sort == "other_kind":
        others = [t for t in same if t is not thing]
        fields = {"kind": thing.kind, "colour": thing.colour}
        clear = len(others) < 2 and all(t.colour != thing.colour for t in others)
        return (fields, others[0].colour if others else "no") if clear else None
    if sort == "second_kind":
        return {"kind": thing.kind}, same[1].colour if len(same) > 1 else "no"
    fields = {"plural": KINDS[thing.kind].plural}
    return fields, str(len(same)) if sort == "count_kind" else ", ".join(t.colour for t in same)


def _signs(sort: str, rng: random.Random, scene: Scene, x: Thing) -> tuple[dict, str] | None:
    signs = [t for t in scene.things if t.kind == SIGN]
    if len(signs) != 2 or signs[0].colour == signs[1].colour or x.kind == SIGN:
        return None
    first, second = sorted(signs, key=lambda t: t.x)
    way = rng.choice(WAYS)
    sign = first if way == "left" else second
    chosen = str(sign.letter if sort == "sign_letter" else sign.colour)
    a, b = rng.sample((first.colour, second.colour), 2)
    if sort == "two_signs":
        return {"way": way, "a": a, "b": b}, chosen if second.x - first.x >= CLEAR else ""
    if first.x + CLEAR < x.x < second.x - CLEAR:
        return {"way": way, "x": the(x)}, chosen
    return None


def _order(sort: str, rng: random.Random, x: Thing, y: Thing) -> tuple[dict, str] | None:
    across = sort not in ("beside_row", "higher")
    first, second = (x.column, y.column) if across else (x.row, y.row)
    if sort == "share_side":
        fields = {"x": the(x), "y": the(y)}
        return None if 1 in (first, second) else (fields, _yes(first == second))
    if first == second:
        return None
    way = rng.choice(WAYS if across else ("higher", "lower"))
    holds = (first < second) == (way in ("left", "higher"))
    fields = {"x": the(x), "y": the(y), "way": way}
    if sort in ("further", "higher"):
        return fields, (x if holds else y).kind
    return fields, _yes(holds != (sort == "lead"))


def wordings(sort: str) -> tuple[str, ...]:
    """Wordings of a sort of lesson; the cases' own, but the last, where they ask for the same."""
    if sort == "which_sign":  # the cases name both signs
        return WORDINGS[sort]
    return WORDINGS[sort] + STEPS.get(sort, ())[:-1] + MORE.get(sort, ())


def lesson(rng: random.Random, scene: Scene, unique: Sequence[Thing], only: str = "") -> Turn | None:
    """A training-only question about a scene, if one of twelve draws fits; ``unique`` ones go by kind.

    ``only``: the sort of question, where it is not to be drawn.

    >>> from embedded_training.episodes import plain_scene
    >>> scene = plain_scene(random.Random(1), 4)
    >>> lesson(random.Random(0), scene, [t for t in scene.things if scene.count(t.kind) == 1])[2][:7]
    'lesson/'
    """
    for _ in range(12):
        sort = only or rng.choices(list(SORTS), list(SORTS.values()))[0]
        found = _draw(sort, rng, scene, rng.sample(list(unique), min(3, len(unique))))
        if found and found[1]:
            text = rng.choice(wordings(sort)).format(**found[0])
            return text[0].upper() + text[1:], found[1], f"lesson/{sort}"
    return None


def _draw(sort: str, rng: random.Random, scene: Scene, things: Sequence[Thing]) -> tuple[dict, str] | None:
    """Fields and answer of one sort about some of the unique things; None where these do not fit it."""
    if sort in ("list_kind", "other_kind", "second_kind", "count_kind"):
        return _kinds(sort, rng, scene)
    if len(things) < 2:
        return None
    x, y, *rest = things
    if sort in ("count_look", "ways", "share_way"):
        return _facing(sort, rng, x, y)
    if sort in ("look_and_way", "count_facing", "towards"):
        return _towards(sort, rng, x, y)
    if sort in ("distance", "nearer", "nearest"):
        return _near(sort, x, y, rest[0] if rest else None)
    if sort in ("list_side", "count_side"):
        return _beyond(sort, rng, scene, x)
    if sort in ("which_sign", "sign_letter", "two_signs"):
        return _signs(sort, rng, scene, x)
    return _order(sort, rng, x, y)
