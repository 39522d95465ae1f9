"""What the survey tries on a tiny model beside the proof: items that differ in one batch, and the picture."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from headscope.models.proofs.batches import PICTURES, negative, numbered
from headscope.models.survey.inputs import tiny_inputs

LIMIT = 1e-3
"""Greatest difference of logits (standard deviation about 1, float32) that counts as equal."""
# Logits that a model forbids are pushed to the end of the number range; they say nothing.
_FORBIDDEN = 1e30


@torch.no_grad()
def logits(model: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    """Logits (item, position, token) of one forward without cache."""
    found: Tensor = model(**inputs, use_cache=False).logits
    return found


def gap(one: Tensor, other: Tensor) -> float:
    """Greatest difference where neither is a forbidden token's logit."""
    kept = (one.abs() < _FORBIDDEN) & (other.abs() < _FORBIDDEN)
    return float((one - other)[kept].abs().max()) if kept.any() else float("nan")


def batch_gap(family: str, model: nn.Module, positions: bool = False) -> float:
    """Greatest difference between an item's last logits in a padded batch and alone.

    The batch holds two items whose texts and, where the family allows it, pictures differ in size.

    Args:
        family: model type.
        model: a tiny model of it.
        positions: whether the batch is given position ids that leave padding out.
    """
    batch = tiny_inputs(family, model, items=2)
    together = logits(model, numbered(batch) if positions else batch)
    worst = 0.0
    for number in range(2):
        alone = logits(model, tiny_inputs(family, model, items=1, first=number))[0]
        last = min(len(alone), 6)
        worst = max(worst, gap(together[number, -last:], alone[-last:]))
    return worst


def picture_effect(model: nn.Module, inputs: dict[str, Tensor]) -> float:
    """How far the last logits move when the picture is turned into its negative; 0.0 without a picture."""
    changed = dict(inputs)
    for name in PICTURES:
        if name in inputs:
            changed[name] = negative(name, inputs[name])
    return gap(logits(model, inputs)[:, -1], logits(model, changed)[:, -1])
