"""Writes a folder of scene cases: pictures, cases.jsonl and a dataset card."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image

from headscope.data.cases import Cases, save_cases
from headscope.data.schema import Case, Object, Step
from headscope.data.wordings import SHARED
from headscope.errors import DataError
from headscope.making.scenes.balance import Balance, kinds_wanted, with_splits
from headscope.making.scenes.chains import CHAINS, build, draw_kind, seed_example
from headscope.making.scenes.scene import SIDE, Thing
from headscope.making.scenes.story import FUNCTION_OF, Story
from headscope.making.scenes.wordings import MAIN, SHARED_STEPS, SHARED_TEXT, STEPS
from headscope.progress import track
from headscope.storage import disk_error

NEW = ("combination", "wording", "sprite")  # the ways in which a case can be new to the embedded model
MOST_THINGS = 20  # beyond this there is no room, even with drawings that overlap a little


def case_of(
    story: Story,
    rng: random.Random | None,
    case_id: str,
    image: str,
    held_out: tuple[str, ...] = (),
    shared: bool = False,
) -> Case:
    """The typed case of a story, with wordings chosen: held-out ones where ``wording`` is in ``held_out``.

    Without ``rng`` every question has its first wording. ``shared``: a step like the one before it, about
    another thing, is asked as ``And the horse?``.
    """
    assert story.scene is not None

    def wording_of(table: tuple[str, ...]) -> int:
        if "wording" in held_out:
            return len(table) - 1
        return rng.randrange(len(table) - 1) if rng else 0

    things = story.scene.things
    objects = [
        Object(id=f"o{i}", name=t.kind, box=t.box, attributes=t.attributes()) for i, t in enumerate(things, 1)
    ]
    if story.absent:
        objects.append(Object(id="absent", name=story.absent))

    def ids(about: tuple[Thing, ...]) -> tuple[str, ...]:
        return tuple(f"o{things.index(t) + 1}" for t in about)

    main_wording = wording_of(MAIN[story.kind])
    main = story.main(main_wording)
    steps = []
    for number, asked in enumerate(story.steps, 1):
        wording = wording_of(STEPS[asked.name])
        if asked.name == "verdict":
            asked.fields = {"question": main}
        about = ids(asked.things) + (("absent",) if asked.name == "present" and story.absent else ())
        again = shared and number > 1 and asked.name == story.steps[number - 2].name in SHARED_STEPS
        steps.append(
            Step(
                id=f"s{number}",
                question=SHARED_TEXT.format(**asked.fields) if again else asked.text(wording),
                answer=asked.answer,
                choices=asked.choices,
                function=FUNCTION_OF[asked.name],
                objects=about,
                depends_on=tuple(f"s{r + 1}" for r in asked.rests),
                wording=f"{SHARED}/0" if again else f"{asked.name}/{wording}",
            )
        )
    return Case(
        id=case_id,
        image=image,
        width=SIDE,
        height=SIDE,
        question=main[0].upper() + main[1:],
        answer=story.answer,
        choices=story.choices,
        kind=story.kind,
        wording=f"main-{story.kind}/{main_wording}",
        objects=tuple(objects),
        named=ids(story.named) + (("absent",) if story.absent else ()),
        steps=tuple(steps),
        held_out=held_out,
        source="headscope/scenes/1",
    )


def one_case(
    index: int,
    seed: int,
    *,
    things: tuple[int, int] = (2, 8),
    hard: float = 0.2,
    hard_things: tuple[int, int] = (9, 12),
    held_out: float = 0.15,
    kind: str | None = None,
    shared: bool = False,
) -> tuple[Case, Story]:
    """Case ``index`` of a data set, a function of the arguments alone; case 0 is the one that explains."""
    case_id = f"scene-{seed}-{index:06d}"
    image = f"images/{case_id}.png"
    if index == 0 and kind is None:
        example = seed_example()
        return case_of(example, None, case_id, image, shared=shared), example
    rng = random.Random(f"{seed}/{index}")
    count = rng.randint(*(hard_things if rng.random() < hard else things))
    new = (rng.choice(NEW),) if rng.random() < held_out else ()
    story = build(
        rng,
        kind or draw_kind(rng),
        count,
        sprites="new" if "sprite" in new else "trained",
        combination="combination" in new,
    )
    return case_of(story, rng, case_id, image, new, shared), story


def draw_scenes(
    out: str | Path,
    cases: int,
    seed: int = 0,
    *,
    things: tuple[int, int] = (2, 8),
    hard: float = 0.2,
    hard_things: tuple[int, int] = (9, 12),
    held_out: float = 0.15,
    card: bool = True,
    balance: Balance | None = None,
    shared: bool = False,
) -> Cases:
    """Write ``cases`` scene cases to the folder ``out``: images/*.png, cases.jsonl, README.md (the card).

    ``things`` and ``hard_things``: fewest and most things of ordinary and hard scenes; ``hard``: share of
    hard ones; ``held_out``: share of cases that are new to the embedded model in one of three ways.
    ``balance``: what every function needs on ``test`` and ``select``; further scenes are drawn for them until
    they have that, and every case says its split, those that a study with this seed would give. ``shared``: a
    step that asks again about another thing is worded ``And the horse?``, whatever its function.

    Raises:
        DataError: a number is out of range, or the folder already holds cases.
        StoreError: the disk is full.

    Example:
        >>> import headscope as hs
        >>> cases = hs.draw_scenes("data", 3, seed=1)
        >>> cases[0].question, cases[0].answer
        ('Is the dog facing the horse?', 'true')
        >>> cases.image("scene-1-000000").size
        (192, 192)
    """
    out = Path(out)
    if cases < 1:
        raise DataError(f"asked for {cases} cases; expected at least 1")
    for name, (low, high) in (("things", things), ("hard-things", hard_things)):
        if not 2 <= low <= high <= MOST_THINGS:
            raise DataError(
                f"--{name} {low} {high}: expected two numbers from 2 to {MOST_THINGS}, the smaller first"
            )
    for name, share in (("hard", hard), ("held-out", held_out)):
        if not 0 <= share <= 1:
            raise DataError(f"--{name} {share}: expected a share from 0 to 1")
    if (out / "cases.jsonl").exists():
        raise DataError(f"{out}: already holds cases.jsonl; name another folder or delete this one")

    def draw(index: int, kind: str | None = None, new: float = held_out) -> Case:
        case, story = one_case(
            index,
            seed,
            things=things,
            hard=hard,
            hard_things=hard_things,
            held_out=new,
            kind=kind,
            shared=shared,
        )
        assert story.scene is not None
        Image.fromarray(story.scene.render()).save(out / case.image, compress_level=1)
        return case

    try:
        (out / "images").mkdir(parents=True, exist_ok=True)
        written = [draw(index) for index in track(range(cases), "drawing scenes", unit="cases")]
        if balance is not None:
            written = with_splits(written, seed)
            for split in ("test", "select"):
                wanted = kinds_wanted(balance, written, split)
                for kind in track(wanted, f"drawing scenes for {split}", unit="cases"):
                    written.append(draw(len(written), kind, 0.0).model_copy(update={"split": split}))
    except OSError as exc:
        raise disk_error(out, exc) from exc
    made = save_cases(written, out)
    if card:
        from headscope.data.card import write_card

        write_card(made, out)
    return made


__all__ = ["CHAINS", "case_of", "draw_scenes", "one_case"]
