"""Each item of a padded batch equals the item alone, pictures and lengths differing."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from headscope.models.geometry import Site
from headscope.models.proofs import places
from headscope.models.proofs.picture_proof import is_picture, negative
from headscope.models.proofs.proof_steps import (
    HELD,
    REFUSED,
    Step,
    encodes,
    logits_of,
    number_format,
    prompt_ids,
)
from headscope.models.proofs.rounding import other_order

_SHOWN = "each item of a padded batch gives the z and the logits it gives alone; relative difference"
# How many positions of padding the shorter item gets.
_PADDING = 3

Inputs = dict[str, Tensor]


def prove_batch(model: nn.Module, alone: Sequence[Inputs], together: Inputs, sites: Sequence[Site]) -> Step:
    """The step ``batch``, refused where being in a batch, or padded, changes what an item gives.

    Args:
        model: the model.
        alone: inputs of each item by itself; their pictures differ.
        together: inputs of the batch of them, padded on the left; what an encoder reads, on the right.
        sites: the decoder's, where z is compared.

    Models that count positions from the padded start are tried once more with position ids that count from
    each item's own; the step then says so, and ``numbered`` is set.
    """
    step = _prove(model, alone, together, sites)
    if step.status == HELD or not _numberable(model, together):
        return step
    again = _prove(model, alone, numbered(together), sites)
    if again.status != HELD:
        return step
    return replace(again, shown=again.shown + "; position_ids passed", numbered=True)


def _numberable(model: nn.Module, inputs: Inputs) -> bool:
    known = {"input_ids", "attention_mask"} <= inputs.keys() and "position_ids" not in inputs
    return known and "position_ids" in inspect.signature(model.forward).parameters


def numbered(inputs: Inputs) -> Inputs:
    """The same inputs with ``position_ids`` (item, position) that leave padding out, as generation passes
    them."""
    attended = inputs["attention_mask"].long()
    return {**inputs, "position_ids": (attended.cumsum(-1) - 1).masked_fill(attended == 0, 0)}


def _prove(model: nn.Module, alone: Sequence[Inputs], together: Inputs, sites: Sequence[Site]) -> Step:
    side = "right" if encodes(model) else "left"
    for item, inputs in enumerate(alone):
        if not _lies(inputs, together, item, side):
            reason = (
                f"item {item} of the batch is not padded on the {side}: its tokens lie elsewhere than alone"
            )
            return Step("batch", _SHOWN, float("nan"), REFUSED, reason)
    # Where a model puts its picture in front of the text, the padding stands behind the picture.
    lengths = [prompt_ids(model, inputs).shape[1] for inputs in alone]
    compared = places.places_of(model, sites, sum(lengths))
    traces: dict[int, places.Trace] = {}
    for item, (inputs, last) in enumerate(zip(alone, lengths, strict=True)):
        traces[item] = places.record(compared, partial(logits_of, model, inputs), last)
    compared = places.recorded(compared, traces)
    with other_order(model):
        noise = places.compare(compared, {0: traces[0]}, lambda: logits_of(model, alone[0]))[0]
    found = places.compare(compared, traces, lambda: logits_of(model, together))
    kind = number_format(model)
    item, worst = max(
        ((item, places.worst(gaps, noise, kind)) for item, gaps in found.items()), key=lambda p: p[1].share
    )
    if worst.held:
        return Step("batch", _SHOWN, worst.figure, limit=worst.limit)
    reason = (
        "the batch changes an item's logits; ask one item at a time "
        f"(item {item}, {worst.place}: {worst.figure:.3g} relative, limit {worst.limit:.3g})"
    )
    return Step("batch", _SHOWN, worst.figure, REFUSED, reason, limit=worst.limit)


def _lies(inputs: Inputs, together: Inputs, item: int, side: str) -> bool:
    """Whether a row of the batch holds the item's own tokens at its end, or of an encoder at its start."""
    if "input_ids" not in inputs:  # an encoder that reads pictures alone
        return True
    alone, row = inputs["input_ids"][0].cpu(), together["input_ids"][item].cpu()
    return torch.equal(row[: len(alone)] if side == "right" else row[-len(alone) :], alone)


def padded_batch(alone: Inputs) -> tuple[list[Inputs], Inputs]:
    """An item, its picture's negative with a few more words at the end, and the padded batch of the two.

    Tensors with one row of positions are padded, on the right where a decoder stands apart; all others
    (pixels, grids) follow each other along their first axis, as transformers lays several pictures out.
    """
    shape = alone["input_ids"].shape if "input_ids" in alone else None
    longer, batch = dict(alone), dict(alone)
    right = "decoder_input_ids" in alone
    for name, value in alone.items():
        if not isinstance(value, Tensor) or value.ndim == 0:
            continue
        if is_picture(name):
            longer[name] = negative(name, value)
        following = longer[name]
        if name == "image_token_pooling":  # names patches by their number over the whole batch
            following = value + alone["pixel_values"].shape[1]
        if value.ndim >= 2 and value.shape[:2] == shape and not _no_text(name):
            zeros = torch.zeros_like(value[:, :1]).expand(-1, _PADDING, *value.shape[2:])
            more = value[:, -1:].expand(-1, _PADDING, *value.shape[2:])
            longer[name] = torch.cat([value, more], dim=1)
            padded = torch.cat([value, zeros] if right else [zeros, value], dim=1)
            batch[name] = torch.cat([padded, longer[name]])
        else:
            # NaViT packs pictures side by side into one strip and says their sizes apart.
            strip = "pixel" in name and value.ndim == 4 and value.shape[0] == 1 and "target_sizes" in alone
            batch[name] = torch.cat([value, following], dim=-1 if strip else 0)
    if shape is not None and "attention_mask" not in batch:
        batch["attention_mask"] = torch.ones_like(batch["input_ids"])
        batch["attention_mask"][0, -_PADDING if right else 0 : None if right else _PADDING] = 0
    return [alone, longer], batch


def _no_text(name: str) -> bool:
    return "pixel" in name or name.startswith("decoder_")
