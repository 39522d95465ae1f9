"""docs/errors.md: every symptom that it names is what a user sees, and no other is tested."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

import headscope as hs
from headscope.cli.app import app
from headscope.hub.pull import pull_atlas
from headscope.models.embedded import atlas_file
from headscope.models.vlm import VLM

PAGE = Path(__file__).parent.parent / "docs" / "errors.md"


def symptoms() -> list[str]:
    """The first cells of the page's tables, without their quotes."""
    rows = re.findall(r"^\| (`+ ?)(.+?)( ?`+) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    return [text for _, text, _ in rows]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("errors")
    Image.new("RGB", (96, 96), "white").save(folder / "a.png")
    (folder / "bad").mkdir()
    (folder / "bad" / "cases.jsonl").write_text('{"id": "a"}\n', "utf-8")
    cases = hs.draw_scenes(folder / "scenes", 12, seed=1)
    hs.Study.create(folder / "study", model="embedded", data=cases, size="quick")
    return folder


def _ask_missing(place: Path) -> None:
    command = ["ask", "--model", "embedded", "--image", str(place / "missing.png"), "Where?"]
    found = CliRunner().invoke(app, command)
    assert found.exception is not None
    raise found.exception


def _edited(place: Path) -> hs.Atlas:
    path = place / "atlas.json"
    hs.Atlas.load(atlas_file()).save(path)
    text = path.read_text("utf-8")
    path.write_text(text.replace('"counting"', '"caunting"', 1), "utf-8")
    return hs.Atlas.load(path)


def _made_again(place: Path, **other: object) -> object:
    return hs.Study.create(place / "study", model="embedded", data=hs.load_cases(place / "scenes"), **other)


Act = Callable[[Path, VLM], object]
ACTS: dict[str, Act] = {
    "unknown model 'nowhere'": lambda p, v: hs.load_model("nowhere"),
    "is not in the hub's cache, and HF_HUB_OFFLINE forbids to fetch it": lambda p, v: hs.load_model(
        "org/name"
    ),
    "device 'cuda' is not available": lambda p, v: hs.load_model("embedded", device="cuda"),
    "found the one text 'left', expected several": lambda p, v: v.answer(
        Image.open(p / "a.png"), "Where?", choices="left"
    ),
    "this model has no head": lambda p, v: hs.edit(v, "L99H0", hs.mute()).__enter__(),
    "unreadable picture, found 'missing.png'": lambda p, v: _ask_missing(p),
    "is empty; expected x0 < x1 and y0 < y1": lambda p, v: hs.point(
        "both", Image.open(p / "a.png"), (50, 50, 10, 10)
    ),
    "reaches outside the picture": lambda p, v: hs.point("both", Image.open(p / "a.png"), (50, 50, 300, 90)),
    "no cases, found no such file": lambda p, v: hs.load_cases(p / "nowhere"),
    "faults; `headscope data validate": lambda p, v: hs.load_cases(p / "bad"),
    "the network is switched off (HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set)": lambda p, v: pull_atlas(
        "my-lab/atlas", p / "a.json"
    ),
    "expected NAME/REPO, as in my-lab/atlas-qwen": lambda p, v: pull_atlas("atlas", p / "a.json"),
    "holds no study (study.json is not there)": lambda p, v: hs.Study(p / "scenes"),
    "holds a study with size 'quick', asked for 'full'": lambda p, v: _made_again(p, size="full"),
    "asked for option 'drws'; there are:": lambda p, v: hs.Study.create(
        p / "other", model="embedded", data=hs.load_cases(p / "scenes"), settings={"ablate": {"drws": 3}}
    ),
    "not found; run the stage that writes it first": lambda p, v: hs.Atlas.load(p / "study" / "atlas.json"),
    "was changed since it was written (its checksum does not hold)": lambda p, v: _edited(p),
    "asked for heads of 'spatial'; this atlas holds": lambda p, v: hs.Atlas.load(atlas_file()).top(
        "spatial", 3
    ),
    "which this atlas does not hold; it holds": lambda p, v: hs.Atlas.load(atlas_file()).top(
        "counting", 3, by="patching"
    ),
}  # fmt: skip


def test_every_symptom_of_the_page_is_tried_and_no_other() -> None:
    assert symptoms() == list(ACTS)


@pytest.mark.parametrize("symptom", ACTS)
def test_the_symptom_is_what_a_user_sees(symptom: str, place: Path, tiny: VLM) -> None:
    import torch

    if "cuda" in symptom and torch.cuda.is_available():
        pytest.skip("a card is there")
    with pytest.raises(hs.HeadscopeError) as seen:
        ACTS[symptom](place, tiny)
    assert symptom in str(seen.value).replace(f"'{place}/missing.png'", "'missing.png'")
