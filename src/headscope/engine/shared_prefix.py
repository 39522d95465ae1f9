"""One prompt under many edits in one forward: a single row up to the first edited projection, many after it.

A prompt is given to the model once, as a batch of one. The hook at the first projection that any of the edits
touches multiplies the one row of z by one factor per edit, so that its output has a row per edit; the
residual stream, of one row until then, grows by broadcasting, and all later layers run on all rows. So the
picture, the layers below and that layer's attention are computed once for all edits, and nothing is padded.
Where a model does something between its layers that takes one row alone (DeepStack adds features of the
picture at a mask), the rows are kept aside (:func:`headscope.engine.decoder.rows_aside`).
Behind the attention of the last layer only the position that predicts the answer is computed.
What a model makes of such a forward is compared with whole runs before it is trusted
(:func:`shared_prefix_of`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from headscope.asking.ask import Outcome, ask, judged, margin_of, scored_choices
from headscope.asking.items import Item
from headscope.edits.batched import BatchedEdit
from headscope.edits.edits import Edit, mute
from headscope.engine.decoder import difference, rows_aside
from headscope.errors import ModelError
from headscope.models.answering.continuation import continue_greedily
from headscope.models.answering.generation import Prefill, before_end, greedy_config, watching
from headscope.models.answering.scoring import score_choices
from headscope.models.types import Encoded
from headscope.models.vlm import VLM
from headscope.models.ways import FAN, MODEL_ERRORS, Way, decided, refused

# Largest difference of logits between one forward for all edits and whole runs, relative to the largest.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 5e-3}
_MLPS = ("mlp", "feed_forward", "ffn", "block_sparse_moe")


@dataclass(frozen=True)
class SharedPrefix:
    """How a model's prompts may be read so: not at all where there is a ``refusal``.

    ``trimmed``: whether the last layer may be left at the position that predicts the answer; ``aside``:
    whether the rows are kept from what the model does between its layers.
    """

    refusal: str = ""
    trimmed: bool = False
    aside: bool = False


@dataclass(frozen=True, eq=False)
class PrefixReading:
    """One item's answers, one row per edit.

    Attributes:
        correct, readable: per edit 0 or 1 (:func:`headscope.asking.ask.judged`).
        margin: per edit, nats per token.
        tokens: per edit the generated tokens, the end token left out.
        logits: (edit, vocabulary) at the last prompt position.
    """

    correct: list[float]
    readable: list[float]
    margin: list[float]
    tokens: list[list[int]]
    logits: Tensor


def read_sharing_prefix(
    vlm: VLM,
    encoded: Encoded,
    item: Item,
    rows: int,
    max_new_tokens: int,
    how: SharedPrefix = SharedPrefix(),  # frozen
) -> PrefixReading:
    """Ask one item once under ``rows`` edits, held by the caller: ``BatchedEdit(..., one_prompt=True)``.

    Args:
        encoded: the prompt of this one item.
        max_new_tokens: length limit of an answer, its end token included.
        how: as :func:`shared_prefix_of` found it.

    Raises:
        ModelError: more than one prompt, or a forward that did not grow to ``rows`` rows.
    """
    if encoded.items != 1:
        raise ModelError(f"asked to share the prefix of a batch of {encoded.items} prompts; give one")
    encoded = encoded.to(vlm.device)
    choices = scored_choices(item)
    with torch.no_grad():
        with ExitStack() as held:
            held.enter_context(vlm.reading(encoded))
            if how.trimmed:
                held.enter_context(last_position(vlm))
            if how.aside:
                held.enter_context(rows_aside(vlm))
            prefill = _prefill(vlm, encoded, rows)
        tiled = behind(encoded, rows)
        with vlm.reading(tiled):
            tokens = continue_greedily(vlm, tiled, prefill, max_new_tokens)
            scores = score_choices(vlm, tiled, prefill, [choices] * rows)
    kept = before_end(tokens, vlm.end_ids)
    said = [row[mask].tolist() for row, mask in zip(tokens.cpu(), kept.cpu(), strict=True)]
    assert prefill.logits is not None
    correct, readable = judged(item, [vlm.decode(ids) for ids in said])
    margins = [margin_of(item, one.logprobs) for one in scores]
    return PrefixReading(correct, readable, margins, said, prefill.logits)


def _prefill(vlm: VLM, encoded: Encoded, rows: int) -> Prefill:
    """Read the prompt as generation reads it; logits, cache and position of ``rows`` rows come back."""

    def one_row(_module: Any, _args: Any, output: Any) -> Any:
        output.logits = output.logits[:1]  # generation asked for one answer
        return output

    prefill, model = Prefill(), cast(Any, vlm.model)  # torch's Module knows nothing of generation
    with watching(model, prefill):
        handle = model.register_forward_hook(one_row)  # after the watcher, which sees all rows
        try:
            model.generate(**encoded.inputs, generation_config=greedy_config(vlm, 1))
        finally:
            handle.remove()
    if prefill.logits is None or prefill.logits.shape[0] != rows or prefill.cache is None:
        found = None if prefill.logits is None else prefill.logits.shape[0]
        raise ModelError(f"{vlm.name}: a prompt under {rows} edits came out with {found} rows")
    _widen(prefill.cache, rows)
    if prefill.position is not None:
        prefill.position = prefill.position.repeat_interleave(rows, dim=-2)
    return prefill


def _widen(cache: Any, rows: int) -> None:
    """Give every layer of the cache ``rows`` rows; those below the first edit hold a single one."""
    for layer in cache.layers:
        states = getattr(layer, "conv_states", None)
        if states is None:
            held = [] if layer.keys is None else [layer.keys]  # none where keys of a layer below are read
        else:
            held = [s for s in (*states.values(), *layer.recurrent_states.values()) if s is not None]
        if not held or held[0].numel() == 0 or held[0].shape[0] == rows:
            continue
        if states is None:
            layer.batch_repeat_interleave(rows)
        else:
            layer.reorder_cache(torch.zeros(rows, dtype=torch.long, device=held[0].device))


def behind(encoded: Encoded, rows: int) -> Encoded:
    """What a continued forward needs of the prompt, ``rows`` times; the picture was read."""
    kept = ("attention_mask", "cross_attention_mask")
    inputs = {k: v.expand(rows, *v.shape[1:]) for k, v in encoded.inputs.items() if k in kept}
    image, question = (x.expand(rows, -1) for x in (encoded.image, encoded.question))
    return replace(encoded, inputs=inputs, image=image, question=question, grids=encoded.grids * rows)


@contextmanager
def last_position(vlm: VLM) -> Iterator[None]:
    """Of the last layer's output projection and MLP compute the last position alone; others hold nothing."""

    def hook(_module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (args[0][:, -1:].contiguous(), *args[1:])

    with ExitStack() as stack:
        for module in behind_last_attention(vlm):
            stack.callback(module.register_forward_pre_hook(hook).remove)  # after the edits' own hooks
        yield


def behind_last_attention(vlm: VLM) -> list[nn.Module]:
    """The last layer's output projection and MLP; empty where the last layer is not so built."""
    layers = getattr(cast(Any, vlm.model).get_decoder(), "layers", None)
    site = vlm.geometry.sites[-1]
    if layers is None or site.tower != "decoder" or site.projection not in list(layers[-1].modules()):
        return []
    mlp = next((m for name in _MLPS if (m := getattr(layers[-1], name, None)) is not None), None)
    return [] if mlp is None else [site.projection, mlp]


def shared_prefix_of(
    vlm: VLM, encoded: Encoded, item: Item, edits: Sequence[Edit], max_new_tokens: int
) -> SharedPrefix:
    """Whether and how this model's prompts may be read so.

    Found out once per model and scope: a mute of the very first head, no edit, and the first edits given are
    read both ways on a real prompt. Logits must agree within ``TOLERANCE``; in single precision and better,
    the generated tokens must be the same too.
    """
    scope = edits[0].scope
    if any(head.tower != "decoder" for edit in edits for head in edit.heads):
        return SharedPrefix("heads of a vision tower are edited")
    way = decided(
        vlm,
        f"{FAN}, scope {scope}",
        lambda: _found(vlm, encoded, item, edits, max_new_tokens),
        instead="whole runs",
    )
    return SharedPrefix(way.refusal, **(way.choice or {}))


def _found(vlm: VLM, encoded: Encoded, item: Item, edits: Sequence[Edit], max_new_tokens: int) -> Way:
    """The quickest way that gives what whole runs give."""
    if encoded.apart:
        return Way("an encoder reads the prompt, apart from the decoder", usual=True)
    sites = [s for s in vlm.geometry.sites if s.tower == "decoder"]
    first = Edit((sites[0].heads[0],), mute(), edits[0].scope)
    tried = [first, Edit((), mute(), first.scope), *edits[:3]]
    whole = [ask(vlm, encoded, [item], edit=e, max_new_tokens=max_new_tokens) for e in tried]
    way = Way()
    for how in _ways(vlm):
        way = _trial(vlm, encoded, item, (tried, whole), max_new_tokens, how)
        if not way.refusal or way.short:
            return way
    return way


def _ways(vlm: VLM) -> Iterator[SharedPrefix]:
    """What may be saved, most first; rows are kept aside only where they cannot stay in the model's hands."""
    for aside in (False, True):
        if behind_last_attention(vlm):
            yield SharedPrefix(trimmed=True, aside=aside)
        yield SharedPrefix(aside=aside)


def _trial(
    vlm: VLM,
    encoded: Encoded,
    item: Item,
    tried: tuple[Sequence[Edit], Sequence[Outcome]],
    max_new_tokens: int,
    how: SharedPrefix,
) -> Way:
    edits, whole = tried
    try:
        with BatchedEdit(tuple(edits), one_prompt=True).applied(vlm):
            found = read_sharing_prefix(vlm, encoded, item, len(edits), max_new_tokens, how)
    except MODEL_ERRORS as exc:
        return refused(exc)
    logits = torch.cat([one.logits for one in whole if one.logits is not None])
    gap = difference(found.logits, logits)
    if not gap <= TOLERANCE.get(vlm.dtype, 3e-2):
        return Way(f"logits differ from those of whole runs by {gap:.1e} of the largest")
    exact = vlm.dtype in (torch.float32, torch.float64)
    if exact and found.tokens != [one.tokens[0] for one in whole]:
        return Way("generated tokens differ from those of whole runs")
    return Way(choice={"trimmed": how.trimmed, "aside": how.aside})
