"""Main questions about labelled boxes, each with the steps that lead to its answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import combinations

from headscope.data.schema import Case, Object
from headscope.making.photographs import box_geometry as g
from headscope.making.photographs.box_geometry import DEFAULT_MARGINS, Margins
from headscope.making.photographs.nouns import plural
from headscope.making.photographs.step_chain import YES_NO, Chain, Photo, box_of, drawn

KINDS = ("left_right", "above_below", "larger", "count_side", "nearer")
_SMALL, _BIG = 0.05, 0.12  # shares of the picture; between them nothing is asked


def ask_photo(photo: Photo, margins: Margins = DEFAULT_MARGINS, kinds: Iterable[str] = KINDS) -> list[Case]:
    """Every question about a photo whose answer is beyond doubt, each with at least three steps.

    A thing is named only where it is the one of its kind; both orders of naming, the side asked about and
    the order of choices are drawn by a hash of the question's id: the words do not give answers away.
    """
    asked = set(kinds)
    found: list[Case] = []
    for kind, make in _MAKERS.items():
        if kind in asked:
            found += make(photo, margins)
    return found


def nameable(photo: Photo, margins: Margins = DEFAULT_MARGINS) -> list[Object]:
    """Things that "the dog" can only mean one of: alone of their kind, no crowd of it, large enough."""
    count = Counter(t.name for t in photo.things)
    return [
        t
        for t in photo.things
        if t.box
        and count[t.name] == 1
        and t.name not in photo.crowds
        and g.is_visible(t.box, photo.size, margins)
    ]


def _lower(question: str) -> str:
    return f"So {question[0].lower()}{question[1:]}"


def _pairs(photo: Photo, kind: str, margins: Margins) -> Iterator[tuple[Chain, Object, Object]]:
    """Every pair of nameable things, in an order that the ids draw."""
    for x, y in combinations(nameable(photo, margins), 2):
        name = f"{photo.id}-{kind}-{x.id}-{y.id}"
        x, y = (y, x) if drawn(name, "first") % 2 else (x, y)
        yield Chain(photo, name, margins), x, y


def _relations(photo: Photo, margins: Margins, across: bool) -> list[Case]:
    kind = "left_right" if across else "above_below"
    words = {
        "left": "to the left of",
        "right": "to the right of",
        "above": "higher than",
        "below": "lower than",
    }
    sides, most = (("left", "right"), "further left") if across else (("above", "below"), "higher")
    out = []
    for chain, x, y in _pairs(photo, kind, margins):
        found = (g.side_of if across else g.height_of)(box_of(x), box_of(y), margins)
        if found is None:
            continue
        asked = sides[chain.draw("asked") % 2]
        seen = [chain.what(x), chain.what(y)]
        axis = "x" if across else "y"
        places = [*chain.where(x, seen[0], axis), *chain.where(y, seen[1], axis)]
        first, second = (x, y) if chain.draw("farther") % 2 else (y, x)
        farther = x if found == sides[0] else y
        question = f"Which is {most} in the picture, the {first.name} or the {second.name}?"
        pair = (first.name, second.name)
        chain.add(
            "relational_reasoning", f"most/{sides[0]}", question, farther.name, pair, (x, y), places or seen
        )
        claim = f"Is the {x.name} {words[asked]} the {y.name} in the picture?"
        answer = "yes" if found == asked else "no"
        out.append(chain.case(kind, claim, answer, YES_NO, (x, y), _lower(claim)))
    return out


def _larger(photo: Photo, margins: Margins) -> list[Case]:
    out = []
    for chain, x, y in _pairs(photo, "larger", margins):
        larger = g.is_larger(box_of(x), box_of(y), margins)
        if larger is None:
            continue
        seen = [chain.what(x), chain.what(y)]
        sizes = [*_size(chain, x, seen[0]), *_size(chain, y, seen[1])]
        first, second = (x, y) if chain.draw("compare") % 2 else (y, x)
        more = "yes" if (first is x) == larger else "no"
        question = f"Does the {first.name} fill more of the picture than the {second.name}?"
        chain.add("relational_reasoning", "more/0", question, more, YES_NO, (x, y), sizes or seen)
        claim = f"Which looks larger in the picture, the {x.name} or the {y.name}?"
        pair = (x.name, y.name)
        out.append(chain.case("larger", claim, (x if larger else y).name, pair, (x, y), _lower(claim)))
    return out


def _size(chain: Chain, thing: Object, rests: str) -> list[str]:
    share = g.box_area(box_of(thing)) / (chain.photo.width * chain.photo.height)
    if _SMALL < share < _BIG:
        return []
    question = f"Is the {thing.name} big or small in the picture?"
    answer, choices = ("big" if share >= _BIG else "small"), ("big", "small")
    return [chain.add("attribute_perception", "size/0", question, answer, choices, (thing,), (rests,))]


def _count_side(photo: Photo, margins: Margins) -> list[Case]:
    out = []
    for name in sorted({t.name for t in photo.things} - photo.crowds):
        things = [t for t in photo.things if t.name == name]
        halves = [g.half_of(t.box, photo.width, margins) if t.box else None for t in things]
        seen = all(t.box and g.is_visible(t.box, photo.size, margins) for t in things)
        counts = {side: halves.count(side) for side in ("left", "right")}
        left, right = counts["left"], counts["right"]
        if (
            not seen
            or None in halves
            or left == right
            or left + right < 2
            or max(left, right) > margins.count
        ):
            continue
        chain = Chain(photo, f"{photo.id}-count_side-{name.replace(' ', '_')}", margins)
        what = chain.what(things[0], many=True)
        sides = ["left", "right"]
        if chain.draw("order") % 2:
            sides.reverse()
        rests = [_count(chain, name, side, counts[side], things, halves, what) for side in sides]
        more = "yes" if counts[sides[0]] > counts[sides[1]] else "no"
        question = f"Are there more {plural(name)} in the {sides[0]} half than in the {sides[1]} half?"
        chain.add("relational_reasoning", "more_there/0", question, more, YES_NO, things, rests)
        claim = f"On which side of the picture are there more {plural(name)}, {sides[0]} or {sides[1]}?"
        answer = "left" if left > right else "right"
        out.append(chain.case("count_side", claim, answer, sides, (), _lower(claim)))
    return out


def _count(
    chain: Chain, name: str, side: str, count: int, things: list[Object], halves: list[str | None], rests: str
) -> str:
    choices = [str(n) for n in range(chain.margins.count + 1)]
    question = f"How many {plural(name)} are in the {side} half of the picture?"
    there = [t for t, half in zip(things, halves, strict=True) if half == side]
    return chain.add("counting", "count/0", question, str(count), choices, there, (rests,))


def _nearer(photo: Photo, margins: Margins) -> list[Case]:
    out = []
    for three in combinations(nameable(photo, margins), 3):
        for z in three:
            x, y = (t for t in three if t is not z)
            nearer = g.is_nearer(box_of(x), box_of(y), box_of(z), margins)
            if nearer is None:
                continue
            chain = Chain(photo, f"{photo.id}-nearer-{z.id}-{x.id}-{y.id}", margins)
            near = x if nearer else y
            x, y = (y, x) if chain.draw("first") % 2 else (x, y)
            seen = [chain.what(t) for t in (z, x, y)]
            places = [p for t, s in zip((z, x, y), seen, strict=True) for p in chain.where(t, s, "xy")]
            first, second = (x, y) if chain.draw("compare") % 2 else (y, x)
            question = f"Is the {first.name} nearer to the {z.name} than the {second.name} is?"
            more = "yes" if first is near else "no"
            things = (x, y, z)
            chain.add("relational_reasoning", "nearer/0", question, more, YES_NO, things, places or seen)
            claim = f"Which is nearer to the {z.name} in the picture, the {x.name} or the {y.name}?"
            out.append(chain.case("nearer", claim, near.name, (x.name, y.name), things, _lower(claim)))
    return out


_MAKERS: dict[str, Callable[[Photo, Margins], list[Case]]] = {
    "left_right": partial(_relations, across=True),
    "above_below": partial(_relations, across=False),
    "larger": _larger,
    "count_side": _count_side,
    "nearer": _nearer,
}
