"""How well a model in training answers: freshly drawn cases, by function, with the chance level beside it."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from embedded_training.architecture import Size
from embedded_training.episodes import Asker, Block
from embedded_training.packing import IGNORE
from embedded_training.paging import Paginator, Row
from headscope.data.schema import Case
from headscope.making.scenes.chains import build, draw_kind
from headscope.making.scenes.generate import case_of
from headscope.making.scenes.scene import Scene
from headscope.making.scenes.story import FUNCTION_OF

SINGLES = {
    "present": 2,
    "pair": 2,
    "coloured": 4,
    "colour": 6,
    "size": 2,
    "letter": 10,
    "look": 2,
    "where": 9,
}
"""Sorts of question asked about every picture once more, in trained-on wordings, and their choices."""
AT_ONCE = 20  # pictures
ROOM = 176  # tokens a page: all questions of a case alone, or in order


@dataclass(frozen=True)
class Asked:
    """Which cases: how many, from which seed, with how many things, and whether in wordings kept for test."""

    cases: int
    seed: int
    things: tuple[int, int]
    new_wordings: bool = False


def drawn(asked: Asked) -> Iterator[tuple[Scene, Case]]:
    """Pictures and cases, a function of what is asked for."""
    held = ("wording",) if asked.new_wordings else ()
    for number in range(asked.cases):
        rng = random.Random(f"measure/{asked.seed}/{number}")
        story = build(rng, draw_kind(rng), rng.randint(*asked.things))
        assert story.scene is not None
        yield story.scene, case_of(story, rng, f"m{number}", "", held)


def pages_of(case: Case) -> tuple[list[list[Block]], dict[str, float]]:
    """Three pages (every question alone; steps, main question; steps, verdict) and their tags' chances.

    Tags are ``function|kind of question``; those of questions in order start with ``gold/``.
    """

    def tag(context: str, function: str, name: str) -> str:
        return f"{context}{function}|{name}"

    chances: dict[str, float] = {}
    blocks: list[Block] = []
    chain: Block = []
    for step in case.steps:
        name = (step.wording or "").split("/")[0]
        for context in ("", "gold/"):
            if context or step.function != "decision_making":
                chances[tag(context, step.function, name)] = 1 / max(2, len(step.choices))
        if step.function != "decision_making":
            blocks.append([(step.question, step.answer, tag("", step.function, name))])
        chain.append((step.question, step.answer, tag("gold/", step.function, name)))
    for context in ("", "gold/"):
        chances[tag(context, "main", case.kind or "")] = 1 / len(case.choices)
    blocks.append([(case.question, case.answer, tag("", "main", case.kind or ""))])
    last = (case.question, case.answer, tag("gold/", "main", case.kind or ""))
    return [blocks, [[*chain[:-1], last]], [chain]], chances


def singles_of(scene: Scene, rng: random.Random) -> tuple[list[Block], dict[str, float]]:
    """One question of each sort about random things, with its chance, where the picture allows it."""
    asker = Asker(rng, scene)
    blocks: list[Block] = []
    chances: dict[str, float] = {}
    for sort, choices in SINGLES.items():
        turn = next((t for t in (asker.ask(sort) for _ in range(8)) if t), None)
        if turn:
            name = turn[2].removeprefix("alone/")
            tag = f"{FUNCTION_OF[name]}|single {name}"
            blocks.append([(turn[0], turn[1], tag)])
            chances[tag] = 1 / choices
    return blocks, chances


Cell = dict[str, float | int]


@torch.no_grad()
def measure(
    model: Any, tokenizer: Any, size: Size, asked: Asked, device: str = "cpu", bfloat16: bool = False
) -> dict[str, Cell]:
    """Share of questions whose every answer token is the most likely one, by function and kind of question.

    Earlier turns hold true answers, so for one answer this is what greedy generation gives. Chance is the
    mean of one over the number of choices; a free answer can fall below it.
    """
    paginator = Paginator(tokenizer, size, 3 if asked.new_wordings else 4, ROOM)
    right: dict[str, list[bool]] = defaultdict(list)
    chance: dict[str, list[float]] = defaultdict(list)
    cases = list(drawn(asked))
    for at in range(0, len(cases), AT_ONCE):
        rows: list[Row] = []
        known: dict[str, float] = {}
        for scene, case in cases[at : at + AT_ONCE]:
            asked_of, chances = pages_of(case)
            known |= chances
            if not asked.new_wordings:
                further, chances = singles_of(scene, random.Random(f"single/{asked.seed}/{case.id}"))
                known |= chances
                asked_of = [*asked_of, further]
            rows.append((scene, asked_of))
        pages = paginator.lay(rows).to(device)
        with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=bfloat16):
            hidden = model.model(
                input_ids=pages.ids,
                pixel_values=pages.pixels,
                attention_mask=pages.mask(),
                position_ids=pages.positions,
            ).last_hidden_state.float()
        wanted = pages.targets != IGNORE
        hits = torch.zeros_like(wanted)
        hits[wanted] = model.lm_head(hidden[wanted]).argmax(-1) == pages.targets[wanted]
        for i, j in (pages.first >= 0).nonzero().tolist():
            tag = pages.tags[int(pages.first[i, j])]
            end = j
            while end < wanted.shape[1] and wanted[i, end] and (end == j or pages.first[i, end] < 0):
                end += 1
            for key in (tag.split("|")[0], tag):
                right[key].append(bool(hits[i, j:end].all()))
                chance[key].append(known[tag])
    return {
        key: {
            "value": round(sum(r) / len(r), 3),
            "n": len(r),
            "chance": round(sum(chance[key]) / len(r), 3),
        }
        for key, r in sorted(right.items())
    }


def by_function(found: dict[str, Cell]) -> str:
    """One line: ``colour 93 (17)`` is 93 % where chance is 17 %."""
    cells = [(k, v) for k, v in found.items() if "|" not in k and not k.startswith("gold/")]
    cells += [(k, found[k]) for k in ("gold/decision_making", "gold/main") if k in found]
    return ", ".join(f"{k} {100 * v['value']:.0f} ({100 * v['chance']:.0f})" for k, v in cells)
