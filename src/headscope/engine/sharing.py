"""Clean runs of several prompts of one length in one forward, and what each prompt has of it.

Weights are then fetched once for all of them. Where the prompts stand in a tensor is not guessed: it is the
dimension seen to grow from one, when the same layer is called for several prompts.
"""

from __future__ import annotations

import copy
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from headscope.asking.batches import length_key, plan_batches
from headscope.asking.items import Item
from headscope.engine.decoder import difference
from headscope.engine.trace import Trace, run_clean, run_prompts
from headscope.errors import ModelError
from headscope.models.answering.generation import PLAIN, Prefill
from headscope.models.types import Encoded
from headscope.models.vlm import VLM
from headscope.models.ways import MODEL_ERRORS, SHARED, Way, decided, fell_short, note_short, refused
from headscope.storage import fingerprint

log = logging.getLogger(__name__)
PROMPTS = 8  # in one forward at most
_SIMPLE = (type(None), bool, int, float, str, torch.dtype, torch.device, Cache)

Place = tuple[Any, ...]  # where a tensor stands in a trace
Layout = dict[Place, int | None]  # its dimension of prompts; None where all prompts share it
Pick = Callable[[Place, Tensor], Tensor]


def joined(prompts: Sequence[Encoded]) -> Encoded:
    """One unpadded batch of prompts encoded alone: every input holds them in its first dimension.

    Raises:
        ModelError: prompts of different length or form.
    """
    first = prompts[0]
    if any(_form(p) != _form(first) for p in prompts):
        raise ModelError("prompts of different length or form cannot be read as one batch")

    def stacked(name: str) -> Any:
        values = [p.inputs[name] for p in prompts]
        return torch.cat(values) if isinstance(values[0], Tensor) else values[0]

    return replace(
        first,
        inputs={name: stacked(name) for name in first.inputs},
        image=torch.cat([p.image for p in prompts]),
        question=torch.cat([p.question for p in prompts]),
        grids=[g for p in prompts for g in p.grids],
    )


def _form(encoded: Encoded) -> tuple[Any, ...]:
    """Equal for prompts that may stand in one batch."""
    values = sorted(encoded.inputs.items())
    return encoded.length, *((n, tuple(v.shape) if isinstance(v, Tensor) else v) for n, v in values)


def _mapped(trace: Trace, pick: Pick) -> Trace:
    """The trace with every tensor replaced by ``pick(place, tensor)``.

    Raises:
        ModelError: something that may hold tensors of its own.
    """
    calls = []
    for number, call in enumerate(trace.calls):
        own = {
            name: _walked(getattr(call, name), (number, name), pick)
            for name in ("args", "kwargs", "inputs", "output", "between", "z", "attended")
        }
        calls.append(replace(call, **own))
    clean = trace.prefill
    if clean.encoder or any(type(layer) not in PLAIN for layer in getattr(clean.cache, "layers", [None])):
        raise ModelError("the cache is more than keys and values of all positions")
    cache = copy.copy(clean.cache)
    cache.layers = []
    for number, layer in enumerate(clean.cache.layers):
        twin = copy.copy(layer)
        twin.keys = pick((number, "keys"), layer.keys)
        twin.values = pick((number, "values"), layer.values)
        cache.layers.append(twin)
    logits, position = (_walked(v, (n,), pick) for n, v in (("l", clean.logits), ("p", clean.position)))
    return replace(trace, calls=calls, prefill=Prefill(logits, cache, position))


def _walked(value: Any, place: Place, pick: Pick) -> Any:
    if isinstance(value, Tensor):
        return pick(place, value)
    if isinstance(value, tuple | list):
        return type(value)(_walked(v, (*place, i), pick) for i, v in enumerate(value))
    if type(value) is dict:
        return {k: _walked(v, (*place, k), pick) for k, v in value.items()}
    if not isinstance(value, _SIMPLE):
        raise ModelError(f"a layer is given a {type(value).__name__}")
    return value


def _tensors(trace: Trace) -> dict[Place, Tensor]:
    found: dict[Place, Tensor] = {}

    def note(place: Place, tensor: Tensor) -> Tensor:
        found[place] = tensor
        return tensor

    _mapped(trace, note)
    return found


def layout_of(alone: Trace, batch: Trace, items: int) -> Layout:
    """Where each tensor of a run of ``items`` prompts holds them, seen beside a run of the first one alone.

    Raises:
        ModelError: a tensor that differs by more than one dimension grown from 1 to ``items``.
    """
    ones, many = _tensors(alone), _tensors(batch)
    if ones.keys() != many.keys():
        raise ModelError("layers are given other arguments for several prompts")
    layout: Layout = {}
    for place, one in ones.items():
        before, after = one.shape, many[place].shape
        grown = [d for d, (a, b) in enumerate(zip(before, after, strict=False)) if a != b]
        if (
            len(before) != len(after)
            or len(grown) > 1
            or any((before[d], after[d]) != (1, items) for d in grown)
        ):
            raise ModelError(f"a tensor {tuple(before)} is {tuple(after)} for {items} prompts")
        layout[place] = grown[0] if grown else None
    return layout


def split(batch: Trace, layout: Layout, prompts: Sequence[Encoded]) -> list[Trace]:
    """The trace of each prompt, as views.

    Raises:
        ModelError: a tensor that the layout does not know, or that holds another number of prompts.
    """

    def part(number: int) -> Trace:
        def pick(place: Place, tensor: Tensor) -> Tensor:
            if place not in layout:
                raise ModelError("layers are given other arguments than when they were tried out")
            dim = layout[place]
            if dim is not None and (tensor.ndim <= dim or tensor.shape[dim] != len(prompts)):
                raise ModelError(f"a tensor {tuple(tensor.shape)} does not hold {len(prompts)} prompts")
            return tensor if dim is None else tensor.narrow(dim, number, 1)

        return replace(_mapped(batch, pick), encoded=prompts[number].to(batch.encoded.image.device))

    return [part(i) for i in range(len(prompts))]


@dataclass(frozen=True, eq=False)
class Sharing:
    """How a model's prompts share a clean run.

    Attributes:
        layout: where each tensor of the run holds the prompts.
        per_position: bytes that a run keeps for one position of a prompt.
    """

    layout: Layout
    per_position: int

    def prompts(self, length: int, memory: int) -> int:
        """How many prompts fit into ``memory`` bytes: what each keeps, and as much again at work."""
        return max(1, min(PROMPTS, memory // (2 * self.per_position * length)))


def sharing_of(vlm: VLM, encoded: Encoded, trimmed: bool, tolerance: float) -> Sharing | None:
    """How a model's prompts share a clean run: as recorded, else as a trial finds it; None if they do not."""
    way = decided(
        vlm,
        SHARED,
        lambda: _find(vlm, encoded, trimmed, tolerance),
        instead="prompts one by one",
    )
    found = way.choice or {}
    if way.refusal or found["trimmed"] != trimmed:
        return None
    layout = {tuple(place): dim for place, dim in found["layout"]}
    return Sharing(layout, found["per_position"])


def _find(vlm: VLM, encoded: Encoded, trimmed: bool, tolerance: float) -> Way:
    """How prompts share a run, if three of them then leave what each leaves alone.

    The three are one question with its picture, mirrored, and as a negative.
    """
    try:
        prompts = [encoded, _other(encoded, lambda x: x.flip(-1)), _other(encoded, torch.neg)]
        alone = run_clean(vlm, encoded, trimmed)
        batch = run_prompts(vlm, joined(prompts), trimmed)
        layout = layout_of(alone, batch, len(prompts))
        per_position = max(1, _bytes_of(alone) // encoded.length)
        for part, prompt in zip(split(batch, layout, prompts), prompts, strict=True):
            alone = run_clean(vlm, prompt, trimmed)  # one at a time: a run of a large model is large
            found, wanted = _tensors(part), _tensors(alone)
            worst = max(difference(found[place], wanted[place]) for place in wanted)
            if worst > tolerance:
                return Way(f"a prompt read among others differs by {worst:.1e} of the largest", usual=True)
    except MODEL_ERRORS as exc:
        return replace(refused(exc), usual=True)
    places = [[list(place), dim] for place, dim in layout.items()]
    return Way(choice={"trimmed": trimmed, "layout": places, "per_position": per_position})


def _bytes_of(trace: Trace) -> int:
    """What a trace keeps; an output that is the next layer's input counts once."""
    return sum({t.data_ptr(): t.nbytes for t in _tensors(trace).values()}.values())


def _other(encoded: Encoded, change: Callable[[Tensor], Tensor]) -> Encoded:
    """The same question about another picture."""
    pixels = {n: change(v) for n, v in encoded.inputs.items() if n.startswith("pixel_values")}
    return replace(encoded, inputs={**encoded.inputs, **pixels})


def plan_prompts(
    items: Sequence[Item], encode: Callable[[Item], Encoded], sharing: Sharing | None, memory: int
) -> list[list[Item]]:
    """Items in chunks that are encoded, and run as far as they have one form, together.

    A matter of the items and ``memory`` alone, so that a scan that was stopped goes on with the same numbers.
    """
    if sharing is None or not items:
        return [[item] for item in items]
    longest = encode(max(items, key=length_key)).length
    return plan_batches(items, sharing.prompts(longest, memory))


def clean_runs(
    vlm: VLM,
    chunk: Sequence[Item],
    encode: Callable[[Item], Encoded],
    sharing: Sharing | None,
    trimmed: bool,
) -> Iterator[tuple[Item, Trace | ModelError]]:
    """The clean run of each item of a chunk, or why there is none; prompts of one form share a forward."""
    forms: dict[Any, list[tuple[Item, Encoded]]] = defaultdict(list)
    for item in chunk:
        encoded = encode(item)
        forms[_form(encoded)].append((item, encoded))
    for group in forms.values():
        work = f"{SHARED}: {fingerprint([i.id for i, _ in group])}"
        traces = _group(vlm, work, [p for _, p in group], sharing, trimmed)
        yield from zip((i for i, _ in group), traces, strict=True)


def _group(
    vlm: VLM, work: str, prompts: Sequence[Encoded], sharing: Sharing | None, trimmed: bool
) -> Iterator[Trace | ModelError]:
    if sharing is not None and len(prompts) > 1:
        try:
            if not fell_short(vlm, work):
                yield from run_together(vlm, prompts, sharing, trimmed)
                return
        except MODEL_ERRORS as exc:  # right for other prompts, but not made for these, or too large
            log.warning("%s: %d prompts are read one by one: %s", vlm.name, len(prompts), exc)
            note_short(vlm, work, exc)
    for prompt in prompts:
        try:
            yield run_clean(vlm, prompt, trimmed)
        except ModelError as exc:
            yield exc


def run_together(vlm: VLM, prompts: Sequence[Encoded], sharing: Sharing, trimmed: bool) -> list[Trace]:
    """The clean run of each prompt, all of one form, in one forward.

    Raises:
        ModelError: prompts of different form, or a run that does not fall into prompts.
    """
    return split(run_prompts(vlm, joined(prompts), trimmed), sharing.layout, prompts)
