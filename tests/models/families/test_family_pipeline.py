"""Real processors of many families, from checkpoint folder to parsed answer: chat template, pictures of
several sizes, a left-padded batch, generation, choices, parsing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from headscope.asking.ask import ask
from headscope.asking.items import Item
from headscope.data.schema import Case, Step
from headscope.errors import ModelError
from headscope.models.answers import parse_answer
from headscope.models.types import Prompt
from headscope.models.vlm import VLM, load_model
from models.families.folders import family_folder, skip_unless_readable
from models.families.kinds_torchvision import TORCHVISION_ONLY
from models.families.uncached import choice_logprobs

FAMILIES = (
    "llava", "llava_next", "llava_onevision", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "idefics3", "smolvlm",
    "internvl", "gemma3", "paligemma", "mllama",
)  # fmt: skip
# Families whose pictures cannot stand in one batch: their numbers of tiles must be equal; an index picks
# blocks of positions counted from the padded start.
ALONE = ("perception_lm", "minimax_m3_vl")
# Beyond those asked for: hybrids with linear attention, mixtures of experts, other layouts of pictures.
MORE = (
    "qwen3_5", "qwen3_5_moe", "qwen3_vl_moe", "qwen4_exp", "exaone4_5", "lfm3_vl", "hyperclovax_vision_v2",
    "glm4v", "glm4v_moe", "glm46v", "glm_ocr", "cohere_compass", "cosmos3_edge", "ernie4_5_vl_moe",
    "paddleocr_vl", "video_llama_3", "aya_vision", "qianfan_ocr", "gemma4", "lighton_ocr", "vipllava",
    "llava_next_video", "deepseek_vl", "janus", "mistral3",
    *(f for f in TORCHVISION_ONLY if f not in ALONE),
)  # fmt: skip
PLACES = ("top", "top left", "bottom right", "left")
HISTORY = (("How many sheep are there?", "two"), ("Is the dog facing the horse?", "yes"))
QUESTION = "Where in the picture is the red car?"


def picture(seed: int, size: tuple[int, int]) -> Image.Image:
    """Noise."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8))


PROMPTS = [
    Prompt(picture(0, (120, 70)), QUESTION, HISTORY),
    Prompt(picture(1, (64, 130)), "Where?"),
    Prompt(picture(2, (100, 100)), "Which thing is nearer to the tree?", HISTORY[:1]),
]


def item_of(prompt: Prompt) -> Item:
    """A question about a place, its history given by the prompt itself."""
    step = Step(
        id="s", question=prompt.question, answer="left", function="spatial_perception", choices=PLACES
    )
    width, height = prompt.image.size
    case = Case(
        id="c", image="c.png", width=width, height=height, question="Where?", answer="left", steps=(step,)
    )
    return Item("c/s/alone", case, step, "alone")


@pytest.fixture(scope="session")
def family_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Loaded and proved models, each made once; float64 where the family can."""

    @cache
    def made(name: str) -> VLM:
        skip_unless_readable(name)
        if name == "llama4" and transformers.__version__.startswith("5.24."):
            pytest.skip("Llama 4 of transformers 5.24 ends in an error of its own (image_outputs)")
        vlm = load_model(family_folder(name, tmp_path_factory.mktemp("families") / name))
        if name in FAMILIES:
            vlm.model.double()
        return vlm

    return made


@pytest.fixture(params=[*FAMILIES, *(pytest.param(f, marks=pytest.mark.slow) for f in MORE)])
def vlm(request: pytest.FixtureRequest, family_of: Any) -> VLM:
    loaded: VLM = family_of(request.param)
    return loaded


def tolerance(vlm: VLM) -> float:
    """How far two ways to the same number may part: rounding of float64, or of float32."""
    return 1e-8 if vlm.dtype == torch.float64 else 1e-5


@contextmanager
def saying(vlm: VLM, answer: str) -> Iterator[None]:
    """Make the model say an answer and end it, whatever it is asked."""
    script = [*vlm.encode_answers([answer])[0], vlm.end_ids[0]]
    head = vlm.model.get_output_embeddings() or vlm.model.language_model.get_output_embeddings()
    step = iter(range(99))

    def speak(_module: Any, _args: Any, logits: torch.Tensor) -> torch.Tensor:
        logits = logits.clone()
        logits[:, -1, script[min(next(step), len(script) - 1)]] += 1e4
        return logits

    handle = head.register_forward_hook(speak)
    try:
        yield
    finally:
        handle.remove()


def test_the_heads_are_proved_at_load(vlm: VLM) -> None:
    assert vlm.proof is not None
    assert vlm.proof.figure("sum") < 1e-4


def test_the_prompt_holds_the_picture_once_all_turns_in_order_and_ends_where_the_answer_begins(
    vlm: VLM,
) -> None:
    text = vlm.template.render(PROMPTS[0])
    assert text.count(vlm.template.image_token) == 1
    turns = [part for turn in HISTORY for part in turn]
    places = [text.index(part) for part in (vlm.template.image_token, turns[0], turns[1], turns[2], QUESTION)]
    assert places == sorted(places)
    assert text.endswith(QUESTION + vlm.template.tail)
    assert not vlm.template.tail.endswith("<think>\n")


def test_spans_are_the_image_tokens_and_the_last_question(vlm: VLM) -> None:
    encoded = vlm.encode(PROMPTS)
    ids = encoded.inputs["input_ids"]
    assert (encoded.inputs["attention_mask"] == 0).any(), "the batch should be padded"
    assert (encoded.inputs["attention_mask"][:, -1] == 1).all()
    for i, prompt in enumerate(PROMPTS):
        assert vlm.tokenizer.decode(ids[i][encoded.question[i]]).strip() == prompt.question
        assert (ids[i][encoded.image[i]] == vlm.image_token_id).all()
        assert torch.nonzero(encoded.image[i]).max() < torch.nonzero(encoded.question[i]).min()
        grid = encoded.grids[i]
        assert (grid.boxes is None) == (vlm.family == "mllama")
        if grid.boxes is None:
            assert "cross-attention" in grid.reason
    assert "labels" not in encoded.inputs


def test_an_item_of_a_left_padded_batch_answers_as_it_does_alone(vlm: VLM) -> None:
    items = [item_of(p) for p in PROMPTS]
    together = ask(vlm, vlm.encode(PROMPTS), items, max_new_tokens=5)
    for i, prompt in enumerate(PROMPTS):
        alone = ask(vlm, vlm.encode([prompt]), [items[i]], max_new_tokens=5)
        assert together.tokens[i] == alone.tokens[0]
        assert together.logits is not None
        assert alone.logits is not None
        assert torch.allclose(together.logits[i], alone.logits[0], rtol=0, atol=tolerance(vlm))
        assert together.logprobs[i] == pytest.approx(alone.logprobs[0], abs=tolerance(vlm))


def test_choices_score_as_in_whole_uncached_forwards(vlm: VLM) -> None:
    prompt = PROMPTS[0]
    outcome = ask(vlm, vlm.encode(PROMPTS), [item_of(p) for p in PROMPTS], max_new_tokens=2)
    assert outcome.logprobs[0] == pytest.approx(choice_logprobs(vlm, prompt, PLACES), abs=tolerance(vlm))


@pytest.mark.parametrize("answer", ["top left", "left"])
def test_what_the_model_says_is_generated_decoded_and_parsed(vlm: VLM, answer: str) -> None:
    with saying(vlm, answer):
        said = vlm.answer(PROMPTS[0].image, QUESTION, HISTORY, PLACES)
    assert said.text == answer
    assert said.parsed == answer == parse_answer(said.text, PLACES)
    assert set(said.logprobs) == set(PLACES)


def test_the_picture_matters(vlm: VLM) -> None:
    """Logits depend on the picture: no projector or gate of the small models is dead."""
    asked = [Prompt(picture(seed, (100, 80)), QUESTION) for seed in (5, 6)]
    outcome = ask(vlm, vlm.encode(asked), [item_of(p) for p in asked], max_new_tokens=1)
    assert outcome.logits is not None
    assert (outcome.logits[0] - outcome.logits[1]).abs().max() > 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("family", ALONE)
def test_where_pictures_cannot_stand_in_one_batch_they_are_asked_one_by_one(
    family: str, family_of: Any
) -> None:
    vlm: VLM = family_of(family)
    with pytest.raises(ModelError, match=r"batch size 1"):
        vlm.encode(PROMPTS)
    for prompt in PROMPTS:
        encoded = vlm.encode([prompt])
        ids = encoded.inputs["input_ids"][0]
        assert vlm.tokenizer.decode(ids[encoded.question[0]]).strip() == prompt.question
        outcome = ask(vlm, encoded, [item_of(prompt)], max_new_tokens=2)
        wanted = choice_logprobs(vlm, prompt, PLACES)
        assert outcome.logprobs[0] == pytest.approx(wanted, abs=tolerance(vlm))
    with saying(vlm, "top left"):
        assert vlm.answer(PROMPTS[0].image, QUESTION, HISTORY, PLACES).parsed == "top left"
