"""What holds of the survey as a whole: families, determinism, size, variety, and the published document."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from family_survey.build import family_names
from family_survey.document import document
from family_survey.plans import tiny_config, tiny_inputs, tiny_model
from family_survey.recipes import Unbuildable, known_recipes
from family_survey.shrink import variety
from headscope.models.finding import find_geometry
from headscope.models.releases import tried
from headscope.models.survey import load

FAMILIES = family_names()

DOCUMENT = Path(__file__).parents[3] / "docs" / "families.md"


def test_every_class_that_transformers_maps_has_one_row() -> None:
    rows = {row.family: (row.status, row.reason) for row in load()}
    assert len(rows) == len(load())
    found = tried().found(transformers.__version__, rows)
    assert set(found) == set(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES) == set(FAMILIES)
    for row in load():
        assert row.class_name == MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.get(row.family, row.class_name)
        assert row.status == "PROVED" or row.reason


def test_every_recipe_belongs_to_a_family() -> None:
    assert not set(known_recipes()) - {row.family for row in load()}


def test_at_least_ninety_families_are_proved_or_partly() -> None:
    held = [row for row in load() if row.status in ("PROVED", "PARTLY")]
    assert len(held) >= 90
    for row in held:
        for step in ("hooks", "blocks", "sum", "edit", "restored"):
            assert isinstance(row.proofs[step], float), (row.family, step)


def test_the_document_is_the_one_that_the_results_give() -> None:
    assert DOCUMENT.read_text("utf-8") == document(load(), tried()), "run: python tools/families.py --docs"


def test_an_unknown_family_is_refused_by_name() -> None:
    with pytest.raises(Unbuildable, match="'nosuch'"):
        tiny_config("nosuch")


@pytest.mark.parametrize("family", ["llava", "mllama", "qwen3_5"])
def test_a_model_and_its_inputs_are_the_same_for_the_same_seed(family: str) -> None:
    one, same, other = tiny_model(family), tiny_model(family), tiny_model(family, seed=1)
    weights = [torch.cat([p.flatten() for p in m.parameters()]) for m in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    inputs = [tiny_inputs(family, one, seed=s) for s in (0, 0, 1)]
    assert all(torch.equal(inputs[0][k], inputs[1][k]) for k in inputs[0])
    assert any(not torch.equal(inputs[0][k], inputs[2][k]) for k in inputs[0])
    assert not one.training
    assert weights[0].dtype == torch.float32
    assert len(weights[0]) < 3_000_000


def test_a_batch_is_padded_on_the_left_and_holds_the_items_alone() -> None:
    model = tiny_model("qwen2_vl")
    batch = tiny_inputs("qwen2_vl", model, items=2)
    for number in range(2):
        alone = tiny_inputs("qwen2_vl", model, first=number)["input_ids"][0]
        row, mask = batch["input_ids"][number], batch["attention_mask"][number]
        assert torch.equal(row[-len(alone) :], alone)
        assert mask.tolist() == [0] * (len(row) - len(alone)) + [1] * len(alone)


@pytest.mark.parametrize(
    ("family", "shapes"),
    [
        ("gemma4", {(4, 16), (4, 32)}),
        ("dots3_note", {(4, 12), (6, 10)}),
        ("inkling_mm_model", {(6, 12), (4, 16)}),
        ("step3p7", {(4, 16), (6, 16)}),
        ("llava", {(4, 16)}),
    ],
)
def test_layers_differ_in_the_tiny_model_as_they_do_in_the_family(family: str, shapes: set) -> None:
    model = tiny_model(family)
    assert {(s.n_heads, s.head_dim) for s in find_geometry(model).sites} == shapes


@pytest.mark.parametrize("family", ["mllama", "idefics", "florence2", "blip"])
def test_cross_attention_is_kept(family: str) -> None:
    assert {s.site for s in find_geometry(tiny_model(family)).sites} == {"self", "cross"}


@pytest.mark.parametrize("family", ["qwen3_5", "lfm2_vl", "nemotron_h_omni", "glm5_next"])
def test_layers_without_heads_are_kept(family: str) -> None:
    assert find_geometry(tiny_model(family)).left_out


def test_variety_keeps_every_value() -> None:
    assert variety(["a"] * 9 + ["b"], 4) == ["a", "b", "a", "b"]
    assert variety(["a", "b", "c", "a"], 3) == ["a", "b", "c"]
