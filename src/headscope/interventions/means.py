"""Reference vectors of heads: means of z for mean-muting, directions from wrong to right for steering."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headscope.models.types import Encoded
from headscope.progress import track


def head_means(vlm: Any, batches: Iterable[Encoded]) -> NDArray[np.float64]:
    """Mean of z over all prompt positions (padding left out) of the given batches: (head, width), NaN beyond
    a width.

    This is what mean-muting at scope ``all`` wants: the mean over the very positions that it replaces.
    """
    geometry = vlm.geometry
    total = np.full((len(geometry.heads), geometry.max_width), np.nan)
    sums = {site: torch.zeros(site.n_heads * site.head_dim, dtype=torch.float64) for site in geometry.sites}
    mask: list[Tensor] = []
    count = 0

    def collect(site: Any) -> Any:
        def hook(_module: Any, args: tuple[Any, ...]) -> None:
            sums[site] += args[0][mask[0]].to("cpu", torch.float64).sum(0)

        return hook

    with ExitStack() as stack, torch.no_grad():
        for site in geometry.sites:
            stack.callback(site.projection.register_forward_pre_hook(collect(site)).remove)
        for encoded in track(list(batches), "mean of heads"):
            mask[:] = [encoded.inputs["attention_mask"].bool()]
            count += int(mask[0].sum())
            vlm.model(**encoded.inputs)
    for site in geometry.sites:
        mean = (sums[site] / max(count, 1)).view(site.n_heads, site.head_dim).numpy()
        for head in range(site.n_heads):
            row = geometry.index(type(geometry.heads[0])(site.layer, head, site.tower, site.site))
            total[row, : site.head_dim] = mean[head]
    return total


@dataclass(frozen=True, eq=False)
class Direction:
    """From wrong answers to right ones, per head.

    ``vectors`` (head, width): unit direction times the head's typical norm of z, so that strength 1 adds as
    much as the head itself puts out; None where there are too few answers of one kind, with the ``reason``.
    """

    vectors: NDArray[np.float64] | None
    right: int
    wrong: int
    reason: str = ""


def steering_direction(
    z: NDArray[np.floating[Any]], correct: Sequence[bool] | NDArray[Any], least: int = 8
) -> Direction:
    """Mean of z over right answers minus mean over wrong ones, to unit length, times the mean norm of z.

    Args:
        z: (item, head, width), NaN beyond a head's width; items of ``fit`` only.
        correct: (item,) whether the answer was right.
        least: how many answers of each kind are needed.
    """
    right = np.asarray(correct, dtype=bool)
    n_right, n_wrong = int(right.sum()), int((~right).sum())
    if min(n_right, n_wrong) < least:
        return Direction(
            None, n_right, n_wrong, f"{n_right} right and {n_wrong} wrong answers; needs {least} of each"
        )
    values = np.nan_to_num(np.asarray(z, dtype=np.float64))
    difference = values[right].mean(0) - values[~right].mean(0)
    length = np.linalg.norm(difference, axis=-1, keepdims=True)
    typical = np.linalg.norm(values, axis=-1).mean(0)[:, None]
    unit = np.divide(difference, length, out=np.zeros_like(difference), where=length > 0)
    return Direction(unit * typical, n_right, n_wrong)
