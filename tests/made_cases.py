"""Small folders of cases for tests, and Hypothesis strategies for arbitrary ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from PIL import Image

from headscope.data.schema import Case
from headscope.errors import UNSEEN


def record(name: str = "a", **changes: Any) -> dict[str, Any]:
    """The design's example, as JSON: is the dog facing the horse? Picture ``images/{name}.png``, 40 x 30."""
    sides = ["left", "right"]
    base: dict[str, Any] = {
        "id": name,
        "image": f"images/{name}.png",
        "width": 40,
        "height": 30,
        "question": "Is the dog facing the horse?",
        "answer": "true",
        "choices": ["true", "false"],
        "kind": "facing",
        "objects": [
            {"id": "dog", "name": "dog", "box": [22, 5, 38, 20], "attributes": {"colour": "brown"}},
            {"id": "horse", "name": "horse", "box": [2, 4.5, 18, 25]},
        ],
        "named": ["dog", "horse"],
        "steps": [
            _step("s1", "What is there?", "a dog, a horse", "object_recognition", [], []),
            _step("s2", "Where is the dog?", "right", "spatial_perception", sides, ["s1"]),
            _step("s3", "Which way does the dog look?", "left", "orientation_perception", sides, ["s1"]),
            _step(
                "s4", "Is left towards the horse?", "yes", "relational_reasoning", ["yes", "no"], ["s2", "s3"]
            ),
        ],
    }
    return base | changes


def _step(
    name: str, question: str, answer: str, function: str, choices: list[str], rests_on: list[str]
) -> dict[str, Any]:
    return {
        "id": name,
        "question": question,
        "answer": answer,
        "function": function,
        "choices": choices,
        "objects": ["dog"],
        "depends_on": rests_on,
    }


def picture(folder: Path, image: str, colour: object = "white", size: tuple[int, int] = (40, 30)) -> Path:
    """Draw a plain picture."""
    path = folder / image
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)  # type: ignore[arg-type]
    return path


def write(folder: Path, *records: Any, draw: bool = True) -> Path:
    """``cases.jsonl`` from records (or raw lines), with a picture of its own for each record's image."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [r if isinstance(r, str) else json.dumps(r) for r in records]
    (folder / "cases.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    for number, one in enumerate(records):
        if draw and isinstance(one, dict) and not (folder / one["image"]).exists():
            picture(folder, one["image"], (number % 256, number // 256, 7))
    return folder


# What a case may hold: half characters, control characters and turns of direction are refused.
letters = st.characters(exclude_categories=["Cs", "Cc"]).filter(lambda c: not UNSEEN.search(c))
words = st.text(letters, min_size=1, max_size=12).filter(lambda t: t.strip())
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def good_cases(draw: st.DrawFn, name: str, images: tuple[str, ...]) -> Case:
    """Any case that breaks no rule, of a 40 x 30 picture."""
    ids = draw(st.lists(words, max_size=3, unique=True))
    objects = [
        {
            "id": i,
            "name": draw(words),
            "box": draw(st.none() | st.tuples(_low, _low, _high, _high)),
            "attributes": draw(
                st.dictionaries(st.text(letters, max_size=4), st.text(letters, max_size=4), max_size=2)
            ),
        }
        for i in ids
    ]
    names = draw(st.lists(words.filter(lambda t: "/" not in t and t != "main"), max_size=3, unique=True))
    steps = []
    for at, step in enumerate(names):
        earlier = draw(st.lists(st.sampled_from(names[:at]), unique=True)) if at else []
        about = draw(st.lists(st.sampled_from(ids), unique=True)) if ids else []
        steps.append({"id": step, "function": "counting", "objects": about, "depends_on": earlier})
        steps[-1] |= draw(_questions())
    return Case.model_validate(
        {
            "id": name,
            "image": draw(st.sampled_from(images)),
            "width": 40,
            "height": 30,
            "kind": draw(st.text(letters, max_size=5)),
            "objects": objects,
            "named": draw(st.lists(st.sampled_from(ids), unique=True)) if ids else [],
            "steps": steps,
            "held_out": draw(st.lists(st.sampled_from(["wording", "sprite"]), unique=True)),
            "source": draw(st.text(letters, max_size=5)),
            "original": draw(st.none() | st.dictionaries(words, json_values, max_size=3)),
            **draw(_questions()),
        }
    )


_low = st.floats(0, 15, exclude_max=True)
_high = st.floats(15, 30)


@st.composite
def _questions(draw: st.DrawFn) -> dict[str, Any]:
    same = lambda t: " ".join(t.casefold().split())  # noqa: E731
    choices = draw(st.just([]) | st.lists(words, min_size=2, max_size=4, unique_by=same))
    return {
        "question": draw(words),
        "answer": draw(st.sampled_from(choices) if choices else words),
        "choices": choices,
        "wording": draw(st.text(letters, max_size=4)),
    }
