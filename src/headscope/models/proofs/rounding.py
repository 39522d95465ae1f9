"""How far two computations may differ that should be equal: what rounding does to this very model, capped.

A model's own rounding is measured, not assumed: the same forward once more, with every sum over a linear
map's inputs taken in another order. It is measured on one plain item, without padding, batch or cache, so
that nothing under test can make it larger; and whatever it comes to, no limit exceeds :data:`CEILING`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from headscope.models.proofs.proof_steps import vocabulary_map

# Below these a difference is never a fault: what the number format does to a single layer.
TOLERANCES = {torch.float32: 1e-4, torch.float64: 1e-9, torch.bfloat16: 5e-2, torch.float16: 1e-2}
# How many times its own rounding a model may differ by.
TIMES = 8.0
# No limit is higher. A wrong head, width, order, picture or position differs by about 1.
CEILING = 0.25

# A head that is nearly silent counts with at least this part of the average head of its layer.
_SILENT = 0.1
# Logits beyond this are bans, not values (Chameleon gives its image tokens the lowest float there is).
_BANNED = 1e30
# At most so many values, or rows of a linear map, are worked on at a time.
_VALUES, _ROWS = 1 << 21, 256


def limit_of(kind: torch.dtype, noise: float) -> float:
    """The limit of a difference, given the number format and the model's own rounding at the same place.

    Example:
        >>> [limit_of(torch.bfloat16, noise) for noise in (0.001, 0.02, 0.9)]
        [0.05, 0.16, 0.25]
    """
    own = TIMES * noise if math.isfinite(noise) else 0.0
    return min(CEILING, max(TOLERANCES.get(kind, TOLERANCES[torch.bfloat16]), own))


class RoundedDifference(NamedTuple):
    """A difference, the limit that it is held to, and where it was found."""

    figure: float
    limit: float
    place: str

    @property
    def share(self) -> float:
        """The difference as a share of its limit; infinite where it is no number."""
        return self.figure / self.limit if self.figure == self.figure else math.inf

    @property
    def held(self) -> bool:
        """Whether the difference is within its limit."""
        return self.share <= 1.0


def wide(kind: torch.dtype) -> torch.dtype:
    """The format in which differences are taken: some devices have no 64-bit numbers."""
    return torch.float64 if kind == torch.float64 else torch.float32


def difference(expected: Tensor, found: Tensor, heads: int = 1) -> float:
    """Greatest difference of any head at any position, relative to the head's mean size over positions.

    Args:
        expected: (position, head * width).
        found: the same.
        heads: how many heads lie side by side.
    """
    kind, rows = wide(expected.dtype), max(1, _VALUES // expected.shape[-1])
    found = found.to(expected.device)
    total, worst = torch.zeros(heads, dtype=kind), torch.zeros(heads, dtype=kind)
    for one, other in zip(expected.split(rows), found.split(rows), strict=True):
        values = one.to(kind).unflatten(-1, (heads, -1))
        gap = values - other.to(kind).unflatten(-1, (heads, -1))
        total += values.pow(2).sum(dim=(0, 2)).cpu()
        worst = torch.maximum(worst, gap.pow(2).sum(dim=2).amax(dim=0).cpu())  # keeps what is no number
    size = (total / len(expected)).sqrt()
    size = size.clamp_min(_SILENT * float(size.pow(2).mean().sqrt()))
    relative = torch.where(worst == 0, 0.0, worst.sqrt() / size)
    return float(relative.max())


def stream_difference(expected: Tensor, found: Tensor) -> float:
    """Greatest difference of any position, each channel relative to its own size over positions.

    A few channels of a residual stream are far louder than the others: so they do not hide these, and their
    own last bits do not count.

    Args:
        expected: (position, channel).
        found: the same.
    """
    kind, rows = wide(expected.dtype), max(1, _VALUES // expected.shape[-1])
    found = found.to(expected.device)
    size = sum(one.to(kind).pow(2).sum(dim=0) for one in expected.split(rows))
    size = (torch.as_tensor(size) / len(expected)).sqrt()
    size = size.clamp_min(_SILENT * float(size.median()))
    worst = torch.zeros((), dtype=kind)
    for one, other in zip(expected.split(rows), found.split(rows), strict=True):
        gap = one.to(kind) - other.to(kind)
        relative = torch.where(gap == 0, 0.0, gap / size)
        worst = torch.maximum(worst, relative.pow(2).mean(dim=1).amax().cpu())
    return float(worst.sqrt())


def logit_difference(expected: Tensor, found: Tensor) -> float:
    """The same of logits (position, vocabulary), each position's mean taken out; banned ones left out.

    Infinite where one of the two bans what the other does not, not a number where nothing can be compared.
    """
    counted = expected.abs() < _BANNED
    if not torch.equal(counted, found.abs() < _BANNED):
        return math.nan if bool(found.isnan().any()) else math.inf
    if not counted.any():
        return math.nan
    return difference(_centred(expected, counted), _centred(found, counted))


def _centred(logits: Tensor, counted: Tensor) -> Tensor:
    values = torch.where(counted, logits, 0).to(wide(logits.dtype))
    mean = values.sum(dim=-1, keepdim=True) / counted.sum(dim=-1, keepdim=True).clamp_min(1)
    return torch.where(counted, values - mean, 0)


@contextmanager
def other_order(model: nn.Module) -> Iterator[None]:
    """Within, linear maps sum over their even inputs, then over their odd ones, and add the two.

    The map onto the vocabulary is left alone: its output may be the largest tensor that there is.
    """

    def again(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        if (
            not args
            or not args[0].numel()
            or not isinstance(output, Tensor)
            or not output.is_floating_point()
        ):
            return output
        output = output.contiguous()
        given = args[0].reshape(-1, args[0].shape[-1])
        for rows, into in zip(given.split(_ROWS), output.view(len(given), -1).split(_ROWS), strict=True):
            into.copy_(in_halves(module, rows))
        return output

    with ExitStack() as stack:
        for module in _linear_maps(model):
            stack.callback(module.register_forward_hook(again).remove)
        yield


def in_halves(module: nn.Module, rows: Tensor) -> Tensor:
    """What a linear map makes of rows (row, width), summed in two halves; its own bias counts once."""
    even = torch.arange(rows.shape[-1], device=rows.device) % 2 == 0
    call: Any = module.forward  # past the hooks, which would call this again
    added = call(torch.zeros_like(rows[:1]))
    halves: Tensor = call(torch.where(even, rows, 0)) + (call(torch.where(even, 0, rows)) - added)
    return halves


def _linear_maps(model: nn.Module) -> list[nn.Module]:
    """Modules that multiply by one matrix, except the map onto the vocabulary."""
    last = vocabulary_map(model)
    found = [m for m in model.modules() if _is_linear(m) and m is not last]
    return [m for m in found if not any(_is_linear(c) for c in m.modules() if c is not m)]


def _is_linear(module: nn.Module) -> bool:
    return isinstance(getattr(module, "in_features", None), int) and hasattr(module, "weight")
