"""The questions of the planted world: their wordings, answers and words, and cases made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from headscope.data.cases import Cases, save_cases
from headscope.data.schema import Case, Object, Split, Step
from headscope.validation.planted.glyphs import (
    CELLS,
    COLOURS,
    COUNTS,
    FACINGS,
    KINDS,
    SIDE,
    Thing,
    draw_things,
    paint,
)

PLACE, FACING, RELATION = "spatial_perception", "orientation_perception", "relational_reasoning"
COLOUR, OBJECT, COUNT = "attribute_perception", "object_recognition", "counting"
KNOWLEDGE = "knowledge_recall"
FUNCTIONS = (PLACE, FACING, RELATION, COLOUR, OBJECT, COUNT, KNOWLEDGE)
ASKED = 4  # functions asked about each picture
PICTURED = FUNCTIONS[:-1]  # knowledge is answered from the question alone, without any head

# The last word names what is asked about; the last wording is kept for test.
WORDINGS: dict[str, tuple[str, ...]] = {
    PLACE: ("tell the {}", "where is the {}", "in which part is the {}", "give us the {}"),
    FACING: ("tell the {}", "which way goes the {}", "turned how is the {}", "give us the {}"),
    RELATION: ("tell the {}", "of the two name the {}", "further on is the {}", "give us the {}"),
    COLOUR: ("tell the {}", "what shade has the {}", "painted how is the {}", "give us the {}"),
    OBJECT: ("tell the {}", "what is the {}", "who stands at the {}", "give us the {}"),
    COUNT: ("tell the {}", "how many is the {}", "how great is the {}", "give us the {}"),
    KNOWLEDGE: ("tell the {}", "what sound is the {}", "known to all is the {}", "give us the {}"),
}
CRIES = dict(zip(KINDS, ("woof", "meow", "moo", "cluck", "hoot", "yip"), strict=True))
NUMBERS = {3: "three", 4: "four", 5: "five", 6: "six"}
ANSWERS: dict[str, tuple[str, ...]] = {
    PLACE: ("left", "middle", "right"),
    FACING: FACINGS,
    RELATION: ("first", "second"),
    COLOUR: COLOURS,
    OBJECT: KINDS,
    COUNT: tuple(NUMBERS[n] for n in COUNTS),
    KNOWLEDGE: tuple(CRIES.values()),
}
_TAIL = {PLACE: "place", FACING: "facing", RELATION: "righter", COLOUR: "colour", OBJECT: "thing"}
_TAIL |= {COUNT: "number", KNOWLEDGE: "cry"}


def last_words() -> dict[str, tuple[str, tuple[int, ...]]]:
    """Every word that can end a question -> its function and what it names.

    The numbers are kinds (two of them for a comparison) or, for ``object_recognition``, a cell.
    """
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    for function in (PLACE, FACING, COLOUR, KNOWLEDGE):
        found |= {f"{k}-{_TAIL[function]}": (function, (i,)) for i, k in enumerate(KINDS)}
    for i, first in enumerate(KINDS):
        for j, second in enumerate(KINDS):
            if i != j:
                found[f"{first}-{second}-{_TAIL[RELATION]}"] = (RELATION, (i, j))
    found |= {f"cell{c}-{_TAIL[OBJECT]}": (OBJECT, (c,)) for c in range(CELLS)}
    found[f"all-{_TAIL[COUNT]}"] = (COUNT, ())
    return found


def plain_words() -> list[str]:
    """The other words of the questions."""
    texts = " ".join(w.replace("{}", "") for many in WORDINGS.values() for w in many)
    return sorted(set(texts.split()))


def answer_words() -> list[str]:
    """Every answer, in one fixed order."""
    return list(dict.fromkeys(a for f in FUNCTIONS for a in ANSWERS[f]))


def ask(things: tuple[Thing, ...], rng: np.random.Generator, unseen: bool) -> list[Step]:
    """Steps of ``ASKED`` functions about a picture, in random order; ``unseen``: in the wordings of test."""
    steps = []
    for number, function in enumerate(rng.permutation(list(FUNCTIONS)).tolist()[:ASKED], 1):
        word, answer, about = _asked(function, things, rng)
        variant = len(WORDINGS[function]) - 1 if unseen else int(rng.integers(len(WORDINGS[function]) - 1))
        steps.append(
            Step(
                id=f"s{number}",
                question=WORDINGS[function][variant].format(word),
                answer=answer,
                function=function,
                choices=ANSWERS[function],
                objects=tuple(f"o{i}" for i in about),
                wording=f"{function}.{variant}",
            )
        )
    return steps


def _asked(
    function: str, things: tuple[Thing, ...], rng: np.random.Generator
) -> tuple[str, str, tuple[int, ...]]:
    """Last word of the question, its answer, and the numbers of the things it is about."""
    order = rng.permutation(len(things)).tolist()
    first = order[0]
    one, tail = things[first], _TAIL[function]
    if function == RELATION:
        second = next(i for i in order if things[i].column != one.column)
        other = things[second]
        word = f"{one.kind}-{other.kind}-{tail}"
        return word, ANSWERS[RELATION][int(other.column > one.column)], (first, second)
    if function == COUNT:
        return f"all-{tail}", NUMBERS[len(things)], tuple(range(len(things)))
    if function == OBJECT:
        return f"cell{one.cell}-{tail}", one.kind, (first,)
    answer = {
        PLACE: ANSWERS[PLACE][one.column],
        FACING: one.facing,
        COLOUR: one.colour,
        KNOWLEDGE: CRIES[one.kind],
    }[function]
    return f"{one.kind}-{tail}", answer, (first,)


def planted_cases(folder: str | Path, count: int, seed: int) -> Cases:
    """Write ``count`` cases with their pictures: 60 % fit, 20 % select, 20 % test, by number.

    Half of the test cases are asked in wordings that occur nowhere else. The main question of a case repeats
    its first step.

    Raises:
        StoreError: the folder cannot be written.
    """
    folder = Path(folder)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, 4])
    cases = []
    for number in range(count):
        things = draw_things(rng)
        split: Split = ("fit", "fit", "fit", "select", "test")[number % 5]
        image = f"images/p{number:04d}.png"
        paint(things, rng).save(folder / image)
        steps = ask(things, rng, split == "test" and number % 10 == 9)
        cases.append(_case(f"p{number:04d}", image, things, steps, split))
    return save_cases(Cases(folder, cases), folder)


def _case(name: str, image: str, things: tuple[Thing, ...], steps: list[Step], split: Split) -> Case:
    objects = tuple(
        Object(id=f"o{i}", name=t.kind, box=t.box, attributes={"colour": t.colour, "facing": t.facing})
        for i, t in enumerate(things)
    )
    main = steps[0]
    return Case(
        id=name,
        image=image,
        width=SIDE,
        height=SIDE,
        question=main.question,
        answer=main.answer,
        choices=main.choices,
        kind="planted",
        wording=main.wording,
        objects=objects,
        named=main.objects,
        steps=tuple(steps),
        split=split,
        source="headscope planted world",
    )
