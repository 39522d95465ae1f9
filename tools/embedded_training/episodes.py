"""What the embedded model is trained on: pictures with blocks of dialogue, in trained-on wordings only."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from embedded_training.lessons import Turn, lesson
from embedded_training.more_wordings import MORE
from headscope.making.scenes.chains import build, draw_kind
from headscope.making.scenes.kinds import KINDS
from headscope.making.scenes.layout import POOL, Draft, NoRoom
from headscope.making.scenes.scene import Scene, Thing, named
from headscope.making.scenes.story import FUNCTION_OF, WAYS, YES_NO, Steps, Story, the
from headscope.making.scenes.wordings import MAIN, STEPS

SINGLES = {
    "where": 30,
    "look": 12,
    "colour": 12,
    "size": 6,
    "letter": 14,
    "present": 8,
    "pair": 6,
    "count": 9,
    "known": 1,
    "coloured": 5,
}
RELATIONS = {"across": 8, "down": 5, "lead": 5, "side": 2, "way": 4, "near": 3}
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


def capital(text: str) -> str:
    """The text with its first letter raised."""
    return text[0].upper() + text[1:]


def step_text(rng: random.Random, name: str, fields: dict[str, Any]) -> str:
    """A step's question in a trained-on wording: one of the cases' own but the last, or a further one."""
    return capital(rng.choice(STEPS[name][:-1] + MORE.get(name, ())).format(**fields))


def main_text(rng: random.Random, story: Story) -> str:
    """The main question in a trained-on wording, as asked."""
    return capital(story.main(_wording(rng, MAIN[story.kind])))


def chain_block(rng: random.Random, story: Story) -> Block:
    """All steps in order with true answers, then, half of the time, the main question."""
    block = []
    for asked in story.steps:
        if asked.name == "verdict":
            asked.fields = {"question": story.main(_wording(rng, MAIN[story.kind]))}
        block.append(
            (step_text(rng, asked.name, asked.fields), asked.answer, f"chain/{FUNCTION_OF[asked.name]}")
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

    def name(self, thing: Thing) -> str | None:
        """How the thing is called where that is unambiguous."""
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
        while True:
            if turn := self.ask(self.rng.choices(list(SINGLES), list(SINGLES.values()))[0]):
                return turn

    def ask(self, sort: str) -> Turn | None:
        """A question of a sort about a random thing, if it fits that thing."""
        steps = Steps(self.rng)
        rng = self.rng
        things = [t for t in self.scene.things if t.letter] if sort == "letter" else self.scene.things
        thing = rng.choice(things) if things else None
        if thing is None:
            return None
        if sort == "present":
            there = rng.random() < 0.5
            kind = thing.kind if there else rng.choice([k for k in POOL if not self.scene.count(k)])
            steps.ask("present", "yes" if there else "no", YES_NO, a=named(kind, "a"))
        elif sort == "count":
            self._count(steps, thing)
        else:
            self._about(steps, sort, thing)
        return self._turn(steps) if steps else None

    def _about(self, steps: Steps, sort: str, thing: Thing) -> None:
        name = self.name(thing)
        alone = self.scene.count(thing.kind) == 1
        if name is None or (thing.letter and sort in ("pair", "known", "coloured")):
            return
        if sort == "letter":
            steps.letter(thing, name)
        elif sort == "where":
            steps.where(thing, name)
        elif sort == "look" and thing.facing:
            steps.look(thing, name)
        elif sort == "colour" and alone:
            steps.colour(thing, the(thing))
        elif sort == "size" and alone:
            steps.ask("size", thing.size, ("small", "big"), x=the(thing, colour=thing.colour in name))
        elif sort == "pair":
            steps.what_pair(self.draft, thing)
            self.draft.kinds = {t.kind for t in self.scene.things}
        elif sort == "known":
            steps.known(thing)
        elif sort == "coloured" and sum(t.colour == thing.colour for t in self.scene.things) == 1:
            steps.what_coloured(self.draft, thing)

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

    def relation(self, sort: str | None = None) -> Turn | None:
        """A relational question about two random things, of a sort if given, if one of twelve draws fits."""
        rng = self.rng
        for _ in range(12):
            if len(self.unique) < 2:
                return None
            x, y = rng.sample(self.unique, 2)
            drawn = sort or rng.choices(list(RELATIONS), list(RELATIONS.values()))[0]
            if turn := self._relation(drawn, x, y):
                return turn
        return None

    def _relation(self, sort: str, x: Thing, y: Thing) -> Turn | None:
        steps, rng = Steps(self.rng), self.rng
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
        elif sort == "near" and (found := self._near(steps, x, y)):
            return found
        return self._turn(steps) if steps else None

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
                text = capital(table[_wording(self.rng, table)].format(**fields))
                return text, (x if near < far else y).kind, "alone/nearest"
            steps.ask("nearer", "yes" if near < far else "no", YES_NO, **fields)
        return None

    def _turn(self, steps: Steps) -> Turn:
        asked = steps[0]
        return step_text(self.rng, asked.name, asked.fields), asked.answer, f"alone/{asked.name}"


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
        text = step_text(rng, "caption", {})
        blocks.append([(text, caption(scene), "caption")])
    if rng.random() < mix.chains:
        blocks.append(chain_block(rng, story))
    if rng.random() < mix.mains:
        blocks.append([(main_text(rng, story), story.answer, f"alone/main-{story.kind}")])
        alone = rng.choice([s for s in story.steps if s.name != "verdict"])
        blocks.append([(step_text(rng, alone.name, alone.fields), alone.answer, f"alone/{alone.name}")])
    blocks += [[asker.single()] for _ in range(mix.singles)]
    relations = [asker.relation() for _ in range(mix.relations)]
    relations += [lesson(rng, scene, asker.unique) for _ in range(mix.lessons)]
    blocks += [[turn] for turn in relations if turn]
    rng.shuffle(
        blocks
    )  # what does not fit into a packed row is left out: no sort of question more than another
    return scene, blocks


__all__ = ["Asker", "Block", "Mix", "caption", "episode", "plain_scene", "step_text"]
