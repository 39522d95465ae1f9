"""The model that ships: an ordinary checkpoint, small, and able to do what its card says."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from headscope.asking.ask import ask
from headscope.asking.batches import encode_batches
from headscope.asking.items import make_items
from headscope.data.cases import Cases
from headscope.functions import DEFAULT
from headscope.making.scenes.chains import seed_example
from headscope.making.scenes.generate import case_of, draw_scenes
from headscope.models.embedded import atlas_file, weights_folder
from headscope.models.vlm import VLM, load_model
from headscope.probing.atlas import Atlas
from headscope.storage import read_json


@pytest.fixture(scope="module")
def embedded() -> VLM:
    return load_model("embedded")


def test_it_loads_with_plain_transformers_and_is_small() -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(weights_folder())
    processor = AutoProcessor.from_pretrained(weights_folder())
    assert type(model).__name__ == "LlavaForConditionalGeneration"
    assert processor.tokenizer.padding_side == "left"
    assert sum(p.stat().st_size for p in weights_folder().glob("*.safetensors")) <= 25e6


def test_its_geometry_is_proved_at_load(embedded: VLM) -> None:
    assert embedded.proof is not None
    assert len(embedded.geometry.heads) >= 64
    site = embedded.geometry.sites[0]
    assert site.head_dim != embedded.config.text_config.hidden_size // site.n_heads


def test_the_atlas_beside_it_was_made_on_these_very_weights(embedded: VLM) -> None:
    atlas = Atlas.load(atlas_file())
    assert atlas.provenance.revision == embedded.revision
    assert len(atlas.top("spatial_perception", 4)) == 4


def test_the_evaluation_beside_it_was_made_on_these_very_weights(embedded: VLM) -> None:
    assert read_json(weights_folder() / "evaluation.json")["revision"] == embedded.revision


def test_it_walks_through_the_explaining_example(embedded: VLM) -> None:
    from PIL import Image

    story = seed_example()
    assert story.scene is not None
    case = case_of(story, None, "example", "example.png")
    picture = Image.fromarray(story.scene.render())
    history: list[tuple[str, str]] = []
    for step in case.steps:
        assert embedded.answer(picture, step.question, history, step.choices).parsed == step.answer, step
        history.append((step.question, step.answer))
    assert embedded.answer(picture, case.question, history, case.choices).parsed == case.answer


@pytest.mark.slow
def test_on_fresh_scenes_it_answers_about_as_its_card_says(embedded: VLM, tmp_path: Path) -> None:
    cases: Cases = draw_scenes(tmp_path, 120, seed=977, things=(2, 3), hard=0.0, held_out=0.0, card=False)
    items = make_items(cases, DEFAULT, ("gold",))
    right: dict[str, list[bool]] = defaultdict(list)
    for encoded, asked in encode_batches(embedded, items, lambda i: cases.image(i.case), 64):
        for row in ask(embedded, encoded, asked).rows:
            right[row["function"]].append(row["correct"])
    card = read_json(weights_folder() / "evaluation.json")["two_or_three_things"]["gold"]
    for function, found in right.items():
        expected, n = card[function]["value"], len(found)
        noise = 4 * (max(expected * (1 - expected), 0.02) * (1 / n + 1 / card[function]["n"])) ** 0.5
        assert abs(sum(found) / n - expected) < noise, function
