"""DeepStack, features of the picture added between layers at a mask of one row: edits of one prompt share one
forward, and give what the model gives whose weights lack the heads."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from edits.fixtures import picture
from headscope.edits.batched import BatchedEdit
from headscope.edits.edits import Edit, mute
from headscope.engine.decoder import difference
from headscope.engine.replay_trial import logits_under, replay_of
from headscope.engine.shared_prefix import SharedPrefix, read_sharing_prefix, shared_prefix_of
from headscope.engine.trace import run_clean
from headscope.models.answering import tree
from headscope.models.finding import find_geometry
from headscope.models.types import Prompt
from headscope.models.vlm import VLM, load_model
from headscope.models.ways import FAN, REPLAY, failure, ways_of
from models.families import kinds
from models.families.folders import FAMILIES, family_folder
from models.families.test_family_pipeline import item_of

LOWEST, NAN = torch.finfo(torch.float32).min, float("nan")
PROMPT = Prompt(picture(3, 64, 48), "Where is the dog?")


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> VLM:
    """Qwen3-VL with five decoder layers in float64, features added behind the first three."""

    def parts() -> Any:
        made = kinds.qwen3_vl()
        made.config.vision_config.depth = 4
        made.config.vision_config.deepstack_visual_indexes = [0, 1, 2]
        made.config.text_config.num_hidden_layers = 5
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, "qwen3_vl", parts)
        vlm = load_model(family_folder("qwen3_vl", tmp_path_factory.mktemp("deep") / "qwen3"), prove=False)
    vlm.model.double()
    return vlm


def without_columns(vlm: VLM, layer: int, head: int) -> torch.Tensor:
    """Logits at the last position of a model of its own, the head's columns taken out of the projection."""
    twin = copy.deepcopy(vlm.model)
    site = find_geometry(twin).sites[layer]
    with torch.no_grad():
        site.projection.weight[:, site.block(head)] = 0
        logits: torch.Tensor = twin(**vlm.encode([PROMPT]).inputs, use_cache=False).logits[0, -1]
    return logits


def test_the_features_matter(deep: VLM) -> None:
    twin = copy.deepcopy(deep.model)
    twin.model.language_model._deepstack_process = lambda hidden, *_: hidden
    with torch.no_grad():
        gap = twin(**deep.encode([PROMPT]).inputs).logits - deep.model(**deep.encode([PROMPT]).inputs).logits
    assert gap.abs().max() > 1e-2


def test_edits_of_any_layer_share_a_forward(deep: VLM) -> None:
    heads = deep.geometry.heads
    edits = [Edit((h,), mute()) for h in heads]
    found = shared_prefix_of(deep, deep.encode([PROMPT]), item_of(PROMPT), edits, 3)
    assert found == SharedPrefix(trimmed=True, aside=True)
    with BatchedEdit(tuple(edits), one_prompt=True).applied(deep):
        fanned = read_sharing_prefix(deep, deep.encode([PROMPT]), item_of(PROMPT), len(edits), 3, found)
    wanted = torch.stack([without_columns(deep, h.layer, h.head) for h in heads])
    torch.testing.assert_close(fanned.logits, wanted, rtol=1e-9, atol=1e-9)
    assert ways_of(deep)[f"{FAN}, scope all"] == ""


@pytest.mark.parametrize("scope", ["all", "last", "answer"])
def test_the_scan_replays_them(deep: VLM, scope: str) -> None:
    encoded = deep.encode([PROMPT])
    engine = replay_of(deep, encoded, scope)
    assert not engine.refusal
    assert engine.sharing is not None
    edits = [Edit((h,), mute(), scope) for h in deep.geometry.heads]
    found = logits_under(deep, run_clean(deep, encoded, engine.trimmed), edits, engine, 2**28)
    with torch.no_grad(), deep.reading(encoded):
        for one, row in zip(edits, found, strict=True):
            with one.applied(deep):
                wanted = deep.model(**encoded.inputs, use_cache=False).logits[0, -1]
            torch.testing.assert_close(row, wanted, rtol=1e-9, atol=1e-9)
    assert ways_of(deep)[f"{REPLAY}, scope {scope}"] == ""


def test_choices_stand_in_one_row(deep: VLM) -> None:
    assert tree._tried(deep).refusal == ""


def test_what_multiplies_between_layers_is_read_on_whole_runs_and_said_once(
    deep: VLM, caplog: pytest.LogCaptureFixture
) -> None:
    odd = copy.copy(deep)
    odd.model = copy.deepcopy(deep.model)
    odd.geometry = find_geometry(odd.model)

    def process(hidden: torch.Tensor, mask: torch.Tensor, _features: torch.Tensor) -> torch.Tensor:
        hidden = hidden.clone()
        hidden[mask, :] = hidden[mask, :] * 1.5
        return hidden

    odd.model.model.language_model._deepstack_process = process
    edits = [Edit((h,), mute()) for h in odd.geometry.heads]
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            found = shared_prefix_of(odd, odd.encode([PROMPT]), item_of(PROMPT), edits, 3)
    assert found.refusal.startswith("logits differ from those of whole runs by")
    assert caplog.text.count("whole runs instead of edits of one prompt in one forward, scope all") == 1
    assert ways_of(odd)[f"{FAN}, scope all"] == found.refusal


def test_a_foreign_error_is_named_as_the_models() -> None:
    assert failure(IndexError("mask [1, 9]\nat 0")) == "the model raised IndexError: mask [1, 9]"


def test_edits_of_a_vision_tower_do_not_decide_for_those_of_the_decoder(tiny_llava_folder: Path) -> None:
    vlm = load_model(tiny_llava_folder, prove=False, towers=("vision", "decoder"))
    encoded, item = vlm.encode([PROMPT]), item_of(PROMPT)
    tower = [Edit((h,), mute()) for h in vlm.geometry.heads if h.tower == "vision"]
    own = [Edit((h,), mute()) for h in vlm.geometry.heads if h.tower == "decoder"]
    assert shared_prefix_of(vlm, encoded, item, tower, 2).refusal == "heads of a vision tower are edited"
    assert not shared_prefix_of(vlm, encoded, item, own, 2).refusal


@pytest.mark.parametrize(
    ("found", "wanted", "gap"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 2.1], [1.0, 2.0], 0.05),
        ([1.0, LOWEST], [2.0, LOWEST], 0.5),  # a ban is no value that others are measured by
        ([1.0, 0.0], [1.0, LOWEST], float("inf")),
        ([NAN, 2.0], [1.0, 2.0], float("inf")),
        ([NAN, 2.0], [NAN, 2.0], float("inf")),
        ([LOWEST], [-float("inf")], float("inf")),
        ([1.0], [1.0, 2.0], float("inf")),
    ],
)
def test_a_difference_is_relative_to_values_that_mean_something(
    found: list[float], wanted: list[float], gap: float
) -> None:
    assert difference(torch.tensor(found), torch.tensor(wanted)) == pytest.approx(gap, rel=1e-5)
