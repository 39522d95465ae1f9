"""Training data, packing and the optimizer of the embedded model; a short run that resumes."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from embedded_training.architecture import (
    IMAGE_TOKENS,
    PATCH,
    SIDE,
    build_model,
    build_processor,
    corpus,
    save,
)
from embedded_training.episodes import Mix, episode, plain_scene
from embedded_training.muon import orthogonalise
from embedded_training.packing import DENSE, IGNORE, Packer, dense_labels, pixels_of
from embedded_training.train import main
from headscope.making.scenes.scene import SIDE as SCENE_SIDE
from headscope.models.embedded import weights_folder
from headscope.models.training_facts import training_facts

MIX = Mix(2, 5, captions=0.5, singles=4, relations=3, lessons=2, chains=1.0, mains=1.0, hard=0.3)


@pytest.fixture(scope="module")
def processor():  # type: ignore[no-untyped-def]
    return build_processor()


def test_every_word_of_the_questions_is_one_token(processor) -> None:  # type: ignore[no-untyped-def]
    long = [w for w in corpus() if len(processor.tokenizer(w)["input_ids"]) > 1]
    assert all("-" in w for w in long)  # ding-dong


def test_any_text_survives_the_tokenizer(processor) -> None:  # type: ignore[no-untyped-def]
    text = "Is the Zebra's surfboard 42 cm från the tree?"
    ids = processor.tokenizer(text)["input_ids"]
    assert processor.tokenizer.decode(ids) == text


def test_training_pixels_are_what_the_processor_makes(processor) -> None:  # type: ignore[no-untyped-def]
    from PIL import Image

    scene = plain_scene(random.Random(3), 4)
    theirs = processor.image_processor(images=[Image.fromarray(scene.render())], return_tensors="pt")
    torch.testing.assert_close(pixels_of([scene]), theirs["pixel_values"], atol=1e-5, rtol=0)


def test_packed_blocks_read_like_the_chat_template(processor) -> None:  # type: ignore[no-untyped-def]
    from embedded_training.packing import Packed

    rng = random.Random(5)
    scene, blocks = episode(rng, MIX)
    packer = Packer(processor.tokenizer, 400)
    packed: Packed = packer.pack([(scene, blocks)])
    for number, turns in enumerate(blocks, 1):
        inside = (packed.block[0] == number).nonzero()[:, 0]
        messages = []
        for i, (question, answer, _) in enumerate(turns):
            content = [{"type": "image"}] * (i == 0) + [{"type": "text", "text": question}]
            messages += [
                {"role": "user", "content": content},
                {"role": "assistant", "content": [{"type": "text", "text": answer}]},
            ]
        text = processor.apply_chat_template(messages, tokenize=False)
        wanted = processor.tokenizer(text)["input_ids"][2:]  # after <|user|><image>
        assert packed.ids[0, inside].tolist() == wanted
        said = [a for _, a, _ in turns]
        targets = packed.targets[0, inside]
        spoken = processor.tokenizer.decode(targets[targets != IGNORE]).split("<|end|>")
        assert [s.strip() for s in spoken if s] == said


def test_a_packed_block_gets_the_same_logits_as_alone(processor) -> None:  # type: ignore[no-untyped-def]
    model = build_model(processor.tokenizer).eval()
    scene, blocks = episode(random.Random(8), MIX)
    packer = Packer(processor.tokenizer, 300)
    whole = packer.pack([(scene, blocks)])

    def hidden(packed) -> torch.Tensor:  # type: ignore[no-untyped-def]
        with torch.no_grad():
            return model.model(
                input_ids=packed.ids,
                pixel_values=packed.pixels,
                attention_mask=packed.mask(),
                position_ids=packed.positions,
            ).last_hidden_state[0]

    together = hidden(whole)
    alone = packer.pack([(scene, blocks[-1:])])
    apart = hidden(alone)[alone.block[0] == 1]
    torch.testing.assert_close(together[whole.block[0] == len(blocks)], apart, atol=1e-4, rtol=1e-4)


def test_dense_labels_name_the_thing_that_covers_a_patch() -> None:
    scenes = [plain_scene(random.Random(i), 3) for i in range(20)]
    labels = dense_labels(scenes)
    assert set(labels) == set(DENSE)
    cell = SCENE_SIDE // (SIDE // PATCH)
    for scene, kinds in zip(scenes, labels["kind"], strict=True):
        assert kinds.shape == (IMAGE_TOKENS,)
        for thing in scene.things:
            column, row = thing.x // cell, thing.y // cell
            assert kinds[row * (SIDE // PATCH) + column] != 0  # the patch under a thing's centre is not empty


@pytest.mark.parametrize("shape", [(3, 8, 20), (2, 20, 8), (1, 12, 12)])
def test_orthogonalising_keeps_directions_and_evens_out_singular_values(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    given = torch.from_numpy(rng.normal(size=shape).astype(np.float32))
    found = orthogonalise(given)
    for a, b in zip(given.numpy(), found.numpy(), strict=True):
        u, _, vt = np.linalg.svd(a, full_matrices=False)
        inner = u.T @ b @ vt.T
        assert np.abs(inner - np.diag(np.diag(inner))).max() < 1e-3
        assert 0.5 < np.diag(inner).min() <= np.diag(inner).max() < 1.3


@pytest.mark.slow
def test_a_short_run_learns_resumes_and_leaves_a_plain_checkpoint(tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    words = ["--out", str(tmp_path), "--vision-steps", "6", "--vision-pictures", "4", "--pictures", "4"]
    main([*words, "--steps", "4"])
    main([*words, "--steps", "8"])
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(x["part"], x["step"]) for x in lines] == [("vision", 6), ("language", 4), ("language", 8)]
    assert lines[-1]["loss"] < lines[1]["loss"]
    assert training_facts(tmp_path / "model") == training_facts(weights_folder()), "it states its training"
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "model")
    assert model.dtype == torch.float32
    assert (
        len(AutoProcessor.from_pretrained(tmp_path / "model").tokenizer)
        == model.config.text_config.vocab_size
    )


def test_saving_rounds_weights_to_half_precision_and_no_further(processor, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from transformers import AutoModelForImageTextToText

    model = build_model(processor.tokenizer)
    save(model, processor, tmp_path)
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path).state_dict()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(loaded[name], value.half().float(), atol=0, rtol=0)
