"""Each item of a left-padded batch equals the item alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from headscope.models.proofs.steps import REFUSED, SHAPED, Step, gap, logits_of

_SHOWN = "each item of a left-padded batch gives the logits it gives alone; relative difference"
# How many positions of padding the shorter item gets.
_PADDING = 3

Inputs = dict[str, Any]


def prove_batch(model: nn.Module, alone: Sequence[Inputs], together: Inputs) -> Step:
    """The step ``batch``, refused where being in a batch, or padded, changes what an item gives.

    Args:
        model: the model.
        alone: inputs of each item by itself.
        together: inputs of the left-padded batch of them.
    """
    found, figure = logits_of(model, together), 0.0
    for item, inputs in enumerate(alone):
        if not _ends_alike(inputs["input_ids"], together["input_ids"][item]):
            reason = f"item {item} of the batch is not padded on the left: it ends otherwise than alone"
            return Step("batch", _SHOWN, float("nan"), REFUSED, reason)
        expected = logits_of(model, inputs)[0]
        # Where a model puts its picture in front of the text, the padding stands behind the picture.
        tail = min(len(expected), len(found[item]), inputs["input_ids"].shape[1])
        figure = max(figure, gap(expected[-tail:], found[item][-tail:]))
        limit = SHAPED.get(expected.dtype, 5e-2)
        if not figure <= limit:
            reason = (
                f"the batch changes an item's logits by {figure:.3g} relative (limit {limit:g}); ask one "
            )
            return Step("batch", _SHOWN, figure, REFUSED, reason + "item at a time")
    return Step("batch", _SHOWN, figure)


def _ends_alike(alone: Tensor, row: Tensor) -> bool:
    """Whether a row of the batch ends with the item's own tokens."""
    return torch.equal(row[-alone.shape[1] :].cpu(), alone[0].cpu())


def padded_batch(alone: Inputs) -> tuple[list[Inputs], Inputs]:
    """An item, the same item with a few more words at its end, and the left-padded batch of the two.

    Tensors with one row of positions are padded; all others (pixels, grids) are repeated along their first
    axis, as transformers lays several pictures out.
    """
    shape = alone["input_ids"].shape
    longer, batch = dict(alone), dict(alone)
    for name, value in alone.items():
        if not isinstance(value, Tensor) or value.ndim == 0:
            continue
        if value.ndim >= 2 and value.shape[:2] == shape and "pixel" not in name:
            zeros = torch.zeros_like(value[:, :1]).expand(-1, _PADDING, *value.shape[2:])
            more = value[:, -1:].expand(-1, _PADDING, *value.shape[2:])
            longer[name] = torch.cat([value, more], dim=1)
            batch[name] = torch.cat([torch.cat([zeros, value], dim=1), longer[name]])
        else:
            # NaViT packs pictures side by side into one strip and says their sizes apart.
            strip = "pixel" in name and value.ndim == 4 and value.shape[0] == 1 and "target_sizes" in alone
            batch[name] = torch.cat([value, value], dim=-1 if strip else 0)
    if "attention_mask" not in batch:
        batch["attention_mask"] = torch.ones_like(batch["input_ids"])
        batch["attention_mask"][0, :_PADDING] = 0
    return [alone, longer], batch
