"""Training-only questions, answered again from their text alone by an oracle that knows the scene."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from embedded_training.lesson_wordings import WORDINGS
from embedded_training.lessons import CLEAR, GRAIN, SORTS, lesson, wordings
from headscope.making.scenes.chains import build
from headscope.making.scenes.kinds import KINDS
from headscope.making.scenes.scene import Scene, Thing
from headscope.making.scenes.wordings import MAIN, STEPS

SCENES = [
    ("sign", 4),
    ("facing", 3),
    ("count_side", 4),
    ("same_way", 2),
    ("nearer", 4),
    ("coloured", 4),
    ("size", 4),
]


def taught() -> list[tuple[Scene, str, str, str]]:
    rng = random.Random(11)
    found = []
    for i in range(1500):
        kind, count = SCENES[i % len(SCENES)]
        scene = build(rng, kind, count).scene
        assert scene is not None
        turn = lesson(rng, scene, [t for t in scene.things if scene.count(t.kind) == 1])
        if turn:
            found.append((scene, turn[0], turn[1], turn[2].removeprefix("lesson/")))
    return found


TAUGHT = taught()


def mentioned(scene: Scene, text: str) -> list[Thing]:
    """Unique things by name, in the order of the text (twice where named twice)."""
    by_kind = {t.kind: t for t in scene.things if scene.count(t.kind) == 1}
    return [by_kind[w] for w in re.findall(r"[a-z-]+", text.lower()) if w in by_kind]


def fields(text: str, sort: str, scene: Scene) -> dict[str, Thing | str]:
    """The fields of the wording that the text was made from."""
    for wording in wordings(sort):
        pattern = re.escape(wording[0].lower() + wording[1:])
        seen: set[str] = set()

        def group(match: re.Match[str], seen: set[str] = seen) -> str:
            name = match[1]
            if name in seen:
                return f"(?P={name})"
            seen.add(name)
            return f"(?P<{name}>left of|right of|left|right|higher|lower|the [a-z-]+|[a-z-]+)"

        matched = re.fullmatch(re.sub(r"\\\{(\w+)\\\}", group, pattern), text[0].lower() + text[1:])
        if matched:
            things = {t.kind: t for t in scene.things if scene.count(t.kind) == 1}
            found = matched.groupdict()
            named = {k: things.get(v.removeprefix("the "), v) for k, v in found.items()}
            return named | {k: v for k, v in found.items() if k in ("plural", "kind")}
    raise AssertionError(f"{text!r} is no wording of {sort}")


def oracle(scene: Scene, sort: str, f: dict) -> str:  # type: ignore[type-arg]
    """The answer from places, facings and letters alone."""
    x, y, z, way = f.get("x"), f.get("y"), f.get("z"), f.get("way")
    across = {"left": -1, "right": 1}
    if sort in ("other_kind", "second_kind"):
        named = [t for t in scene.things if t.kind == f["kind"]]
        named.sort(key=lambda t: (t.y // 64, t.x // 64, t.x))
        if sort == "other_kind":
            named = [named[0], *(t for t in named if t.colour != f["colour"])]
        return named[1].colour if len(named) > 1 else "no"
    if sort in ("list_kind", "count_kind"):
        named = [t for t in scene.things if KINDS[t.kind].plural == f["plural"]]
        if sort == "count_kind":
            return str(len(named))
        return ", ".join(t.colour for t in sorted(named, key=lambda t: (t.y // 64, t.x // 64, t.x)))
    if sort in ("ways", "count_look", "share_way"):
        if sort == "share_way":
            return "yes" if x.facing == y.facing else "no"
        return f"{x.facing} {y.facing}" if sort == "ways" else str([x.facing, y.facing].count(way))
    if sort in ("look_and_way", "count_facing", "towards"):
        there = "left" if y.x < x.x else "right"
        if sort == "towards":
            return "yes" if there == x.facing else "no"
        return f"{x.facing} {there}" if sort == "look_and_way" else str([x.facing, there].count(way))
    if sort == "distance":
        return str(int(abs(complex(x.x - y.x, x.y - y.y)) // GRAIN))
    if sort in ("nearer", "nearest"):
        near = abs(complex(x.x - z.x, x.y - z.y)) < abs(complex(y.x - z.x, y.y - z.y))
        return ("yes" if near else "no") if sort == "nearer" else (x if near else y).kind
    if sort in ("list_side", "count_side"):
        side = across[f["side"].split()[0]]
        there = [t for t in scene.things if t is not x and (t.x - x.x) * side > 0]
        if sort == "count_side":
            return str(len(there))
        return ", ".join(t.kind for t in sorted(there, key=lambda t: (t.y // 64, t.x // 64, t.x))) or "0"
    if sort in ("which_sign", "sign_letter", "two_signs"):
        signs = sorted((t for t in scene.things if t.kind == "sign"), key=lambda t: t.x * across[way])
        return str(signs[-1].letter) if sort == "sign_letter" else signs[-1].colour
    if sort == "share_side":
        return "yes" if (x.x < 96) == (y.x < 96) else "no"
    ahead = (
        (y.x - x.x) * across[way] > 0 if way in across else (y.y - x.y) * {"higher": -1, "lower": 1}[way] > 0
    )
    if sort == "lead":
        return "yes" if ahead else "no"
    return ((y if ahead else x).kind) if sort in ("further", "higher") else ("no" if ahead else "yes")


def test_every_sort_of_lesson_is_asked() -> None:
    assert {sort for *_, sort in TAUGHT} == set(SORTS) == set(WORDINGS)


@pytest.mark.parametrize("sort", list(SORTS))
def test_every_lesson_is_answered_as_the_scene_says(sort: str) -> None:
    turns = [(s, q, a) for s, q, a, name in TAUGHT if name == sort]
    assert turns
    for scene, question, answer in turns:
        assert oracle(scene, sort, fields(question, sort, scene)) == answer, question


def test_counted_and_listed_things_stand_clear_of_the_line() -> None:
    for scene, question, _, sort in TAUGHT:
        if sort in ("list_side", "count_side"):
            (x,) = mentioned(scene, question)
            assert all(abs(t.x - x.x) >= CLEAR for t in scene.things if t is not x)


def test_yes_and_no_come_about_equally_often() -> None:
    counts = Counter(a for _, _, a, sort in TAUGHT if a in ("yes", "no") and not sort.endswith("_kind"))
    assert 0.4 < counts["yes"] / counts.total() < 0.6


def test_no_lesson_uses_a_wording_that_is_kept_for_test() -> None:
    kept = {words[-1].lower() for table in (STEPS, MAIN) for words in table.values()}
    assert not kept & {w.lower() for sort in WORDINGS for w in wordings(sort)}


def test_no_lesson_reads_like_a_main_question() -> None:
    rng = random.Random(4)
    mains = set()
    for kind in MAIN:
        for count in (2, 3, 4):
            for _ in range(40):
                story = build(rng, kind, count)
                mains |= {story.main(w).lower() for w in range(len(MAIN[kind]))}
    forms = {re.sub(r"the [a-z-]+", "the thing", m) for m in mains}
    yes_no = {re.sub(r"the [a-z-]+", "the thing", q.lower()) for _, q, a, _ in TAUGHT if a in ("yes", "no")}
    assert yes_no
    assert not yes_no & forms
