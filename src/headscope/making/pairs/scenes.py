"""Pairs of drawn scenes: one thing is moved, turned, painted, sized, lettered, counted or taken away."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from headscope.data.schema import SPLITS, Case, Object, Split, Step
from headscope.errors import DataError
from headscope.making.pairs.schema import Pair, Pairs, save_pairs
from headscope.making.scenes.kinds import COLOURS, KINDS, LETTERS, SIGN, SIZES
from headscope.making.scenes.layout import Draft, NoRoom
from headscope.making.scenes.scene import ALL_PLACES, PLACES, SIDE, Scene, Thing, named
from headscope.making.scenes.story import FUNCTION_OF, WAYS, YES_NO, the
from headscope.making.scenes.wordings import STEPS
from headscope.progress import track
from headscope.storage import disk_error

_TRIES = 2000
_CLEAR = 1.35  # the farther thing is at least so many times as far away as the nearer one
_COUNTED = tuple(str(n) for n in range(1, 5))


@dataclass(frozen=True)
class Change:
    """One question and what is different in the second picture.

    Attributes:
        asked: name of the question in ``STEPS``.
        fields: what its wording is filled with.
        choices: its choices.
        answers: in the first and in the second picture.
        about: things of the first picture that the question is about.
        old: the thing that is changed; None where one is added.
        new: what stands there instead; None where it is taken away.
    """

    asked: str
    fields: dict[str, str]
    choices: tuple[str, ...]
    answers: tuple[str, str]
    about: tuple[Thing, ...]
    old: Thing | None
    new: Thing | None


Maker = Callable[[Draft, int], Change]


def _another(rng: random.Random, options: Sequence[str], number: int) -> tuple[str, str]:
    """Option ``number`` in turn, so that answers are balanced, and one that is not it."""
    first = options[number % len(options)]
    return first, rng.choice([o for o in options if o != first])


def _place(draft: Draft, number: int) -> Change:
    first, second = _another(draft.rng, ALL_PLACES, number)
    column, row = _cell(first)
    x = draft.add(column=column, row=row)
    new = _moved(draft, x, *_cell(second))
    return Change("where", {"x": the(x)}, ALL_PLACES, (first, second), (x,), x, new)


def _cell(place: str) -> tuple[int, int]:
    row = next(r for r, words in enumerate(PLACES) if place in words)
    return PLACES[row].index(place), row


def _facing(draft: Draft, number: int) -> Change:
    first, second = _another(draft.rng, WAYS, number)
    x = draft.add(faces=True, facing=first)
    return Change("look", {"x": the(x)}, WAYS, (first, second), (x,), x, replace(x, facing=second))


def _colour(draft: Draft, number: int) -> Change:
    first, second = _another(draft.rng, tuple(COLOURS), number)
    x = draft.add(colour=first)
    new = replace(x, colour=second)
    return Change("colour", {"x": the(x)}, tuple(COLOURS), (first, second), (x,), x, new)


def _size(draft: Draft, number: int) -> Change:
    first, second = _another(draft.rng, tuple(SIZES), number)
    x = draft.add(size=first)
    return Change("size", {"x": the(x)}, tuple(SIZES), (first, second), (x,), x, replace(x, size=second))


def _letter(draft: Draft, number: int) -> Change:
    first, second = _another(draft.rng, tuple(LETTERS), number)
    x = draft.add(kind=SIGN, letter=first)
    return Change(
        "letter", {"x": the(x)}, tuple(LETTERS), (first, second), (x,), x, replace(x, letter=second)
    )


def _count(draft: Draft, number: int) -> Change:
    many = 2 + number % 3
    x = draft.add()
    kinds = [x, *(draft.add(kind=x.kind) for _ in range(many - 1))]
    answers = str(many), str(many - 1)
    fields = {"plural": KINDS[x.kind].plural}
    return Change("count_kind", fields, _COUNTED, answers, tuple(kinds), kinds[-1], None)


def _presence(draft: Draft, number: int) -> Change:
    x = draft.add()
    return Change("present", {"a": named(x.kind, "a")}, YES_NO, ("yes", "no"), (x,), x, None)


def _further(draft: Draft, number: int) -> Change:
    return _beside(draft, number, WAYS[number % 2], "further")


def _higher(draft: Draft, number: int) -> Change:
    return _beside(draft, number, ("higher", "lower")[number % 2], "higher")


def _beside(draft: Draft, number: int, way: str, asked: str) -> Change:
    """Which of two is further one way: x stands on one side of y, then on the other."""
    ends = [0, 2]
    draft.rng.shuffle(ends)
    cells: list[tuple[int | None, int | None]] = [
        (third, None) if way in WAYS else (None, third) for third in (1, *ends)
    ]
    y, x = (draft.add(column=column, row=row) for column, row in cells[:2])
    new = _moved(draft, x, *cells[2])
    low = way in ("left", "higher")
    before = (ends[0] == 0) == low
    answers = (x.kind, y.kind) if before else (y.kind, x.kind)
    one, other = (x, y) if number // 2 % 2 else (y, x)
    fields = {"way": way, "x": the(one), "y": the(other)}
    return Change(asked, fields, (one.kind, other.kind), answers, (x, y), x, new)


def _nearer(draft: Draft, number: int) -> Change:
    z, y, x = draft.add(), draft.add(), draft.add()
    new = _moved(draft, x)
    near = [t for t in (x, new) if _distance(t, z) * _CLEAR <= _distance(y, z)]
    far = [t for t in (x, new) if _distance(t, z) >= _CLEAR * _distance(y, z)]
    if len(near) != 1 or len(far) != 1:
        raise NoRoom
    fields = {"x": the(x), "y": the(y), "z": the(z)}
    answers = ("yes", "no") if near[0] is x else ("no", "yes")
    return Change("nearer", fields, YES_NO, answers, (x, y, z), x, new)


def _distance(a: Thing, b: Thing) -> float:
    return float(((a.x - b.x) ** 2 + (a.y - b.y) ** 2) ** 0.5)


def _moved(draft: Draft, thing: Thing, column: int | None = None, row: int | None = None) -> Thing:
    """The same thing at another free place; it keeps its own free until all others are placed.

    Raises:
        NoRoom: there is none.
    """
    for _ in range(40):
        placed = draft._place(thing, column, row)
        if placed is not None:
            return placed
    raise NoRoom


FACTS: dict[str, Maker] = {
    "place": _place,
    "facing": _facing,
    "colour": _colour,
    "size": _size,
    "letter": _letter,
    "count": _count,
    "further": _further,
    "higher": _higher,
    "nearer": _nearer,
    "presence": _presence,
}
"""What can differ between two scenes."""


def draw_pairs(
    out: str | Path,
    pairs: int,
    seed: int = 0,
    *,
    facts: Sequence[str] = tuple(FACTS),
    things: tuple[int, int] = (2, 8),
) -> Pairs:
    """Draw pairs of scenes into a new folder: images/*.png, cases.jsonl, pairs.jsonl.

    Args:
        out: the folder.
        pairs: how many of each fact.
        seed: the same seed gives the same pairs.
        facts: keys of ``FACTS``.
        things: fewest and most things of a scene.

    Raises:
        DataError: an unknown fact, a number out of range, or the folder holds cases already.
        StoreError: the disk is full.

    Example:
        >>> import tempfile
        >>> made = draw_pairs(tempfile.mkdtemp(), 1, facts=("facing",))
        >>> sorted(step.answer for step in made.asked(made[0]))
        ['left', 'right']
    """
    out = Path(out)
    unknown = sorted(set(facts) - FACTS.keys())
    if unknown or not facts:
        raise DataError(f"asked for facts {', '.join(unknown) or 'none'}; there are {', '.join(FACTS)}")
    if pairs < 1 or not 2 <= things[0] <= things[1] <= 8:
        raise DataError(f"asked for {pairs} pairs of {things} things; expected one or more, of 2 to 8 things")
    if (out / "cases.jsonl").exists():
        raise DataError(f"{out}: already holds cases.jsonl; name another folder or delete this one")
    cases: list[Case] = []
    made: list[Pair] = []
    try:
        (out / "images").mkdir(parents=True, exist_ok=True)
        for fact, number in track(
            [(f, n) for f in facts for n in range(pairs)], "drawing pairs", unit="pairs"
        ):
            pair, both, scenes = one_pair(fact, number, seed, things=things, of=pairs)
            for case, scene in zip(both, scenes, strict=True):
                Image.fromarray(scene.render()).save(out / case.image, compress_level=1)
            cases += both
            made.append(pair)
    except OSError as exc:
        raise disk_error(out, exc) from exc
    return save_pairs(cases, made, out)


def one_pair(
    fact: str, number: int, seed: int, *, things: tuple[int, int] = (2, 8), of: int = 1
) -> tuple[Pair, tuple[Case, Case], tuple[Scene, Scene]]:
    """Pair ``number`` of a fact out of ``of``: its cases and scenes, a function of the arguments alone."""
    name = f"{fact}-{seed}-{number:05d}"
    for draft in _drafts(f"{seed}/{fact}/{number}", things):
        try:
            change = FACTS[fact](draft, number)
            if change.old is not None and change.new is not None:
                draft.things.append(change.new)  # bystanders keep off both places
            while len(draft.things) < draft.count:
                draft.add()
        except NoRoom:
            continue
        others = [t for t in draft.things if t is not change.old and t is not change.new]
        if _apart([t for t in (change.old, change.new) if t is not None], others):
            break
    else:
        raise RuntimeError(f"no pair of scenes for {fact} with {things} things")
    rng = draft.rng
    ground = draft.scene().background
    scenes = tuple(
        Scene((*others, *(() if thing is None else (thing,))), ground) for thing in (change.old, change.new)
    )
    order = (0, 1) if rng.random() < 0.5 else (1, 0)  # neither side is the one where something is missing
    wording = rng.randrange(len(STEPS[change.asked]) - 1)
    split = _split(number, of, f"{seed}/{fact}")
    both = [
        _case(f"{name}-{'ab'[side]}", change, which, scenes[which], wording, split, fact)
        for side, which in enumerate(order)
    ]
    objects = () if change.old is None else (f"o{len(others) + 1}",)
    pair = Pair(
        id=name, function=FUNCTION_OF[change.asked], fact=fact, first=both[0].id, second=both[1].id,
        question="s1", changed=objects,
    )  # fmt: skip
    return pair, (both[0], both[1]), (scenes[order[0]], scenes[order[1]])


def _drafts(seed: str, things: tuple[int, int]) -> Iterator[Draft]:
    rng = random.Random(f"pair/{seed}")
    for _ in range(_TRIES):
        yield Draft(rng, rng.randint(*things))


def _apart(changed: Sequence[Thing], others: Sequence[Thing]) -> bool:
    """Whether what changes is inside and touches no other thing, so that all other pixels stay."""
    inside = all(min(t.box) >= 0 and max(t.box) <= SIDE for t in changed)
    return inside and not any(_touch(a.box, b.box) for a in changed for b in others)


def _touch(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _split(number: int, of: int, seed: str) -> Split:
    """60 % ``fit``, 20 % ``select``, 20 % ``test``, in a seeded order within the fact."""
    order = list(range(of))
    random.Random(f"pair-splits/{seed}").shuffle(order)
    share = (order.index(number) + 0.5) / of
    return SPLITS[0] if share < 0.6 else SPLITS[1] if share < 0.8 else SPLITS[2]


def _case(
    case_id: str, change: Change, which: int, scene: Scene, wording: int, split: Split, fact: str
) -> Case:
    """The case of one of the two scenes; the changed thing is the last object of both."""
    things = scene.things
    objects = [
        Object(id=f"o{i}", name=t.kind, box=t.box, attributes=t.attributes()) for i, t in enumerate(things, 1)
    ]
    number = {id(t): f"o{i}" for i, t in enumerate(things, 1)}
    last = change.new if which else change.old
    if last is None and change.asked != "count_kind":  # named although it is not there
        assert change.old is not None
        objects.append(Object(id=f"o{len(things) + 1}", name=change.old.kind))
    number |= {id(change.old): f"o{len(objects)}", id(change.new): f"o{len(objects)}"}
    gone = last is None and change.asked == "count_kind"
    about = tuple(number[id(t)] for t in change.about if not (gone and t is change.old))
    text = STEPS[change.asked][wording].format(**change.fields)
    text = text[0].upper() + text[1:]
    answer = change.answers[which]
    step = Step(
        id="s1", question=text, answer=answer, function=FUNCTION_OF[change.asked], choices=change.choices,
        objects=about, wording=f"{change.asked}/{wording}",
    )  # fmt: skip
    return Case(
        id=case_id, image=f"images/{case_id}.png", width=SIDE, height=SIDE, question=text, answer=answer,
        choices=change.choices, kind=f"pair-{fact}", wording=f"{change.asked}/{wording}",
        objects=tuple(objects), named=about, steps=(step,), split=split, source="headscope/pairs/1",
    )  # fmt: skip
