"""Builds a planted model: an ordinary LLaVA-class checkpoint folder with ``truth.json`` beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headscope.storage import write_json
from headscope.validation.planted.glyphs import (
    CELLS,
    COLOUR_AT,
    COLOURS,
    COUNTS,
    FACING_AT,
    KIND_AT,
    PATCH,
    PRESENT_AT,
    SIDE,
    SQUARE,
    square_of,
)
from headscope.validation.planted.heads import COUNTED, WIDTH, bystander, planted_head
from headscope.validation.planted.plan import HEADS, LAYERS, Plan, make_plan
from headscope.validation.planted.questions import (
    ANSWERS,
    COUNT,
    FUNCTIONS,
    KNOWLEDGE,
    PICTURED,
    RELATION,
    answer_words,
    last_words,
)
from headscope.validation.planted.stream import CONSTANT, WORDS, Stream
from headscope.validation.planted.words import TEMPLATE, make_tokenizer, token_of, vocabulary

Floats = NDArray[np.float64]
VISION, UNITS = 32, 96  # width of the vision tower; hidden units of a decoder layer
THETA = 1e30  # see heads.SLOW
CURVE = 1.0  # how much a wrong count costs
SHARP = 40.0  # how sharply the last layer's units open
LOUD, BASE, END, NEVER = 6.0, 4.0, 16.0, -6.0  # logits: true answer, asked answers, end, words never said
GUESS = 0.5  # spread of the logits by which the question's words alone favour an answer
_OTHERS = 50.0  # typical squared norm of a token beside its constant


def build_planted(folder: str | Path, level: str = "plain", seed: int = 0) -> Path:
    """Write a planted model and its truth; equal level and seed give equal weights.

    Returns:
        The folder, for :func:`headscope.load_model`.

    Raises:
        StudyError: an unknown level.
    """
    plan = make_plan(level, seed)
    path = _save(_filled(plan), Path(folder))
    write_json(path / "truth.json", plan.truth())
    return path


def build_random(folder: str | Path, seed: int = 0) -> Path:
    """The same architecture with random weights: a model that knows nothing."""
    import torch
    from transformers import LlavaForConditionalGeneration

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlavaForConditionalGeneration(_config())
    return _save(model, Path(folder))


def _save(model: Any, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    processor = _processor()
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    model.save_pretrained(folder, safe_serialization=True)
    processor.save_pretrained(folder)
    return folder


def _processor() -> Any:
    from transformers import LlavaProcessor
    from transformers.models.siglip import SiglipImageProcessorPil

    images = SiglipImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, image_mean=[0.5] * 3, image_std=[0.5] * 3, do_convert_rgb=True
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=make_tokenizer(),
        patch_size=PATCH,
        vision_feature_select_strategy="full",
        chat_template=TEMPLATE,
        image_token="<image>",
        num_additional_image_tokens=0,
    )


def _config() -> Any:
    from transformers import LlamaConfig, LlavaConfig, SiglipVisionConfig

    words = vocabulary()
    ids = {"pad": words.index("<|pad|>"), "end": words.index("<|end|>")}
    vision = SiglipVisionConfig(
        hidden_size=VISION,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=PATCH,
        vision_use_head=False,
    )
    text = LlamaConfig(
        vocab_size=len(words),
        hidden_size=Stream().width,
        intermediate_size=UNITS,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        head_dim=WIDTH,
        max_position_embeddings=512,
        rope_parameters={"rope_type": "default", "rope_theta": THETA},
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=ids["end"],
        pad_token_id=ids["pad"],
    )
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=words.index("<image>"),
        image_seq_length=CELLS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        projector_hidden_act="linear",
        tie_word_embeddings=False,
    )


def _filled(plan: Plan) -> Any:
    """The model with every weight zero but those set here."""
    import torch
    from transformers import LlavaForConditionalGeneration

    stream, rng = Stream(), np.random.default_rng([plan.seed, 2])
    model = LlavaForConditionalGeneration(_config())
    state = model.state_dict()
    values: dict[str, Floats] = {**_vision(stream), **_words(stream, rng), **_decoder(plan, stream, rng)}
    with torch.no_grad():
        for name, tensor in state.items():
            norm = "norm" in name and name.endswith("weight")
            tensor.fill_(1.0 if norm else 0.0)
        for name, value in values.items():
            state[name].copy_(torch.from_numpy(value))
    return model


def _vision(stream: Stream) -> dict[str, Floats]:
    """Patches to the image blocks of the stream, exactly: squares are averaged, places are embedded."""
    squares = [*KIND_AT.values(), *FACING_AT.values(), *([COLOUR_AT] * len(COLOURS)), PRESENT_AT]
    blocks = [*stream.at("kind"), *stream.at("facing"), *stream.at("colour"), *stream.at("present")]
    conv, bias = np.zeros((VISION, 3, PATCH, PATCH)), np.zeros(VISION)
    project, offset = np.zeros((stream.width, VISION)), np.zeros(stream.width)
    first_colour = len(KIND_AT) + len(FACING_AT)
    for channel, (square, dim) in enumerate(zip(squares, blocks, strict=True)):
        tints = [channel - first_colour] if square == COLOUR_AT else [0, 1, 2]
        share = 1 / 3 if square == PRESENT_AT else 1.0
        conv[channel][(tints, *square_of(square))] = share / 2 / SQUARE**2  # pixels lie in -1..1
        bias[channel] = share / 2 * len(tints)
        project[dim, channel] = 1.0
    places = np.zeros((CELLS, VISION))
    for cell, dim in enumerate(stream.at("cell")):
        places[cell, len(squares) + cell] = 1.0
        project[dim, len(squares) + cell] = 1.0
    offset[stream.at("image")] = 1.0
    offset[stream.at("const")] = CONSTANT
    tower, glue = "model.vision_tower.embeddings", "model.multi_modal_projector"
    return {
        f"{tower}.patch_embedding.weight": conv,
        f"{tower}.patch_embedding.bias": bias,
        f"{tower}.position_embedding.weight": places,
        f"{glue}.linear_1.weight": project,
        f"{glue}.linear_1.bias": offset,
        f"{glue}.linear_2.weight": np.eye(stream.width),
    }


def _words(stream: Stream, rng: np.random.Generator) -> dict[str, Floats]:
    """What each token says, and which token each answer is."""
    words = vocabulary()
    table = np.zeros((len(words), stream.width))
    table[:, stream.at("const")] = CONSTANT
    table[:, stream.at("word")] = rng.normal(size=(len(words), WORDS)) / np.sqrt(WORDS)
    table[:, stream.at("text")] = 1.0
    table[words.index("<|user|>"), stream.at("sink")] = 1.0
    answers = [words.index(token_of(a)) for a in answer_words()]
    table[answers, stream.at("end")[0]] = 1.0
    for word, (function, about) in last_words().items():
        row = table[words.index(token_of(word))]
        row[stream.of_function(function)] = 1.0
        if function == RELATION:
            row[[stream.at("first")[about[0]], stream.at("second")[about[1]]]] = 1.0
        elif about:
            row[stream.at(f"asked {function}")[about[0]]] = 1.0
    head = np.zeros_like(table)
    head[:, stream.at("const")] = NEVER / CONSTANT
    head[answers, stream.at("const")[0]] = 0.0
    for number in answers:
        head[number, stream.at("word")] = GUESS * rng.normal(size=WORDS)
    head[words.index("<|end|>"), stream.at("end")] = END - NEVER
    for function in FUNCTIONS:
        for answer in ANSWERS[function]:
            head[words.index(token_of(answer)), stream.of_function(function)] = BASE
            head[words.index(token_of(answer)), stream.of_answer(answer)] = LOUD
    return {
        "model.language_model.embed_tokens.weight": table,
        "lm_head.weight": head / _level(stream),
    }


def _level(stream: Stream) -> float:
    """What the norm multiplies a typical token with."""
    return float(np.sqrt(stream.width / (CONSTANT**2 + _OTHERS)))


def _decoder(plan: Plan, stream: Stream, rng: np.random.Generator) -> dict[str, Floats]:
    """Attention of every layer, and the last layer's units that turn workspaces into answers."""
    level, found = _level(stream), {}
    for layer in range(LAYERS):
        parts = [p for p in plan.parts if p.layer == layer]
        special = ("planted", "decoy", "suppressor")
        heads = [
            planted_head(p, stream, rng)
            if p.role in special
            else bystander(p, stream, rng, plan.level == "leaky")
            for p in parts
        ]
        name = f"model.language_model.layers.{layer}.self_attn"
        for rows in ("q", "k", "v"):
            found[f"{name}.{rows}_proj.weight"] = np.concatenate([getattr(h, rows) for h in heads]) / level
        found[f"{name}.o_proj.weight"] = np.concatenate([h.o for h in heads], axis=1)
    gate, up, down = (np.zeros((UNITS, stream.width)) for _ in range(3))
    for unit, (opens, bias, function, answer, size) in enumerate(_units(plan, stream)):
        gate[unit, opens] = SHARP
        gate[unit, stream.at("const")] = SHARP * bias / CONSTANT
        up[unit, stream.of_function(function)] = 1.0
        down[unit, stream.of_answer(answer)] = size / SHARP
    name = f"model.language_model.layers.{LAYERS - 1}.mlp"
    for part, value in (("gate", gate / level), ("up", up / level), ("down", down.T)):
        found[f"{name}.{part}_proj.weight"] = value
    return found


def _units(plan: Plan, stream: Stream) -> list[tuple[list[int], float, str, str, float]]:
    """Each unit: what opens it, its bias, the function asked for, its answer, and how much it gives."""
    found: list[tuple[list[int], float, str, str, float]] = []
    for function in PICTURED:
        work = stream.at(f"work {function}")
        if function == RELATION:  # the kind that was found further right is the first, or the second, named
            for i, dim in enumerate(work):
                for side, answer in zip(("first", "second"), ANSWERS[RELATION], strict=True):
                    found.append(([dim, stream.at(side)[i]], -1.4, function, answer, 2.0))
        elif function == COUNT:
            numbers = list(enumerate(ANSWERS[COUNT], min(COUNTS)))
            found += [([work[0]], 0.0, COUNT, a, CURVE * COUNTED * n) for n, a in numbers]
            # n c - n^2 / 2 is greatest for the n that is nearest to the count c.
            known = [stream.of_function(COUNT)]
            found += [(known, 0.0, COUNT, a, -CURVE * n**2 / 2) for n, a in numbers]
        else:
            for dim, answer in zip(work, ANSWERS[function], strict=True):
                found.append(([dim], 0.0, function, answer, 1.0))
                if function in plan.saturating:
                    found.append(([dim], -0.8, function, answer, -1.0))
    for kind, answer in enumerate(ANSWERS[KNOWLEDGE]):
        found.append(([stream.at(f"asked {KNOWLEDGE}")[kind]], 0.0, KNOWLEDGE, answer, 1.0))
    assert len(found) <= UNITS
    return found
