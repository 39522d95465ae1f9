"""Questions on which claims are judged: as many as the demo asks, with an effect of a known size in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headscope.data.cases import Cases, save_cases
from headscope.data.schema import Split, Step
from headscope.validation.planted.glyphs import Thing, draw_things, paint
from headscope.validation.planted.harder_build import in_two_hops
from headscope.validation.planted.questions import (
    ANSWERS,
    FUNCTIONS,
    KNOWLEDGE,
    WORDINGS,
    _asked,
    _case,
)

WAYS_TO_ASK = len(WORDINGS[KNOWLEDGE]) - 1  # the last wording is kept for the tests of wordings


@dataclass(frozen=True)
class ClaimSizes:
    """How many pictures and questions, for each function alike.

    Attributes:
        test_pictures, test_questions: as many as the demo has of a function (docs/method.md).
        select_pictures, fit_pictures: one question of each function on each of them.
    """

    test_pictures: int = 60
    test_questions: int = 100
    select_pictures: int = 40
    fit_pictures: int = 10

    def asked(self) -> list[tuple[Split, int]]:
        """For every picture its split, and how often each function is asked about it."""
        often, more = divmod(self.test_questions, self.test_pictures)
        test: list[tuple[Split, int]] = [("test", often + (i < more)) for i in range(self.test_pictures)]
        select: list[tuple[Split, int]] = [("select", 1)] * self.select_pictures
        fit: list[tuple[Split, int]] = [("fit", 1)] * self.fit_pictures
        return [*test, *select, *fit]


def claim_cases(
    folder: str | Path, level: str, seed: int, sizes: ClaimSizes, shares: Mapping[str, float] | None = None
) -> Cases:
    """Write pictures and cases of one step each.

    A function's questions need its heads, all of them or, where ``shares`` has the function, that share of
    them: the others are answered from the question alone (they are worded as for ``knowledge_recall``, and
    count as the function's). Muting its heads costs that share of what it costs where all need them.

    Args:
        folder: gets the pictures and ``cases.jsonl``.
        level: of the models that are asked; ``two_hop`` has a wording of its own.
        seed: of pictures and questions; equal seeds give equal pictures whatever the shares.
        sizes: how many.
        shares: function -> share of its questions that need its heads, 0 to 1.

    Raises:
        StoreError: the folder cannot be written.
    """
    folder = Path(folder)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, 9])
    plan = sizes.asked()
    easy = _easy(plan, shares or {}, np.random.default_rng([seed, 10]))
    asked: dict[tuple[str, str], int] = {}
    cases = []
    for number, (split, times) in enumerate(plan):
        things = draw_things(rng)
        image = f"images/p{number:04d}.png"
        paint(things, rng).save(folder / image)
        for function in FUNCTIONS:
            variants = rng.permutation(WAYS_TO_ASK)[:times].tolist()
            for variant in variants:
                place = asked[function, split] = asked.get((function, split), -1) + 1
                own, known = (_step(f, function, things, variant, rng, level) for f in (function, KNOWLEDGE))
                step = known if place in easy.get((function, split), ()) else own
                cases.append(_case(f"p{number:04d}.{function}.{variant}", image, things, [step], split))
    return save_cases(Cases(folder, cases), folder)


def _easy(
    plan: list[tuple[Split, int]], shares: Mapping[str, float], rng: np.random.Generator
) -> dict[tuple[str, str], set[int]]:
    """Function and split -> the numbers of its questions that need no head."""
    found = {}
    for function, share in shares.items():
        for split in ("test", "select", "fit"):
            count = sum(times for s, times in plan if s == split)
            order = rng.permutation(count).tolist()
            found[function, split] = set(order[round(count * share) :])
    return found


def _step(
    asked: str, function: str, things: tuple[Thing, ...], variant: int, rng: np.random.Generator, level: str
) -> Step:
    """A question of function ``asked`` that counts as one of ``function``."""
    word, answer, about = _asked(asked, things, rng)
    step = Step(
        id="s1",
        question=WORDINGS[asked][variant].format(word),
        answer=answer,
        function=asked,
        choices=ANSWERS[asked],
        objects=tuple(f"o{i}" for i in about),
        wording=f"{asked}.{variant}",
    )
    return (in_two_hops(step) if level == "two_hop" else step).model_copy(update={"function": function})
