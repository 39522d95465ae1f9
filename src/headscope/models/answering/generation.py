"""Greedy, batched, cached generation that keeps what the prompt left behind: logits, cache, positions."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer, EncoderDecoderCache

from headscope.errors import ModelError
from headscope.models.base import BaseVLM
from headscope.models.caches import returned_cache
from headscope.models.types import Encoded

# Layers of a cache that hold keys and values, a row an item, and nothing else. These are replaced, never
# written in place, so a shallow copy is a snapshot that costs nothing.
PLAIN = (DynamicLayer, DynamicSlidingWindowLayer)
# Where a layer whose window slides behind the prompt holds the prompt; transformers forgets to repeat it.
_PROMPT = ("prefill_keys", "prefill_values")
# Settings of a checkpoint that make generation say other than the likeliest token; transformers fills them in
# wherever a request leaves them open.
_FORCING = (
    "forced_bos_token_id", "forced_eos_token_id", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size",
    "min_length", "min_new_tokens", "max_length",
)  # fmt: skip


@dataclass
class Prefill:
    """What the one pass over the prompt left behind.

    Attributes:
        logits: (item, vocabulary) float32, at the last prompt position (float64 where the model is).
        cache: keys and values of the prompt; later generation does not alter it.
        position: (..., item, 1) position ids of the last prompt position as generation passed them; None if
            it passed none.
        encoder: of an encoder-decoder, what generation passed on of its encoder: its outputs, and the mask
            over its positions where there is one.
    """

    logits: Tensor | None = None
    cache: Any = None
    position: Tensor | None = None
    encoder: dict[str, object] = field(default_factory=dict)
    _seen: bool = field(default=False, repr=False)

    def repeated(self, times: int) -> Any:
        """The prompt's cache with each item ``times`` times in a row, for one forward that may grow it."""
        cache = snapshot(self.cache)
        if times > 1:
            repeat_cache(cache, times)
        return cache

    def encoder_repeated(self, times: int) -> dict[str, object]:
        """What the encoder left, with each item ``times`` times in a row."""
        return {name: _rows(value, times) for name, value in self.encoder.items()}


def _rows(value: Any, times: int) -> Any:
    """A tensor, or a model's output of tensors, with each item ``times`` times in a row."""
    if isinstance(value, Mapping):
        made: Any = type(value)
        return made({name: _rows(part, times) for name, part in value.items()})
    return value.repeat_interleave(times, dim=0) if isinstance(value, Tensor) else value


def repeat_cache(cache: Any, times: int) -> None:
    """Repeat every item in a row; states of linear attention have no such method but can be reordered."""
    if isinstance(cache, EncoderDecoderCache):
        repeat_cache(cache.self_attention_cache, times)
        repeat_cache(cache.cross_attention_cache, times)
        return
    layers = getattr(cache, "layers", None)
    if layers is None:
        cache.batch_repeat_interleave(times)
        return
    for layer in layers:
        states = getattr(layer, "conv_states", None)
        if states is None:
            prompt = {n: v for n in _PROMPT if isinstance(v := getattr(layer, n, None), Tensor)}
            layer.batch_repeat_interleave(times)
            for name, value in prompt.items():
                if len(getattr(layer, name)) == len(value):
                    setattr(layer, name, value.repeat_interleave(times, dim=0))
            continue
        held = [s for s in (*states.values(), *layer.recurrent_states.values()) if s is not None]
        if held:
            items = torch.arange(held[0].shape[0], device=held[0].device)
            layer.reorder_cache(items.repeat_interleave(times))


def snapshot(cache: Any) -> Any:
    """A cache that stays as it is while the given one grows."""
    if isinstance(cache, EncoderDecoderCache):
        twin = copy.copy(cache)
        twin.self_attention_cache = snapshot(cache.self_attention_cache)
        twin.cross_attention_cache = snapshot(cache.cross_attention_cache)
        twin.is_updated = dict(cache.is_updated)
        return twin
    layers = getattr(cache, "layers", None)
    if layers is None:
        return copy.deepcopy(cache)
    twin = copy.copy(cache)
    twin.layers = [copy.copy(x) if type(x) in PLAIN else copy.deepcopy(x) for x in layers]
    return twin


@contextmanager
def watching(model: Any, prefill: Prefill) -> Iterator[None]:
    """Fill ``prefill`` from the first forward of the model."""

    def after(_module: Any, _args: Any, kwargs: Mapping[str, Any], output: Any) -> None:
        if prefill._seen:
            return
        prefill._seen = True
        logits = output.logits[:, -1]
        prefill.logits = (
            logits.clone() if logits.dtype == torch.float64 else logits.to(torch.float32, copy=True)
        )
        position = kwargs.get("position_ids")
        prefill.position = None if position is None else position[..., -1:].clone()
        if kwargs.get("encoder_outputs") is not None:
            names = ("encoder_outputs", "attention_mask")
            prefill.encoder = {n: kwargs[n] for n in names if kwargs.get(n) is not None}
        prefill.cache = snapshot(returned_cache(output))

    handle = model.register_forward_hook(after, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def greedy_config(vlm: BaseVLM, max_new_tokens: int) -> GenerationConfig:
    """Greedy decoding with a cache that ends at the model's end tokens; no sampling, no penalties.

    Raises:
        ModelError: ``max_new_tokens`` is not positive.
    """
    if max_new_tokens < 1:
        raise ModelError(f"asked for max_new_tokens={max_new_tokens}; expected at least 1")
    return GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        num_beams=1,
        temperature=1.0,
        top_p=1.0,
        top_k=50,
        repetition_penalty=1.0,
        use_cache=True,
        eos_token_id=list(vlm.end_ids) or None,
        pad_token_id=pad_id(vlm),
    )


@contextmanager
def _unforced(model: Any) -> Iterator[None]:
    """Within, the checkpoint's own settings force no token, forbid no repetition and set no length."""
    before = model.generation_config
    model.generation_config = copy.deepcopy(before)
    for name in _FORCING:
        setattr(model.generation_config, name, None)
    try:
        yield
    finally:
        model.generation_config = before


def pad_id(vlm: BaseVLM) -> int:
    """The token that fills up finished answers."""
    known = vlm.tokenizer.pad_token_id
    return int(known if known is not None else next(iter(vlm.end_ids), 0))


def generate(vlm: BaseVLM, encoded: Encoded, max_new_tokens: int) -> tuple[Tensor, Prefill]:
    """Answer a batch greedily; the prompt is read once.

    Returns:
        Generated tokens (item, step), padded after an item's end token, and the prompt's :class:`Prefill`.

    Raises:
        ModelError: the model keeps no cache, or ``max_new_tokens`` is not positive.
    """
    prefill = Prefill()
    config = greedy_config(vlm, max_new_tokens)
    if max_new_tokens > 1:
        vlm.require("cached", f"{max_new_tokens} generated tokens")
    with torch.no_grad(), watching(vlm.model, prefill):
        if encoded.apart:
            config.decoder_start_token_id = int(encoded.inputs["decoder_input_ids"][0, 0])
        with _unforced(vlm.model):
            model: Any = vlm.model
            whole: Tensor = model.generate(**encoded.inputs, generation_config=config)
    if prefill.cache is None:
        raise ModelError(
            f"{vlm.name}: generation kept no cache of the prompt; headscope needs one to score choices"
        )
    return whole[:, encoded.length :], prefill


def before_end(tokens: Tensor, ends: tuple[int, ...]) -> Tensor:
    """(item, step) bool: true for generated tokens before an item's first end token."""
    if not ends:
        return torch.ones_like(tokens, dtype=torch.bool)
    ended = torch.isin(tokens, torch.tensor(ends, device=tokens.device))
    return ended.cumsum(dim=1) == 0
