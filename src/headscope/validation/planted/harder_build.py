"""Builds planted models of the second version, and words questions as they understand them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from headscope.data.cases import Cases, save_cases
from headscope.data.schema import Step
from headscope.storage import write_json
from headscope.validation.planted.build import (
    SHARP,
    UNITS,
    Floats,
    _config,
    _level,
    _save,
    _units,
    _vision,
    _words,
)
from headscope.validation.planted.harder_heads import READY, harder_head, harder_stream
from headscope.validation.planted.harder_plan import (
    HARDER_LAYERS,
    MOVED,
    HarderPlan,
    make_harder_plan,
)
from headscope.validation.planted.questions import FACING, FUNCTIONS, KNOWLEDGE, PLACE, planted_cases
from headscope.validation.planted.stream import CONSTANT, Stream
from headscope.validation.planted.words import token_of, vocabulary

if TYPE_CHECKING:
    from transformers import LlavaForConditionalGeneration

# In ``two_hop`` these words end the question, after the word that names the thing.
ENDINGS = {PLACE: "part", FACING: "turned"}


def build_harder(folder: str | Path, level: str, seed: int = 0) -> Path:
    """Write a planted model of the second version, and its truth; equal level and seed give equal weights.

    Returns:
        The folder, for :func:`headscope.load_model`.

    Raises:
        StudyError: an unknown level.
    """
    plan = make_harder_plan(level, seed)
    path = _save(_filled(plan), Path(folder))
    write_json(path / "truth.json", plan.truth())
    return path


def level_cases(folder: str | Path, level: str, count: int, seed: int) -> Cases:
    """:func:`planted_cases` in the wording that the level's models understand."""
    cases = planted_cases(folder, count, seed)
    if level != "two_hop":
        return cases
    worded = [
        case.model_copy(
            update={
                "question": in_two_hops(case.steps[0]).question,
                "steps": tuple(in_two_hops(step) for step in case.steps),
            }
        )
        for case in cases
    ]
    return save_cases(Cases(cases.folder, worded), folder)


def in_two_hops(step: Step) -> Step:
    """The step as models of level ``two_hop`` are asked it."""
    ending = ENDINGS.get(step.function)
    return step.model_copy(update={"question": f"{step.question} {ending}"}) if ending else step


def _filled(plan: HarderPlan) -> LlavaForConditionalGeneration:
    """The model with every weight zero but those set here."""
    import torch
    from transformers import LlavaForConditionalGeneration

    stream, rng = harder_stream(), np.random.default_rng([plan.seed, 8])
    config = _config()
    config.text_config.hidden_size = stream.width
    config.text_config.num_hidden_layers = HARDER_LAYERS
    model = LlavaForConditionalGeneration(config)
    state = model.state_dict()
    words = _words(stream, rng)
    if plan.level == "two_hop":
        _end_questions(words["model.language_model.embed_tokens.weight"], stream)
    values: dict[str, Floats] = {**_vision(stream), **words, **_decoder(plan, stream, rng)}
    with torch.no_grad():
        for name, tensor in state.items():
            norm = "norm" in name and name.endswith("weight")
            tensor.fill_(1.0 if norm else 0.0)
        for name, value in values.items():
            state[name].copy_(torch.from_numpy(value))
    return model


def _end_questions(table: Floats, stream: Stream) -> None:
    """Let the last words of moved questions say what is asked for, not about what."""
    for function in MOVED:
        row = table[vocabulary().index(token_of(ENDINGS[function]))]
        row[stream.of_function(function)] = 1.0
        row[stream.at("again")[FUNCTIONS.index(function)]] = 1.0


def _decoder(plan: HarderPlan, stream: Stream, rng: np.random.Generator) -> dict[str, Floats]:
    """Attention of every layer, and the last layer's units that turn workspaces into answers."""
    level, found = _level(stream), {}
    for layer in range(HARDER_LAYERS):
        heads = [harder_head(p, plan.level, stream, rng) for p in plan.parts if p.layer == layer]
        name = f"model.language_model.layers.{layer}.self_attn"
        for rows in ("q", "k", "v"):
            found[f"{name}.{rows}_proj.weight"] = np.concatenate([getattr(h, rows) for h in heads]) / level
        found[f"{name}.o_proj.weight"] = np.concatenate([h.o for h in heads], axis=1)
    gate, up, down = (np.zeros((UNITS, stream.width)) for _ in range(3))
    for unit, (opens, bias, function, answer, size) in enumerate(_units(plan, stream)):
        if plan.level == "early_generalist" and function == KNOWLEDGE:
            opens, bias = [*opens, *stream.at("ready")], bias - READY
        gate[unit, opens] = SHARP
        gate[unit, stream.at("const")] = SHARP * bias / CONSTANT
        up[unit, stream.of_function(function)] = 1.0
        down[unit, stream.of_answer(answer)] = size / SHARP
    name = f"model.language_model.layers.{HARDER_LAYERS - 1}.mlp"
    for part, value in (("gate", gate / level), ("up", up / level), ("down", down.T)):
        found[f"{name}.{part}_proj.weight"] = value
    return found
