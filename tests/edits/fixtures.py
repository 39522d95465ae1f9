"""Models and prompts that the tests of edits share."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from headscope.data.cases import Cases, save_cases
from headscope.data.schema import Case, Object, Step
from headscope.experiments.context import ExperimentContext
from headscope.models.types import Prompt


@pytest.fixture
def llava(tiny: Any) -> Any:
    return tiny


@pytest.fixture(params=["tiny", "tiny_qwen"])
def vlm(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def picture(seed: int, width: int = 32, height: int = 24) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture(scope="session")
def prompts() -> list[Prompt]:
    """Three prompts of different lengths, one with history, so that batches are padded."""
    return [
        Prompt(picture(0), "Is the dog facing the horse?"),
        Prompt(picture(1), "Where?"),
        Prompt(picture(2, 24, 32), "Which way does the cat look?", (("How many sheep are there?", "two"),)),
    ]


def make_case(number: int) -> Case:
    """A case of three steps and a main question; answers vary with the number."""
    side, colour = ("left", "right")[number % 2], ("red", "blue", "green")[number % 3]
    steps = (
        Step(
            id="s1",
            question="Where is the dog?",
            answer=side,
            function="spatial_perception",
            choices=("left", "right", "top left"),
            wording="where-1",
        ),
        Step(
            id="s2",
            question="What colour is the car?",
            answer=colour,
            function="attribute_perception",
            choices=("red", "blue", "green"),
            depends_on=("s1",),
            wording="colour-1",
        ),
        Step(
            id="s3",
            question="How many sheep are there?",
            answer=str(number % 3),
            function="counting",
            wording="count-1",
        ),
    )
    return Case(
        id=f"c{number:02d}",
        image=f"images/c{number:02d}.png",
        width=32,
        height=24,
        question="Is the dog facing the horse?",
        answer=("yes", "no")[number % 2],
        choices=("yes", "no"),
        kind="facing",
        objects=(Object(id="o1", name="dog", box=(1, 1, 9, 9)),),
        named=("o1",),
        steps=steps,
    )


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Cases:
    folder = tmp_path_factory.mktemp("cases")
    (folder / "images").mkdir()
    made = [make_case(i) for i in range(16)]
    for i, case in enumerate(made):
        picture(i).save(folder / case.image)
    save_cases(Cases(folder, made), folder)
    return Cases(folder, made)


@pytest.fixture(scope="session")
def splits(cases: Cases) -> dict[str, str]:
    return {c.id: ("fit", "select", "test", "test")[i % 4] for i, c in enumerate(cases)}


FUNCTIONS = ("spatial_perception", "attribute_perception", "counting")


def make_atlas(vlm: Any) -> Any:
    """Two rankings with seeded scores; all that the experiments ask of an atlas."""
    rng = np.random.default_rng(0)
    n = len(vlm.geometry.heads)
    rankings = {r: {f: rng.normal(size=n).tolist() for f in FUNCTIONS} for r in ("joint", "independent")}
    return SimpleNamespace(rankings={**rankings, "causal": None}, default_ranking="joint")


@pytest.fixture
def atlas(llava: Any) -> Any:
    return make_atlas(llava)


@pytest.fixture
def context(llava: Any, cases: Cases, splits: dict[str, str], tmp_path: Path) -> ExperimentContext:
    """The model, the cases and a folder: what experiments are given."""
    return ExperimentContext(llava, cases, splits, tmp_path)
