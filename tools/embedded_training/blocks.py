"""What a diet asks about a picture: blocks of dialogue by sort, drawn until every group has its share.

The pictures are drawn apart from the questions, so that they are the same for every diet.
"""

from __future__ import annotations

import random
from collections import defaultdict

from embedded_training.episodes import Asker, Block, chain_block, main_text, step_text
from embedded_training.lessons import SORTS as LESSONS
from embedded_training.lessons import lesson
from embedded_training.more_wordings import CAPTIONS, DECISIONS
from embedded_training.paging import Paginator, Row
from embedded_training.recipe import Recipe, Schedule
from headscope.making.scenes.chains import build, draw_kind
from headscope.making.scenes.kinds import COLOURS, KINDS, LETTERS, SIGN
from headscope.making.scenes.layout import POOL, Draft, NoRoom
from headscope.making.scenes.scene import Scene, Thing, named
from headscope.making.scenes.story import FUNCTION_OF, Steps, Story, the

SPATIAL_FUNCTIONS = ("spatial_perception", "orientation_perception", "relational_reasoning")
MOST_CAPTIONED = 7  # things; what is longer does not fit beside other questions
CROWD_TAIL = 3.0  # numbers of things are drawn so that few are more likely than many
FLOOR = 0.02  # of its share: what a group that has its share still counts as owed, so that pages fill
ATTEMPTS = 40  # draws of a block before a page counts as full


class Questions:
    """Blocks about one picture; ``story`` is its main question with steps, where it was made for one."""

    def __init__(self, rng: random.Random, scene: Scene, story: Story | None) -> None:
        self.rng, self.scene, self.story = rng, scene, story
        self.asker = Asker(rng, scene)

    def draw(self, group: str, sort: str) -> Block | None:
        """A block of a sort, if the picture allows one."""
        if group == "captions":
            return self._caption()
        if group == "chains":
            return self._chain(sort)
        if group == "decisions":
            return self._decision(reasoned=sort == "reasoned")
        if sort == "what_all":
            return self._what_all()
        if sort in ("where", "look", "colour", "size", "letter", "present", "pair", "known", "coloured"):
            turn = self.asker.ask(sort)
        elif sort in ("across", "down", "lead", "side", "way", "near"):
            turn = self.asker.relation(sort)
        else:
            name = {"count": "count_kind"}.get(sort, sort)
            if name not in LESSONS:
                raise KeyError(f"no sort of question {sort!r} in group {group}")
            turn = lesson(self.rng, self.scene, self.asker.unique, name)
        return [turn] if turn else None

    def _caption(self) -> Block | None:
        """Every thing in alphabetical order, its kind first: ``dog red small, sign blue big A``.

        With the kind first, each further word is what a question about that thing asks for.
        """
        if len(self.scene.things) > MOST_CAPTIONED:
            return None
        said = [
            " ".join(filter(None, (t.kind, t.colour, t.size, t.letter)))
            for t in sorted(self.scene.things, key=lambda t: (t.kind, t.colour, t.size))
        ]
        return [(self.rng.choice(CAPTIONS), ", ".join(said), "caption")]

    def _what_all(self) -> Block | None:
        if len(self.scene.things) != 2:
            return None
        kinds = sorted(t.kind for t in self.scene.things)
        return [
            (step_text(self.rng, "what_all", {}), ", ".join(named(k, "a") for k in kinds), "alone/what_all")
        ]

    def _chain(self, sort: str) -> Block | None:
        if self.story is None:
            return None
        if sort == "chain":
            return chain_block(self.rng, self.story)
        if sort == "step":
            asked = self.rng.choice(self.story.steps)
            if FUNCTION_OF[asked.name] not in SPATIAL_FUNCTIONS and asked.name != "count_side":
                return None
            return [(step_text(self.rng, asked.name, asked.fields), asked.answer, f"alone/{asked.name}")]
        return [(main_text(self.rng, self.story), self.story.answer, f"alone/main-{self.story.kind}")]

    def _decision(self, reasoned: bool) -> Block | None:
        """A statement about one thing, true or false; after a step that tells it, where ``reasoned``."""
        rng = self.rng
        thing = rng.choice(self.scene.things)
        sort = rng.choice(list(DECISIONS))
        steps = Steps(rng)
        found = self._statement(steps, sort, thing)
        if found is None:
            return None
        fields, holds = found
        question = rng.choice(DECISIONS[sort]).format(**fields)
        answer = "true" if holds else "false"
        if not reasoned:
            return [(question[0].upper() + question[1:], answer, f"alone/decide-{sort}")]
        block = [(step_text(rng, s.name, s.fields), s.answer, f"chain/{s.name}") for s in steps]
        verdict = step_text(rng, "verdict", {"question": question})
        return [*block, (verdict, answer, "chain/decide")]

    def _statement(self, steps: Steps, sort: str, thing: Thing) -> tuple[dict[str, str], bool] | None:
        """Fields and truth of a statement, with the steps that tell it."""
        rng, holds = self.rng, self.rng.random() < 0.5
        name, alone = self.asker.name(thing), self.scene.count(thing.kind) == 1

        def said(true: str, others: list[str]) -> str:
            return true if holds else rng.choice([o for o in others if o != true])

        if sort == "letter" and thing.letter and name:
            steps.letter(thing, name)
            return {"x": name, "said": said(thing.letter, list(LETTERS))}, holds
        if sort == "count":
            number = self.scene.count(thing.kind)
            plural = KINDS[thing.kind].plural
            steps.ask("count_kind", str(number), (), plural=plural)
            return {"plural": plural, "said": said(str(number), ["1", "2", "3"])}, holds
        if not alone or thing.kind == SIGN:
            return None
        if sort == "colour":
            steps.colour(thing, the(thing))
            return {"x": the(thing), "said": said(thing.colour, list(COLOURS))}, holds
        if sort == "size":
            steps.ask("size", thing.size, (), x=the(thing))
            return {"x": the(thing), "said": said(thing.size, ["small", "big"])}, holds
        if sort == "known":
            steps.known(thing)
            steps.colour(thing, the(thing))
            return {"hint": KINDS[thing.kind].hint, "said": said(thing.colour, list(COLOURS))}, holds
        if sort == "kind" and sum(t.colour == thing.colour for t in self.scene.things) == 1:
            steps.what_coloured(self.asker.draft, thing)
            return {"colour": thing.colour, "said": named(said(thing.kind, list(POOL)), "a")}, holds
        return None


def _with_signs(rng: random.Random, count: int) -> Scene:
    """Things in random places, up to three signs of different colours among them, and some of one kind."""
    while True:
        draft = Draft(rng, count)
        try:
            for colour in rng.sample(list(COLOURS), min(count - 1, rng.choice((0, 1, 2, 3, 3, 3)))):
                draft.add(SIGN, colour=colour)
            while len(draft.things) < count:
                twice = draft.things and rng.random() < 0.2
                draft.add(rng.choice(draft.things).kind if twice else None)
        except NoRoom:
            continue
        return draft.scene()


def picture(rng: random.Random, fewest: int, most: int) -> tuple[Scene, Story | None]:
    """A picture: two in five are made for a main question, the others are of random things and signs."""
    count = fewest + int((most + 1 - fewest) * rng.random() ** CROWD_TAIL) if most > 7 else 0
    count = count or rng.randint(fewest, most)
    if rng.random() < 0.6:
        return _with_signs(rng, count), None
    story = build(rng, draw_kind(rng), count)
    assert story.scene is not None
    return story.scene, story


def rows_of(
    recipe: Recipe, diet: str, seed: int, step: int, schedule: Schedule, paginator: Paginator
) -> tuple[list[Row], dict[str, int]]:
    """The rows of a step, and the tokens of each group in them.

    Groups are drawn by how far they lag behind their share of the tokens that a batch is filled with.
    """
    stage = recipe.stage(step, schedule.steps)
    shares = recipe.shares(diet, stage)
    total = int(schedule.filled * schedule.pictures * schedule.pages * schedule.page)
    used: dict[str, int] = defaultdict(int)
    rows: list[Row] = []
    for number in range(schedule.pictures):
        scene, story = picture(random.Random(f"{seed}/picture/{step}/{number}"), *stage.things)
        rng = random.Random(f"{seed}/{diet}/{step}/{number}")
        questions = Questions(rng, scene, story)
        pages = [_page(rng, recipe, questions, shares, paginator, used, total) for _ in range(schedule.pages)]
        rows.append((scene, pages))
    return rows, dict(used)


def _page(
    rng: random.Random,
    recipe: Recipe,
    questions: Questions,
    shares: dict[str, float],
    paginator: Paginator,
    used: dict[str, int],
    total: int,
) -> list[Block]:
    """Blocks until the page is full, or the batch has all its tokens; ``used`` is counted up.

    A block longer than what its group is owed is taken in proportion, so that long ones do not exceed a small
    share.
    """
    blocks: list[Block] = []
    room, failed = paginator.page, 0
    while failed < ATTEMPTS and sum(used.values()) < total:
        owed = {g: max(share * total - used[g], FLOOR * share * total) for g, share in shares.items()}
        group = rng.choices(list(owed), list(owed.values()))[0]
        sorts = recipe.sorts[group]
        block = questions.draw(group, rng.choices(list(sorts), list(sorts.values()))[0])
        length = paginator.length(block) if block else 0
        if block is None or length > room or rng.random() * length > owed[group]:
            failed += 1
            continue
        blocks.append(block)
        room -= length
        used[group] += length
    return blocks


__all__ = ["Questions", "picture", "rows_of"]
