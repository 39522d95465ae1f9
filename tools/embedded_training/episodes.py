"""What the embedded model is trained on: pictures with blocks of dialogue, in trained-on wordings only."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from embedded_training.lessons import Turn, lesson
from headscope.making.scenes.chains import build, draw_kind
from headscope.making.scenes.kinds import COLOURS, KINDS
from headscope.making.scenes.layout import POOL, Draft, NoRoom
from headscope.making.scenes.scene import Scene, Thing, named
from headscope.making.scenes.story import FUNCTION_OF, WAYS, YES_NO, Steps, Story, the
from headscope.making.scenes.wordings import MAIN, STEPS

HARD = ("nearer", "same_way", "sign", "count_side", "coloured", "coloured", "coloured", "facing")
Block = list[Turn]  # one dialogue; blocks of one picture do not see each other


@dataclass(frozen=True)
class Mix:
    """What a stage of training asks: numbers of things, and how many blocks of each sort per picture."""

    fewest: int
    most: int
    captions: float  # share of pictures with a caption
    singles: int  # single questions about random things
    relations: int  # single relational questions
    lessons: int  # training-only questions
    chains: float  # share of pictures with the whole chain
    mains: float  # share with the main question alone
    hard: float  # share of pictures made for one of the kinds of main question that are learned last


def _wording(rng: random.Random, table: tuple[str, ...]) -> int:
    return rng.randrange(len(table) - 1)  # the last is kept for test


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def main_text(rng: random.Random, story: Story) -> str:
    """The main question in a trained-on wording, as asked."""
    return _capital(story.main(_wording(rng, MAIN[story.kind])))


def chain_block(rng: random.Random, story: Story) -> Block:
    """All steps in order with true answers, then, half of the time, the main question."""
    block = []
    for asked in story.steps:
        if asked.name == "verdict":
            asked.fields = {"question": story.main(_wording(rng, MAIN[story.kind]))}
        block.append(
            (asked.text(_wording(rng, STEPS[asked.name])), asked.answer, f"chain/{FUNCTION_OF[asked.name]}")
        )
    if rng.random() < 0.5:
        block.append((main_text(rng, story), story.answer, "chain/main"))
    return block


def caption(scene: Scene) -> str:
    """Every thing in reading order: ``top left small red dog left; ...``."""
    things = sorted(scene.things, key=lambda t: (t.row, t.column, t.x))
    return "; ".join(
        " ".join(filter(None, (t.place, t.size, t.colour, t.kind, t.facing, t.letter))) for t in things
    )


class Asker:
    """Single questions about random things of a finished scene, each unambiguous."""

    def __init__(self, rng: random.Random, scene: Scene) -> None:
        self.rng = rng
        self.scene = scene
        self.unique = [t for t in scene.things if scene.count(t.kind) == 1]
        self.draft = Draft(rng, 9)
        self.draft.kinds = {t.kind for t in scene.things}

    def _name(self, thing: Thing) -> str | None:
        if self.scene.count(thing.kind) == 1:
            return the(thing, colour=self.rng.random() < 0.15)
        same = [t for t in self.scene.things if t.kind == thing.kind]
        if sum(t.colour == thing.colour for t in same) == 1:
            return the(thing, colour=True)
        if sum(t.size == thing.size for t in same) == 1:
            return the(thing, size=True)
        return None

    def single(self) -> Turn:
        """A question about one thing, or about what is there."""
        steps = Steps(self.rng)
        rng = self.rng
        while not steps:
            sort = rng.choices(
                (
                    "where",
                    "look",
                    "colour",
                    "size",
                    "letter",
                    "present",
                    "pair",
                    "count",
                    "known",
                    "coloured",
                ),
                (30, 12, 12, 6, 14, 8, 6, 9, 1, 5),
            )[0]
            thing = rng.choice(self.scene.things)
            name = self._name(thing)
            if sort == "present":
                there = rng.random() < 0.5
                kind = thing.kind if there else rng.choice([k for k in POOL if not self.scene.count(k)])
                steps.ask("present", "yes" if there else "no", YES_NO, a=named(kind, "a"))
            elif sort == "count":
                self._count(steps, thing)
            elif name is None:
                continue
            elif sort == "letter" and thing.letter:
                steps.letter(thing, name)
            elif thing.letter and sort in ("pair", "known", "coloured"):
                continue
            elif sort == "where":
                steps.where(thing, name)
            elif sort == "look" and thing.facing:
                steps.look(thing, name)
            elif sort == "colour":
                steps.colour(
                    thing, the(thing) if self.scene.count(thing.kind) == 1 else the(thing, size=True)
                )
                if self._name(thing) is None or self.scene.count(thing.kind) > 1:
                    steps.clear()
            elif sort == "size":
                steps.ask("size", thing.size, ("small", "big"), x=the(thing, colour="red" in name))
                if self.scene.count(thing.kind) > 1:
                    steps.clear()
            elif sort == "pair":
                steps.what_pair(self.draft, thing)
            elif sort == "known":
                steps.known(thing)
            elif sort == "coloured" and sum(t.colour == thing.colour for t in self.scene.things) == 1:
                steps.what_coloured(self.draft, thing)
        return self._turn(steps)

    def _count(self, steps: Steps, thing: Thing) -> None:
        rng = self.rng
        if rng.random() < 0.4:
            number = self.scene.count(thing.kind)
            steps.ask("count_kind", str(number), (), plural=KINDS[thing.kind].plural)
        elif self.unique:
            anchor, side = rng.choice(self.unique), rng.choice(WAYS)
            apart = [
                (t.x - anchor.x) * (-1 if side == "left" else 1) for t in self.scene.things if t != anchor
            ]
            if all(abs(a) >= 8 for a in apart):
                fields: dict[str, Any] = {"side": f"{side} of", "x": the(anchor)}
                steps.ask("count_side", str(sum(a > 0 for a in apart)), (), **fields)

    def relation(self) -> Turn | None:
        """A relational question about two random things, if there is an unambiguous one."""
        rng = self.rng
        for _ in range(12):
            if len(self.unique) < 2:
                return None
            x, y = rng.sample(self.unique, 2)
            steps = Steps(rng)
            sort = rng.choices(("across", "down", "lead", "side", "way", "near"), (8, 5, 5, 2, 4, 3))[0]
            if sort == "across" and x.column != y.column:
                self._ordered(steps, x, y, x.column < y.column, ("left", "right"), "further", "beside")
            elif sort == "down" and x.row != y.row:
                self._ordered(steps, x, y, x.row < y.row, ("higher", "lower"), "higher", "beside_row")
            elif sort == "lead" and x.column != y.column:
                way = rng.choice(WAYS)
                leads = (y.column < x.column) == (way == "left")
                steps.ask("lead", "yes" if leads else "no", YES_NO, way=way, x=the(x), y=the(y))
            elif sort == "side" and 1 not in (x.column, y.column):
                same = "yes" if x.column == y.column else "no"
                steps.ask("share_side", same, YES_NO, x=the(x), y=the(y))
            elif sort == "way" and x.facing and y.facing:
                steps.ask("share_way", "yes" if x.facing == y.facing else "no", YES_NO, x=the(x), y=the(y))
            elif sort == "near":
                found = self._near(steps, x, y)
                if found:
                    return found
            if steps:
                return self._turn(steps)
        return None

    def _ordered(
        self, steps: Steps, x: Thing, y: Thing, first: bool, ways: tuple[str, str], which: str, whether: str
    ) -> None:
        way = self.rng.choice(ways)
        holds = first == (way == ways[0])
        fields: dict[str, Any] = {"way": way, "x": the(x), "y": the(y)}
        roll = self.rng.random()
        if roll < 0.35 and ways == WAYS:
            steps.ask("side_of", "right" if first else "left", WAYS, x=the(x), y=the(y))
        elif roll < 0.35:
            steps.ask("level_of", "higher" if first else "lower", ways, x=the(x), y=the(y))
        elif roll < 0.6:
            steps.ask(which, (x if holds else y).kind, (), **fields)
        else:
            steps.ask(whether, "yes" if holds else "no", YES_NO, **fields)

    def _near(self, steps: Steps, x: Thing, y: Thing) -> Turn | None:
        z = self.rng.choice(self.unique)
        near = (x.x - z.x) ** 2 + (x.y - z.y) ** 2
        far = (y.x - z.x) ** 2 + (y.y - z.y) ** 2
        if z not in (x, y) and max(near, far) > 1.8 * min(near, far):
            fields: dict[str, Any] = {"x": the(x), "y": the(y), "z": the(z)}
            if self.rng.random() < 0.5:
                table = MAIN["nearer"]
                text = _capital(table[_wording(self.rng, table)].format(**fields))
                return text, (x if near < far else y).kind, "alone/nearest"
            steps.ask("nearer", "yes" if near < far else "no", YES_NO, **fields)
        return None

    def _turn(self, steps: Steps) -> Turn:
        asked = steps[0]
        return asked.text(_wording(self.rng, STEPS[asked.name])), asked.answer, f"alone/{asked.name}"


def plain_scene(rng: random.Random, count: int) -> Scene:
    """Random things in random places, for the vision stage."""
    while True:
        draft = Draft(rng, count)
        try:
            for _ in range(count):
                draft.add(kind="sign" if rng.random() < 0.15 else None)
        except NoRoom:
            continue
        return draft.scene()


def episode(rng: random.Random, mix: Mix) -> tuple[Scene, list[Block]]:
    """One picture and its blocks."""
    kind = rng.choice(HARD) if rng.random() < mix.hard else draw_kind(rng)
    story = build(rng, kind, rng.randint(mix.fewest, mix.most))
    scene = story.scene
    assert scene is not None
    asker = Asker(rng, scene)
    blocks: list[Block] = []
    if rng.random() < mix.captions:
        text = STEPS["caption"][_wording(rng, STEPS["caption"])]
        blocks.append([(text, caption(scene), "caption")])
    if rng.random() < mix.chains:
        blocks.append(chain_block(rng, story))
    if rng.random() < mix.mains:
        blocks.append([(main_text(rng, story), story.answer, f"alone/main-{story.kind}")])
        alone = rng.choice([s for s in story.steps if s.name != "verdict"])
        blocks.append([(alone.text(_wording(rng, STEPS[alone.name])), alone.answer, f"alone/{alone.name}")])
    blocks += [[asker.single()] for _ in range(mix.singles)]
    relations = [asker.relation() for _ in range(mix.relations)]
    relations += [lesson(rng, scene, asker.unique) for _ in range(mix.lessons)]
    blocks += [[turn] for turn in relations if turn]
    rng.shuffle(
        blocks
    )  # what does not fit into a packed row is left out: no sort of question more than another
    return scene, blocks


__all__ = ["COLOURS", "Asker", "Block", "Mix", "caption", "episode", "plain_scene"]
